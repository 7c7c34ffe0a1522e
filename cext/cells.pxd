# Cells: what a process holds of one state of a key, where that can be over, in whole or in part.
from libc.stdint cimport int64_t

from cext.keyed cimport Undoable


cdef class Cell(Undoable):
    cdef int64_t due  # when it is looked at for what is over

    cdef bint prune(self, int64_t last) except -1
    cdef int64_t oldest(self) except? -1


cdef class Aged(Cell):
    cdef object value
    cdef int64_t written


cdef class Items(Cell):
    cdef list items
    cdef list written  # when each was, ascending; None: they are kept for ever


cdef class Entries(Cell):
    cdef dict items
    cdef object written  # an OrderedDict: when each was, ascending; None: they are kept for ever


cdef object by_age(object written)  # an OrderedDict by the time at which its keys were written
