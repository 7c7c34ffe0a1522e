# Windowed: the head that takes records into windows and gives what these come to once event time has passed them.
from libc.stdint cimport int64_t, uint64_t

from cext.guard cimport Sideline
from cext.head cimport Giving
from cext.instant cimport Arrival

cdef enum:
    FOREVER = 0x4000000000000000  # after any event time

cdef enum Verdict:
    TAKEN
    LATE   # all of its windows are over
    READY  # taken, and `ready` has results that are due now


cdef class Windows:
    cdef readonly int64_t lateness  # how long after its end a window still takes records in, ms
    cdef readonly int64_t held      # records taken in whose windows are not over
    cdef int64_t watermark          # no record that keeps its promise comes before it
    cdef bint by_clock              # processing time makes results due too
    cdef object reached             # the watermark when the end had come; None: it has not

    cdef int add(self, object row) except -1
    cdef object ready(self)
    cdef object advance(self, int64_t watermark)
    cdef object tick(self, int64_t time)
    cdef int64_t next_due(self) noexcept
    cdef object finish(self)
    cdef dict saved(self)
    cdef int load(self, dict tables) except -1
    cdef object form(self)
    cpdef object snapshot(self)
    cpdef restore(self, list states)
    cdef int go_back(self, int64_t watermark) except -1


cdef class Windowed(Giving):
    cdef readonly Windows windows
    cdef readonly uint64_t late   # records that came too late
    cdef Arrival arrival          # the time of what comes, where that is when it comes; None: records have times
    cdef bint by_clock            # processing time makes results due
    cdef int64_t time             # the latest processing time that it has seen

    cdef object _tick(self)
