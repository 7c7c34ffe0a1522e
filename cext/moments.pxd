# Moments: what is due when, in order of time.
from libc.stdint cimport int64_t

cdef enum:
    FOREVER = 0x4000000000000000  # after any time


cdef class Moments:
    cdef dict due               # what is due at each time: a dict of None, in the order in which it was added
    cdef list times             # a heap of those times, and of some at which nothing is due any more
    cdef list hand              # what is left of the moment that is being taken, the first one last
    cdef int64_t taken          # its time
    cdef readonly Py_ssize_t count

    cdef bint add(self, int64_t time, object what) except -1
    cdef bint remove(self, int64_t time, object what) except -1
    cdef int64_t first(self) except? -1
    cdef object take(self)
    cdef dict last(self)
    cdef tuple saved(self)
    cdef int load(self, tuple table) except -1
    cdef int _tidy(self) except -1
