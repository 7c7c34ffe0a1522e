# Combining: partial results of keyed aggregates, made before records cross to other processes.
from libc.stdint cimport int64_t

from cext.groups cimport Groups
from cext.guard cimport Sideline
from cext.instant cimport Instant
from cext.panes cimport Grid, Pane
from cext.windowed cimport Windowed, Windows


cdef class Combining(Windows):
    cdef readonly Grid grid        # None: all time is one pane
    cdef readonly Instant instant  # None: the same
    cdef object make_groups        # () -> Groups that make partial results
    cdef int64_t most_keys
    cdef int64_t most_records
    cdef dict panes                # by index
    cdef Pane last                 # the one that the last record went to
    cdef list due                  # a heap of (end, index)
    cdef readonly int64_t keys     # that are held, in all panes
    # Whether it pays.
    cdef int64_t passing           # so many records go on as they are before it is tried again
    cdef int64_t pause             # how many the next time
    cdef int64_t tried             # records combined since that was last decided
    cdef int64_t made              # partial results made of them
    cdef bint blind                # it goes on from a checkpoint, and event time has not been told since

    cdef Pane _pane(self, int64_t time)
    cdef Pane _open(self, int64_t index)
    cdef object flush(self)
    cdef int clear(self) except -1
    cdef object _weighed(self, list panes)
    cdef int _decide(self) except -1
    cdef int64_t sample(self) noexcept


cdef class Combine(Windowed):
    cdef readonly Combining combining

    cdef list _as_they_are(self, Py_ssize_t limit)
    cdef list _combined(self, Py_ssize_t limit, Sideline side)
