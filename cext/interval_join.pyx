"""IntervalJoin: pairs of records of two inputs that have a key in common and times that are close together.

A record meets those of the other input that are here already, so each pair is made when the later of the two comes.
Records lie on shelves, each for a run of time. A shelf goes as a whole once no partner of its last moment is to come.
"""

from heapq import heappop, heappush

cimport cython
from cpython.ref cimport PyObject

from cext.instant cimport floor_div
from cext.partition cimport PyDict_GetItemWithError, find
from cext.windowed cimport FOREVER, LATE, READY, TAKEN

cdef int64_t SHELVES = 4  # that an interval is divided into: more of them drop records sooner, and are more to look at


@cython.final
cdef class Shelf:
    """The records of one run of time, by key."""

    def __cinit__(self):
        self.rows = {}


@cython.final
cdef class Side:
    """One input: its records, and where the partners of each are. `lower` and `upper` as it sees them, ms."""

    def __cinit__(self, Getter key not None, Instant instant not None, int64_t lower, int64_t upper):
        self.key = key
        self.instant = instant
        self.lower = lower
        self.upper = upper
        self.size = (upper - lower) // SHELVES + 1
        self.shelves = {}
        self.closing = []

    cdef int put(self, object key, int64_t time, object row) except -1:
        """Keep `row`; raise, and keep nothing, where `key` cannot be one."""
        cdef int64_t number = floor_div(time, self.size)
        cdef Shelf shelf = self.shelves.get(number)
        if shelf is None:
            shelf = self.shelves[number] = Shelf()
            heappush(self.closing, number)
        cdef PyObject *known = find(shelf.rows, key)
        if known is not NULL:
            (<list><object>known).append((time, row))
        else:
            shelf.rows[key] = [(time, row)]
        shelf.records += 1
        self.held += 1
        return 0

    cdef list near(self, object key, int64_t first, int64_t last):
        """The lists of records of `key` that may have some of the times from `first` to `last`."""
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

    cdef int drop(self, int64_t watermark) except -1:
        """Let go of the records whose partners would all be late."""
        cdef Shelf shelf
        while self.closing and (self.closing[0] + 1) * self.size - 1 + self.upper < watermark:
            shelf = self.shelves.pop(heappop(self.closing))
            self.held -= shelf.records
        return 0


def pairs(list found, tuple entry, int64_t lower, int64_t upper, bint from_right):
    """The pairs of a record with its partners on the lists `found`."""
    cdef int64_t time, at = entry[0]
    row = entry[1]
    for rows in found:
        for time, other in <list>rows:
            if lower <= time - at <= upper:
                yield (other, row) if from_right else (row, other)


@cython.final
cdef class IntervalJoin(Joins):
    """Pairs whose right record is from `lower` to `upper` ms after the left one, both included.

    A record is late if it comes before the watermark, for some of its partners may be gone then.
    """

    def __cinit__(
        self,
        Getter left_key,
        Instant left_time,
        Getter right_key,
        Instant right_time,
        int64_t lower,
        int64_t upper,
    ):
        if lower > upper:
            raise ValueError(f"an interval goes from its lower bound to its upper one, not from {lower} to {upper} ms")
        self.left = Side(left_key, left_time, lower, upper)
        self.right = Side(right_key, right_time, -upper, -lower)

    cdef int add(self, object row) except -1:
        cdef Side mine = self.left, others = self.right
        if self.from_right:
            mine, others = others, mine
        cdef int64_t time = mine.instant.of(row)
        if time < self.watermark:
            return LATE
        key = mine.key.get(row)
        mine.put(key, time, row)
        self.held += 1
        self.found = others.near(key, time + mine.lower, time + mine.upper)
        if not self.found:
            return TAKEN
        self.row = time, row
        return READY

    cdef object ready(self):
        cdef Side mine = self.right if self.from_right else self.left
        return pairs(self.found, self.row, mine.lower, mine.upper, self.from_right)

    cdef object advance(self, int64_t watermark):
        if watermark > self.watermark:
            self._drop(watermark)
        return None

    cdef object finish(self):
        self._drop(FOREVER)
        return iter(())

    cdef int _drop(self, int64_t watermark) except -1:
        self.watermark = watermark
        self.left.drop(watermark)
        self.right.drop(watermark)
        self.held = self.left.held + self.right.held
        return 0
