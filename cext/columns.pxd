# Columns: the native aggregates.
from libc.stdint cimport int64_t

from cext.column cimport Column, Objects
from cext.getter cimport Getter


cdef class Count(Column):
    cdef int64_t *counts  # by slot
    cdef Py_ssize_t size  # slots in use
    cdef Py_ssize_t room  # slots that `counts` has memory for
    cdef bint counted     # whether the last `add` counted, for `undo`


cdef class Sum(Objects):
    pass


cdef class Least(Objects):
    pass


cdef class Greatest(Objects):
    pass


cdef class Mean(Objects):
    pass


cdef class Collect(Objects):
    pass


cdef class Distinct(Objects):
    pass


cdef class Top(Objects):
    cdef readonly Py_ssize_t most
    cdef readonly Getter by
    cdef readonly Getter pick
    cdef readonly bint smallest

    cdef list _inserted(self, list kept, tuple entry)
    cdef bint _is_before(self, object rank, object other) except -1


cdef class Custom(Objects):
    cdef object create
    cdef object step
    cdef object finish
    cdef object join  # (state, state) -> state, or None
