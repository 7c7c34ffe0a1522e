# Sessions: windows that last as long as the records of a key are close together.
from libc.stdint cimport int64_t, uint64_t

from cext.groups cimport Groups
from cext.instant cimport Instant
from cext.windowed cimport Windows


cdef class Session:
    cdef object key
    cdef int64_t first  # the time of its first record
    cdef int64_t last   # ... and of its last one
    cdef int64_t records
    cdef bint given     # its result was, as it is
    cdef bint over      # it is no more: dropped, or part of another


cdef class Sessions(Windows):
    cdef readonly Instant instant
    cdef readonly int64_t gap
    cdef Groups groups      # a slot for each session, not for each key
    cdef object bound       # (ms) -> a bound as results show it
    cdef dict sessions      # key -> its sessions
    cdef list due           # a heap of (when to look at it, count, session); each session has one entry at the least
    cdef uint64_t count     # of entries made: what is due at the same time keeps its order
    cdef Session changed    # the one that the last record changed after its result was given

    cdef int take_in(self, object key, int64_t time, object row) except -1
    cdef int64_t _over(self, int64_t last) noexcept
    cdef bint _is_near(self, Session session, int64_t time) noexcept
    cdef Session _begin(self, object key, int64_t time, object row)
    cdef Session _grow(self, list mine, list near, int64_t time, object row)
    cdef Session _joined(self, list mine, list near)
    cdef int _await(self, Session session, int64_t when) except -1
    cdef int _forget(self, Session session) except -1
    cdef int _drop(self, Session session) except -1
    cdef object _result(self, Session session)
