"""Links: the sockets by which one worker reaches the others, served from its runner's loop.

A worker receives the records of all its peers on one PULL socket and their signals on another, and has a PUSH socket
of each kind to every peer: so a signal never queues behind data. The sockets' own limits are off; what is inside them
is bounded by credit, since everything in them counts as in flight.
"""

cimport cython
from libc.stdint cimport uint16_t
from libc.string cimport memcpy

from cext.message cimport Message, sender_of
from cext.outlet cimport Outlet

cdef int IN_A_TURN = 64  # messages; then the tasks have theirs
cdef Py_ssize_t BYTES_IN_A_TURN = 65_536  # of records, so that the tasks find them in the cache
cdef int64_t LOOK_NS = 50_000_000
cdef int64_t STOPPED_NS = 1_000_000_000  # who takes a connection and is silent for longer is there, but stopped
cdef int NOBLOCK, SNDMORE, POLLIN, CONNECTED, DISCONNECTED, SHOOK_HANDS
cdef object EVENTS, Again


cdef object library():
    """pyzmq, which only a job of several processes needs."""
    global NOBLOCK, SNDMORE, POLLIN, EVENTS, Again, CONNECTED, DISCONNECTED, SHOOK_HANDS
    import zmq

    NOBLOCK, SNDMORE, POLLIN, EVENTS, Again = zmq.NOBLOCK, zmq.SNDMORE, zmq.POLLIN, zmq.EVENTS, zmq.Again
    CONNECTED, DISCONNECTED = zmq.EVENT_CONNECTED, zmq.EVENT_DISCONNECTED
    SHOOK_HANDS = zmq.EVENT_HANDSHAKE_SUCCEEDED
    return zmq


cdef list received(socket):
    """The parts of the next message, or None: there is none, though a connection that broke off may promise one."""
    if not socket.get(EVENTS) & POLLIN:
        return None
    try:
        return socket.recv_multipart(NOBLOCK, copy=False)
    except Again:
        return None


cdef uint16_t event_of(part) except? 0:
    """What a message of a socket's monitor tells: its first two bytes, in the machine's order."""
    cdef const unsigned char[::1] raw = part.buffer
    cdef uint16_t event
    memcpy(&event, &raw[0], sizeof(event))
    return event


@cython.final
cdef class Wire:
    """The way to one peer: PUSH sockets for `data` and for `signals`; `events` has a message for each connection of
    `data` that was made, has become usable or has ended."""

    def __cinit__(self, Peer peer not None, data, signals, events):
        self.peer = peer
        self.data = data
        self.signals = signals
        self.events = events
        self.user = str(peer.number)

    cdef bint look(self, int64_t now) except -1:
        """Take note of what became of connections; whether one that was lost has been made again since the last look.

        A peer that is stopped has its kernel take connections, and say nothing on them: it is not out of reach.
        """
        cdef int before = self.connections
        if self.looked == 0:
            self.away_since = now
        self.looked = now
        parts = received(self.events)
        while parts is not None:
            self._note(event_of(parts[0]), now)
            parts = received(self.events)
        return self.connections > max(before, 1)

    cdef int _note(self, int event, int64_t now) except -1:
        if event == CONNECTED:
            self.waits_since = now
            return 0
        if event == SHOOK_HANDS:
            self.connections += 1
            self.away_since = 0
        elif self.away_since == 0 or (self.waits_since and now - self.waits_since > STOPPED_NS):
            self.away_since = now
        self.waits_since = 0
        return 0

    cdef bint is_away(self, int64_t now, int64_t patience) noexcept:
        """Whether it has been out of reach for longer than `patience` ns."""
        return self.away_since != 0 and self.waits_since == 0 and now - self.away_since > patience


@cython.final
cdef class Links:
    """All links of one worker.

    `wires`: to each peer; `data` and `signals`: the PULL sockets on which the peers' messages come in; `encode` and
    `decode`: a signal as bytes (`decode` raises ValueError for what is none). What is refused is counted in `refused`,
    by reason. Where connections have keys (`has_keys`), a message must come over one of the worker that it says it is
    from. `out_of_reach(worker)`: the error to raise once there was no connection to it for `patience` ns.
    """

    def __cinit__(
        self,
        list wires not None,
        data,
        signals,
        encode,
        decode,
        dict refused not None,
        bint has_keys,
        int64_t patience,
        out_of_reach,
    ):
        self.wires = {(<Wire>wire).peer.number: wire for wire in wires}
        self.data = data
        self.signals = signals
        self.encode = encode
        self.decode = decode
        self.poll = library().zmq_poll
        self.refused = refused
        self.has_keys = has_keys
        self.patience = patience
        self.out_of_reach = out_of_reach
        self.awaited = [(each, POLLIN) for each in (signals, data, *((<Wire>wire).events for wire in wires))]

    def close(self):
        """Let the runner's loop end once its tasks are done. From any thread; wake the runner then."""
        self.closing = True

    # In.

    cdef bint receive(self, int64_t now) except -1:
        """Take in what has come, no more than a turn's worth of data; whether anything had."""
        cdef bint moved = self._signal_in(now)
        return self._data_in(now) or moved

    cdef bint _signal_in(self, int64_t now) except -1:
        cdef int turns = 0
        cdef list parts
        while turns < IN_A_TURN:
            parts = received(self.signals)
            if parts is None:
                break
            turns += 1
            if len(parts) == 1:
                self._heard(parts[0], now)
            else:
                self._refuse("not a signal")
        return turns > 0

    cdef int _heard(self, part, int64_t now) except -1:
        cdef Wire wire
        try:
            signal = self.decode(part.buffer)
            sender = signal[1]
        except (LookupError, TypeError, ValueError, RecursionError):
            return self._refuse("not a signal")
        if type(sender) is not int:
            return self._refuse("not a signal")
        wire = self._wire(sender, part)
        if wire is not None:
            wire.peer.hear(signal, now)
        return 0

    cdef bint _data_in(self, int64_t now) except -1:
        cdef int turns = 0
        cdef uint64_t enough = self.bytes_in + BYTES_IN_A_TURN
        cdef list parts
        while turns < IN_A_TURN and self.bytes_in < enough:
            parts = received(self.data)
            if parts is None:
                break
            turns += 1
            self._came(parts, now)
        return turns > 0

    cdef int _came(self, list parts, int64_t now) except -1:
        cdef Wire wire
        cdef object header, payload
        if len(parts) != 2:
            return self._refuse("not a message")
        header, payload = parts[0].bytes, parts[1].buffer
        sender = sender_of(header)
        if sender is None:
            return self._refuse("not a message")
        wire = self._wire(sender, parts[0])
        if wire is None:
            return 0
        self.messages_in += 1
        self.bytes_in += len(payload)
        wire.peer.receive(header, payload, now)
        return 0

    cdef Wire _wire(self, sender, part):
        """The one to the worker that a message says it comes from; None, and refused, if that is nobody, or a lie."""
        wire = self.wires.get(sender)
        if wire is None or (self.has_keys and part.get("User-Id") != (<Wire>wire).user):
            self._refuse("a stranger")
            return None
        return wire

    cdef int _refuse(self, str reason) except -1:
        self.refused[reason] = self.refused.get(reason, 0) + 1
        return 0

    # Out.

    cdef bint send(self, int64_t now) except -1:
        """Send what there is and what there is credit for; whether there was anything."""
        cdef bint moved = False
        cdef Wire wire
        for wire in self.wires.values():
            moved |= self._speak(wire, now)
        self.has_parked = False
        return moved

    cdef bint _speak(self, Wire wire, int64_t now) except -1:
        cdef bint moved = False
        cdef Message message
        if now - wire.looked >= LOOK_NS or self.has_parked:
            if wire.look(now):
                wire.peer.reconnected(now)
            if wire.is_away(now, self.patience) and not self.closing:
                raise self.out_of_reach(wire.peer.number)
        while True:
            message = wire.peer.next(now)
            if message is None:
                break
            try:
                wire.data.send(message.header, SNDMORE | NOBLOCK)
                wire.data.send(message.payload, NOBLOCK, copy=False)
            except Again:  # as if the network had lost it, and mended in the same way
                break
            self.messages_out += 1
            self.bytes_out += len(<bytes>message.payload)
            moved = True
        signal = wire.peer.signal(now)
        if signal is not None:
            try:
                wire.signals.send(self.encode(signal), NOBLOCK)
            except Again:  # the next one says it all
                pass
        return moved

    # While nothing moves.

    cdef int64_t deadline(self):
        """When `send` should be called though nothing happens, monotonic ns."""
        cdef int64_t first = -1, at
        cdef Wire wire
        for wire in self.wires.values():
            at = wire.peer.deadline()
            if first < 0 or at < first:
                first = at
        return first

    cdef int park(self, Waker waker, int64_t timeout) except -1:
        """Wait for a message, for `waker` to be woken, or for `timeout` ns (below 0: without a limit)."""
        cdef long milliseconds = -1 if timeout < 0 else (timeout + 999_999) // 1_000_000
        try:
            self.poll([*self.awaited, (waker.fd, POLLIN)], milliseconds)
        finally:
            waker.drain()
        self.has_parked = True
        return 0

    cdef bint drained(self):
        """Whether every channel has ended, and the other side has all of it, is done with it, and has said so."""
        cdef Wire wire
        cdef Outlet outlet
        for wire in self.wires.values():
            if not wire.peer.finished():
                return False
            for outlet in wire.peer.outlets.values():
                if outlet.channel.in_flight > 0:
                    return False
        return True

    def state(self):
        """For each peer: (worker, when it was last heard, round trip ns, messages refused); and totals."""
        return [
            (number, wire.peer.heard_at, wire.peer.round_trip, sum(wire.peer.refused.values()))
            for number, wire in self.wires.items()
        ]
