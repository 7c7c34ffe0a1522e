# IntervalJoin: pairs of records of two inputs that have a key in common and times that are close together.
from libc.stdint cimport int64_t

from cext.getter cimport Getter
from cext.instant cimport Instant
from cext.joined cimport Joins


cdef class Shelf:
    cdef dict rows      # key -> list of (time, record)
    cdef int64_t records


cdef class Side:
    cdef Getter key
    cdef Instant instant
    cdef int64_t lower    # a partner is from `lower` ms after a record of this side ...
    cdef int64_t upper    # ... to `upper` ms after it
    cdef int64_t size     # of a shelf, ms
    cdef dict shelves     # by time // size
    cdef list closing     # a heap of their numbers
    cdef int64_t held     # records on them

    cdef int put(self, object key, int64_t time, object row) except -1
    cdef list near(self, object key, int64_t first, int64_t last)
    cdef int drop(self, int64_t watermark) except -1


cdef class IntervalJoin(Joins):
    cdef Side left
    cdef Side right
    cdef tuple row      # the last record that may have partners, and its time
    cdef list found     # where these are

    cdef int _drop(self, int64_t watermark) except -1
