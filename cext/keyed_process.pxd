# KeyedProcess: the head that gives a user's process its records and timers, and takes up what it makes of them.
from libc.stdint cimport int64_t

from cext.getter cimport Getter
from cext.guard cimport Sideline
from cext.head cimport Holding
from cext.instant cimport Instant
from cext.keyed cimport Keyed


cdef class Tagged:
    cdef Py_ssize_t output  # which of the outputs aside
    cdef object record


cdef class KeyedProcess(Holding):
    cdef readonly Keyed process
    cdef object on_record, on_timer  # its methods
    cdef object make_timer           # (key, time, whether it is in event time) -> what `on_timer` is given
    cdef Getter key
    cdef Instant instant    # None: there is no event time
    cdef int64_t target     # what event time has come to; timers up to here are due
    cdef object items       # what is left of what is in work makes, or None
    cdef object timer       # in work, or None: then it is the record at `at`
    cdef bint given         # something of that record has gone on, so that it does not count as dropped

    cdef bint _begin(self, Sideline side) except -1
    cdef int _start(self, object key, int64_t moment, int64_t now, object what, Sideline side) except -1
    cdef int _record(self, Sideline side) except -1
    cdef bint _event_timer(self, Sideline side) except -1
    cdef bint _processing_timer(self, Sideline side) except -1
    cdef int _next(self, list out, Sideline side) except -1
    cdef int _done(self) except -1
