"""Link: the two halves of a channel that crosses processes, and what a pair of workers tell each other.

A channel whose ends are apart has one credit loop, from task to task. On the producer's side an `Outlet` stands in for
the consumer: it takes frames out of the ring, encodes and numbers them, and keeps them until the peer has them. On the
consumer's side an `Inlet` stands in for the producer: it takes messages in their order, each once, and pushes them into
the ring. All that goes back is a *signal*, which states where things are and never what has changed: so one that is
lost, doubled, late or overtaken does no harm, and the next one mends all. Nothing here does I/O or reads a clock: every
method is a function of state, event and `now`, and the simulator of the tests runs this very code.

1. An outlet sends what its channel gives while the encoded bytes in flight stay within `byte_window`; one message may
   always go when nothing else is in flight, whatever its size.
2. It sends no more messages than there are `slots` for in the consumer's ring. Records have their credit, marks have
   none, and many of them behind a slow consumer would fill the ring.
3. An inlet takes the message that follows the last one taken, and drops what it has had. Anything later shows a *gap*,
   which its next signal tells, and the outlet sends again from there on. Each time is a new *turn*, and a gap names
   the turn of the message that showed it: so what was in the network when the outlet began a turn, or a signal that
   is late, cannot make it begin another one.
4. What was lost last leaves no gap. The peer's signal echoes the newest of our clock that it has seen; an outlet whose
   oldest message was handed out `PROBE_NS` before that, and is still not received, sends a *probe*: a message that only
   says what was sent before it. A peer that is merely slow costs probes at most, and a silent one not even these.
5. Credit is told once it has moved by an eighth of the window, at once to a producer that has none, and anyway within
   `UNTOLD_NS`; everything is told every `HEARTBEAT_NS`.
"""

from collections import deque

cimport cython
from libc.stdint cimport uint8_t
from libc.string cimport memcmp

from cext.atomics cimport exchange, load, store
from cext.frame cimport DATA, END, data_frame, mark_frame
from cext.message cimport MAGIC, PROBE, makes_sense, parse
from cext.spsc cimport spsc_room

cdef int64_t HEARTBEAT_NS = 250_000_000
cdef int64_t UNTOLD_NS = 5_000_000
cdef int64_t PROBE_NS = 1_000_000_000
cdef int64_t BLOCKED_NS = 50_000_000  # how often a producer without credit says so: twice in a window's period
cdef Py_ssize_t ANY = 1 << 30


@cython.final
cdef class Outlet:
    """The producer's half of channel `number`: stands in for a consumer that is in another process.

    `codec`: has encode(rows) -> (format, bytes); `frame_bytes`: a frame whose encoding is larger is sent in pieces;
    `byte_window`: the most encoded bytes that may be in flight; `record_bytes`: the most that one record may have.
    """

    def __cinit__(
        self,
        uint32_t number,
        Channel channel not None,
        codec,
        uint16_t sender,
        uint64_t epoch,
        Py_ssize_t frame_bytes=262_144,
        uint64_t byte_window=8_388_608,
        Py_ssize_t record_bytes=67_108_864,
    ):
        self.number = number
        self.channel = channel
        self.codec = codec
        self.sender = sender
        self.epoch = epoch
        self.frame_bytes = frame_bytes
        self.byte_window = byte_window
        self.record_bytes = record_bytes
        self.chunk = ANY
        self.unacked = deque()
        self.cursor = self.turn = 1
        self.slots = first_slots(channel)

    cpdef Message next(self, int64_t now):
        """The next message to hand to the network, or None: nothing to send, or no credit for it.

        What the codec raises for a record that it cannot encode comes out of here, again at every call.
        """
        cdef Message message
        if self.cursor <= self.sequence:
            message = <Message>self.unacked[self.cursor - self.acked - 1]
            message.head.turn = self.turn
            self.resent += 1
        elif self.probing:
            self.probing = False
            self.probed_at = now
            return self._message(PROBE, self.sequence, b"")
        else:
            message = self._fresh()
            if message is None:
                return None
        self.cursor += 1
        message.sent_at = now
        return message

    cdef Message _fresh(self):
        """A message that was never sent, if there is one and credit for it."""
        cdef Message message
        cdef uint64_t size
        if self.ready is None and self.sequence < self.slots:
            self.ready = self._make()
        if self.ready is None:
            return None
        size = len(<bytes>self.ready.payload)
        if self.bytes_sent > self.bytes_released and self.bytes_sent + size > self.bytes_released + self.byte_window:
            return None
        message, self.ready = self.ready, None
        message.head.turn = self.turn
        self.ended = message.head.kind == END
        self.bytes_sent += size
        self.sequence += 1
        self.unacked.append(message)
        return message

    cdef Message _make(self):
        """A message of what the channel gives next, or None."""
        cdef int format = 0
        cdef Py_ssize_t count = 0
        cdef Message message
        if self.frame is None:
            self.frame = self.channel.take()
            self.at = 0
        cdef Frame frame = self.frame
        if frame is None:
            return None
        if frame.kind != DATA:
            self.frame = None
            message = self._message(frame.kind, self.sequence + 1, b"")
            message.head.value = frame.value
            return message
        message = self._message(DATA, self.sequence + 1, self._encoded(&format, &count))
        message.head.format = <uint8_t>format
        message.head.records = <uint32_t>count
        message.head.born = frame.born
        self.at += count
        if self.at == frame.records:
            self.frame = None
        return message

    cdef bytes _encoded(self, int *format, Py_ssize_t *count):
        """As many of the frame's records as make a message of no more than `frame_bytes`, but at least one."""
        cdef list rows = self.frame.rows
        cdef bytes payload
        cdef Py_ssize_t fit
        if len(rows) != self.frame.records:
            raise RuntimeError(
                f"a list of {self.frame.records} records that others share was changed before channel {self.number} "
                "sent it; user code must leave lists that it was given as they are"
            )
        if self.at > 0 or self.chunk < len(rows):
            rows = rows[self.at:self.at + self.chunk]
        while True:
            kind, payload = self.codec.encode(rows)
            if len(payload) <= self.frame_bytes or len(rows) == 1:
                if len(payload) > self.record_bytes and len(rows) == 1:
                    raise ValueError(f"a record has {len(payload):,} bytes encoded, more than {self.record_bytes:,}")
                break
            fit = len(rows) * self.frame_bytes // len(payload)
            self.chunk = max(1, min(fit, len(rows) - 1))
            rows = rows[:self.chunk]
        if 2 * len(payload) < self.frame_bytes and len(rows) == self.chunk:
            self.chunk *= 2
        format[0] = kind
        count[0] = len(rows)
        return payload

    cdef Message _message(self, int kind, uint64_t sequence, bytes payload):
        cdef Message message = Message.__new__(Message)
        message.head.magic = MAGIC
        message.head.kind = <uint8_t>kind
        message.head.sender = self.sender
        message.head.epoch = self.epoch
        message.head.channel = self.number
        message.head.sequence = sequence
        message.head.turn = self.turn
        message.payload = payload
        return message

    cpdef bint granted(self, credit, int64_t now) except -1:
        """Take in what the peer says of this channel; False, and nothing is done, if it cannot be true."""
        cdef uint64_t limit, released, window, bytes_released, received, slots, gap
        cdef uint64_t most = self.channel.law.most
        _, limit, released, window, bytes_released, received, slots, gap = credit
        if not (
            received <= self.sequence and bytes_released <= self.bytes_sent and released <= self.channel.taken
            and released <= limit <= released + most and window <= most
            and received <= slots and slots - received <= 2 * most
        ):
            return False
        while self.acked < received:
            self.unacked.popleft()
            self.acked += 1
        self.cursor = max(self.cursor, self.acked + 1)
        self.slots = max(self.slots, slots)
        self.bytes_released = max(self.bytes_released, bytes_released)
        self.channel.grant(limit, released, window)
        # A signal that was overtaken may tell of a gap that is closed by now.
        if gap == self.turn and received == self.acked < self.sequence:
            self.resend()
        return True

    cpdef int resend(self) except -1:
        """Hand out once more all that the peer may not have: its connection was lost, or it misses something."""
        self.cursor = self.acked + 1
        self.turn += 1
        return 0

    cdef bint finished(self) noexcept:
        """Whether the channel has ended and the peer has all of it."""
        return self.ended and self.acked == self.sequence

    cdef bint is_blocked(self, int64_t now) noexcept:
        """Whether its producer has found no credit; it is said so often and no more."""
        if now - self.blocked_at < BLOCKED_NS or not exchange(&self.channel.blocked, 0):
            return False
        self.blocked_at = now
        return True

    cdef int doubt(self, int64_t seen) except -1:
        """The peer had seen our clock at `seen` when it spoke: what should it have had by then (the law, 4.)?"""
        if self.unacked and (<Message>self.unacked[0]).sent_at + PROBE_NS < seen and self.probed_at + PROBE_NS < seen:
            self.probing = True
        return 0


@cython.final
cdef class Inlet:
    """The consumer's half of channel `number`: stands in for a producer that is in another process.

    `codec`: has decode(format, payload) -> rows.
    """

    def __cinit__(self, uint32_t number, Channel channel not None, codec):
        self.number = number
        self.channel = channel
        self.codec = codec
        self.owed = deque()

    cdef int take(self, Header *header, object payload) except -1:
        """Take a message in, if it is the next one: a Verdict."""
        cdef uint64_t last = header.sequence if header.kind == PROBE else header.sequence - 1
        cdef Frame frame
        if last > self.received:
            self.seen = max(self.seen, header.sequence)
            self.turn = max(self.turn, header.turn)
            return EARLY
        if last < self.received or header.kind == PROBE:
            return DOUBLED
        if header.records > load(&self.channel.limit) - self.channel.pushed or spsc_room(self.channel.ring) == 0:
            return BEYOND
        frame = mark_frame(header.kind, header.value) if header.kind != DATA else self._decoded(header, payload)
        self.channel.deliver(frame)
        self.received = header.sequence
        self.ended = header.kind == END
        if header.kind == DATA:
            self.bytes_received += len(payload)
            self.owed.append((self.channel.pushed, self.bytes_received))
        return TAKEN

    cdef Frame _decoded(self, Header *header, object payload):
        cdef list rows = self.codec.decode(header.format, payload)
        if len(rows) != header.records:
            raise ValueError(f"a message of channel {self.number} has {len(rows)} records, not {header.records}")
        return data_frame(rows, header.born)

    cdef Credit present(self):
        """Where things are: what the peer's outlet is granted."""
        cdef Credit credit
        credit.released = load(&self.channel.released)
        while self.owed and <uint64_t>(<tuple>self.owed[0])[0] <= credit.released:
            self.bytes_released = (<tuple>self.owed.popleft())[1]
        credit.limit = load(&self.channel.limit)  # after `released`, so that it is no less
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
            or (self.peer_blocked and credit.limit > self.told.limit)
            or 8 * (credit.limit - self.told.limit) >= credit.window
            or 8 * (credit.slots - self.told.slots) >= <uint64_t>self.channel.law.most
        )

    cdef tuple tell(self):
        """(channel, and all of `present`), which is told from now on."""
        cdef Credit credit = self.present()
        self.told = credit
        self.changed_at = 0
        self.peer_blocked = False
        return (
            self.number, credit.limit, credit.released, credit.window, credit.bytes_released, credit.received,
            credit.slots, credit.gap,
        )


@cython.final
cdef class Peer:
    """All that worker `me` shares with worker `number`: the halves of their channels, and the signals between them.

    `epoch`: the job's incarnation; messages of another one are refused and counted in `refused`.
    """

    def __cinit__(self, uint16_t me, uint16_t number, uint64_t epoch, list outlets not None, list inlets not None):
        self.me = me
        self.number = number
        self.epoch = epoch
        self.outlets = {(<Outlet>outlet).number: outlet for outlet in outlets}
        self.inlets = {(<Inlet>inlet).number: inlet for inlet in inlets}
        self.order = list(outlets)
        self.refused = {}
        self.told_at = -HEARTBEAT_NS

    # Data.

    cpdef Message next(self, int64_t now):
        """The next message for this peer, each outlet in its turn; None: there is nothing to send."""
        cdef Py_ssize_t count = len(self.order)
        cdef Message message
        for _ in range(count):
            self.asked = (<Outlet>self.order[self.at]).number
            message = (<Outlet>self.order[self.at]).next(now)
            self.at = (self.at + 1) % count
            if message is not None:
                return message
        return None

    cpdef bint receive(self, header, payload, int64_t now) except -1:
        """Take in a message of this peer; False if it was refused. ValueError for a payload that does not decode."""
        cdef Header parsed
        cdef Inlet inlet
        if not parse(header, &parsed):
            return self._refuse("not a message")
        if parsed.epoch != self.epoch or parsed.sender != self.number:
            return self._refuse("a stranger")
        inlet = self.inlets.get(parsed.channel)
        if inlet is None or not makes_sense(&parsed, len(payload)):
            return self._refuse("an unknown message")
        if inlet.take(&parsed, payload) == BEYOND:
            return self._refuse("more than there is credit for")
        return True

    cdef bint _refuse(self, str reason) except -1:
        self.refused[reason] = self.refused.get(reason, 0) + 1
        return False

    # Signals.

    cpdef tuple signal(self, int64_t now):
        """What must be told now: (epoch, sender, clock, echo, held, credits, blocked), or None.

        `echo`: the newest clock of the peer that was seen, `held` ns ago; `credits`: (channel, limit, released, window,
        bytes released, received, slots, gap) of inlets; `blocked`: the channels whose producers have no credit.
        """
        cdef bint all_of_them = now - self.told_at >= HEARTBEAT_NS
        cdef Inlet inlet
        cdef Outlet outlet
        cdef list credits = [inlet.tell() for inlet in self.inlets.values() if all_of_them or inlet.due(now)]
        cdef list blocked = [outlet.number for outlet in self.outlets.values() if outlet.is_blocked(now)]
        if not (all_of_them or credits or blocked):
            return None
        if all_of_them:
            self.told_at = now
        return self.epoch, self.me, now, self.their_clock, now - self.heard_at, credits, blocked

    cpdef bint hear(self, signal, int64_t now) except -1:
        """Take in a signal (a sequence of any type, decoded from what came); False if it was refused."""
        try:
            return self._hear(signal, now)
        except (TypeError, ValueError, OverflowError):  # another shape, or numbers that are none of ours
            return self._refuse("not a signal")

    cdef bint _hear(self, signal, int64_t now) except -1:
        cdef Inlet inlet
        cdef Outlet outlet
        cdef int64_t clock, echo, held
        epoch, sender, clock, echo, held, credits, blocked = signal
        if epoch != self.epoch or sender != self.number:
            return self._refuse("a stranger")
        for credit in credits:
            number, *_ = credit
            outlet = self.outlets.get(number)
            if outlet is None or not outlet.granted(credit, now):
                return self._refuse("an impossible credit")
        for number in blocked:
            inlet = self.inlets.get(number)
            if inlet is None:
                return self._refuse("an unknown channel")
            inlet.peer_blocked = True
            store(&inlet.channel.blocked, 1)
        self._note(clock, echo, held, now)
        return True

    cdef int _note(self, int64_t clock, int64_t echo, int64_t held, int64_t now) except -1:
        """Note when it was heard, how long a round trip takes, and what it should have had by now."""
        cdef Outlet outlet
        cdef Inlet inlet
        cdef int64_t trip
        if clock > self.their_clock:
            self.their_clock = clock
            self.heard_at = now
        if not 0 < echo <= now:
            return 0
        if 0 <= held < now - echo:
            trip = now - echo - held
            # Down at once, up slowly: what waited for a busy or stopped process says little of the way.
            if 0 < self.round_trip < trip:
                trip = self.round_trip + (trip - self.round_trip) // 8
            self.round_trip = trip
            for inlet in self.inlets.values():
                inlet.channel.law.travels(trip)
        for outlet in self.outlets.values():
            outlet.doubt(echo)
        return 0

    cpdef int reconnected(self, int64_t now) except -1:
        """The connection to the peer was lost and is back: what was in it may be lost too, both ways."""
        cdef Outlet outlet
        for outlet in self.outlets.values():
            outlet.resend()
        self.told_at = now - HEARTBEAT_NS
        return 0

    cpdef bint finished(self):
        """Whether every channel has ended and the peer, as far as we can tell, has all of it."""
        cdef Outlet outlet
        cdef Inlet inlet
        for outlet in self.outlets.values():
            if not outlet.finished():
                return False
        for inlet in self.inlets.values():
            if not inlet.ended:
                return False
        return True

    cpdef int64_t deadline(self):
        """When `signal` should be asked though nothing happens, monotonic ns."""
        cdef int64_t first = self.told_at + HEARTBEAT_NS
        cdef Inlet inlet
        cdef Outlet outlet
        for inlet in self.inlets.values():
            if inlet.changed_at:
                first = min(first, inlet.changed_at + UNTOLD_NS)
        for outlet in self.outlets.values():
            if load(&outlet.channel.blocked):
                first = min(first, outlet.blocked_at + BLOCKED_NS)
        return first


cdef uint64_t first_slots(Channel channel) noexcept:
    """How many frames its ring holds at the least; both sides can tell before they have heard of each other."""
    return max(2, <uint64_t>channel.law.most)
