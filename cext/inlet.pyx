"""Inlet: the consumer's half of a channel that crosses processes (the law stands in cext/link.pyx)."""

from collections import deque

cimport cython
from libc.string cimport memcmp

from cext.atomics cimport load
from cext.clock cimport monotonic_ns
from cext.frame cimport DATA, END, data_frame, mark_frame
from cext.message cimport PROBE
from cext.outlet cimport first_slots
from cext.spsc cimport spsc_room


@cython.final
cdef class Inlet:
    """The consumer's half of channel `number`: stands in for a producer that is in another process.

    `codec`: has decode(format, payload) -> rows. `unread(error)` is told when it cannot: for the consumer the channel
    ends there, as one cut short. Without `unread` the error is raised.
    """

    def __cinit__(self, uint32_t number, Channel channel not None, codec, unread=None):
        self.number = number
        self.channel = channel
        self.codec = codec
        self.unread = unread
        self.owed = deque()
        self.slots = first_slots(channel)

    cdef int take(self, Header *header, object payload) except -1:
        """Take a message in, if it is the next one: a Verdict."""
        cdef uint64_t last = header.sequence if header.kind == PROBE else header.sequence - 1
        if last > self.received:
            if header.sequence > self.slots:
                return BEYOND
            self.seen = max(self.seen, header.sequence)
            self.turn = max(self.turn, header.turn)
            return EARLY
        if last < self.received or header.kind == PROBE:
            return DOUBLED
        if not self.is_cut:
            if header.records > load(&self.channel.limit) - self.channel.pushed or spsc_room(self.channel.ring) == 0:
                return BEYOND
            self.channel.deliver(self._frame(header, payload))
        if self.is_cut:
            self.dropped += header.records
        self.received = header.sequence
        self.ended = header.kind == END
        if header.kind == DATA:
            self.bytes_received += len(payload)
            self.owed.append((self.channel.pushed, self.bytes_received))
        return TAKEN

    cdef Frame _frame(self, Header *header, object payload):
        """What the consumer gets for a message."""
        if header.kind != DATA:
            return mark_frame(header.kind, header.value)
        cdef int64_t begin = monotonic_ns()
        try:
            return self._decoded(header, payload)
        except Exception as error:
            if self.unread is None:
                raise
            self.is_cut = True
            self.unread(error)
            return mark_frame(END, False)
        finally:
            self.coding += monotonic_ns() - begin
            if self.task is not None:
                self.task.charge(begin)

    cdef Frame _decoded(self, Header *header, object payload):
        cdef list rows = self.codec.decode(header.format, payload)
        if len(rows) != header.records:
            raise ValueError(f"a message of channel {self.number} has {len(rows)} records, not {header.records}")
        return data_frame(rows, header.born)

    cdef Credit present(self):
        """Where things are: what the peer's outlet is granted."""
        cdef Credit credit
        cdef uint64_t released = load(&self.channel.released)
        while self.owed and <uint64_t>(<tuple>self.owed[0])[0] <= released:
            self.bytes_released = (<tuple>self.owed.popleft())[1]
        credit.released = released + self.dropped
        credit.limit = load(&self.channel.limit) + self.dropped  # after `released`, so that it is no less
        credit.window = load(&self.channel.window)
        credit.bytes_released = self.bytes_released
        credit.received = self.received
        credit.slots = self.received + spsc_room(self.channel.ring)
        credit.gap = self.turn if self.received < self.seen else 0
        return credit

    cdef bint due(self, int64_t now) except -1:
        """Whether the peer must hear of this channel now (see the law, 5.)."""
        cdef Credit credit = self.present()
        if memcmp(&credit, &self.told, sizeof(Credit)) == 0:
            return False
        if self.changed_at == 0:
            self.changed_at = now
        return (
            now - self.changed_at >= UNTOLD_NS
            or (self.peer_blocked and credit.limit > self.told.limit and self.channel.has_room())
            or 8 * (credit.limit - self.told.limit) >= credit.window
            or 8 * (credit.slots - self.told.slots) >= <uint64_t>self.channel.law.most
        )

    cdef tuple tell(self):
        """(channel, and all of `present`), which is told from now on."""
        cdef Credit credit = self.present()
        self.told = credit
        self.slots = max(self.slots, credit.slots)
        self.changed_at = 0
        self.peer_blocked = False
        return (
            self.number, credit.limit, credit.released, credit.window, credit.bytes_released, credit.received,
            credit.slots, credit.gap,
        )
