# Views: what users read and write as the list or the map of whichever key is in work.
from libc.stdint cimport int64_t

from cext.cells cimport Cell, Entries, Items
from cext.keyed cimport Keyed
from cext.states cimport Collected


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
