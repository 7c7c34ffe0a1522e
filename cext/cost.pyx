"""Cost: what a sink's write costs, a fixed part and a part for each record, and so how many records make a good one.

The law, a function of the writes and what they took, so that its tests need no clock:

1. A write of n records is taken to cost `fixed + n x each`.
2. To tell one from the other, a write now and then gets half of what there is; it and the write before it make a pair.
   Every second write is such a half for the first three pairs and while the batch grows, else every eighth.
   The last six pairs are remembered.
3. `each` is the median slope between remembered writes of unlike sizes, `fixed` the median of what is left
   (Theil and Sen): neither jitter nor a stall moves them far.
4. A good batch is fixed / each records, for which rows cost as much as the write itself: half of the best pace that
   there is. When only the write costs it is as large as may be: `most`, and four times what has been tried.
5. After two writes in a row that took four times too long or too short the world has changed: all that was learned is
   forgotten. Until there are three pairs, nothing is concluded.
"""

cimport cython

cdef Py_ssize_t FEWEST = 4  # records that can be halved and tell something
cdef double HALF = 0.6      # a write is a half one up to this part of the other
cdef int ENOUGH = 3 * 2     # writes that must be known before anything is concluded
cdef int64_t OFTEN = 2      # one of so many writes is a half one while there is much to learn
cdef int64_t SELDOM = 8     # ... and else
cdef double REACH = 4       # a batch is at most so many times what has been tried
cdef double SURPRISE = 4    # a write that takes so many times more or less does not fit


cdef double median(list values) except? -1:
    cdef list ordered = sorted(values)
    cdef Py_ssize_t middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (<double>ordered[middle - 1] + <double>ordered[middle]) / 2


@cython.final
cdef class Cost:
    """Learns from each write. `most`: the largest batch to ask for, records.

    >>> cost = Cost(most=4096)
    >>> for _ in range(20):
    ...     rows = cost.take(1000)
    ...     cost.note(rows, 10_000_000 + 20_000 * rows)  # 10 ms, and 20 us a record
    >>> cost.batch
    500
    """

    def __cinit__(self, Py_ssize_t most=0):
        self.most = most
        self._forget()

    cpdef Py_ssize_t take(self, Py_ssize_t there) noexcept:
        """How many of the `there` records to write now: all, or half when it is time to compare."""
        if self.writes >= self.due and there >= FEWEST and self._is_half(there // 2):
            return there // 2
        return there

    cpdef note(self, Py_ssize_t rows, int64_t took):
        """A write of `rows` records took `took` ns."""
        cdef double time = max(1, took)
        self.writes += 1
        if self._surprises(rows, time):
            self._forget()
        elif self.writes > self.due and self._is_half(rows):
            self._remember(self.last_size, self.last_time)
            self._remember(rows, time)
            self.due = self.writes + (SELDOM if self._estimate() else OFTEN) - 1
        self.last_size, self.last_time = rows, time

    cdef bint _is_half(self, double size) noexcept:
        return size <= HALF * self.last_size

    cdef bint _surprises(self, double size, double time) noexcept:
        """Whether this is the second write in a row that does not fit."""
        cdef double wanted = self.fixed + size * self.each
        cdef bint before = self.odd
        self.odd = self.kept >= ENOUGH and not wanted / SURPRISE <= time <= wanted * SURPRISE
        return before and self.odd

    cdef int _forget(self) noexcept:
        self.batch = self.kept = self.at = 0
        self.odd = False
        self.due = self.writes
        return 0

    cdef int _remember(self, double size, double time) noexcept:
        self.sizes[self.at], self.times[self.at] = size, time
        self.at = (self.at + 1) % SAMPLES
        self.kept = min(SAMPLES, self.kept + 1)
        return 0

    cdef bint _estimate(self) except -1:
        """Conclude from what is remembered; False if there is more to learn soon."""
        cdef list slopes = []
        cdef int i, j
        cdef Py_ssize_t before = self.batch
        if self.kept < ENOUGH:
            return False
        for i in range(self.kept):
            for j in range(self.kept):
                if self.sizes[i] <= HALF * self.sizes[j]:
                    slopes.append((self.times[j] - self.times[i]) / (self.sizes[j] - self.sizes[i]))
        self.each = max(0, median(slopes))
        self.fixed = max(0, median([self.times[i] - self.each * self.sizes[i] for i in range(self.kept)]))
        cdef double most = min(<double>self.most, REACH * max([self.sizes[i] for i in range(self.kept)]))
        cdef double good = most if self.fixed >= self.each * most else self.fixed / self.each
        self.batch = <Py_ssize_t>good
        return self.batch <= before
