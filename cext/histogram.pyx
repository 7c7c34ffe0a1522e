"""A log-linear histogram of durations: 32 buckets for each power of two, so wrong by 1/32 at most."""

cimport cython
from libc.math cimport ceil
from libc.stdint cimport INT64_MAX, int64_t, uint64_t
from libc.string cimport memset

cdef extern from *:
    int __builtin_clzll(unsigned long long value) noexcept nogil


cdef inline int bucket_of(int64_t value) noexcept nogil:
    """Below 32 the value itself; from there on the power of two, then the five bits after the leading one."""
    cdef int shift
    if value < 1 << SUB_BITS:
        return <int>value
    shift = 63 - __builtin_clzll(value) - SUB_BITS
    return (shift << SUB_BITS) + <int>(value >> shift)


cdef inline int shift_of(int bucket) noexcept nogil:
    """A bucket is 2 ** shift ns wide."""
    return (bucket >> SUB_BITS) - 1 if bucket >= 1 << SUB_BITS else 0


cdef inline int64_t lower_edge(int bucket) noexcept nogil:
    cdef int shift = shift_of(bucket)
    return <int64_t>(bucket - (shift << SUB_BITS)) << shift


cdef inline int64_t upper_edge(int bucket) noexcept nogil:
    """The greatest value in the bucket."""
    return lower_edge(bucket) + ((<int64_t>1 << shift_of(bucket)) - 1)


@cython.final
@cython.auto_pickle(False)
@cython.final
cdef class Histogram:
    """Counts durations in nanoseconds, in 15 KiB whatever their number and size.

    Negative durations, which a clock that was set back can give, count as 0.

    >>> latency = Histogram()
    >>> for duration in (1_000, 2_000, 3_000):
    ...     latency.record(duration)
    >>> latency.record(1_000_000, times=7)
    >>> latency.count, latency.maximum, latency.percentile(10), latency.percentile(50)
    (10, 1000000, 1007, 1000000)
    """

    def __cinit__(self):
        self.least = INT64_MAX  # the rest is zero already

    cdef void add(self, int64_t value, uint64_t times) noexcept nogil:
        if times == 0:
            return
        value = max(value, 0)
        self.counts[bucket_of(value)] += times
        self.count += times
        self.total += <double>value * <double>times
        self.least = min(self.least, value)
        self.most = max(self.most, value)

    def record(self, int64_t value, uint64_t times=1):
        """Counts `value` nanoseconds `times` times. OverflowError outside of int64."""
        self.add(value, times)

    def percentile(self, double p):
        """The duration that `p` percent of all durations do not exceed, up to 1/32 too large; 0 when empty.

        ValueError when `p` is not between 0 and 100.
        """
        cdef uint64_t rank, seen = 0
        cdef int bucket
        if not 0 <= p <= 100:
            raise ValueError(f"a percentile lies between 0 and 100, not {p}")
        rank = max(<uint64_t>ceil(p * <double>self.count / 100), 1)
        for bucket in range(BUCKETS):
            seen += self.counts[bucket]
            if seen >= rank:
                return min(upper_edge(bucket), self.most)
        return self.most

    @property
    def maximum(self):
        """The longest duration; 0 when empty."""
        return self.most

    @property
    def minimum(self):
        """The shortest duration; 0 when empty."""
        return self.least if self.count else 0

    @property
    def mean(self):
        """The mean duration; 0.0 when empty."""
        return self.total / <double>self.count if self.count else 0.0

    def merge(self, Histogram other not None):
        """Counts all that `other` has counted."""
        cdef int bucket
        for bucket in range(BUCKETS):
            self.counts[bucket] += other.counts[bucket]
        self.count += other.count
        self.total += other.total
        self.least = min(self.least, other.least)
        self.most = max(self.most, other.most)

    def clear(self):
        """Forgets everything."""
        memset(self.counts, 0, sizeof(self.counts))
        self.count = 0
        self.total = 0
        self.least = INT64_MAX
        self.most = 0

    def snapshot(self):
        """The state, to send or to keep: (lower edge, count) of every bucket in use, in ascending order.

        The last pair has the maximum in place of its edge, so that it is exact when restored, as is every
        percentile; minimum and mean are up to 1/32 too small then.

        >>> latency = Histogram()
        >>> latency.record(1_000, times=3)
        >>> latency.record(1_000_000)
        >>> latency.snapshot()
        [(992, 3), (1000000, 1)]
        """
        cdef int bucket, last = bucket_of(self.most)
        pairs = [(lower_edge(bucket), self.counts[bucket]) for bucket in range(last) if self.counts[bucket]]
        return [*pairs, (self.most, self.counts[last])] if self.count else []

    def restore(self, pairs):
        """Forgets everything, then counts what `snapshot` gave."""
        self.clear()
        for value, times in pairs:
            self.add(value, times)
