"""Window: how many records a channel may hold, from how fast its consumer takes them.

The law, once a period, with `now` as an argument (so that its tests need no clock):

1. A channel's `share` of the target delay is what a record may wait in it.
2. Of the consumer's last twenty periods it keeps two rates: the `mean` of them all, and the `best` of the newest ten,
   which a lull or a stall does not bring down.
3. If the consumer ran out of records, the producer is the slow side: the window is the larger of one frame and
   2 x best x share; twofold instead if the producer was without credit too (a burst after a lull).
   A consumer that was back-pressured for longer than it was out of records does not count as out of records.
4. Else the consumer is the bottleneck: the window moves half-way to rate x share. The rate is the mean, for it is by
   their mean rate that records wait (Little's law), however unevenly they are taken; unless the consumer was out of
   records in one of the twenty periods: then the mean does not say what it can take, and the best stands for it.
5. Never under what the consumer takes at its best while credit goes to the producer and records come back: the link's
   round trip (`travels`), or HOP_NS within the share. So it is busy whenever it can work, however seldom that is.
6. Nor under `floor`, twice what the consumer likes to take at once: while it handles one batch, the next one gathers
   (`want` changes that when the consumer learns better). Never over `most`.

A period that was long because the consumer could not run counts as all the periods that it lasted.
"""

cimport cython
from cext.atomics cimport load, store


cdef int64_t PERIOD_NS = 100_000_000
cdef int64_t ROUND_TRIP_RECORDS = 16  # what a hop inside a process needs to stay busy
cdef double SPARE = 1.25  # round trips in a window: credit is told in steps, and frames come whole
cdef int64_t HOP_NS = 10_000_000  # what a hop may take: two turns of threads that wait for the GIL


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
        self._note(now, released, periods)
        self.fed = 0 if starved else min(<int64_t>PERIODS, self.fed + periods)
        cdef double rate = self.mean if self.fed == PERIODS else self.best
        if starved and blocked and self.size == self.most and load(&self.round_trip) > <uint64_t>HOP_NS:
            self.capped += periods * PERIOD_NS
        self.under_way = <int64_t>min(<double>self.most, self.best * 1e-9 * self._there_and_back())
        if not starved:
            for _ in range(periods):
                self.size = self._within((self.size + <int64_t>(rate * self.share)) // 2)
        elif blocked:
            self.size = self._within(2 * self.size)
        else:
            self.size = self._within(max(self.frame, <int64_t>(2 * self.best * self.share)))
        return self.size

    cpdef void want(self, int64_t batch) noexcept:
        """From now on the consumer likes to take `batch` records at once, or as many as it said when it was made."""
        self.floor = min(self.most, max(self.least, 2 * batch))
        self.size = self._within(self.size)

    cpdef void travels(self, uint64_t round_trip) noexcept:
        """It takes `round_trip` ns from the consumer to the producer and back; 0, at first: no time worth counting."""
        store(&self.round_trip, round_trip)

    cdef int _note(self, int64_t now, uint64_t released, int64_t periods) noexcept:
        """Remember the rate of the last `periods`, and what follows from all that are remembered."""
        cdef double rate = (released - self.seen) * 1e9 / max(1, now - self.since)
        cdef int i
        for _ in range(<int>periods):
            self.rates[self.at] = rate
            self.at = (self.at + 1) % PERIODS
        self.since, self.seen = now, released
        self.best = self.mean = 0
        for i in range(1, PERIODS + 1):
            rate = self.rates[(self.at - i + PERIODS) % PERIODS]
            self.mean += rate / PERIODS
            if i <= NEWEST:
                self.best = max(self.best, rate)
        return 0

    cdef double _there_and_back(self) noexcept:
        """How many ns credit may need to the producer, and what it sends for it to come back."""
        return SPARE * load(&self.round_trip) + min(<double>HOP_NS, 1e9 * self.share)

    cdef int64_t _within(self, int64_t size) noexcept:
        return min(self.most, max(self.floor, self.under_way, size))
