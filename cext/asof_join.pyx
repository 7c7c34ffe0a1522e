"""AsOfJoin: each left record meets the right record of its key that was the latest at its time.

Left records wait until event time has passed theirs, for only then it is known which right record that is. Of the right
ones those are kept that a left record may still meet: of each key the latest whose time has come, and all after it.
"""

from operator import itemgetter

cimport cython
from cpython.ref cimport PyObject

from cext.kept cimport keep
from cext.partition cimport PyDict_GetItemWithError, find
from cext.windowed cimport FOREVER, LATE, TAKEN


@cython.final
cdef class History:
    """The right records of a key that left ones may still meet."""

    def __cinit__(self):
        self.rows = []


cdef Py_ssize_t up_to(list rows, int64_t time) except -1:
    """How many of `rows`, Kept by time, are no later than `time`."""
    cdef Py_ssize_t low = 0, high = len(rows), middle
    if high == 0 or (<Kept>rows[high - 1]).time <= time:  # as a rule they come in order
        return high
    while low < high:
        middle = (low + high) >> 1
        if (<Kept>rows[middle]).time <= time:
            low = middle + 1
        else:
            high = middle
    return low


@cython.final
cdef class AsOfJoin(Joins):
    """`tolerance`: how much older than a left record its match may be, ms; `keep_left`: whether one without a match
    makes a pair with None.

    A left record is late if it comes before the watermark; a right one if no left record that is not late can meet it:
    else a late change of what changes seldom would be lost for all that comes after.
    """

    def __cinit__(
        self,
        Getter left_key not None,
        Instant left_time not None,
        Getter right_key not None,
        Instant right_time not None,
        bint keep_left=False,
        tolerance=None,
    ):
        if tolerance is not None and tolerance < 0:
            raise ValueError(f"a tolerance is of at least 0 ms, not {tolerance}")
        self.left_key = left_key
        self.left_time = left_time
        self.right_key = right_key
        self.right_time = right_time
        self.keep_left = keep_left
        self.tolerance = FOREVER if tolerance is None else tolerance
        self.waiting = Agenda()
        self.histories = {}
        self.coming = Agenda()
        self.expiring = Agenda()

    cdef int add(self, object row) except -1:
        return self._add_right(row) if self.from_right else self._add_left(row)

    cdef int _add_left(self, object row) except -1:
        cdef int64_t time = self.left_time.of(row)
        if time < self.watermark:
            return LATE
        key = self.left_key.get(row)
        find(self.histories, key)  # which raises where it cannot be one
        self.waiting.put(keep(key, row, time))
        self.held += 1
        return TAKEN

    cdef int _add_right(self, object row) except -1:
        cdef int64_t time = self.right_time.of(row)
        key = self.right_key.get(row)
        cdef PyObject *known = find(self.histories, key)
        cdef History history = History() if known is NULL else <History><object>known
        cdef list rows = history.rows
        cdef Py_ssize_t at = up_to(rows, time)
        if time < self.watermark:
            if self.watermark - time > self.tolerance:
                return LATE
            if at < len(rows) and (<Kept>rows[at]).time <= self.watermark:
                return LATE
        cdef Kept kept = keep(key, row, time)
        rows.insert(at, kept)
        self.held += 1
        if known is NULL:
            self.histories[key] = history
        if time > self.watermark:
            self.coming.put(kept)
        else:
            self._shorten(key)
        return TAKEN

    cdef object advance(self, int64_t watermark):
        if watermark <= self.watermark:
            return None
        self.watermark = watermark
        if self.waiting.has_before(watermark):
            return self._due()
        self._drop()
        return None

    cdef object finish(self):
        self.watermark = FOREVER
        return self._due()

    def _due(self):
        cdef Kept kept, match
        while (kept := self.waiting.pop_before(self.watermark)) is not None:
            self.held -= 1
            match = self._match(kept)
            if match is not None:
                yield kept.row, match.row
            elif self.keep_left:
                yield kept.row, None
        self._drop()

    cdef Kept _match(self, Kept kept):
        cdef PyObject *known = PyDict_GetItemWithError(self.histories, kept.key)  # it was seen that it can be a key
        if known is NULL:
            return None
        cdef list rows = (<History><object>known).rows
        cdef Py_ssize_t at = up_to(rows, kept.time)
        if at == 0 or kept.time - (<Kept>rows[at - 1]).time > self.tolerance:
            return None
        return <Kept>rows[at - 1]

    cdef int _drop(self) except -1:
        """Let go of the right records that no left one can meet."""
        cdef Kept kept
        if self.watermark == FOREVER:
            self.histories.clear()
            self.coming, self.expiring = Agenda(), Agenda()
            self.held = 0
            return 0
        while (kept := self.coming.pop_before(self.watermark + 1)) is not None:
            self._shorten(kept.key)
        while (kept := self.expiring.pop_before(self.watermark - self.tolerance)) is not None:
            (<History>self.histories[kept.key]).expires = False
            self._shorten(kept.key)
        return 0

    cdef int _shorten(self, object key) except -1:
        """Of `key`, let go of all before the latest record whose time has come, and of that one where it is too old."""
        cdef History history = self.histories.get(key)
        if history is None:  # the last of several whose time has come took it away
            return 0
        cdef list rows = history.rows
        cdef Py_ssize_t gone = up_to(rows, self.watermark) - 1
        if gone >= 0 and self.watermark - (<Kept>rows[gone]).time > self.tolerance:
            gone += 1
        if gone > 0:
            del rows[:gone]
            self.held -= gone
        if self.tolerance == FOREVER or history.expires:
            return 0
        if not rows:
            del self.histories[key]
        elif (<Kept>rows[0]).time <= self.watermark:
            history.expires = True
            self.expiring.put(<Kept>rows[0])
        return 0

    # Checkpoints. Who is to go when is found anew.

    cdef dict saved(self):
        cdef list waiting = [], right = []
        cdef History history
        for history in self.histories.values():
            right.extend(history.rows)
        waiting.extend(self.waiting.heap)
        return {"left": (*saved_kept(waiting), [(<Kept>kept).number for kept in waiting]), "right": saved_kept(right)}

    cdef int load(self, dict tables) except -1:
        for _, key, time, row in sorted(zip(tables["left"][3], *tables["left"][:3], strict=True), key=itemgetter(0)):
            self.waiting.put(keep(key, row, time))
            self.held += 1
        cdef History history
        cdef Kept kept
        for key, time, row in zip(*tables["right"], strict=True):
            history = self.histories.setdefault(key, History())
            kept = keep(key, row, time)
            history.rows.append(kept)
            self.held += 1
            if kept.time > self.watermark:
                self.coming.put(kept)
        for key in dict.fromkeys(tables["right"][0]):
            self._shorten(key)
        return 0

    cdef object form(self):
        return "a join as of a time"


cdef tuple saved_kept(list kept):
    """The keys, times and records of `kept`."""
    cdef Kept each
    return [each.key for each in kept], [each.time for each in kept], [each.row for each in kept]
