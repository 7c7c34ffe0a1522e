"""IntervalJoin: pairs of records of two inputs that have a key in common and times that are close together.

A record meets those of the other input that are here already, so each pair is made when the later of the two comes.
"""

cimport cython
from cext.getter cimport Getter
from cext.instant cimport NEVER, Instant
from cext.windowed cimport FOREVER, LATE, READY, TAKEN


@cython.final
cdef class Partners:
    """The pairs of one record with its partners, one after the other; used again for the next record."""

    cdef bint begin(self, Kept kept, bint from_right, list found, int64_t first, int64_t last) except -1:
        """Start with `kept`, whose partners are on the lists `found` if there are any; whether there are."""
        self.kept = kept
        self.from_right = from_right
        self.found = found
        self.rows = <list>found[0]
        self.turn = 1
        self.at = 0
        self.first = first
        self.last = last
        self.next = self._seek()
        kept.met = self.next is not None
        return kept.met

    cdef Kept _seek(self):
        cdef Kept other
        while True:
            while self.at < len(self.rows):
                other = <Kept>self.rows[self.at]
                self.at += 1
                if self.first <= other.time <= self.last:
                    return other
            if self.turn == len(self.found):
                return None
            self.rows = <list>self.found[self.turn]
            self.turn += 1
            self.at = 0

    def __iter__(self):
        return self

    def __next__(self):
        cdef Kept other = self.next
        if other is None:
            self.kept = None
            self.found = self.rows = None
            raise StopIteration
        other.met = True
        self.next = self._seek()
        return (other.row, self.kept.row) if self.from_right else (self.kept.row, other.row)


@cython.final
cdef class IntervalJoin(Joins):
    """Pairs whose right record is from `lower` to `upper` ms after the left one, both included.

    `keep_left`, `keep_right`: whether a record makes a pair with None that has no partner once all that it may have
    would be late. By then it may itself be older than event time, so event time goes on with that much `delay`.

    A record is late if it comes more than `lateness` ms before the watermark, for its partners may be gone then.
    """

    def __cinit__(
        self,
        Getter left_key,
        Instant left_time,
        Getter right_key,
        Instant right_time,
        int64_t lower,
        int64_t upper,
        bint keep_left=False,
        bint keep_right=False,
        int64_t lateness=0,
    ):
        if lower > upper:
            raise ValueError(f"an interval goes from its lower bound to its upper one, not from {lower} to {upper} ms")
        self.left = Shelves(left_key, left_time, lower, upper)
        self.right = Shelves(right_key, right_time, -upper, -lower)
        self.left_alone = Agenda() if keep_left else None
        self.right_alone = Agenda() if keep_right else None
        self.partners = Partners.__new__(Partners)
        self.lateness = lateness
        self.delay = lateness + max(0, upper if keep_left else 0, -lower if keep_right else 0)
        self.horizon = NEVER

    cdef int add(self, object row) except -1:
        cdef Shelves mine = self.left, others = self.right
        cdef Agenda alone = self.left_alone
        if self.from_right:
            mine, others, alone = others, mine, self.right_alone
        cdef int64_t time = mine.instant.of(row)
        if time < self.horizon:
            return LATE
        key = mine.key.get(row)
        cdef Kept kept = mine.put(key, time, row)
        self.held += 1
        cdef int64_t first = time + mine.lower, last = time + mine.upper
        cdef list found = others.near(key, first, last)
        if found and self.partners.begin(kept, self.from_right, found, first, last):
            return READY
        if alone is not None:
            alone.put(kept)
        return TAKEN

    cdef object ready(self):
        return self.partners

    cdef object advance(self, int64_t watermark):
        if watermark <= self.watermark:
            return None
        self.watermark = watermark
        self._move(watermark - self.lateness)
        if self.left_alone is not None and self.left_alone.has_before(self.horizon - self.left.upper):
            return self._alone()
        if self.right_alone is not None and self.right_alone.has_before(self.horizon - self.right.upper):
            return self._alone()
        return None

    cdef object finish(self):
        self.watermark = FOREVER
        self._move(FOREVER)
        return self._alone()

    def _alone(self):
        """The records that can have no partner any more, each with None."""
        cdef Kept kept
        if self.left_alone is not None:
            while (kept := self.left_alone.pop_before(self.horizon - self.left.upper)) is not None:
                if not kept.met:
                    kept.met = True  # it is done with
                    yield kept.row, None
        if self.right_alone is not None:
            while (kept := self.right_alone.pop_before(self.horizon - self.right.upper)) is not None:
                if not kept.met:
                    kept.met = True
                    yield None, kept.row

    cdef int _move(self, int64_t horizon) except -1:
        self.horizon = horizon
        self.left.drop(horizon)
        self.right.drop(horizon)
        self.held = self.left.held + self.right.held
        return 0

    # Checkpoints.

    cdef dict saved(self):
        return {"left": self.left.saved(), "right": self.right.saved()}

    cdef int load(self, dict tables) except -1:
        self._load(self.left, self.left_alone, tables["left"])
        self._load(self.right, self.right_alone, tables["right"])
        self.held = self.left.held + self.right.held
        return 0

    cdef int _load(self, Shelves mine, Agenda alone, tuple table) except -1:
        cdef Kept kept
        for key, time, row, met in zip(*table, strict=True):
            kept = mine.put(key, time, row)
            kept.met = met
            if alone is not None and not kept.met:
                alone.put(kept)
        return 0

    cdef object form(self):
        return "a join within an interval"

    cdef int go_back(self, int64_t watermark) except -1:
        self.watermark = watermark
        self.horizon = NEVER if watermark == NEVER else watermark - self.lateness
        return 0
