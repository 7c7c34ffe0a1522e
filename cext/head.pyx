"""Head: how a task turns the frames of its lanes into rows for its chain.

A task asks `more(limit)` for rows and never gets more than its outputs have credit for, so whatever can grow
(an expansion, the results of an aggregate) stands here, keeps its place, and goes on at the next call.
"""

from itertools import islice

cimport cython
from cpython.ref cimport PyObject

from cext.guard cimport FAIL

cdef extern from "Python.h":
    PyObject *PyIter_Next(PyObject *iterator) noexcept  # NULL at the end, and with the error set when it raised
    PyObject *PyErr_Occurred() noexcept
    void Py_DECREF(PyObject *value) noexcept


cdef Clock SYSTEM = Clock()


class Several(list):
    """What stands for the record of an error when any of these may be to blame."""


cdef object suspects(list rows):
    """Which of `rows` may be to blame: the only one, or several."""
    return rows[0] if len(rows) == 1 else Several(rows)


cdef class Head:
    """The base. A task takes a frame only while the head is `hungry`, and hands it over with `accept`.

    Then it calls `more` until that gives None, and `settle` each time the rows given have left the task: what
    they were made of is released there, and not before.
    """

    def __cinit__(self, str name not None, Guard guard not None, *arguments, **options):
        self.name = name
        self.guard = guard
        self.clock = SYSTEM

    def count_in(self, uint64_t records):
        """For heads written in Python: count records that `accept` took over."""
        self.records_in += records

    cpdef bint hungry(self):
        """Whether another frame may be handed over."""
        raise NotImplementedError

    cpdef accept(self, Channel lane, Frame frame, int64_t now):
        """Take over a frame of records that came from `lane`."""
        raise NotImplementedError

    cpdef list more(self, Py_ssize_t limit, int64_t now, Sideline side):
        """Up to `limit` rows that are ready; an empty list: work was done, no rows came of it; None: nothing to do."""
        raise NotImplementedError

    cpdef settle(self):
        """The rows that `more` gave have left the task: give back the credit of what they were made of."""

    cpdef bint drained(self):
        """Whether nothing is left that must leave before a mark does."""
        raise NotImplementedError

    cpdef advance(self, int64_t watermark):
        """Event time has come to `watermark`: what becomes due comes out of `more` now, before the mark goes on."""

    cpdef idle(self):
        """Nothing comes for now, and event time need not wait for what is here: that comes out of `more` now, before
        the mark that says so, where it must not be late."""

    cpdef finish(self, bint whole):
        """Every lane has ended; if all of them whole, what was kept for the end comes out of `more` now."""

    cpdef close(self, bint whole):
        """The end is on its way, and nothing more will be asked for; not `whole`: the stream was cut short."""

    cpdef str open_thread(self):
        """After `close`: the name of a thread of the head's own that has not ended yet, and that wakes the task when it
        does: the end waits for it. None: there is none."""
        return None

    cpdef Py_ssize_t discard(self):
        """Drop what the head holds, give back its credit, and return how many records that were."""
        return 0

    cpdef int64_t deadline(self):
        """When `more` should be called again though nothing comes in, monotonic ns; below 0: never."""
        return -1

    cpdef object snapshot(self, int64_t checkpoint):
        """What it knows, an OperatorState for `checkpoint`, now that it is drained; None: a new one knows as much."""
        return None

    cpdef restore(self, list states):
        """Go on from what all instances that the operator had knew, each without the keys of others; called first."""
        raise NotImplementedError(f"{type(self).__name__} {self.name!r} has no state, got {len(states)}")


cdef class Holding(Head):
    """The base of heads that work on one frame at a time."""

    cpdef bint hungry(self):
        return self.frame is None

    cpdef accept(self, Channel lane, Frame frame, int64_t now):
        self.lane = lane
        self.frame = frame
        self.at = 0
        self.spent = 0
        self.born = frame.born
        self.records_in += frame.records

    cpdef settle(self):
        if self.frame is None:
            return
        self.lane.release(self.spent)
        self.spent = 0
        if self.at == self.frame.records:
            self.frame = None

    cpdef bint drained(self):
        return self.frame is None

    cpdef Py_ssize_t discard(self):
        if self.frame is None:
            return 0
        dropped = self.frame.records - self.at
        self.spent += dropped
        self.at = self.frame.records
        self.settle()
        return dropped


@cython.final
cdef class Pass(Holding):
    """Gives the rows of its frames as they are."""

    cpdef list more(self, Py_ssize_t limit, int64_t now, Sideline side):
        if self.frame is None:
            return None
        cdef Py_ssize_t start = self.at
        self.at = min(self.frame.records, start + limit)
        self.spent += self.at - start
        if self.at - start == self.frame.records:
            return self.frame.rows
        return self.frame.rows[start:self.at]


@cython.final
cdef class Expand(Holding):
    """flat_map: each record becomes all that `function(record)` iterates over."""

    def __cinit__(self, str name, Guard guard, function):
        self.function = function

    cpdef list more(self, Py_ssize_t limit, int64_t now, Sideline side):
        if self.frame is None:
            return None
        cdef list out = []
        while len(out) + len(side.letters) < limit and self.at < self.frame.records and side.failure is None:
            if self.items is not None or self._start(side):
                self._next(out, side)
            if self.items is None and side.failure is None:
                self.at += 1
                self.spent += 1
                self.given = False
        return out

    cdef bint _start(self, Sideline side) except -1:
        """Begin the record at `at`; False if its function raised."""
        record = self.frame.rows[self.at]
        try:
            self.items = iter(self.function(record))
        except BaseException as error:
            self.guard.handle(record, error, side)
            return False
        return True

    cdef int _next(self, list out, Sideline side) except -1:
        """Append the expansion's next item; at its end, or when it raises, `items` becomes None."""
        cdef PyObject *item = PyIter_Next(<PyObject *>self.items)
        if item is not NULL:
            out.append(<object>item)
            Py_DECREF(item)
            self.given = True
            return 0
        self.items = None
        if PyErr_Occurred() is not NULL:
            self.guard.caught(self.frame.rows[self.at], side)
        return 0

    cpdef Py_ssize_t discard(self):
        self.items = None
        return Holding.discard(self) - self.given


@cython.final
cdef class Batch(Holding):
    """map_batch: up to `size` records at a time become all that `function(records)` iterates over."""

    def __cinit__(self, str name, Guard guard, function, Py_ssize_t size):
        if size < 1:
            raise ValueError(f"a batch holds at least 1 record, size={size}")
        self.function = function
        self.size = size

    cpdef list more(self, Py_ssize_t limit, int64_t now, Sideline side):
        if self.frame is None:
            return None
        cdef list out = []
        cdef list rows
        if self.items is None:
            rows = self.frame.rows[self.at:self.at + min(self.size, limit)]
            self.pending = self.kept = len(rows)
            self.items = self._call(rows, side)
        try:
            out.extend(islice(self.items, limit - len(side.letters)))
        except BaseException as error:
            self.guard.fail(suspects(self.frame.rows[self.at:self.at + self.pending]), error, side)
        self.kept = max(0, self.kept - len(out))
        if side.failure is None and len(out) < limit - len(side.letters):
            self.items = None
            self.at += self.pending
            self.spent += self.pending
            self.pending = self.kept = 0
        return out

    cdef object _call(self, list rows, Sideline side):
        """The batch's result; where a failure does not end the job, what is at fault is found record by record.

        Where it does, any of the records may be.
        """
        try:
            return iter(self.function(rows)) if self.guard.mode == FAIL else iter(list(self.function(rows)))
        except BaseException as error:
            if self.guard.mode == FAIL or not isinstance(error, Exception):
                self.guard.fail(suspects(rows), error, side)
                return iter(())
            if len(rows) == 1:
                self.kept -= self.guard.handle(rows[0], error, side)
                return iter(())
        found = []
        for row in rows:
            try:
                found.extend(self.function([row]))
            except BaseException as error:
                if not self.guard.handle(row, error, side):
                    break
                self.kept -= 1
        return iter(found)

    cpdef Py_ssize_t discard(self):
        cdef Py_ssize_t gone = self.pending - self.kept
        self.items = None
        return Holding.discard(self) - gone


cdef class Giving(Holding):
    """The base of heads that give results of their own, which may be more than there is credit for at once."""

    cdef list _results(self, Py_ssize_t limit, Sideline side):
        cdef list out = []
        try:
            out.extend(islice(self.results, limit))
        except BaseException as error:
            self.guard.fail(None, error, side)
        if len(out) < limit:
            self.results = None
        return out

    cpdef bint drained(self):
        return self.frame is None and self.results is None

    cpdef Py_ssize_t discard(self):
        self.results = None
        return Holding.discard(self)


@cython.final
cdef class Aggregate(Giving):
    """aggregate, reduce and fold: takes every record into `groups`, and gives their results at the end."""

    def __cinit__(self, str name, Guard guard, Groups groups not None):
        self.groups = groups

    cpdef list more(self, Py_ssize_t limit, int64_t now, Sideline side):
        if self.results is not None:
            return self._results(limit, side)
        if self.frame is None:
            return None
        cdef Py_ssize_t end = self.frame.records  # which leave nothing but dead letters
        cdef Groups groups = self.groups
        cdef list rows = self.frame.rows
        while self.at < end and len(side.letters) < limit:
            try:
                while self.at < end:
                    groups.add(rows[self.at])
                    self.at += 1
                    self.spent += 1
            except BaseException as error:
                if not self.guard.handle(rows[self.at], error, side):
                    break
                self.at += 1
                self.spent += 1
        return []

    cpdef finish(self, bint whole):
        if whole:
            self.ended = True
            self.results = iter(self.groups)

    cpdef object snapshot(self, int64_t checkpoint):
        return self.groups.snapshot(self.ended)

    cpdef restore(self, list states):
        self.groups.restore(states)
