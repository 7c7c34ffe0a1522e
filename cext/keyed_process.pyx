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
    """Runs `process`, whose class has `states`: each record and each timer becomes all that its methods iterate over."""

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
    ):
        self.process = process
        self.on_record = process.on_record
        self.on_timer = process.on_timer
        self.make_timer = make_timer
        self.key = key
        self.instant = instant
        self.target = NEVER
        process.bind(states, timers, instant is not None, guard.mode != FAIL)

    cpdef advance(self, int64_t watermark):
        self.target = max(self.target, watermark)

    cpdef finish(self, bint whole):
        if whole:
            self.process.at_end = True
            self.process.event_timers.last = self.process.event_timers.pending.last()
            self.target = FOREVER - 1

    cpdef bint drained(self):
        return self.frame is None and self.items is None and self.process.event_timers.pending.first() > self.target

    cpdef Py_ssize_t discard(self):
        self.items = None
        self.target = NEVER
        return Holding.discard(self) - (self.given and self.timer is None)

    cpdef int64_t deadline(self):
        cdef int64_t first = self.process.processing_timers.pending.first()
        if self.instant is None:
            first = min(first, self.process.expiring.first())
        return -1 if first == FOREVER else self.clock.look_at(first)

    cpdef list more(self, Py_ssize_t limit, int64_t now, Sideline side):
        cdef list out = []
        cdef bint worked = False
        self.process.wall = self.clock.now()
        while len(out) + side.set_aside + len(side.letters) < limit and side.failure is None:
            if self.items is not None:
                self._next(out, side)
            elif not self._begin(side):
                break
            worked = True
        return out if worked else None

    cdef bint _begin(self, Sideline side) except -1:
        """Take what is next into work, and be done with it if it makes nothing; False: there is nothing."""
        cdef Keyed process = self.process
        if self._event_timer(side):
            return True
        if process.watermark < self.target:
            process.watermark = self.target
        if process.expiring.count and process.sweep(process.wall if self.instant is None else process.watermark):
            return True
        if self._processing_timer(side):
            return True
        if self.frame is None or self.at == self.frame.records:
            return False
        self._record(side)
        return True

    cdef bint _event_timer(self, Sideline side) except -1:
        """Event time goes from timer to timer, whatever marks it came with."""
        cdef Keyed process = self.process
        cdef int64_t time = process.event_timers.pending.first()
        if time > self.target:
            return False
        key = process.event_timers.pending.take()
        process.watermark = max(process.watermark, time)
        self.timer = self.make_timer(key, time, True)
        self._start(key, time, process.watermark, self.timer, side)
        return True

    cdef bint _processing_timer(self, Sideline side) except -1:
        cdef Keyed process = self.process
        cdef int64_t time = process.processing_timers.pending.first()
        if time > process.wall or process.at_end:
            return False
        key = process.processing_timers.pending.take()
        self.timer = self.make_timer(key, time, False)
        now = process.wall if self.instant is None else max(process.now, process.watermark)
        self._start(key, process.watermark, now, self.timer, side)
        return True

    cdef int _record(self, Sideline side) except -1:
        cdef Keyed process = self.process
        cdef int64_t moment = NEVER, now = process.wall
        record = self.frame.rows[self.at]
        self.timer = None
        try:
            if self.instant is not None:
                moment = self.instant.of(record)
                now = max(moment, process.watermark)
            key = self.key.get(record)
        except BaseException as error:
            if self.guard.handle(record, error, side):
                self._done()
            return 0
        return self._start(key, moment, now, record, side)

    cdef int _start(self, object key, int64_t moment, int64_t now, object what, Sideline side) except -1:
        """Call the user's method for `what`."""
        try:
            self.process.begin(key, moment, now)
            result = self.on_record(what) if self.timer is None else self.on_timer(what)
            if result is None:
                self._done()
            else:
                self.items = results_of(result)
        except BaseException as error:
            self.process.undo()
            if self.guard.handle(what, error, side):
                self._done()
        return 0

    cdef int _next(self, list out, Sideline side) except -1:
        """Take up the next result of what is in work; at the end, or when it raises, that is done with."""
        cdef PyObject *item = PyIter_Next(<PyObject *>self.items)
        if item is NULL:
            self.items = None
            if PyErr_Occurred() is NULL:
                return self._done()
            return self._raised(side)
        result = <object>item
        Py_DECREF(item)
        if type(result) is Tagged:
            side.put_aside((<Tagged>result).output, (<Tagged>result).record)
        else:
            out.append(result)
        self.given = True
        return 0

    cdef int _raised(self, Sideline side) except -1:
        if self.guard.caught(self.timer if self.timer is not None else self.frame.rows[self.at], side):
            self.process.undo()
            self._done()
        return 0

    cdef int _done(self) except -1:
        self.process.done()
        self.given = False
        if self.timer is None:
            self.at += 1
            self.spent += 1
        self.timer = None
        return 0

    @property
    def held(self):
        """How many keys have state."""
        return len(self.process.rows)

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
