"""SessionJoin: pairs of records of two inputs that have a key in common and are in one session.

The records of both make the sessions together, so that one of either input may join two that were apart.
"""

cimport cython
from libc.stdint cimport int64_t

from cext.groups cimport Groups
from cext.window_join cimport Rows


def _pairs(list rows, bint keep_left, bint keep_right):
    """All pairs of one session."""
    cdef list left = [row for from_right, row in rows if not from_right]
    cdef list right = [row for from_right, row in rows if from_right]
    for row in left:
        for other in right:
            yield row, other
    if not right and keep_left:
        for row in left:
            yield row, None
    if not left and keep_right:
        for other in right:
            yield None, other


@cython.final
cdef class SessionJoin(Joins):
    """Joins two inputs in sessions with `gap` ms of silence between them.

    `keep_left`, `keep_right`: whether a record without a partner makes a pair with None in the other's place.
    """

    def __cinit__(
        self,
        int64_t gap,
        Getter left_key not None,
        Instant left_time not None,
        Getter right_key not None,
        Instant right_time not None,
        bint keep_left=False,
        bint keep_right=False,
    ):
        groups = Groups(left_key, [Rows(Getter())], lambda key, results: results[2])
        self.sessions = Sessions(gap, left_time, groups)
        self.left_key = left_key
        self.left_time = left_time
        self.right_key = right_key
        self.right_time = right_time
        self.keep_left = keep_left
        self.keep_right = keep_right

    cdef int add(self, object row) except -1:
        cdef Getter key = self.right_key if self.from_right else self.left_key
        cdef Instant time = self.right_time if self.from_right else self.left_time
        cdef int verdict = self.sessions.take_in(key.get(row), time.of(row), (self.from_right, row))
        self.held = self.sessions.held
        return verdict

    cdef object advance(self, int64_t watermark):
        self.watermark = max(self.watermark, watermark)
        due = self.sessions.advance(watermark)
        return None if due is None else self._due(due)

    cdef object finish(self):
        return self._due(self.sessions.finish())

    def _due(self, sessions):
        for rows in sessions:
            yield from _pairs(rows, self.keep_left, self.keep_right)
        self.held = self.sessions.held

    # Checkpoints.

    cdef dict saved(self):
        return self.sessions.saved()

    cdef int load(self, dict tables) except -1:
        self.sessions.load(tables)
        self.held = self.sessions.held
        return 0

    cdef object form(self):
        return f"a join in {self.sessions.form()}"

    cdef int go_back(self, int64_t watermark) except -1:
        self.watermark = self.sessions.watermark = watermark
        return 0
