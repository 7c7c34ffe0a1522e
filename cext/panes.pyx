"""Panes: tumbling and sliding windows, made of panes: runs of time that no window's bound divides.

A record is added to one pane, however many windows that is part of. A window that is due combines its panes, by spans
where it is wide, so the work for each further window is a few steps a key, not one a record. A pane is dropped when its
last window takes no more.
"""

from array import array
from heapq import heappop, heappush

cimport cython
from cext.instant cimport floor_div
from cext.windowed cimport FOREVER, LATE, READY, TAKEN


cdef class Grid:
    """How time is cut into panes: `size` ms each, one of which begins at `offset`."""

    def __cinit__(self, int64_t size, int64_t offset=0):
        if size < 1:
            raise ValueError(f"a pane is at least 1 ms long, not {size}")
        self.size = size
        self.offset = offset

    cpdef int64_t index(self, int64_t time) except? -1:
        """The pane that `time` is in."""
        return floor_div(time - self.offset, self.size)

    cpdef int64_t start(self, int64_t index) except? -1:
        """Where a pane begins, which is where the one before it ends."""
        return self.offset + index * self.size


@cython.final
cdef class Pane:
    """One pane, and what is known of each key in it."""


cdef class Panes(Windows):
    """Windows of `width` panes of `grid`, one of which begins every `step` panes.

    `instant`: takes the time out of a record; `make_groups()`: fresh groups, whose results follow the window's bounds;
    `bound(ms)`: a bound as results show it; `lateness`: how long after its end a window takes records in that are late,
    each of which gives the window's result anew, ms.
    """

    def __cinit__(
        self,
        Grid grid not None,
        Instant instant not None,
        make_groups,
        bound=int,
        int64_t width=1,
        int64_t step=1,
        int64_t lateness=0,
    ):
        if not 1 <= step <= width:
            raise ValueError(f"windows of {width} panes begin every 1 to {width} panes, not every {step}")
        self.grid = grid
        self.instant = instant
        self.make_groups = make_groups
        self.bound = bound
        self.width = width
        self.step = step
        self.lateness = lateness
        self.panes = {}
        self.spans = Spans(make_groups, width)
        self.due = []
        self.waiting = set()
        self.closing = []

    def __len__(self):
        """How many panes there are, a measure of what is kept."""
        return len(self.panes)

    cdef int add(self, object row) except -1:
        cdef int64_t time = self.instant.of(row)
        cdef Pane pane = self.last
        if pane is None or time < pane.start or time >= pane.end:
            pane = self._pane(time)
            if pane is None:
                return LATE
            self.last = pane
        if pane.end <= self.watermark:
            self.spans.changes(pane.index)
        cdef bint given = self.lateness > 0 and pane.first_end <= self.watermark
        if given:
            self.changed = pane.groups.key.get(row)
        pane.groups.add(row)
        pane.records += 1
        self.held += 1
        return READY if given else TAKEN

    cdef Pane _pane(self, int64_t time):
        """The pane of `time`, made if it must be; None if all of its windows are over."""
        cdef int64_t index = self.grid.index(time)
        known = self.panes.get(index)
        if known is not None:
            return known
        if self._end(floor_div(index, self.step)) + self.lateness <= self.watermark:
            return None
        return self._open(index)

    cdef Pane _open(self, int64_t index):
        cdef Pane pane = Pane.__new__(Pane)
        cdef int64_t first = -floor_div(self.width - 1 - index, self.step), last = floor_div(index, self.step)
        cdef int64_t window, end
        pane.index = index
        pane.start = self.grid.start(index)
        pane.end = self.grid.start(index + 1)
        pane.first_end = self._end(first)
        pane.groups = self.make_groups()
        for window in range(first, last + 1):
            end = self._end(window)
            if end > self.watermark and window not in self.waiting:
                self.waiting.add(window)
                heappush(self.due, (end, window))
        heappush(self.closing, (self._end(last) + self.lateness, index))
        self.panes[index] = pane
        self.spans.open(index, pane.groups)
        return pane

    cdef int64_t _end(self, int64_t window) except? -1:
        return self.grid.start(window * self.step + self.width)

    # Results.

    cdef object advance(self, int64_t watermark):
        if watermark <= self.watermark:
            return None
        self.watermark = watermark
        if self.due and (<tuple>self.due[0])[0] <= watermark:
            return self._due()
        self.close()
        return None

    cdef object finish(self):
        self.watermark = FOREVER
        return self._due()

    def _due(self):
        cdef Groups whole
        cdef tuple first = self.first_due()
        while first is not None:
            self.take_due(first)
            whole = self.of_window(first[1])
            whole.window = self._bounds(first[1])
            yield from whole
            first = self.first_due()
        self.close()

    cdef int64_t next_due(self) noexcept:
        return (<tuple>self.due[0])[0] if self.due else FOREVER

    cdef tuple first_due(self):
        """The (end, window) of the first window that is due; None: there is none."""
        if self.due and (<tuple>self.due[0])[0] <= self.watermark:
            return self.due[0]
        return None

    cdef int take_due(self, tuple entry) except -1:
        """The window of `entry`, where that is the first due, is given now."""
        if self.due and self.due[0] == entry:
            heappop(self.due)
            self.waiting.discard(entry[1])
        return 0

    cdef Groups of_window(self, int64_t window):
        """What is known of each key in a window; None where it has no panes."""
        cdef int64_t first = window * self.step
        cdef Pane pane
        if self.width > 1:
            return self.spans.combined(first, first + self.width)
        pane = self.panes.get(first)
        return None if pane is None else pane.groups

    cdef list _bounds(self, int64_t window):
        return [self.bound(self.grid.start(window * self.step)), self.bound(self._end(window))]

    cdef object ready(self):
        """Anew the results of the last record's key in those of its windows that were given."""
        return iter([self._result(window, self.changed) for window in self.given_anew()])

    cdef list given_anew(self):
        """The windows of the last record that were given without it."""
        cdef int64_t index = self.last.index, window
        cdef int64_t first = -floor_div(self.width - 1 - index, self.step), last = floor_div(index, self.step)
        return [window for window in range(first, last + 1) if self._is_given(window)]

    cdef bint _is_given(self, int64_t window) except -1:
        cdef int64_t end = self._end(window)
        return end <= self.watermark < end + self.lateness

    cdef object _result(self, int64_t window, object key):
        cdef Groups one = self.make_groups()
        cdef Pane pane
        cdef int64_t index
        for index in range(window * self.step, window * self.step + self.width):
            pane = self.panes.get(index)
            if pane is not None and key in pane.groups.slots:
                one.take(key, pane.groups, pane.groups.slots[key])
        one.window = self._bounds(window)
        return one.record(key, one.slots[key])

    cdef int close(self) except -1:
        """Drop the panes whose windows take no more."""
        cdef Pane pane
        while self.closing and (<tuple>self.closing[0])[0] <= self.watermark:
            _, index = heappop(self.closing)
            pane = self.panes.pop(index)
            self.held -= pane.records
            self.spans.close(index)
            self.last = None
        return 0

    # Checkpoints. Windows and spans are those of the panes.

    cdef dict saved(self):
        return {"panes": self.table()}

    cdef int load(self, dict tables) except -1:
        return self.load_table(tables["panes"])

    cdef tuple table(self):
        """A row for each key of each pane; the first key of a pane stands for how many records that has."""
        cdef list table = None, parts
        cdef Pane pane
        cdef Py_ssize_t size, i
        for pane in self.panes.values():
            size = len(pane.groups.slots)
            if size == 0:
                continue
            keys, *columns = pane.groups.saved()
            records = array("q", [pane.records]) + array("q", [0]) * (size - 1)
            parts = [keys, array("q", [pane.index]) * size, records, *columns]
            if table is None:
                table = parts
                continue
            for i in range(len(parts)):
                table[i] += parts[i]
        return ([], [], []) if table is None else tuple(table)

    cdef int load_table(self, tuple table) except -1:
        indexes = table[1]
        cdef Py_ssize_t begin = 0, end = 0, size = len(indexes)
        while begin < size:
            while end < size and indexes[end] == indexes[begin]:
                end += 1
            self._load_pane(indexes[begin], [column[begin:end] for column in table])
            begin = end
        return 0

    cdef int _load_pane(self, int64_t index, list parts) except -1:
        known = self.panes.get(index)
        cdef Pane pane = self._open(index) if known is None else known
        cdef int64_t records = sum(parts[2])
        pane.groups.load((parts[0], *parts[3:]))
        pane.records += records
        self.held += records
        return 0

    cdef object form(self):
        cdef Groups groups = self.make_groups()
        size, offset = self.grid.size, self.grid.offset
        return f"windows of {self.width * size} ms every {self.step * size} ms from {offset} ms on: {groups.form()}"
