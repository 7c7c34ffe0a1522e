"""Outlet: the producer's half of a channel that crosses processes (the law stands in cext/link.pyx)."""

from collections import deque

cimport cython
from libc.stdint cimport uint8_t

from cext.atomics cimport exchange, load
from cext.clock cimport monotonic_ns
from cext.frame cimport DATA, END
from cext.message cimport MAGIC, PROBE

cdef int64_t PROBE_NS = 1_000_000_000
cdef Py_ssize_t ANY = 1 << 30


class TooLarge(ValueError):
    """A record has more encoded bytes than one may have: `record`, at `index` in what was to be sent."""

    index = 0

    def __init__(self, message, record=None):
        super().__init__(message)
        self.record = record


@cython.final
cdef class Outlet:
    """The producer's half of channel `number`: stands in for a consumer that is in another process.

    `codec`: has encode(rows) -> (format, bytes), whose errors say by `index` which of the rows is to blame, if one is;
    `frame_bytes`: a frame whose encoding is larger is sent in pieces; `byte_window`: the most encoded bytes that may be
    in flight; `record_bytes`: the most that one record may have. `unsent(error)`: whether to go on without the record
    that cannot be sent; if not, all before it is sent, and the channel ends there, as one cut short. Without `unsent`
    the error comes out of `next`, again at every call.
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
        unsent=None,
    ):
        self.number = number
        self.channel = channel
        self.codec = codec
        self.sender = sender
        self.epoch = epoch
        self.frame_bytes = frame_bytes
        self.byte_window = byte_window
        self.record_bytes = record_bytes
        self.unsent = unsent
        self.chunk = ANY
        self.unacked = deque()
        self.cursor = self.turn = 1
        self.slots = first_slots(channel)

    cpdef Message next(self, int64_t now):
        """The next message to hand to the network, or None: nothing to send, or no credit for it."""
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
        if self.is_cut:
            self._drop()
        elif self.ready is None and self.sequence < self.slots:
            self.ready = self._make()
        if self.ready is None:
            return None
        size = len(<bytes>self.ready.payload)
        if self.bytes_sent > self.bytes_released and self.bytes_sent + size > self.bytes_released + self.byte_window:
            return None
        message, self.ready = self.ready, None
        message.head.turn = self.turn
        self.bytes_sent += size
        self.sequence += 1
        self.unacked.append(message)
        return message

    cdef Message _make(self):
        """A message of what the channel gives next, or None."""
        cdef Message message = None
        while message is None:
            if self.frame is None:
                self.frame = self.channel.take()
                self.at = 0
            if self.frame is None:
                return None
            message = self._records() if self.frame.kind == DATA else self._mark()
        return message

    cdef Message _mark(self):
        cdef Message message = self._message(self.frame.kind, self.sequence + 1, b"")
        message.head.value = self.frame.value
        self.ended = self.frame.kind == END
        self.frame = None
        return message

    cdef Message _records(self):
        """A message of the frame's next records, or None: one of them cannot be sent, and that is dealt with."""
        cdef int format = 0
        cdef Py_ssize_t count = 0
        cdef Message message
        cdef bytes payload
        cdef int64_t begin = monotonic_ns()
        try:
            payload = self._encoded(&format, &count)
        except Exception as error:
            return self._refused(error)
        finally:
            self.coding += monotonic_ns() - begin
            if self.task is not None:
                self.task.charge(begin)
        message = self._message(DATA, self.sequence + 1, payload)
        message.head.format = <uint8_t>format
        message.head.records = <uint32_t>count
        message.head.born = self.frame.born
        self._pass(count)
        return message

    cdef int _pass(self, Py_ssize_t count) except -1:
        """Go on behind so many more of the frame's records."""
        self.at += count
        if self.at == self.frame.records:
            self.frame = None
        return 0

    # What cannot be sent.

    cdef Message _refused(self, error):
        """Nothing, to try again without the record that `error` blames; else the end of a stream cut short."""
        cdef Py_ssize_t index = getattr(error, "index", -1)
        if index > 0:  # what stands before it goes first
            self.chunk = index
            return None
        if self.unsent is None:
            raise error
        if self.unsent(error) and index == 0:
            self._withhold(1)
            self._pass(1)
            return None
        self.is_cut = True
        self.dropped = self.frame.records - self.at
        self._withhold(self.dropped)
        self.frame = None
        return self._message(END, self.sequence + 1, b"")

    cdef int _drop(self) except -1:
        """Of a channel that was cut short nothing more is sent."""
        cdef Frame frame = self.channel.take()
        while frame is not None:
            self.ended = frame.kind == END
            self.dropped += frame.records
            self._withhold(frame.records)
            frame = self.channel.take()
        return 0

    cdef int _withhold(self, Py_ssize_t records) except -1:
        """Give the credit of `records` back here, since the peer, who never sees them, counts without them."""
        cdef Channel channel = self.channel
        self.withheld += records
        channel.grant(load(&channel.limit) + records, load(&channel.released) + records, load(&channel.window))
        return 0

    # What is sent.

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
                    raise TooLarge(
                        f"a record has {len(payload):,} bytes encoded, more than {self.record_bytes:,}", rows[0]
                    )
                break
            fit = len(rows) * self.frame_bytes // len(payload)
            self.chunk = max(1, min(fit, len(rows) - 1))
            rows = rows[:self.chunk]
        if 2 * len(payload) < self.frame_bytes and len(rows) == self.chunk:
            self.chunk *= 2
        format[0] = kind
        count[0] = len(rows)
        return payload

    # What the peer says.

    cpdef bint granted(self, credit, int64_t now) except -1:
        """Take in what the peer says of this channel; False, and nothing is done, if it cannot be true."""
        cdef uint64_t limit, released, window, bytes_released, received, slots, gap
        cdef uint64_t most = self.channel.law.most
        _, limit, released, window, bytes_released, received, slots, gap = credit
        if not (
            received <= self.sequence and bytes_released <= self.bytes_sent
            and released + self.withheld <= self.channel.taken
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
        self.channel.grant(limit + self.withheld, released + self.withheld, window)
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
        return self.ended and self.ready is None and self.acked == self.sequence

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


cdef uint64_t first_slots(Channel channel) noexcept:
    """How many frames its ring holds at the least; both sides can tell before they have heard of each other."""
    return max(2, <uint64_t>channel.law.most)
