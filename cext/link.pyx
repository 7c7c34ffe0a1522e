"""Link: the two halves of a channel that crosses processes, and what a pair of workers tell each other.

A channel whose ends are apart has one credit loop, from task to task. On the producer's side an `Outlet` stands in for
the consumer: it takes frames out of the ring, encodes and numbers them, and keeps them until the peer has them. On the
consumer's side an `Inlet` stands in for the producer: it takes messages in their order, each once, and pushes them into
the ring. All that goes back is a *signal*, which states where things are and never what has changed: so one that is
lost, doubled, late or overtaken does no harm, and the next one mends all. Nothing here does I/O or reads a clock: every
method is a function of state, event and `now`, and the simulator of the tests runs this very code.

1. An outlet sends what its channel gives while the encoded bytes in flight stay within `byte_window`; one message may
   always go when nothing else is in flight, whatever its size.
2. An inlet takes the message that follows the last one taken. One that it has had is dropped; anything else leaves a
   *gap*, which its next signal tells, and the outlet sends again from there on.
3. What was lost last leaves no gap. The peer's signal echoes the newest of our clock that it has seen; an outlet whose oldest
   message was handed out `RESEND_NS` before that, and is still not received, sends again.
4. Credit is told once it has moved by an eighth of the window, at once to a producer that has none, and anyway within
   `UNTOLD_NS`; everything is told every `HEARTBEAT_NS`.
"""

from collections import deque

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.string cimport memcpy

from cext.atomics cimport exchange, load, store
from cext.frame cimport DATA, END, data_frame, mark_frame
from cext.spsc cimport spsc_room

cdef int64_t HEARTBEAT_NS = 250_000_000
cdef int64_t UNTOLD_NS = 5_000_000
cdef int64_t RESEND_NS = 1_000_000_000
cdef int64_t GUARD_NS = 20_000_000    # a gap is answered once in this time: what was sent again may still be on its way
cdef int64_t BLOCKED_NS = 50_000_000  # how often a producer without credit says so: twice in a window's period
cdef Py_ssize_t MARKS = 64            # how many marks may be on their way beside the records
cdef Py_ssize_t ANY = 1 << 30


@cython.final
cdef class Message:
    """One message of a channel: `header` and `payload` are what goes over the wire."""

    @property
    def size(self):
        """Bytes of the payload."""
        return len(<bytes>self.payload)


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
        self.cursor = 1

    cpdef Message next(self, int64_t now):
        """The next message to hand to the network, or None: nothing to send, or no credit for it."""
        cdef Message message
        cdef uint64_t size
        if self.cursor <= self.sequence:
            message = <Message>self.unacked[self.cursor - self.acked - 1]
            self.resent += 1
        else:
            if self.ready is None:
                self.ready = self._make()
            if self.ready is None:
                return None
            size = len(<bytes>self.ready.payload)
            if self.bytes_sent > self.bytes_released and self.bytes_sent + size > self.bytes_released + self.byte_window:
                return None
            message, self.ready = self.ready, None
            self.ended = self.ending
            self.bytes_sent += size
            self.sequence += 1
            self.unacked.append(message)
        self.cursor += 1
        message.sent_at = now
        return message

    cdef Message _make(self):
        """A message of what the channel gives next, or None."""
        cdef int format = 0
        cdef Py_ssize_t count = 0
        cdef Frame frame = self.frame
        cdef bytes payload
        if frame is None:
            if len(self.unacked) >= self.channel.law.most + MARKS:
                return None
            frame = self.channel.take()
            if frame is None:
                return None
            if frame.kind != DATA:
                self.ending = frame.kind == END
                return self._message(frame.kind, 0, 0, frame.value, 0, b"")
            self.frame = frame
            self.at = 0
        payload = self._encoded(&format, &count)
        self.at += count
        if self.at == frame.records:
            self.frame = None
        return self._message(DATA, format, <uint32_t>count, 0, frame.born, payload)

    cdef bytes _encoded(self, int *format, Py_ssize_t *count):
        """As many of the frame's records as make a message of no more than `frame_bytes`, but at least one."""
        cdef list rows = self.frame.rows
        cdef bytes payload
        cdef Py_ssize_t fit
        if self.at > 0 or self.chunk < len(rows):
            rows = rows[self.at:self.at + self.chunk]
        while True:
            kind, payload = self.codec.encode(rows)
            if len(payload) <= self.frame_bytes:
                break
            if len(rows) == 1:
                if len(payload) > self.record_bytes:
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

    cdef Message _message(self, int kind, int format, uint32_t records, int64_t value, int64_t born, bytes payload):
        cdef Header header
        cdef Message message = Message.__new__(Message)
        header.magic = MAGIC
        header.kind = <uint8_t>kind
        header.format = <uint8_t>format
        header.sender = self.sender
        header.epoch = self.epoch
        header.channel = self.number
        header.records = records
        header.sequence = message.sequence = self.sequence + 1
        header.value = value
        header.born = born
        message.header = PyBytes_FromStringAndSize(<char *>&header, sizeof(Header))
        message.payload = payload
        return message

    cpdef bint granted(self, tuple credit, int64_t now) except -1:
        """Take in what the peer says of this channel; False, and nothing is done, if it cannot be true."""
        cdef uint64_t limit, released, window, bytes_released, received
        cdef bint gap
        _, limit, released, window, bytes_released, received, gap = credit
        if not (
            received <= self.sequence and bytes_released <= self.bytes_sent and released <= self.channel.taken
            and released <= limit <= released + <uint64_t>self.channel.law.most
            and window <= <uint64_t>self.channel.law.most
        ):
            return False
        while self.acked < received:
            self.unacked.popleft()
            self.acked += 1
        self.cursor = max(self.cursor, self.acked + 1)
        self.bytes_released = max(self.bytes_released, bytes_released)
        self.channel.grant(limit, released, window)
        # A signal that was overtaken may tell of a gap that is long closed.
        if gap and received == self.acked and now - self.resent_at >= GUARD_NS:
            self.resend(now)
        return True

    cpdef int resend(self, int64_t now) except -1:
        """Hand out once more all that the peer may not have: its connection was lost, or it misses something."""
        self.cursor = self.acked + 1
        self.resent_at = now
        return 0

    cdef bint finished(self) noexcept:
        """Whether the channel has ended and the peer has all of it."""
        return self.ended and self.acked == self.sequence

    def oldest_sent_at(self):
        """When the oldest message that the peer may not have was handed out; None: it has them all."""
        return (<Message>self.unacked[0]).sent_at if self.unacked else None


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

    cdef int take(self, Header *header, object payload, int64_t now) except -1:
        """Take a message in, if it is the next one and there is room: a Verdict."""
        cdef Frame frame
        cdef list rows
        if header.sequence <= self.received:
            return DOUBLED
        if header.sequence != self.received + 1:
            self.gap = True
            return EARLY
        if header.kind == DATA:
            if header.records > load(&self.channel.limit) - self.channel.pushed:
                return BEYOND
            rows = self.codec.decode(header.format, payload)
            if len(rows) != header.records or not rows:
                raise ValueError(f"a message of channel {self.number} has {len(rows)} records, not {header.records}")
            frame = data_frame(rows, header.born)
        else:
            frame = mark_frame(header.kind, header.value)
        if not self.channel.deliver(frame):
            self.gap = True
            return FULL
        self.received = header.sequence
        self.ended = header.kind == END
        self.gap = False
        self.bytes_received += len(payload)
        self.owed.append((self.channel.pushed, self.bytes_received))
        return TAKEN

    cdef tuple credit(self):
        """Where things are: what the peer's outlet is granted."""
        cdef uint64_t released = load(&self.channel.released)
        while self.owed and <uint64_t>self.owed[0][0] <= released:
            self.bytes_released = self.owed.popleft()[1]
        # The limit after `released`, so that it is no less than was released.
        return (
            self.number, load(&self.channel.limit), released, load(&self.channel.window), self.bytes_released,
            self.received, self._misses(),
        )

    cdef bint _misses(self) noexcept:
        """Whether there is a gap that can be closed now: not while the ring has no slot for what is missing."""
        return self.gap and spsc_room(self.channel.ring) > 0

    cdef bint due(self, int64_t now) except -1:
        """Whether the peer must hear of this channel now (see the law, 4.)."""
        cdef tuple credit
        if self.told is not None and not self._misses() and self.received == <uint64_t>self.told[5] and (
            load(&self.channel.limit) == <uint64_t>self.told[1]
            and load(&self.channel.released) == <uint64_t>self.told[2]
        ):
            return False
        if self.changed_at == 0:
            self.changed_at = now
        credit = self.credit()
        return (
            self.told is None
            or now - self.changed_at >= UNTOLD_NS
            or (self.peer_blocked and credit[1] > self.told[1])
            or 8 * (<uint64_t>credit[1] - <uint64_t>self.told[1]) >= <uint64_t>credit[3]
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
        cdef Py_ssize_t i
        cdef Message message
        for i in range(len(self.order)):
            self.turn = (<Outlet>self.order[i]).number
            message = (<Outlet>self.order[i]).next(now)
            if message is not None:
                self.order = self.order[i + 1:] + self.order[:i + 1]
                return message
        return None

    cpdef bint receive(self, header, payload, int64_t now) except -1:
        """Take in a message of this peer; False if it was refused. ValueError if its payload is not what it should be."""
        cdef Header parsed
        cdef Inlet inlet
        if not parse(header, &parsed):
            return self._refuse("not a message")
        if parsed.epoch != self.epoch or parsed.sender != self.number:
            return self._refuse("a stranger")
        inlet = self.inlets.get(parsed.channel)
        if inlet is None or parsed.kind > END or (parsed.records != 0) != (parsed.kind == DATA):
            return self._refuse("an unknown message")
        if inlet.take(&parsed, payload, now) == BEYOND:
            return self._refuse("more than there is credit for")
        return True

    cdef bint _refuse(self, str reason) except -1:
        self.refused[reason] = self.refused.get(reason, 0) + 1
        return False

    # Signals.

    cpdef tuple signal(self, int64_t now):
        """What must be told now: (epoch, sender, clock, echo, held, credits, sends), or None.

        `echo`: the newest clock of the peer that was seen, `held` ns ago; `credits`: Inlet.credit() of each; `sends`:
        (channel, sequence of the last message sent, whether the producer is blocked) of each outlet.
        """
        cdef bint all_of_them = now - self.told_at >= HEARTBEAT_NS
        cdef list credits = self._credits(now, all_of_them)
        cdef list sends = self._sends(now, all_of_them)
        if not (all_of_them or credits or sends):
            return None
        if all_of_them:
            self.told_at = now
        held = now - self.heard_at if self.their_clock else 0
        return self.epoch, self.me, now, self.their_clock, held, credits, sends

    cdef list _credits(self, int64_t now, bint all_of_them):
        cdef list credits = []
        cdef Inlet inlet
        for inlet in self.inlets.values():
            if inlet.due(now) or all_of_them:
                inlet.told = inlet.credit()
                inlet.changed_at = 0
                inlet.peer_blocked = False
                credits.append(inlet.told)
        return credits

    cdef list _sends(self, int64_t now, bint all_of_them):
        cdef list sends = []
        cdef Outlet outlet
        cdef bint blocked
        for outlet in self.outlets.values():
            blocked = now - outlet.blocked_at >= BLOCKED_NS and exchange(&outlet.channel.blocked, 0)
            if blocked:
                outlet.blocked_at = now
            if blocked or all_of_them:
                sends.append((outlet.number, outlet.sequence, blocked))
        return sends

    cpdef bint hear(self, tuple signal, int64_t now) except -1:
        """Take in a signal; False if it was refused."""
        cdef Inlet inlet
        cdef Outlet outlet
        cdef int64_t clock, echo, held
        epoch, sender, clock, echo, held, credits, sends = signal
        if epoch != self.epoch or sender != self.number:
            return self._refuse("a stranger")
        for credit in credits:
            outlet = self.outlets.get(credit[0])
            if outlet is None or not outlet.granted(credit, now):
                return self._refuse("an impossible credit")
        for number, _, blocked in sends:
            inlet = self.inlets.get(number)
            if inlet is None:
                return self._refuse("an unknown message")
            inlet.peer_blocked = blocked
            if blocked:
                store(&inlet.channel.blocked, 1)
        self._clocks(clock, echo, held, now)
        return True

    def _clocks(self, int64_t clock, int64_t echo, int64_t held, int64_t now):
        """Note when it was heard, how long a round trip takes, and what it should have had by now."""
        cdef Outlet outlet
        cdef int64_t trip = now - echo - held
        if clock > self.their_clock:
            self.their_clock = clock
            self.heard_at = now
        if not 0 < echo <= now:
            return
        if trip > 0:
            self.round_trip = trip if self.round_trip == 0 else (7 * self.round_trip + trip) // 8
        for outlet in self.outlets.values():
            sent_at = outlet.oldest_sent_at()
            if sent_at is not None and <int64_t>sent_at + RESEND_NS < echo:
                outlet.resend(now)

    def reconnected(self, int64_t now):
        """The connection to the peer was lost and is back: what was in it may be lost too."""
        for outlet in self.outlets.values():
            (<Outlet>outlet).resend(now)

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


cdef bint parse(header, Header *into) except -1:
    """Copy a message's header; False if it is none of ours."""
    cdef const unsigned char[::1] raw = header
    if raw.shape[0] != sizeof(Header):
        return False
    memcpy(into, &raw[0], sizeof(Header))
    return into.magic == MAGIC


cpdef object sender_of(header):
    """The worker that a message says it comes from; None if it is no message of ours."""
    cdef Header parsed
    return parsed.sender if parse(header, &parsed) else None


cpdef object channel_of(header):
    """The channel that a message says it belongs to; None if it is no message of ours."""
    cdef Header parsed
    return parsed.channel if parse(header, &parsed) else None
