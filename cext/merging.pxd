# Merging: windows and whole streams whose records have in part been combined already.
from libc.stdint cimport int64_t

from cext.groups cimport Groups
from cext.panes cimport Panes
from cext.windowed cimport Windows


cdef class Partials:
    cdef readonly object type    # their class
    cdef readonly str pane       # the field that has a pane's index
    cdef readonly tuple states   # the fields that have the columns' states

    cdef int take_in(self, object partial, Groups groups) except -1


cdef class KeyPart:
    cdef readonly object type   # of partial results
    cdef readonly str field     # of theirs, that has this part of the key
    cdef readonly object other  # takes it out of any other record


cdef class MergingPanes(Panes):
    cdef public Partials partials  # set before the first record


cdef class MergingWhole(Windows):
    cdef readonly Groups groups
    cdef readonly Partials partials
