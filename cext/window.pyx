"""Window: how many records a channel may hold, from how fast its consumer takes them.

The law, once a period, with `now` as an argument (so that its tests need no clock):

1. A channel's `share` of the target delay is what a record may wait in it.
2. The consumer's `rate` is the greatest of its last ten periods: a lull, a stall or a jittery sink
   does not shrink the window.
3. If the consumer ran out of records, the producer is the slow side: the window is the larger of one frame and
   2 x rate x share; twofold instead if the producer was without credit too (a burst after a lull).
   A consumer that was back-pressured for longer than it was out of records does not count as out of records.
4. Else the consumer is the bottleneck: the window moves half-way to rate x share.
5. Never under `floor`, twice what the consumer likes to take at once: while it handles one batch, the next one gathers
   (`want` changes that when the consumer learns better). Nor under what it takes while a word goes to the producer and
   its answer comes back (`travels`). Never over `most`.

A period that was long because the consumer could not run counts as all the periods that it lasted.
"""

cimport cython
from cext.atomics cimport load, store


cdef int64_t PERIOD_NS = 100_000_000
cdef int64_t ROUND_TRIP_RECORDS = 16  # what a hop inside a process needs to stay busy
cdef double SPARE = 1.25  # round trips in a window: credit is told in steps, and frames come whole


@cython.final
cdef class Window:
    """The adaptive window of one channel.

    `share`: seconds that a record may wait in this channel; `most`: the bound, records; `frame`: records
    of a full frame; `batch`: how many records the consumer likes to take at once, 0 if it does not mind;
    `now`: when the first period begins, monotonic ns, 0: when a channel first looks.

    >>> window = Window(share=0.1, most=8192, frame=1024)
    >>> window.size
    2048
    >>> for tick in range(1, 21):  # a consumer at 2,000/s that is never out of records
    ...     size = window.update(tick * 100_000_000, tick * 200, starved=False, blocked=True)
    >>> size
    200
    """

    def __cinit__(self, double share, int64_t most, int64_t frame, int64_t batch=0, int64_t now=0):
        if not (share > 0 and most >= 1 and frame >= 1 and batch >= 0):
            got = f"{share}, {most}, {frame}, {batch}"
            raise ValueError(f"wanted share > 0, most >= 1, frame >= 1, batch >= 0; got {got}")
        self.share = share
        self.most = most
        self.frame = frame
        self.least = self.floor = min(most, max(ROUND_TRIP_RECORDS, 2 * batch))
        self.size = self._within(2 * frame)
        self.since = now

    cdef bint due(self, int64_t now) noexcept:
        if self.since == 0:  # the first look: a window may be made long before its job runs
            self.since = now
        return now - self.since >= PERIOD_NS

    cpdef int64_t update(self, int64_t now, uint64_t released, bint starved, bint blocked):
        """Close the period that ends `now` and return the window for the next.

        `released`: records that the consumer has let go since the channel was made; `starved`: it found the
        channel empty in this period; `blocked`: the producer found no credit in it.
        """
        cdef int64_t periods = min(<int64_t>PERIODS, max(1, (now - self.since) // PERIOD_NS))
        cdef double rate = self._note(now, released, periods)
        self.under_way = <int64_t>min(<double>self.most, SPARE * rate * 1e-9 * load(&self.round_trip))
        if not starved:
            for _ in range(periods):
                self.size = self._within((self.size + <int64_t>(rate * self.share)) // 2)
        elif blocked:
            self.size = self._within(2 * self.size)
        else:
            self.size = self._within(max(self.frame, <int64_t>(2 * rate * self.share)))
        return self.size

    cpdef void want(self, int64_t batch) noexcept:
        """From now on the consumer likes to take `batch` records at once, or as many as it said when it was made."""
        self.floor = min(self.most, max(self.least, 2 * batch))
        self.size = self._within(self.size)

    cpdef void travels(self, uint64_t round_trip) noexcept:
        """It takes `round_trip` ns from the consumer to the producer and back; 0, at first: no time worth counting."""
        store(&self.round_trip, round_trip)

    cdef double _note(self, int64_t now, uint64_t released, int64_t periods) noexcept:
        """Remember the rate of the last `periods`; the greatest that is remembered."""
        cdef double best = 0
        cdef int i
        for _ in range(<int>periods):
            self.rates[self.at] = (released - self.seen) * 1e9 / max(1, now - self.since)
            self.at = (self.at + 1) % PERIODS
        self.since = now
        self.seen = released
        for i in range(PERIODS):
            best = max(best, self.rates[i])
        return best

    cdef int64_t _within(self, int64_t size) noexcept:
        return min(self.most, max(self.floor, self.under_way, size))
