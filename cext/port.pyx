"""Port: where a task's output goes, one channel or several, and which records go to which."""

cimport cython
from cext.channel cimport Channel
from cext.partition cimport key_group, owner

cdef dict ROUTES = {"forward": FORWARD, "hash": HASH, "broadcast": BROADCAST, "rebalance": REBALANCE}


@cython.final
cdef class Port:
    """One edge of the graph as its producer sees it.

    `route`: "forward" (one channel), "hash" (by `key`, over `max_parallelism` key groups), "broadcast"
    or "rebalance"; `guard`: what to do with a record whose key cannot be taken or hashed.
    """

    def __cinit__(
        self, str route, list channels not None, Getter key=None, Guard guard=None, int max_parallelism=128
    ):
        if route not in ROUTES or not channels or (route == "forward" and len(channels) != 1):
            raise ValueError(f"no port routes {route!r} to {len(channels)} channels")
        if route == "hash" and (key is None or guard is None or max_parallelism < len(channels)):
            raise ValueError("a hash port needs a key, a guard and at least as many key groups as channels")
        self.route = ROUTES[route]
        self.channels = channels
        self.key = key
        self.guard = guard
        self.max_parallelism = max_parallelism

    cdef Py_ssize_t room(self) noexcept:
        """How many records may be emitted now, wherever they turn out to go."""
        cdef Channel channel
        cdef Py_ssize_t least
        if self.route == REBALANCE:
            return (<Channel>self.channels[self._freest()]).credit()
        least = (<Channel>self.channels[0]).credit()
        for channel in self.channels:
            least = min(least, channel.credit())
        return least

    cdef Py_ssize_t cut(self) noexcept:
        """How many records make a frame here."""
        cdef Channel channel
        if self.route == REBALANCE:
            return (<Channel>self.channels[self._freest()]).cut()
        cdef Py_ssize_t least = (<Channel>self.channels[0]).cut()
        for channel in self.channels:
            least = min(least, channel.cut())
        return least

    cdef int emit(self, list rows, int64_t born, int64_t now, Sideline side) except -1:
        """Send `rows`, no more than `room`, on their ways."""
        cdef Channel channel
        if self.route == FORWARD:
            (<Channel>self.channels[0]).put(rows, born, now)
        elif self.route == BROADCAST:
            for channel in self.channels:
                channel.put(rows, born, now)
        elif self.route == REBALANCE:
            self._rebalance(rows, born, now)
        else:
            self._spread(rows, born, now, side)
        return 0

    cdef int _rebalance(self, list rows, int64_t born, int64_t now) except -1:
        """A full frame, behind which more come, goes whole to the freest channel; fewer records do not all go one way.

        Each channel gets the share of them that its credit is of all credit, rounded in favour of the freest. Credit
        can only grow meanwhile, and no share is more than it.
        """
        cdef Py_ssize_t i, end, start = 0, passed = 0, credit = 0, first = self._freest()
        cdef Py_ssize_t count = len(self.channels)
        cdef Channel channel = <Channel>self.channels[first]
        self.turn = first + 1
        if len(rows) >= channel.cut():
            return channel.put(rows, born, now)
        for channel in self.channels:
            credit += channel.credit()
        for i in range(count):
            channel = <Channel>self.channels[(first + i) % count]
            passed = min(credit, passed + channel.credit())
            end = (len(rows) * passed + credit - 1) // credit
            if end > start:
                channel.put(rows[start:end], born, now)
                start = end
        return 0

    cdef int _spread(self, list rows, int64_t born, int64_t now, Sideline side) except -1:
        cdef Py_ssize_t i, at, count = len(self.channels)
        cdef list parts = [[] for _ in range(count)]
        for i, row in enumerate(rows):
            try:
                at = owner(key_group(self.key.get(row), self.max_parallelism), self.max_parallelism, <int>count)
                (<list>parts[at]).append(row)
            except BaseException as error:
                if not self.guard.handle(row, error, side):
                    side.lose(len(rows) - i)
                    break
        for at in range(count):
            if <list>parts[at]:
                (<Channel>self.channels[at]).put(<list>parts[at], born, now)
        return 0

    cdef Py_ssize_t _freest(self) noexcept:
        """The channel with most credit; of equals the first from `turn` on."""
        cdef Py_ssize_t i, at, credit, best = 0, most = -1, count = len(self.channels)
        for i in range(count):
            at = (self.turn + i) % count
            credit = (<Channel>self.channels[at]).credit()
            if credit > most:
                best, most = at, credit
        return best

    cdef int flush(self, int64_t before) except -1:
        """Send the open frames that were opened at or before `before`."""
        cdef Channel channel
        for channel in self.channels:
            if channel.open and channel.opened <= before:
                channel.flush()
        return 0

    cdef bint push_mark(self, Frame mark) except -1:
        """Send `mark` to every channel; False if one has no slot now: call again, none gets it twice."""
        while self.marked < len(self.channels):
            if not (<Channel>self.channels[self.marked]).push_mark(mark):
                return False
            self.marked += 1
        self.marked = 0
        return True
