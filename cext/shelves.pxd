# Shelves: records by time and key, for those that look for others close to them in time.
from libc.stdint cimport int64_t

from cext.getter cimport Getter
from cext.instant cimport Instant
from cext.kept cimport Kept


cdef class Shelf:
    cdef dict rows      # key -> list of Kept
    cdef int64_t records


cdef class Shelves:
    cdef Getter key
    cdef Instant instant
    cdef int64_t lower    # what belongs to a record is from `lower` ms after it ...
    cdef int64_t upper    # ... to `upper` ms after it
    cdef int64_t size     # of a shelf, ms
    cdef dict shelves     # by time // size
    cdef list closing     # a heap of their numbers
    cdef int64_t held     # records on them

    cdef Kept put(self, object key, int64_t time, object row)
    cdef tuple saved(self)
    cdef list near(self, object key, int64_t first, int64_t last)
    cdef int drop(self, int64_t watermark) except -1
