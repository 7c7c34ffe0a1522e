# Processing time: the clock that users' windows and timers go by, in milliseconds since the epoch.
from libc.stdint cimport int64_t, uint64_t

from cext.waker cimport Waker


cdef class Clock:
    cdef list wakers  # of the loops whose tasks read it; each loop adds and removes its own

    cdef int64_t now(self) noexcept
    cdef int64_t look_at(self, int64_t time) noexcept


cdef class ManualClock(Clock):
    cdef uint64_t time  # ms since the epoch; written by whoever moves it, read by all
