"""IntervalJoin: pairs of records of two inputs that have a key in common and times that are close together.

A record meets those of the other input that are here already, so each pair is made when the later of the two comes.
"""

cimport cython
from cext.getter cimport Getter
from cext.instant cimport Instant
from cext.windowed cimport FOREVER, LATE, READY, TAKEN


def _pairs(list found, tuple entry, int64_t lower, int64_t upper, bint from_right):
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
        self.left = Shelves(left_key, left_time, lower, upper)
        self.right = Shelves(right_key, right_time, -upper, -lower)

    cdef int add(self, object row) except -1:
        cdef Shelves mine = self.left, others = self.right
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
        cdef Shelves mine = self.right if self.from_right else self.left
        return _pairs(self.found, self.row, mine.lower, mine.upper, self.from_right)

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
