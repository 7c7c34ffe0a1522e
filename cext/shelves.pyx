"""Shelves: records by time and key, for those that look for others close to them in time.

Each shelf is for a run of time, and goes as a whole once nothing that belongs to its last moment is to come. Putting a
record on one costs the same in any order.
"""

from heapq import heappop, heappush

cimport cython
from cpython.ref cimport PyObject

from cext.instant cimport floor_div
from cext.kept cimport keep
from cext.partition cimport PyDict_GetItemWithError, find

cdef int64_t PARTS = 4  # that an interval is divided into: more of them drop records sooner, and are more to look at


@cython.final
cdef class Shelf:
    """The records of one run of time, by key."""

    def __cinit__(self):
        self.rows = {}


@cython.final
cdef class Shelves:
    """Records of one input; what belongs to one of them is from `lower` to `upper` ms after it."""

    def __cinit__(self, Getter key not None, Instant instant not None, int64_t lower, int64_t upper):
        self.key = key
        self.instant = instant
        self.lower = lower
        self.upper = upper
        self.size = (upper - lower) // PARTS + 1
        self.shelves = {}
        self.closing = []

    cdef Kept put(self, object key, int64_t time, object row):
        """Keep `row`; raise, and keep nothing, where `key` cannot be one."""
        cdef Kept kept = keep(key, row, time)
        cdef int64_t number = floor_div(time, self.size)
        cdef Shelf shelf = self.shelves.get(number)
        if shelf is None:
            shelf = self.shelves[number] = Shelf()
            heappush(self.closing, number)
        cdef PyObject *known = find(shelf.rows, key)
        if known is not NULL:
            (<list><object>known).append(kept)
        else:
            shelf.rows[key] = [kept]
        shelf.records += 1
        self.held += 1
        return kept

    cdef list near(self, object key, int64_t first, int64_t last):
        """The lists of records of `key`, which can be one, that may have some of the times from `first` to `last`."""
        cdef list found = []
        cdef Shelf shelf
        cdef PyObject *rows
        cdef int64_t number
        for number in range(floor_div(first, self.size), floor_div(last, self.size) + 1):
            shelf = self.shelves.get(number)
            if shelf is None:
                continue
            rows = PyDict_GetItemWithError(shelf.rows, key)
            if rows is not NULL:
                found.append(<object>rows)
        return found

    cdef tuple saved(self):
        """Keys, times, records, and whether they have had partners."""
        cdef list keys = [], times = [], rows = [], met = []
        cdef Shelf shelf
        cdef Kept kept
        for shelf in self.shelves.values():
            for there in shelf.rows.values():
                for kept in <list>there:
                    keys.append(kept.key)
                    times.append(kept.time)
                    rows.append(kept.row)
                    met.append(kept.met)
        return keys, times, rows, met

    cdef int drop(self, int64_t watermark) except -1:
        """Let go of the records whose partners would all be late."""
        cdef Shelf shelf
        while self.closing and (self.closing[0] + 1) * self.size - 1 + self.upper < watermark:
            shelf = self.shelves.pop(heappop(self.closing))
            self.held -= shelf.records
        return 0
