# State: what a process keeps for each key, one value, a list or a map, for ever or for so long.
from libc.stdint cimport int64_t

from cext.keyed cimport Keyed, State, Undoable


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


cdef class View:
    cdef Keyed owner
    cdef Collected state

    cdef Cell _cell(self)


cdef class ListView(View):
    cdef int _note(self, Items cell) except -1
    cdef Items _filled(self)


cdef class MapView(View):
    cdef int _note(self, Entries cell, object key) except -1
    cdef int _touch(self, Entries cell, object key) except -1
