"""Link: what two workers tell each other about the channels between them, and the law of the halves of these.

A channel whose ends are apart has one credit loop, from task to task. On the producer's side an `Outlet` stands in for
the consumer: it takes frames out of the ring, encodes and numbers them, and keeps them until the peer has them. On the
consumer's side an `Inlet` stands in for the producer: it takes messages in their order, each once, and pushes them into
the ring. All that goes back is a *signal*, which states where things are and never what has changed: so one that is
lost, doubled, late or overtaken does no harm, and the next one mends all. Nothing here does I/O, and every method
is a function of state, event and `now`: the simulator of the tests runs this very code. (How long a codec takes is
measured, for the accounts of the task that it works for; nothing depends on it.)

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
5. Credit is told once it has moved by an eighth of the window, at once to a producer that can go on, and anyway within
   `UNTOLD_NS`; everything is told every `HEARTBEAT_NS`.
6. Every signal also says how the peer's clock stands to ours, as in NTP: its `clock` was read between `echo + held`
   of ours and now. The middle is wrong by half a round trip at most, and signals with the shortest round trip count.
   Where that leaves open whether there are two clocks at all, there is one, as on one machine: so nothing is guessed
   there. The peer's clock is used only to tell how old records are.
7. A record that cannot be encoded is withheld, or ends the channel for the consumer, as one cut short; so does a
   message that cannot be decoded. The half that was cut drops what still comes, until the channel has really ended. Of
   records that the consumer never gets, the half that stopped them gives the credit back: it adds them to what the
   consumer's side counts as released and allowed.
"""

cimport cython

from cext.atomics cimport load, store
from cext.inlet cimport BEYOND, UNTOLD_NS, Inlet
from cext.message cimport Header, makes_sense, parse
from cext.outlet cimport BLOCKED_NS, Outlet

cdef int64_t HEARTBEAT_NS = 250_000_000


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
        parsed.born = self._by_our_clock(parsed.born, now)
        if inlet.take(&parsed, payload) == BEYOND:
            return self._refuse("more than there is credit for")
        return True

    cdef int64_t _by_our_clock(self, int64_t born, int64_t now) noexcept:
        """When a record was born; while nothing is known of their clock, not before we began to speak with them."""
        return min(now, born - self.ahead if self.round_trip else max(born, self.began))

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
        if self.began == 0:
            self.began = now
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
            self._compare(clock - now, trip)
            # Down at once, up slowly: what waited for a busy or stopped process says little of the way.
            if 0 < self.round_trip < trip:
                trip = self.round_trip + (trip - self.round_trip) // 8
            self.round_trip = trip
            for inlet in self.inlets.values():
                inlet.channel.law.travels(trip)
        for outlet in self.outlets.values():
            outlet.doubt(echo)
        return 0

    cdef void _compare(self, int64_t ahead, int64_t trip) noexcept:
        """Their clock is `ahead` of ours, or up to `trip` more (the law, 6.)."""
        if self.round_trip and trip > self.round_trip:
            return
        self.ahead = 0 if ahead <= 0 <= ahead + trip else ahead + trip // 2

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
