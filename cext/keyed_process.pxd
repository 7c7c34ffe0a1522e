# KeyedProcess: the head that gives a user's process its records and timers, and takes up what it makes of them.
from libc.stdint cimport int64_t, uint64_t

from cext.getter cimport Getter
from cext.guard cimport Sideline
from cext.head cimport Holding
from cext.instant cimport Instant
from cext.keyed cimport Keyed
from cext.waiting cimport Waiting

cdef enum Work:
    FRAMED  # the record at `at`
    WAITED  # one that has waited for its time
    TIMED   # a timer


cdef class Tagged:
    cdef Py_ssize_t output  # which of the outputs aside
    cdef object record


cdef class KeyedProcess(Holding):
    cdef readonly Keyed process
    cdef object on_record, on_timer  # its methods
    cdef object make_timer           # (key, time, whether it is in event time) -> what `on_timer` is given
    cdef Getter key
    cdef Instant instant          # None: there is no event time
    cdef Waiting waiting          # records to be given in order of event time; None: they are given as they come
    cdef int64_t target           # what event time has come to; what is due up to here is given
    cdef bint ended               # no record comes any more but those that wait
    cdef int64_t reached          # what event time had come to by then
    cdef object what              # the record or timer in work
    cdef Work work                # which of these
    cdef object items             # what is left of what it makes, or None
    cdef list out                 # what this call of `more` gives
    cdef Py_ssize_t limit         # how much that may be, with what goes aside
    cdef bint given               # something of it has gone on, so that it does not count as dropped
    cdef readonly uint64_t late   # records that came too late to be given in order

    cdef bint _begin(self, Sideline side) except -1
    cdef int64_t _now(self) noexcept
    cdef int64_t _due(self) except? -1
    cdef int _take_due(self, Sideline side) except -1
    cdef bint _processing_timer(self, Sideline side) except -1
    cdef int _end(self) except -1
    cdef int _record(self, Work work, object record, Sideline side) except -1
    cdef int _timer(self, object key, int64_t time, bint is_event_time, int64_t now, Sideline side) except -1
    cdef int _sort(self, object record, Sideline side) except -1
    cdef int _start(self, object key, int64_t moment, int64_t now, Sideline side) except -1
    cdef Py_ssize_t _room(self, Sideline side) except -1
    cdef int _next(self, Sideline side) except -1
    cdef int _give(self, object result, Sideline side) except -1
    cdef int _done(self) except -1
    cdef object _owner(self, object row)
    cdef int _wait_again(self, tuple table) except -1
