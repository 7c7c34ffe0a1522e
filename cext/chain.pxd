# Record operators: each takes the rows of a frame and gives those that go on, never more than it took.
from libc.stdint cimport int64_t, uint64_t

from cext.getter cimport Getter
from cext.groups cimport Groups
from cext.guard cimport Guard, Sideline


cdef class Operator:
    cdef readonly str name
    cdef readonly Guard guard
    cdef readonly uint64_t records_in
    cdef readonly uint64_t records_out
    cdef readonly int64_t busy_ns

    cdef object step(self, object row)
    cdef list apply(self, list rows, Sideline side)
    cdef list run(self, list rows, Sideline side)
    cpdef object snapshot(self)
    cpdef restore(self, list states)


cdef class Map(Operator):
    cdef object function
    cdef bint spread  # a record is a tuple of its arguments


cdef class Filter(Operator):
    cdef object function
    cdef bint by_class  # `function` is a class, and its instances go on: isinstance, without a call for each record


cdef class Inspect(Operator):
    cdef object function


cdef class Lookup(Operator):
    cdef dict table
    cdef Getter key
    cdef object join     # (record, match or None) -> record
    cdef bint inner      # without a match the record goes no further
    cdef readonly uint64_t unmatched


cdef class StatefulMap(Operator):
    cdef Getter key
    cdef object function
    cdef object initial
    cdef readonly dict states


cdef class Running(Operator):
    cdef readonly Groups groups


cdef class Router:
    cdef tuple predicates
    cdef Guard guard

    cdef list route(self, list rows, Sideline side)
    cdef Py_ssize_t _choose(self, object row) except -1
