# Watermarks: the operator that makes event time, from the times of the records that go by.
from libc.stdint cimport int64_t

from cext.chain cimport Operator
from cext.instant cimport Instant


cdef class Part:
    cdef readonly int64_t furthest  # the latest event time seen in it; NEVER before its first record
    cdef readonly bint idle         # nothing has come for so long that nobody waits for it
    cdef int64_t silent_since       # when it was first asked in vain, monotonic ns; 0: it last gave something


cdef class Watermarks(Operator):
    cdef readonly Instant instant
    cdef int64_t out_of_order  # ms
    cdef int64_t idle_after    # ns; below 0: never
    cdef list parts            # the parts that may still give something
    cdef Part part             # the one that the next rows are from
    cdef int64_t furthest      # the latest event time seen in parts that have ended
    cdef int64_t time          # the watermark; it only grows
    cdef int64_t told          # the last one that was sent on as a mark; written by the task
    cdef list rest             # rows that may go on only behind a mark
    cdef bint held             # nothing was asked for a while, since there was no credit

    cdef list take_rest(self, Py_ssize_t limit)
    cpdef int64_t watermark(self) noexcept
    cpdef bint is_idle(self) noexcept
    cdef Part begin(self, int64_t furthest=*)
    cdef int end(self, Part part) except -1
    cdef int silent(self, Part part, int64_t now) except -1
    cdef int64_t deadline(self) noexcept
    cdef int64_t _of_others(self) noexcept
    cdef bint _is_news(self, Part part, int64_t others, int64_t time) noexcept
