# Panes: tumbling and sliding windows, made of panes: runs of time that no window's bound divides.
from libc.stdint cimport int64_t

from cext.groups cimport Groups
from cext.instant cimport Instant
from cext.spans cimport Spans
from cext.windowed cimport Windows


cdef class Grid:
    cdef readonly int64_t size    # of a pane, ms
    cdef readonly int64_t offset  # where one begins

    cpdef int64_t index(self, int64_t time) except? -1
    cpdef int64_t start(self, int64_t index) except? -1


cdef class Pane:
    cdef int64_t index
    cdef int64_t start
    cdef int64_t end
    cdef int64_t first_end  # of the first of its windows
    cdef int64_t records
    cdef Groups groups


cdef class Panes(Windows):
    cdef readonly Grid grid
    cdef readonly Instant instant
    cdef object make_groups   # () -> Groups
    cdef object bound         # (ms) -> a bound as results show it
    cdef int64_t width        # panes in a window
    cdef int64_t step         # panes from one window's start to the next one's
    cdef dict panes           # by index
    cdef readonly Spans spans  # what is known of several panes together
    cdef Pane last            # the one that the last record went to
    cdef list due             # a heap of (end, window) of windows that have panes and were not given
    cdef set waiting          # those windows
    cdef list closing         # a heap of (when its last window takes no more, index of a pane)
    cdef object changed       # the key that the last record was taken in for, where that changed results

    cdef Pane _pane(self, int64_t time)
    cdef Pane _open(self, int64_t index)
    cdef int64_t _end(self, int64_t window) except? -1
    cdef tuple first_due(self)
    cdef int take_due(self, tuple entry) except -1
    cdef Groups of_window(self, int64_t window)
    cdef int close(self) except -1
    cdef list given_anew(self)
    cdef bint _is_given(self, int64_t window) except -1
    cdef object _result(self, int64_t window, object key)
    cdef list _bounds(self, int64_t window)
    cdef tuple table(self)
    cdef int load_table(self, tuple table) except -1
    cdef int _load_pane(self, int64_t index, list parts) except -1
