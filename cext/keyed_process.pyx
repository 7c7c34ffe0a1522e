"""KeyedProcess: the head that gives a user's process its records and timers, and takes up what it makes of them.

One record or timer is in work at a time, until all that it makes has gone on: an expansion keeps its place, and so does
its key. Timers in event time fire before the mark goes on that made them due.
"""

cimport cython
from cpython.ref cimport PyObject

from cext.guard cimport FAIL, Guard
from cext.instant cimport NEVER
from cext.keyed cimport ABSENT, State
from cext.moments cimport FOREVER
from cext.partition cimport check_new
from cext.waiting cimport Waiting

from cext.operator_state import OperatorState

cdef extern from "Python.h":
    PyObject *PyIter_Next(PyObject *iterator) noexcept  # NULL at the end, and with the error set when it raised
    PyObject *PyErr_Occurred() noexcept
    void Py_DECREF(PyObject *value) noexcept


@cython.final
cdef class Tagged:
    """A record on its way to an output aside, of which `output` is the number."""

    def __cinit__(self, Py_ssize_t output, record):
        self.output = output
        self.record = record


cdef object results_of(object result):
    if isinstance(result, str):
        raise TypeError(f"wanted results in a list, or yielded, or None; got the text {result!r}")
    try:
        return iter(result)
    except TypeError:
        raise TypeError(f"wanted results in a list, or yielded, or None; got {result!r}") from None


@cython.final
cdef class KeyedProcess(Holding):
    """Runs `process`, whose class has `states`: each record and each timer becomes all that its methods iterate over.

    With `in_order` records wait until event time has passed them, and are given in its order, among the timers; those
    that come too late for that go aside, by output 0.
    """

    def __cinit__(
        self,
        str name,
        Guard guard,
        Keyed process not None,
        Getter key not None,
        Instant instant,
        tuple states not None,
        timers,
        make_timer,
        bint in_order=False,
    ):
        self.process = process
        self.on_record = process.on_record
        self.on_timer = process.on_timer
        self.make_timer = make_timer
        self.key = key
        self.instant = instant
        self.waiting = Waiting() if in_order else None
        self.target = NEVER
        process.bind(states, timers, instant is not None, guard.mode != FAIL)

    cpdef advance(self, int64_t watermark):
        self.target = max(self.target, watermark)

    cpdef finish(self, bint whole):
        if whole:
            self.ended = True
            self.reached = self.target
            self.target = FOREVER - 1

    cpdef bint drained(self):
        return self.frame is None and self.items is None and self._due() > self.target

    cpdef Py_ssize_t discard(self):
        cdef Py_ssize_t dropped = Holding.discard(self) + (0 if self.waiting is None else self.waiting.count)
        dropped += self.work == WAITED and self.what is not None
        dropped -= self.work != TIMED and self.given
        self.items = self.what = None
        self.target = NEVER
        return dropped

    cpdef int64_t deadline(self):
        cdef int64_t first = self.process.processing_timers.pending.first()
        if self.instant is None:
            first = min(first, self.process.expiring.first())
        return -1 if first == FOREVER else self.clock.look_at(first)

    cpdef list more(self, Py_ssize_t limit, int64_t now, Sideline side):
        cdef list out = []
        cdef bint worked = False
        self.out, self.limit = out, limit
        self.process.wall = max(self.process.wall, self.clock.now())
        while self._room(side) > 0 and side.failure is None:
            if self.items is not None:
                self._next(side)
            elif not self._begin(side):
                break
            worked = True
        self.out = None
        return out if worked else None

    cdef Py_ssize_t _room(self, Sideline side) except -1:
        return max(0, self.limit - len(self.out) - side.set_aside - len(side.letters))

    # What is next.

    cdef bint _begin(self, Sideline side) except -1:
        """Take what is next into work, and be done with it if it makes nothing; False: there is nothing."""
        cdef Keyed process = self.process
        if self.ended and not process.at_end and (self.waiting is None or self.waiting.count == 0):
            self._end()
        if self._due() <= self.target:
            self._take_due(side)
            return True
        process.watermark = max(process.watermark, self.target)
        if process.expiring.count and not self.ended and process.sweep(self._now()):
            return True
        if self._processing_timer(side):
            return True
        if self.frame is None or self.at == self.frame.records:
            return False
        record = self.frame.rows[self.at]
        if self.waiting is None:
            self._record(FRAMED, record, side)
        else:
            self._sort(record, side)
        return True

    cdef int64_t _now(self) noexcept:
        """What time-to-live goes by."""
        return self.process.wall if self.instant is None else self.process.watermark

    cdef int64_t _due(self) except? -1:
        """What event time must have come to for a timer, or a record that waits, to be next."""
        cdef int64_t first = self.process.event_timers.pending.first()
        return first if self.waiting is None else min(first, self.waiting.first() + 1)

    cdef int _take_due(self, Sideline side) except -1:
        """Event time goes from one to the next, whatever marks it came with."""
        cdef Keyed process = self.process
        cdef int64_t time = process.event_timers.pending.first()
        if self.waiting is not None and self.waiting.first() < time:
            process.watermark = max(process.watermark, self.waiting.first())
            return self._record(WAITED, self.waiting.take(), side)
        process.watermark = max(process.watermark, time)
        return self._timer(process.event_timers.pending.take(), time, True, process.watermark, side)

    cdef bint _processing_timer(self, Sideline side) except -1:
        cdef Keyed process = self.process
        cdef int64_t time = process.processing_timers.pending.first()
        if time > process.wall or process.at_end:
            return False
        cdef int64_t now = process.wall if self.instant is None else max(process.now, process.watermark)
        self._timer(process.processing_timers.pending.take(), time, False, now, side)
        return True

    cdef int _end(self) except -1:
        """Only timers are left: those of each key fire up to the last that it has now."""
        self.process.at_end = True
        self.process.event_timers.last = self.process.event_timers.pending.last()
        return 0

    # What becomes of it.

    cdef int _sort(self, object record, Sideline side) except -1:
        """Let a record of the frame wait for its time, if that is not over."""
        cdef int64_t moment
        self.work = FRAMED
        try:
            moment = self.instant.of(record)
        except BaseException as error:
            if self.guard.handle(record, error, side):
                self._done()
            return 0
        if moment < self.target:
            self.late += 1
            side.put_aside(0, record)
        else:
            self.waiting.add(moment, record)
        return self._done()

    cdef int _record(self, Work work, object record, Sideline side) except -1:
        cdef Keyed process = self.process
        cdef int64_t moment = NEVER, now = process.wall
        self.work, self.what = work, record
        try:
            if self.instant is not None:
                moment = self.instant.of(record)
                now = max(moment, process.watermark)
            key = self.key.get(record)
        except BaseException as error:
            if self.guard.handle(record, error, side):
                self._done()
            return 0
        return self._start(key, moment, now, side)

    cdef int _timer(self, object key, int64_t time, bint is_event_time, int64_t now, Sideline side) except -1:
        self.work, self.what = TIMED, self.make_timer(key, time, is_event_time)
        return self._start(key, time if is_event_time else self.process.watermark, now, side)

    cdef int _start(self, object key, int64_t moment, int64_t now, Sideline side) except -1:
        """Call the user's method for what is in work."""
        try:
            self.process.begin(key, moment, now)
            result = self.on_timer(self.what) if self.work == TIMED else self.on_record(self.what)
            if result is None:
                self._done()
            elif type(result) is list and len(<list>result) <= self._room(side):
                for each in <list>result:
                    self._give(each, side)
                self._done()
            else:
                self.items = results_of(result)
        except BaseException as error:
            self.process.undo()
            if self.guard.handle(self.what, error, side):
                self._done()
        return 0

    cdef int _next(self, Sideline side) except -1:
        """Take up the next result of what is in work; at the end, or when it raises, that is done with."""
        cdef PyObject *item = PyIter_Next(<PyObject *>self.items)
        if item is NULL:
            self.items = None
            if PyErr_Occurred() is NULL:
                self._done()
            elif self.guard.caught(self.what, side):
                self.process.undo()
                self._done()
            return 0
        result = <object>item
        Py_DECREF(item)
        self.given = True
        return self._give(result, side)

    cdef int _give(self, object result, Sideline side) except -1:
        if type(result) is Tagged:
            side.put_aside((<Tagged>result).output, (<Tagged>result).record)
        else:
            self.out.append(result)
        return 0

    cdef int _done(self) except -1:
        self.process.done()
        self.given = False
        self.what = None
        if self.work == FRAMED:
            self.at += 1
            self.spent += 1
        return 0

    # Checkpoints.

    cpdef object snapshot(self, int64_t checkpoint):
        cdef dict tables = self.process.saved()
        if self.waiting is not None:
            rows, times = self.waiting.saved()
            tables["waiting"] = ([self._owner(row) for row in rows], times, rows)
        tables["late"] = ([None], [self.late])  # so that of several instances one goes on counting
        reached = self.reached if self.ended else self.target
        return OperatorState(tables, {"watermark": reached, "wall": self.process.wall})

    cdef object _owner(self, object row):
        """The key of a record that waits; None where it has none, which is told of when its time comes."""
        try:
            key = self.key.get(row)
            check_new(key)
            return key
        except Exception:
            return None

    cpdef restore(self, list states):
        cdef dict tables
        self.target = self.process.watermark = min([single["watermark"] for _, single in states])
        self.process.wall = min([single["wall"] for _, single in states])
        for tables, _ in states:
            self.late += sum(tables.pop("late")[1])
            self._wait_again(tables.pop("waiting", ((), (), ())))
            self.process.load(tables)

    cdef int _wait_again(self, tuple table) except -1:
        if self.waiting is None and len(table[0]) > 0:
            raise ValueError(f"{len(table[0]):,} of its records wait for their time, and this takes them in any order")
        for time, row in zip(table[1], table[2], strict=True):
            self.waiting.add(time, row)
        return 0

    @property
    def held(self):
        """How many keys have state, and how many records wait for their time."""
        return len(self.process.rows) + (0 if self.waiting is None else self.waiting.count)

    def state(self):
        """What each key has, by the names of the states; for tests and tools."""
        cdef Keyed process = self.process
        return {
            key: {
                (<State>state).name: (<State>state).plain(cell)
                for state, cell in zip(process.states, row, strict=True)
                if cell is not ABSENT
            }
            for key, row in process.rows.items()
        }
