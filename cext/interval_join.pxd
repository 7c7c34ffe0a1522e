# IntervalJoin: pairs of records of two inputs that have a key in common and times that are close together.
from libc.stdint cimport int64_t

from cext.joined cimport Joins
from cext.shelves cimport Shelves


cdef class IntervalJoin(Joins):
    cdef Shelves left
    cdef Shelves right
    cdef tuple row      # the last record that may have partners, and its time
    cdef list found     # where these are

    cdef int _drop(self, int64_t watermark) except -1
