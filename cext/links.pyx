"""Links: the sockets by which one worker reaches the others, served from its runner's loop.

A worker receives the records of all its peers on one PULL socket and their signals on another, and has a PUSH socket
of each kind to every peer: so a signal never queues behind data. The sockets' own limits are off; what is inside them
is bounded by credit, since everything in them counts as in flight.
"""

cimport cython

from cext.message cimport Message, sender_of
from cext.outlet cimport Outlet

cdef int IN_A_TURN = 64  # messages; then the tasks have theirs
cdef Py_ssize_t BYTES_IN_A_TURN = 65_536  # of records, so that the tasks find them in the cache
cdef int64_t LOOK_NS = 50_000_000
cdef int NOBLOCK, SNDMORE, POLLIN
cdef object EVENTS, Again


cdef object library():
    """pyzmq, which only a job of several processes needs."""
    global NOBLOCK, SNDMORE, POLLIN, EVENTS, Again
    import zmq

    NOBLOCK, SNDMORE, POLLIN, EVENTS, Again = zmq.NOBLOCK, zmq.SNDMORE, zmq.POLLIN, zmq.EVENTS, zmq.Again
    return zmq


cdef list received(socket):
    """The parts of the next message, or None: there is none, though a connection that broke off may promise one."""
    if not socket.get(EVENTS) & POLLIN:
        return None
    try:
        return socket.recv_multipart(NOBLOCK, copy=False)
    except Again:
        return None


@cython.final
cdef class Wire:
    """The way to one peer: PUSH sockets for `data` and for `signals`; `made` has a message for each connection that
    was made for `data`."""

    def __cinit__(self, Peer peer not None, data, signals, made):
        self.peer = peer
        self.data = data
        self.signals = signals
        self.made = made
        self.user = str(peer.number)

    cdef bint is_back(self) except -1:
        """Whether a connection that was lost has been made again since the last call."""
        cdef int before = self.connections
        while received(self.made) is not None:
            self.connections += 1
        return self.connections > max(before, 1)


@cython.final
cdef class Links:
    """All links of one worker.

    `wires`: to each peer; `data` and `signals`: the PULL sockets on which the peers' messages come in; `encode` and
    `decode`: a signal as bytes (`decode` raises ValueError for what is none). What is refused is counted in `refused`,
    by reason. Where connections have keys (`has_keys`), a message must come over one of the worker that it says it is
    from.
    """

    def __cinit__(self, list wires not None, data, signals, encode, decode, dict refused not None, bint has_keys):
        self.wires = {(<Wire>wire).peer.number: wire for wire in wires}
        self.data = data
        self.signals = signals
        self.encode = encode
        self.decode = decode
        self.poll = library().zmq_poll
        self.refused = refused
        self.has_keys = has_keys
        self.awaited = [(each, POLLIN) for each in (signals, data, *((<Wire>wire).made for wire in wires))]

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
        return moved

    cdef bint _speak(self, Wire wire, int64_t now) except -1:
        cdef bint moved = False
        cdef Message message
        if now - wire.looked >= LOOK_NS:
            wire.looked = now
            if wire.is_back():
                wire.peer.reconnected(now)
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
        for wire in self.wires.values():
            (<Wire>wire).looked = 0
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
