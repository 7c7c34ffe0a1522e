# States: what a process keeps for each key, one value, a list or a map, for ever or for so long.
from libc.stdint cimport int64_t

from cext.cells cimport Aged, Cell, Entries, Items
from cext.keyed cimport Keyed, State


cdef class Ageing(State):
    cdef readonly bint renews  # a read counts as a write

    cdef int _watch(self, Keyed owner, object key, Cell cell) except -1
    cdef Cell _there(self, Keyed owner)
    cdef int _load(self, Keyed owner, object key, Cell cell) except -1
    cdef list _ages(self, Keyed owner, tuple table, Py_ssize_t at)


cdef class Value(Ageing):
    cdef readonly object default
    cdef readonly object factory  # makes the first value of a key, or None

    cdef int _write(self, Keyed owner, object value) except -1
    cdef int _renew(self, Keyed owner, Aged cell, object value) except -1


cdef class Collected(Ageing):
    cdef object view  # (owner, state) -> the view that stands for it

    cdef Cell _make(self, object found, int64_t now)


cdef class Listed(Collected):
    pass


cdef class Mapped(Collected):
    pass
