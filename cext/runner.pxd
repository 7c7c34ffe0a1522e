# Runner: one thread's loop over its tasks.
from libc.stdint cimport int64_t, uint64_t

from cext.links cimport Links
from cext.processing_time cimport Clock
from cext.waker cimport Waker


cdef class Runner:
    cdef readonly list tasks  # those still running, nearest the sinks first
    cdef readonly Waker waker
    cdef readonly Links links  # to other processes, or None
    cdef readonly Clock clock  # the job's, for processing time
    cdef object drained       # called once when its tasks are done and its links have nothing left to say
    cdef readonly uint64_t passes  # how often it has looked at everything
    cdef object failed        # called with (task, error) when a task has failed

    cdef int _loop(self) except -1
    cdef bint _pass(self) except -1
    cdef bint _open(self) except -1
    cdef bint _step_tasks(self) except -1
    cdef int _retire(self) except -1
    cdef int64_t _timeout(self)
