# Groups: keyed aggregate state, a slot for each key in every column.
from cext.column cimport Column
from cext.getter cimport Getter
from cext.guard cimport Guard, Sideline


cdef class Groups:
    cdef readonly Getter key
    cdef readonly list columns
    cdef dict slots          # key -> slot
    cdef list free           # slots of forgotten keys
    cdef bint forgot         # whether there ever was one; until then the keys stand in the order of their slots
    cdef object make         # (key, list of results) -> the record to emit
    cdef list window         # what stands before the results, such as the bounds of the window that this is
    cdef set given           # keys whose record an earlier run gave at its end, as it still is; None: there are none

    cdef Py_ssize_t add(self, object row) except -1
    cdef Py_ssize_t _take_in(self, object key, object row) except -1
    cdef int _take_back(self, object key, Py_ssize_t slot, bint is_new) except -1
    cdef Py_ssize_t _slot(self, object key) except -1
    cdef int _add_columns(self, Py_ssize_t slot, object row) except -1
    cdef object record(self, object key, Py_ssize_t slot)
    cdef int take(self, object key, Groups other, Py_ssize_t theirs) except -1
    cdef int merge(self, Groups other) except -1
    cdef object partial(self, object key, Py_ssize_t slot)
    cdef int take_states(self, object key, list states) except -1
    cdef int forget(self, object key) except -1
    cdef tuple saved(self)
    cdef int load(self, tuple table) except -1
    cdef str form(self)
    cpdef object snapshot(self, bint ended)
    cpdef restore(self, list states)


cdef int check_form(object was, object now) except -1
