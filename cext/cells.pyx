"""Cells: what a process holds of one state of a key, where that can be over, in whole or in part."""

from collections import OrderedDict
from operator import itemgetter

cimport cython

from cext.keyed cimport ABSENT


cdef class Cell(Undoable):
    """The base of what can be over, in whole or in part."""

    cdef bint prune(self, int64_t last) except -1:
        """Let go of what was written at `last` or before; False: nothing is left."""
        raise NotImplementedError

    cdef int64_t oldest(self) except? -1:
        """When what is left was written first."""
        raise NotImplementedError


@cython.final
cdef class Aged(Cell):
    """A value that is over at some time."""

    cdef bint prune(self, int64_t last) except -1:
        return self.written > last

    cdef int64_t oldest(self) except? -1:
        return self.written

    cdef int take_back(self, tuple change) except -1:
        _, self.value, self.written = change
        return 0


@cython.final
cdef class Items(Cell):
    """A list, each of whose items is over at some time or never."""

    cdef bint prune(self, int64_t last) except -1:
        cdef Py_ssize_t over = 0
        while over < len(self.written) and <int64_t>self.written[over] <= last:
            over += 1
        if over:
            del self.items[:over]
            del self.written[:over]
        return len(self.items) > 0

    cdef int64_t oldest(self) except? -1:
        return self.written[0]

    cdef int take_back(self, tuple change) except -1:
        """Either all that there was, or how many came first."""
        if len(change) == 3:
            _, self.items, self.written = change
            return 0
        del self.items[<Py_ssize_t>change[1]:]
        if self.written is not None:
            del self.written[<Py_ssize_t>change[1]:]
        return 0


@cython.final
cdef class Entries(Cell):
    """A dict, each of whose entries is over at some time or never."""

    cdef bint prune(self, int64_t last) except -1:
        while self.written:
            key = next(iter(self.written))
            if <int64_t>self.written[key] > last:
                break
            del self.written[key]
            del self.items[key]
        return len(self.items) > 0

    cdef int64_t oldest(self) except? -1:
        return self.written[next(iter(self.written))]

    cdef int take_back(self, tuple change) except -1:
        _, key, value, written = change
        if value is ABSENT:
            self.items.pop(key, None)
        else:
            self.items[key] = value
        if self.written is not None:
            self.written.pop(key, None)
            if value is not ABSENT:
                self.written[key] = written
                self.written = by_age(self.written)
        return 0


cdef object by_age(object written):
    return OrderedDict(sorted(written.items(), key=itemgetter(1)))
