"""Outlet: the producer's half of a channel that crosses processes (the law stands in cext/link.pyx)."""

from collections import deque

cimport cython
from libc.stdint cimport uint8_t

from cext.atomics cimport exchange
from cext.frame cimport DATA, END
from cext.message cimport MAGIC, PROBE

cdef int64_t PROBE_NS = 1_000_000_000
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


cdef uint64_t first_slots(Channel channel) noexcept:
    """How many frames its ring holds at the least; both sides can tell before they have heard of each other."""
    return max(2, <uint64_t>channel.law.most)
