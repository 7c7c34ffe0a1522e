# Kept: records that wait for event time to pass, and an agenda of them.
from libc.stdint cimport int64_t, uint64_t


cdef class Kept:
    cdef object key
    cdef object row
    cdef int64_t time
    cdef uint64_t number  # its place among those of an agenda that have the same time
    cdef bint met         # it has had a partner


cdef Kept keep(object key, object row, int64_t time)


cdef class Agenda:
    cdef list heap
    cdef uint64_t count  # of records ever put on it

    cdef int put(self, Kept kept) except -1
    cdef bint has_before(self, int64_t time) noexcept
    cdef Kept pop_before(self, int64_t time)
    cdef Kept _pop(self)
