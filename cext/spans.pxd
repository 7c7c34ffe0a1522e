# Spans: panes combined by twos, fours, eights and so on, so that a wide window is made of few parts.
from libc.stdint cimport int64_t

from cext.groups cimport Groups


cdef class Spans:
    cdef object make_groups  # () -> Groups
    cdef list levels         # of dicts: those of 1, 2, 4... panes, by their first pane over their length

    cdef int open(self, int64_t index, Groups groups) except -1
    cdef int close(self, int64_t index) except -1
    cdef int changes(self, int64_t index) except -1
    cdef Groups combined(self, int64_t first, int64_t end)
    cdef int _longest(self, int64_t first, int64_t end) noexcept
    cdef Groups _span(self, int level, int64_t index)
