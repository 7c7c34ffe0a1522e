"""Counted: windows of so many records of a key."""

cimport cython
from cext.windowed cimport READY, TAKEN


@cython.final
cdef class Counted(Windows):
    """Windows of `size` records each; their bounds are the numbers of the key's records, from 0.

    `groups`: has the key and the aggregates. The last window of a key may have fewer records.
    """

    def __cinit__(self, int64_t size, Groups groups not None):
        if size < 1:
            raise ValueError(f"a window has at least 1 record, not {size}")
        self.size = size
        self.groups = groups
        self.counts = {}

    cdef int add(self, object row) except -1:
        key = self.groups.key.get(row)
        self.groups._take_in(key, row)
        cdef int64_t count = self.counts.get(key, 0) + 1
        self.counts[key] = count
        if count % self.size:
            return TAKEN
        self.full = key
        return READY

    cdef object ready(self):
        result = self._result(self.full)
        self.groups.forget(self.full)
        return iter([result])

    cdef object advance(self, int64_t watermark):
        return None

    cdef object finish(self):
        return map(self._result, self.groups.slots)

    def _result(self, key):
        cdef int64_t end = self.counts[key]
        self.groups.window = [end - (end - 1) % self.size - 1, end]
        return self.groups.record(key, self.groups.slots[key])
