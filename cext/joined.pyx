"""Joined: the head that takes the records of two inputs into a join and gives the pairs that they make."""

cimport cython
from libc.stdint cimport int64_t

from cext.channel cimport Channel
from cext.frame cimport Frame
from cext.guard cimport Guard


cdef class Joins(Windows):
    """The base of joins: windows over two inputs, whose results are pairs (left record, right record)."""

    def take(self, row, bint from_right):
        """For tests and tools: `put` with a record of either input."""
        self.from_right = from_right
        return self.put(row)


@cython.final
cdef class Joined(Windowed):
    """Tells its join which input the records of each frame come from; `right` is set before the first one."""

    def __cinit__(self, str name, Guard guard, Joins windows not None):
        self.joins = windows
        self.delay = windows.delay
        self.right = ()

    cpdef accept(self, Channel lane, Frame frame, int64_t now):
        self.joins.from_right = lane in self.right
        Windowed.accept(self, lane, frame, now)
