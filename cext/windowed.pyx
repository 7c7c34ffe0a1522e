"""Windowed: the head that takes records into windows and gives what these come to once event time has passed them."""

from cext.groups cimport check_form
from cext.guard cimport Guard
from cext.instant cimport NEVER

from cext.operator_state import OperatorState


cdef class Windows:
    """The base: what is known of the windows of every key.

    `add` takes a record in whole or, where it raises, not at all. Results come as iterators, for there may be more of
    them than there is credit for; nothing is added before the last one is at its end.
    """

    def __cinit__(self, *arguments, **options):
        self.watermark = NEVER

    cdef int add(self, object row) except -1:
        """A Verdict."""
        raise NotImplementedError

    cdef object ready(self):
        """The results that the last record has made due."""
        raise NotImplementedError

    cdef object advance(self, int64_t watermark):
        """Event time has come to `watermark`: the results that this makes due; None: there are none."""
        raise NotImplementedError

    cdef object tick(self, int64_t time):
        """Processing time has come to `time`: the results that this makes due; None: there are none."""
        return None

    cdef int64_t next_due(self) noexcept:
        """When results come due next, in processing time; FOREVER: that makes none due."""
        return FOREVER

    cdef object finish(self):
        """Nothing more comes: all results that were not given."""
        raise NotImplementedError

    # Checkpoints.

    cdef dict saved(self):
        """What is known of keys, as tables of an OperatorState."""
        raise NotImplementedError

    cdef int load(self, dict tables) except -1:
        """Know what was saved; called for each of several that know of different keys."""
        raise NotImplementedError

    cdef object form(self):
        """A plain value: what was saved can only be loaded where that is the same."""
        raise NotImplementedError

    cpdef object snapshot(self):
        """All that is known, when no result that is due is still to be given."""
        reached = self.watermark if self.reached is None else self.reached
        return OperatorState(self.saved(), {"form": self.form(), "watermark": reached})

    cpdef restore(self, list states):
        """Know what several snapshots know of different keys, and be no further in time than any."""
        self.go_back(min([single["watermark"] for _, single in states]))
        for tables, single in states:
            check_form(single["form"], self.form())
            self.load(tables)

    cdef int go_back(self, int64_t watermark) except -1:
        """Event time has come to `watermark`, when nothing is known yet."""
        self.watermark = watermark
        return 0

    # For tests and tools that drive windows by hand.

    def put(self, row):
        """Take `row` in and return the results that it makes due; None if it is too late."""
        verdict = self.add(row)
        return None if verdict == LATE else list(self.ready()) if verdict == READY else []

    def pass_on(self, int64_t watermark):
        """The results that become due at `watermark`."""
        return list(self.advance(watermark) or ())

    def look(self, int64_t time):
        """The results that processing time makes due as it comes to `time`."""
        return list(self.tick(time) or ())

    def end(self):
        """The results that were not given."""
        self.reached = self.watermark
        return list(self.finish())


cdef class Windowed(Giving):
    """Takes every record into `windows`, and gives their results as they become due, within credit.

    With `arrival`, which is what tells `windows` the time of a record, they go by processing time: the time of whatever
    comes is that at which it is taken in. So none is late, and event time makes nothing due.
    """

    def __cinit__(self, str name, Guard guard, Windows windows not None, Arrival arrival=None):
        self.windows = windows
        self.arrival = arrival
        self.by_clock = arrival is not None or windows.by_clock
        self.time = NEVER

    cpdef bint hungry(self):
        return self.frame is None and self.results is None

    cpdef advance(self, int64_t watermark):
        if self.arrival is None:
            self.results = self.windows.advance(watermark)

    cdef object _tick(self):
        """The results that processing time has made due; None: there are none."""
        cdef int64_t time = self.clock.now()
        if time <= self.time:  # or it was put back
            return None
        self.time = time
        if self.arrival is None:
            return self.windows.tick(time)
        self.arrival.time = time
        return self.windows.advance(time)

    cpdef int64_t deadline(self):
        if not self.by_clock:
            return -1
        cdef int64_t due = self.windows.next_due()
        return -1 if due == FOREVER else self.clock.look_at(due)

    cpdef list more(self, Py_ssize_t limit, int64_t now, Sideline side):
        if self.by_clock and self.results is None:
            self.results = self._tick()
        if self.results is not None:
            return self._results(limit, side)
        if self.frame is None:
            return None
        cdef Py_ssize_t end = self.frame.records  # most records leave nothing, so these need no credit
        cdef list out = [], rows = self.frame.rows
        cdef Windows windows = self.windows
        cdef int verdict = TAKEN
        while self.at < end and len(out) + side.set_aside + len(side.letters) < limit and self.results is None:
            try:
                while self.at < end:
                    verdict = windows.add(rows[self.at])
                    if verdict != TAKEN:
                        break
                    self.at += 1
                    self.spent += 1
            except BaseException as error:
                if not self.guard.handle(rows[self.at], error, side):
                    break
                verdict = TAKEN
            if self.at == end:
                break
            if verdict == LATE:
                self.late += 1
                side.put_aside(0, rows[self.at])
            self.at += 1
            self.spent += 1
            if verdict == READY:
                self.results = windows.ready()
                out += self._results(limit - len(out), side)
        return out

    cpdef finish(self, bint whole):
        self.windows.reached = self.windows.watermark
        self.results = self.windows.finish() if whole else None

    cpdef object snapshot(self, int64_t checkpoint):
        state = self.windows.snapshot()
        state.tables["late"] = ([None], [self.late])  # so that of several instances one goes on counting
        state.single["time"] = self.time
        return state

    cpdef restore(self, list states):
        self.windows.restore(states)
        self.late = sum([sum(tables.get("late", ((), ()))[1]) for tables, _ in states])
        self.time = min([single.get("time", <int64_t>NEVER) for _, single in states])
        if self.arrival is not None:
            self.arrival.time = self.time
