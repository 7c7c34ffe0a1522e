# Column: what an aggregate knows, one state a slot, a slot a key.
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
