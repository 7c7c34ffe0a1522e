"""Merging: windows and whole streams whose records have in part been combined already.

A partial result is told from a record by its class. It may raise as a record may, and then nothing of it is taken in.
"""

cimport cython
from cpython.object cimport Py_TYPE, PyTypeObject

from cext.panes cimport Pane
from cext.windowed cimport FOREVER, TAKEN


@cython.final
cdef class Partials:
    """What partial results look like: their class `type`, and its fields `pane` and `states`, one for each column."""

    def __cinit__(self, type not None, str pane not None, tuple states not None):
        self.type = type
        self.pane = pane
        self.states = states

    cdef int take_in(self, object partial, Groups groups) except -1:
        """Take `partial` into `groups`, whose getter finds the key in it too."""
        return groups.take_states(groups.key.get(partial), [getattr(partial, name) for name in self.states])


@cython.final
cdef class KeyPart:
    """Takes a part of the key out of a partial result, by its field, or out of any other record.

    >>> KeyPart(int, "real", len)(7), KeyPart(int, "real", len)("weir")
    (7, 4)
    """

    def __cinit__(self, type not None, str field not None, other not None):
        self.type = type
        self.field = field
        self.other = other

    def __call__(self, record):
        return getattr(record, self.field) if type(record) is self.type else self.other(record)


@cython.final
cdef class MergingPanes(Panes):
    """Panes that also take partial results in, none of which comes when its pane is over."""

    cdef int add(self, object row) except -1:
        if type(row) is not self.partials.type:
            return Panes.add(self, row)
        index = getattr(row, self.partials.pane)
        cdef Pane pane = self.panes.get(index)
        if pane is None:
            pane = self._open(index)
        if pane.end <= self.watermark:
            raise RuntimeError(f"event time passed the pane of a partial result before that came: {row!r}")
        self.partials.take_in(row, pane.groups)
        pane.records += 1
        self.held += 1
        return TAKEN


@cython.final
cdef class MergingWhole(Windows):
    """All records of a key, of which some come as partial results, become one at the end."""

    def __cinit__(self, Groups groups not None, Partials partials not None):
        self.groups = groups
        self.partials = partials

    cdef int add(self, object row) except -1:
        if type(row) is self.partials.type:
            self.partials.take_in(row, self.groups)
        else:
            self.groups.add(row)
        return TAKEN

    cdef object advance(self, int64_t watermark):
        return None

    cdef object finish(self):
        self.watermark = FOREVER
        return iter(self.groups)

    cpdef object snapshot(self):
        return self.groups.snapshot(self.watermark == FOREVER)

    cpdef restore(self, list states):
        self.groups.restore(states)


def count_of(list rows not None, type):
    """How many of `rows` are of just this class.

    >>> count_of([1, True, "weir"], int)
    1
    """
    cdef Py_ssize_t found = 0
    for row in rows:
        found += Py_TYPE(row) == <PyTypeObject *>type
    return found
