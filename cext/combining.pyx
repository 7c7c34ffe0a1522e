"""Combining: partial results of keyed aggregates, made before records cross to other processes.

1. Records are taken into panes, and a pane's partial results leave before the mark that its end has passed. So none
   is late where it goes: event time there is the least of the lanes'. Where a lane is idle that is not so; before this
   is said, what is held leaves, and from then on records go on as they are.
2. So do records whose pane is over here. Whether they are late is known where they go, for only there all lanes meet.
3. What is held is bounded: at a bound all of it leaves. Partial results of a pane may come any number of times.
4. Where less than two records make a partial result it costs more than it saves. Then records go on as they are, for
   longer each time, until it is tried again.
5. A barrier has all that is held sent before it, so a checkpoint only knows how far event time has come here: what was
   over stays over. Where even that is not known records go on as they are until event time is told.
"""

from heapq import heappop, heappush

cimport cython
from cext.guard cimport Guard
from cext.instant cimport NEVER
from cext.windowed cimport FOREVER, LATE, READY, TAKEN

from cext.operator_state import OperatorState

cdef int64_t SAMPLE = 4096  # records after which it is known whether combining pays
cdef int64_t PROBE = 8192  # ... and after which it is clear that it does not, if nearly all keys are new
cdef int64_t FIRST_PAUSE = 16, LAST_PAUSE = 1024  # for how many samples records go on as they are


@cython.final
cdef class Combining(Windows):
    """Takes records into panes of `grid`, by key; gives partial results. LATE says that a record goes on as it is.

    `instant`: takes the time out of a record; without both all records are in one pane that is never over;
    `make_groups()`: fresh groups, whose `make(key, [pane, *states])` makes a partial result; `most_keys` and
    `most_records`: what is held at most.
    """

    def __cinit__(
        self,
        Grid grid,
        Instant instant,
        make_groups,
        int64_t most_keys=65_536,
        int64_t most_records=FOREVER,
    ):
        if (grid is None) != (instant is None) or most_keys < 1 or most_records < 1:
            raise ValueError("wanted a grid and an instant or neither, and bounds of at least 1")
        self.grid = grid
        self.instant = instant
        self.make_groups = make_groups
        self.most_keys = most_keys
        self.most_records = most_records
        self.pause = FIRST_PAUSE
        self.clear()

    def __len__(self):
        """How many panes there are."""
        return len(self.panes)

    @property
    def passes(self):
        """Whether the next record goes on as it is."""
        return self.passing > 0

    cdef int add(self, object row) except -1:
        cdef int64_t time = 0 if self.instant is None else self.instant.of(row)
        cdef Py_ssize_t keys
        cdef Pane pane = self.last
        if pane is None or time < pane.start or time >= pane.end:
            pane = self._pane(time)
            if pane is None:
                return LATE
            self.last = pane
        keys = len(pane.groups.slots)
        pane.groups.add(row)
        self.keys += len(pane.groups.slots) - keys
        pane.records += 1
        self.held += 1
        if self.keys >= self.most_keys or self.held >= self.most_records:
            return READY
        return READY if self.held == PROBE and self.keys * 16 > self.held * 15 else TAKEN

    cdef Pane _pane(self, int64_t time):
        """The pane of `time`, made if it must be; None if it is over."""
        cdef int64_t index = 0 if self.grid is None else self.grid.index(time)
        known = self.panes.get(index)
        if known is not None:
            return known
        if self.grid is not None and self.grid.start(index + 1) <= self.watermark:
            return None
        return self._open(index)

    cdef Pane _open(self, int64_t index):
        cdef Pane pane = Pane.__new__(Pane)
        pane.index = index
        pane.start = -FOREVER if self.grid is None else self.grid.start(index)
        pane.end = FOREVER if self.grid is None else self.grid.start(index + 1)
        pane.groups = self.make_groups()
        heappush(self.due, (pane.end, index))
        self.panes[index] = pane
        return pane

    # What leaves.

    cdef object ready(self):
        return self.flush()

    cdef object advance(self, int64_t watermark):
        if self.blind:
            self.blind = False
            self.passing = 0
        cdef list over = []
        cdef Pane pane
        self.watermark = max(self.watermark, watermark)
        while self.due and (<tuple>self.due[0])[0] <= self.watermark:
            pane = self.panes.pop(heappop(self.due)[1])
            self.held -= pane.records
            self.keys -= len(pane.groups.slots)
            self.last = None
            over.append(pane)
        return self._weighed(over) if over else None

    cdef object finish(self):
        self.watermark = FOREVER
        return self.flush()

    cdef object flush(self):
        """The partial results of all that is held."""
        cdef list panes = list(self.panes.values())
        self.clear()
        return self._weighed(panes)

    cpdef object snapshot(self):
        reached = self.watermark if self.reached is None else self.reached
        return OperatorState({}, {"watermark": reached, "idle": self.passing == FOREVER})

    cpdef restore(self, list states):
        """`states` may be none: then others combined nothing."""
        self.watermark = max([single["watermark"] for _, single in states], default=<int64_t>NEVER)
        self.blind = not states and self.grid is not None
        if self.blind or any([single["idle"] for _, single in states]):
            self.passing = FOREVER

    cdef int clear(self) except -1:
        self.panes = {}
        self.due = []
        self.last = None
        self.keys = self.held = 0
        return 0

    cdef object _weighed(self, list panes):
        """The partial results of `panes`, once it is decided what they mean for the records to come."""
        cdef Pane pane
        for pane in panes:
            self.tried += pane.records
            self.made += len(pane.groups.slots)
        if self.tried >= self.sample():
            self._decide()
        return self._given(panes)

    def _given(self, list panes):
        cdef Pane pane
        for pane in panes:
            pane.groups.window = [pane.index]
            for key, slot in pane.groups.slots.items():
                yield pane.groups.partial(key, slot)

    # Whether it pays.

    cdef int64_t sample(self) noexcept:
        return min(SAMPLE, self.most_keys)

    cdef int _decide(self) except -1:
        """Whether records go on as they are for a while, as too few of them made one."""
        if self.tried >= 2 * self.made:
            self.pause = FIRST_PAUSE
        else:
            self.passing = max(self.passing, self.pause * self.sample())
            self.pause = min(2 * self.pause, LAST_PAUSE)
        self.tried = self.made = 0
        return 0


@cython.final
cdef class Combine(Windowed):
    """Gives partial results, and records as they are where combining them may not be, or does not pay."""

    def __cinit__(self, str name, Guard guard, Combining windows not None):
        self.combining = windows

    cpdef list more(self, Py_ssize_t limit, int64_t now, Sideline side):
        if self.results is None and self.frame is None and self.hurry and self.combining.held > 0:
            self.results = self.combining.flush()
        if self.results is not None:
            return self._results(limit, side)
        if self.frame is None:
            return None
        if self.combining.passing > 0:
            return self._as_they_are(limit)
        return self._combined(limit, side)

    cdef list _as_they_are(self, Py_ssize_t limit):
        cdef Py_ssize_t start = self.at
        self.at = min(self.frame.records, start + limit)
        self.spent += self.at - start
        if self.combining.passing < FOREVER:
            self.combining.passing = max(0, self.combining.passing - (self.at - start))
        if self.at - start == self.frame.records:
            return self.frame.rows
        return self.frame.rows[start:self.at]

    cdef list _combined(self, Py_ssize_t limit, Sideline side):
        cdef Combining combining = self.combining
        cdef Py_ssize_t end = self.frame.records  # most of which leave nothing, so these need no credit
        cdef list out = [], rows = self.frame.rows
        cdef int verdict = TAKEN
        while self.at < end and verdict != READY and len(out) + len(side.letters) < limit:
            try:
                verdict = combining.add(rows[self.at])
                while verdict == TAKEN:
                    self.at += 1
                    self.spent += 1
                    if self.at == end:
                        return out
                    verdict = combining.add(rows[self.at])
            except BaseException as error:
                if not self.guard.handle(rows[self.at], error, side):
                    break
                verdict = TAKEN
            if verdict == LATE:
                out.append(rows[self.at])
            self.at += 1
            self.spent += 1
        if verdict == READY:
            self.results = combining.flush()
        return out

    cpdef bint drained(self):
        return self.frame is None and self.results is None and not (self.hurry and self.combining.held > 0)

    cpdef idle(self):
        if self.combining.grid is None:
            return
        self.combining.passing = FOREVER
        self.combining.blind = False
        self.results = self.combining.flush()

    cpdef object snapshot(self, int64_t checkpoint):
        return self.combining.snapshot()

    cpdef restore(self, list states):
        self.combining.restore(states)

    cpdef finish(self, bint whole):
        self.combining.reached = self.combining.watermark
        self.results = self.combining.finish() if whole else None
        if not whole:
            self.combining.clear()

    cpdef Py_ssize_t discard(self):
        self.combining.clear()
        return Windowed.discard(self)
