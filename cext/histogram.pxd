"""A log-linear histogram of durations: the interface for the rest of the core."""

cimport cython
from libc.stdint cimport int64_t, uint64_t

cdef enum:
    SUB_BITS = 5  # 32 buckets for each power of two
    BUCKETS = 59 << SUB_BITS  # every int64: those below 32 one by one, then the powers of two from 5 to 62


@cython.final
cdef class Histogram:
    # One thread writes; reads by others may see some values counted and not yet summed up.
    cdef uint64_t counts[BUCKETS]  # how many values fell in each bucket
    cdef readonly uint64_t count  # how many in all
    cdef double total  # their sum in ns; a double, since 9.2e9 values of 1 s would overflow an int64
    cdef int64_t least  # INT64_MAX while empty
    cdef int64_t most  # 0 while empty

    cdef void add(self, int64_t value, uint64_t times) noexcept nogil
