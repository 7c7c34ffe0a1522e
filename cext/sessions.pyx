"""Sessions: windows that last as long as the records of a key are close together.

A session goes from its first record to `gap` after its last one. A record belongs to it that is up to `gap` before the
first or after the last, which included; one that does so to two makes one of them.
"""

from heapq import heappop, heappush

cimport cython
from cpython.ref cimport PyObject

from cext.column cimport Column
from cext.partition cimport find
from cext.windowed cimport FOREVER, LATE, READY, TAKEN


@cython.final
cdef class Session:
    """One session of a key."""


cdef int64_t begin_of(Session session) noexcept:
    return session.first


@cython.final
cdef class Sessions(Windows):
    """Sessions with `gap` ms of silence between them.

    `instant`: takes the time out of a record; `groups`: has the key and the aggregates; `bound(ms)`: a bound as results
    show it; `lateness`: how long after its end a session still grows, which gives its result anew, ms.
    """

    def __cinit__(
        self, int64_t gap, Instant instant not None, Groups groups not None, bound=int, int64_t lateness=0
    ):
        if gap < 1:
            raise ValueError(f"the gap between sessions is at least 1 ms, not {gap}")
        self.gap = gap
        self.instant = instant
        self.groups = groups
        self.bound = bound
        self.lateness = lateness
        self.sessions = {}
        self.due = []

    def __len__(self):
        """How many sessions there are, a measure of what is kept."""
        return len(self.groups)

    cdef int add(self, object row) except -1:
        cdef int64_t time = self.instant.of(row)
        return self.take_in(self.groups.key.get(row), time, row)

    cdef int take_in(self, object key, int64_t time, object row) except -1:
        """The same, of a record with this key and this time."""
        cdef Session session
        cdef PyObject *known = find(self.sessions, key)
        cdef list mine = [] if known is NULL else <list><object>known
        cdef list near = [each for each in mine if self._is_near(each, time)]
        if near:
            session = self._grow(mine, near, time, row)
        elif self._over(time) + self.lateness <= self.watermark:
            return LATE
        else:
            session = self._begin(key, time, row)
            mine.append(session)
            self.sessions[key] = mine
        session.records += 1
        self.held += 1
        if self._over(session.last) > self.watermark:
            session.given = False
            return TAKEN
        self.changed = session  # it is late, but may still be told of
        return READY

    cdef bint _is_near(self, Session session, int64_t time) noexcept:
        return session.first - self.gap <= time <= session.last + self.gap

    cdef int64_t _over(self, int64_t last) noexcept:
        """The event time at which nothing more can join a session whose last record is at `last`."""
        return last + self.gap + 1

    cdef Session _begin(self, object key, int64_t time, object row):
        cdef Session session = Session.__new__(Session)
        session.key = key
        session.first = session.last = time
        cdef Py_ssize_t slot = self.groups._slot(session)
        try:
            self.groups._add_columns(slot, row)
        except BaseException:
            self.groups.forget(session)
            raise
        self._await(session, self._over(time))
        return session

    cdef Session _grow(self, list mine, list near, int64_t time, object row):
        """Take `row` into the sessions that are `near`, which become one."""
        cdef Session session = near[0]
        cdef Py_ssize_t slot = self.groups.slots[session]
        cdef int64_t end = session.last
        self.groups._add_columns(slot, row)
        if len(near) > 1:
            try:
                session = self._joined(mine, near)
            except BaseException:
                self.groups._take_back(session, slot, False)
                raise
        session.first = min(session.first, time)
        session.last = max(session.last, time)
        if session.given and session.last > end:
            self._await(session, self._over(session.last))
        return session

    cdef Session _joined(self, list mine, list near):
        """One session of all that are `near`, or, where that raises, none."""
        cdef Session whole = Session.__new__(Session), each
        near.sort(key=begin_of)
        whole.key = (<Session>near[0]).key
        whole.first = (<Session>near[0]).first
        whole.last = max([(<Session>each).last for each in near])
        whole.records = sum([(<Session>each).records for each in near])
        cdef Py_ssize_t i, slot = self.groups._slot(whole)
        try:
            for each in near:
                for i in range(len(self.groups.columns)):
                    (<Column>self.groups.columns[i]).combine(
                        slot, <Column>self.groups.columns[i], self.groups.slots[each]
                    )
        except BaseException:
            self.groups.forget(whole)
            raise
        for each in near:
            mine.remove(each)
            self._drop(each)
        self.held += whole.records
        mine.append(whole)
        self._await(whole, self._over(whole.last))
        return whole

    # Results.

    cdef object advance(self, int64_t watermark):
        if watermark <= self.watermark:
            return None
        self.watermark = watermark
        return self._due() if self.due and (<tuple>self.due[0])[0] <= watermark else None

    cdef object finish(self):
        self.watermark = FOREVER
        return self._due()

    def _due(self):
        cdef Session session
        cdef int64_t over
        while self.due and (<tuple>self.due[0])[0] <= self.watermark:
            _, _, session = heappop(self.due)
            over = self._over(session.last)
            if session.over:
                continue
            if over > self.watermark:  # it has grown
                self._await(session, over)
                continue
            if not session.given:
                yield self._result(session)
                session.given = True
            if over + self.lateness > self.watermark:
                self._await(session, over + self.lateness)
            else:
                self._forget(session)

    cdef int64_t next_due(self) noexcept:
        return (<tuple>self.due[0])[0] if self.due else FOREVER

    cdef object ready(self):
        """The result of a session that ended, and was given, with the late record in it."""
        self.changed.given = True
        return iter([self._result(self.changed)])

    cdef object _result(self, Session session):
        self.groups.window = [self.bound(session.first), self.bound(session.last + self.gap)]
        return self.groups.record(session.key, self.groups.slots[session])

    # Checkpoints.

    cdef dict saved(self):
        cdef list keys = [], first = [], last = [], records = [], given = []
        cdef Session session
        sessions, *columns = self.groups.saved()
        for session in sessions:
            keys.append(session.key)
            first.append(session.first)
            last.append(session.last)
            records.append(session.records)
            given.append(session.given)
        return {"sessions": (keys, first, last, records, given, *columns)}

    cdef int load(self, dict tables) except -1:
        keys, first, last, records, given, *columns = tables["sessions"]
        cdef list sessions = []
        cdef Session session
        for key, since, until, many, was_given in zip(keys, first, last, records, given, strict=True):
            session = Session.__new__(Session)
            session.key, session.first, session.last = key, since, until
            session.records, session.given = many, was_given
            sessions.append(session)
            self.sessions.setdefault(key, []).append(session)
            self.held += session.records
            self._await(session, self._over(session.last) + (self.lateness if session.given else 0))
        return self.groups.load((sessions, *columns))

    cdef object form(self):
        return f"sessions that are {self.gap} ms apart: {self.groups.form()}"

    cdef int _await(self, Session session, int64_t when) except -1:
        """Look at `session` when event time has come to `when`."""
        self.count += 1
        heappush(self.due, (when, self.count, session))
        return 0

    cdef int _forget(self, Session session) except -1:
        cdef list mine = self.sessions[session.key]
        mine.remove(session)
        if not mine:
            del self.sessions[session.key]
        return self._drop(session)

    cdef int _drop(self, Session session) except -1:
        session.over = True
        self.held -= session.records
        return self.groups.forget(session)
