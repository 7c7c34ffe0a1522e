# Columns: the native aggregates, one value a slot, a slot a key.
from libc.stdint cimport int64_t

from cext.getter cimport Getter


cdef class Column:
    cdef readonly Getter value

    cdef int add_slot(self) except -1
    cdef int clear(self, Py_ssize_t slot) except -1
    cdef int add(self, Py_ssize_t slot, object value) except -1
    cdef int undo(self, Py_ssize_t slot) except -1
    cdef int combine(self, Py_ssize_t slot, Column other, Py_ssize_t theirs) except -1
    cdef object state(self, Py_ssize_t slot)
    cdef object joined(self, Py_ssize_t slot, object state)
    cdef int keep(self, Py_ssize_t slot, object joined) except -1
    cdef object result(self, Py_ssize_t slot)
    cdef object saved(self, slots)
    cdef int load(self, list states) except -1


cdef class Objects(Column):
    cdef list states   # the state of each slot
    cdef object before  # what `undo` needs to take the last `add` back

    cdef object _with_value(self, object state, object value)
    cdef object _own(self, object state)
    cdef object _combined(self, object state, object other)


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
