# IntervalJoin: pairs of records of two inputs that have a key in common and times that are close together.
from libc.stdint cimport int64_t

from cext.joined cimport Joins
from cext.kept cimport Agenda, Kept
from cext.shelves cimport Shelves


cdef class Partners:
    cdef Kept kept         # the record that they are partners of
    cdef bint from_right   # it came from the right input
    cdef list found        # lists in which they are among others
    cdef list rows         # the one of these in work
    cdef Py_ssize_t turn   # where the next one of them is in `found`
    cdef Py_ssize_t at     # where the next record is in `rows`
    cdef int64_t first     # from when ...
    cdef int64_t last      # ... to when a partner may have happened
    cdef Kept next         # None: there are no more

    cdef bint begin(self, Kept kept, bint from_right, list found, int64_t first, int64_t last) except -1
    cdef Kept _seek(self)


cdef class IntervalJoin(Joins):
    cdef Shelves left
    cdef Shelves right
    cdef Agenda left_alone   # records that had no partner when they came, and go on without one if none comes ...
    cdef Agenda right_alone  # ... ; None: such records do not go on
    cdef Partners partners   # of the last record
    cdef int64_t horizon     # no record that is taken comes before it

    cdef int _move(self, int64_t horizon) except -1
    cdef int _load(self, Shelves mine, Agenda alone, tuple table) except -1
