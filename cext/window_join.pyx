"""WindowJoin: pairs of records of two inputs that have a key and a window in common.

Each input has panes of its own, which keep its records by key. A window that is due is that of both; its pairs are made
one by one as there is credit for them, so what many records of one key come to is never in memory at once.
"""

cimport cython
from cpython.ref cimport PyObject
from libc.stdint cimport int64_t

from cext.groups cimport Groups
from cext.panes cimport Pane
from cext.partition cimport PyDict_GetItemWithError
from cext.windowed cimport FOREVER, READY


@cython.final
cdef class Rows(Objects):
    """All records of a key, None too, in a list that others may read and not change."""

    cdef int add(self, Py_ssize_t slot, object value) except -1:
        if self.states[slot] is None:
            self.states[slot] = []
        (<list>self.states[slot]).append(value)
        return 0

    cdef int undo(self, Py_ssize_t slot) except -1:
        (<list>self.states[slot]).pop()
        return 0

    cdef object _own(self, object state):
        return list(state)

    cdef object _combined(self, object state, object other):
        (<list>state).extend(other)
        return state


cdef list rows_of(Groups groups, object key):
    """The records of `key`, or None; `groups` may be None."""
    if groups is None:
        return None
    cdef PyObject *slot = PyDict_GetItemWithError(groups.slots, key)  # the other input has seen that it can be a key
    return None if slot is NULL else (<Objects>groups.columns[0]).states[<object>slot]


def _pairs(Groups left, Groups right, bint keep_left, bint keep_right):
    """All pairs of one window; either may be None."""
    cdef list mine, others
    if left is not None:
        for key in left.slots:
            mine, others = rows_of(left, key), rows_of(right, key)
            if others is not None:
                for row in mine:
                    for other in others:
                        yield row, other
            elif keep_left:
                for row in mine:
                    yield row, None
    if right is not None and keep_right:
        for key in right.slots:
            if rows_of(left, key) is None:
                for row in rows_of(right, key):
                    yield None, row


@cython.final
cdef class WindowJoin(Joins):
    """Joins `left` and `right`, panes of the same windows whose groups have one column each: Rows of whole records.

    `keep_left`, `keep_right`: whether a record without a partner makes a pair with None in the other's place. Not where
    the panes have lateness: a late record cannot take back a pair with None that was given.
    """

    def __cinit__(self, Panes left not None, Panes right not None, bint keep_left=False, bint keep_right=False):
        if (keep_left or keep_right) and max(left.lateness, right.lateness) > 0:
            raise ValueError("an outer join has no allowed lateness")
        self.left = left
        self.right = right
        self.keep_left = keep_left
        self.keep_right = keep_right

    cdef int add(self, object row) except -1:
        cdef Panes mine = self.right if self.from_right else self.left
        cdef int verdict = mine.add(row)
        if verdict == READY:
            self.row = row
        self.held = self.left.held + self.right.held
        return verdict

    cdef object ready(self):
        cdef Panes mine = self.right if self.from_right else self.left
        row, self.row = self.row, None
        return self._anew(mine, self.left if self.from_right else self.right, row)

    def _anew(self, Panes mine, Panes others, row):
        """The pairs of a late record in those of its windows that were given."""
        cdef Pane pane
        cdef list partners
        for window in mine.given_anew():
            for index in range(window * mine.step, window * mine.step + mine.width):
                pane = others.panes.get(index)
                partners = None if pane is None else rows_of(pane.groups, mine.changed)
                for other in partners or ():
                    yield (other, row) if self.from_right else (row, other)

    cdef object advance(self, int64_t watermark):
        if watermark <= self.watermark:
            return None
        self.watermark = self.left.watermark = self.right.watermark = watermark
        if self.left.first_due() is not None or self.right.first_due() is not None:
            return self._due()
        self._close()
        return None

    cdef object finish(self):
        self.watermark = self.left.watermark = self.right.watermark = FOREVER
        return self._due()

    def _due(self):
        window = self._take_due()
        while window is not None:
            left, right = self.left.of_window(window), self.right.of_window(window)
            yield from _pairs(left, right, self.keep_left, self.keep_right)
            window = self._take_due()
        self._close()

    cdef object _take_due(self):
        """The first window that is due, which no longer is then; None: there is none."""
        cdef tuple mine = self.left.first_due(), other = self.right.first_due()
        cdef tuple first = other if mine is None or (other is not None and other < mine) else mine
        if first is None:
            return None
        self.left.take_due(first)
        self.right.take_due(first)
        return first[1]

    cdef int _close(self) except -1:
        self.left.close()
        self.right.close()
        self.held = self.left.held + self.right.held
        return 0

    # Checkpoints.

    cdef dict saved(self):
        return {"left": self.left.table(), "right": self.right.table()}

    cdef int load(self, dict tables) except -1:
        self.left.load_table(tables["left"])
        self.right.load_table(tables["right"])
        self.held = self.left.held + self.right.held
        return 0

    cdef object form(self):
        return f"a join in {self.left.form()}"

    cdef int go_back(self, int64_t watermark) except -1:
        self.watermark = self.left.watermark = self.right.watermark = watermark
        return 0
