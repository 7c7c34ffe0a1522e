# WindowJoin: pairs of records of two inputs that have a key and a window in common.
from cext.column cimport Objects
from cext.joined cimport Joins
from cext.panes cimport Panes


cdef class Rows(Objects):
    pass


cdef class WindowJoin(Joins):
    cdef readonly Panes left
    cdef readonly Panes right
    cdef readonly bint keep_left   # records of the left input without a partner make a pair with None
    cdef readonly bint keep_right  # ... and those of the right one

    cdef object row                # the last one that came too late for some of its windows
    cdef object _take_due(self)
    cdef int _close(self) except -1
