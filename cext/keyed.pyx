"""Keyed: what a user's process has of the key in work, its state, its times and its timers.

The state of all keys is plain: a dict of rows, one for each key that has any, with a place for each state of the class.
Whoever is in work sees its own row only.
"""

from cpython.ref cimport PyObject

from cext.instant cimport NEVER
from cext.partition cimport find

cdef object ABSENT = object()
cdef int SWEPT = 256  # cells that are looked at in one go


cdef class Undoable:
    """The base of what notes its changes in a journal, each a tuple that begins with itself."""

    cdef int take_back(self, tuple change) except -1:
        raise NotImplementedError


cdef class Timers(Undoable):
    """The timers of a process in event time or in processing time: at most one for each key and time."""

    def __cinit__(self, Keyed owner not None, bint in_event_time):
        self.owner = owner
        self.in_event_time = in_event_time
        self.pending = Moments()

    cdef int _check(self) except -1:
        if not self.owner.in_work:
            raise RuntimeError("a timer belongs to a key: set it in on_record or on_timer")
        if self.in_event_time and not self.owner.has_time:
            raise RuntimeError(
                "these records have no event time: write .event_time(...) before key_by, or use processing_timers"
            )
        return 0

    def set_at(self, int64_t time):
        """Set one at `time`, ms since the epoch, unless there is one, or the stream has ended and it would not fire."""
        self._check()
        key = self.owner.key
        if self.last is not None and (key not in self.last or time > <int64_t>self.last[key]):
            return time
        if self.pending.add(time, key) and self.owner.journal is not None:
            self.owner.journal.append((self, time, key, False))
        return time

    def cancel_at(self, int64_t time):
        """Let the one at `time` not fire; whether there was one."""
        self._check()
        key = self.owner.key
        if not self.pending.remove(time, key):
            return False
        if self.owner.journal is not None:
            self.owner.journal.append((self, time, key, True))
        return True

    def base(self):
        """The time here: of the record or timer in work, or now."""
        self._check()
        return self.owner.moment if self.in_event_time else self.owner.wall

    cdef int take_back(self, tuple change) except -1:
        _, time, key, was_there = change
        if was_there:
            self.pending.add(time, key)
        else:
            self.pending.remove(time, key)
        return 0


cdef class State(Undoable):
    """The base of what a process may keep for each key, as attributes of its class."""

    cdef object make_view(self, Keyed owner):
        """What stands for the state of the key in work, whichever that is; None: its value itself does."""
        return None

    cdef object plain(self, object cell):
        """What a cell holds, as plain objects."""
        return cell

    cdef int replaced(self, Keyed owner, object old, object new) except -1:
        """The key in work had the cell `old` and has `new`, of which at most one is not ABSENT."""
        return 0

    cdef bint keep(self, Keyed owner, object key, object cell, int64_t now) except -1:
        """Let go of what is over, and see to it that the rest is looked at again; False: nothing is left."""
        return True

    cpdef str title(self):
        """What checkpoints call it."""
        raise NotImplementedError

    cdef tuple saved(self, dict rows):
        """What keys have of it, as a table of an OperatorState."""
        raise NotImplementedError

    cdef int load(self, Keyed owner, tuple table) except -1:
        """Let the keys of `owner` have what was saved."""
        raise NotImplementedError


cdef class Keyed(Undoable):
    """The base of users' processes. Its head makes it work with `bind`, and says what is in work."""

    def __cinit__(self, *arguments, **options):
        self.watermark = NEVER
        self.now = NEVER

    cdef int bind(self, tuple states, object timers, bint has_time, bint undoes) except -1:
        """`states`: those of its class; `undoes`: whether what a failed record or timer changed is taken back."""
        self.states = states
        self.views = [(<State>state).make_view(self) for state in states]
        self.has_time = has_time
        self.event_timers = timers(self, True)
        self.processing_timers = timers(self, False)
        self.rows = {}
        self.expiring = Moments()
        self.journal = [] if undoes else None
        return 0

    @property
    def time(self):
        """The event time of the record or timer in work, ms since the epoch; of one by the clock the watermark."""
        if not self.has_time:
            raise RuntimeError("these records have no event time: write .event_time(...) before key_by")
        return self.moment

    @property
    def now(self):
        """Processing time, ms since the epoch."""
        return self.wall

    @property
    def is_late(self):
        """Whether the record in work came after event time had passed its own."""
        return self.has_time and self.moment < self.watermark

    # For its head.

    cdef int begin(self, object key, int64_t moment, int64_t now) except -1:
        """From here on this key is in work; raise where it cannot be one."""
        cdef PyObject *known = find(self.rows, key)
        self.row = None if known is NULL else <list><object>known
        self.key = key
        self.moment = moment
        self.now = now
        self.in_work = True
        return 0

    cdef int done(self) except -1:
        """What was in work is done with."""
        if self.emptied:
            self.emptied = False
            if self.row is not None and is_empty(self.row):
                self.rows.pop(self.key, None)
        self.row = None
        self.in_work = False
        if self.journal:
            self.journal.clear()
        return 0

    cdef int undo(self) except -1:
        """Take back all that was changed since `begin`, if that is wanted."""
        cdef list journal = self.journal
        if not journal:
            return 0
        self.journal = None  # what takes back changes notes none
        self.emptied = True
        for change in reversed(journal):
            (<Undoable>(<tuple>change)[0]).take_back(change)
        journal.clear()
        self.journal = journal
        return 0

    # For its states.

    cdef object cell(self, Py_ssize_t at):
        """What the key in work has of the state `at`, or ABSENT."""
        if self.row is not None:
            return self.row[at]
        if not self.in_work:
            raise RuntimeError("state belongs to a key: read and write it in on_record or on_timer")
        return ABSENT

    cdef int put(self, Py_ssize_t at, object cell) except -1:
        """... has `cell` from here on; a cell that may be over takes no other's place."""
        if self.row is None:
            if not self.in_work:
                raise RuntimeError("state belongs to a key: read and write it in on_record or on_timer")
            if cell is ABSENT:
                return 0
            self.row = self.rows[self.key] = [ABSENT] * len(self.states)
        if self.journal is not None:
            self.journal.append((self, at, self.row[at]))
        if cell is ABSENT:
            self.emptied = True
        return self.place(at, cell)

    cdef int place(self, Py_ssize_t at, object cell) except -1:
        cdef State state = self.states[at]
        if state.ttl:
            state.replaced(self, self.row[at], cell)
        self.row[at] = cell
        return 0

    cdef int take_back(self, tuple change) except -1:
        return self.place(change[1], change[2])

    cdef bint sweep(self, int64_t now) except -1:
        """Let go of some of what is over at `now`; False: nothing more is."""
        cdef int left = SWEPT
        cdef list row
        cdef State state
        while self.expiring.first() <= now:
            if left == 0:
                return True
            left -= 1
            key, at = self.expiring.take()
            row = self.rows.get(key)
            if row is None or row[at] is ABSENT:
                continue
            state = self.states[at]
            if not state.keep(self, key, row[at], now):
                row[at] = ABSENT
                if is_empty(row):
                    del self.rows[key]
        return False

    # For checkpoints.

    cdef dict saved(self):
        tables = {
            "event timers": self.event_timers.pending.saved(),
            "processing timers": self.processing_timers.pending.saved(),
        }
        cdef State state
        for state in self.states:
            tables[state.title()] = state.saved(self.rows)
        return tables

    cdef int load(self, dict tables) except -1:
        """Know what was saved of keys that are not known, and forget in time what ages."""
        cdef State state
        cdef dict states = {state.title(): state for state in self.states}
        for name, table in tables.items():
            if name == "event timers":
                self.event_timers.pending.load(table)
            elif name == "processing timers":
                self.processing_timers.pending.load(table)
            elif name in states:
                state = states[name]
                state.load(self, table)
            elif len(table[0]) > 0:
                raise ValueError(f"it has the {name!r} of {len(table[0]):,} keys, for which the process has no place")
        return 0

    cdef int give(self, object key, Py_ssize_t at, object cell) except -1:
        """Let `key` have `cell`, whichever is in work."""
        cdef list row = self.rows.get(key)
        if row is None:
            row = self.rows[key] = [ABSENT] * len(self.states)
        row[at] = cell
        return 0


cdef bint is_empty(list row) except -1:
    for cell in row:
        if cell is not ABSENT:
            return False
    return True
