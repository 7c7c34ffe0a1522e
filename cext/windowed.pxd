# Windowed: the head that takes records into windows and gives what these come to once event time has passed them.
from libc.stdint cimport int64_t, uint64_t

from cext.guard cimport Sideline
from cext.head cimport Holding

cdef enum Verdict:
    TAKEN
    LATE   # all of its windows are over
    READY  # taken, and `ready` has results that are due now


cdef class Windows:
    cdef readonly int64_t lateness  # how long after its end a window still takes records in, ms
    cdef int64_t watermark          # no record that keeps its promise comes before it

    cdef int add(self, object row) except -1
    cdef object ready(self)
    cdef object advance(self, int64_t watermark)
    cdef object finish(self)


cdef class Windowed(Holding):
    cdef readonly Windows windows
    cdef object results           # those that are due and still to be given, or None
    cdef readonly uint64_t late   # records that came too late

    cdef list _results(self, Py_ssize_t limit, Sideline side)
