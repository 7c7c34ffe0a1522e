"""Triggered: one window a key, without an end, whose result is given now and again, as triggers say."""

cimport cython
from cpython.ref cimport PyObject

from cext.instant cimport NEVER, floor_div
from cext.partition cimport find
from cext.windowed cimport FOREVER, READY, TAKEN


@cython.final
cdef class Tally:
    """How many records a key had."""


cdef bint passes(int64_t before, int64_t now, int64_t every) noexcept:
    """Whether there is a multiple of `every` after `before` and not after `now`."""
    return every > 0 and now > before and (before == NEVER or floor_div(now, every) > floor_div(before, every))


@cython.final
cdef class Triggered(Windows):
    """Gives a key's result whenever one of these says so, and at the end what was not given.

    `records`: after so many records of the key; `when(record)`: after a record for which it is true; `every` and
    `clock_every`: for all keys with something new, each time that event time, or processing time, passes a multiple of
    so many ms. 0 and None: never. `purge`: a key begins anew then. Bounds are numbers of the key's records, from 0.
    """

    def __cinit__(
        self,
        Groups groups not None,
        int64_t records=0,
        int64_t every=0,
        int64_t clock_every=0,
        when=None,
        bint purge=False,
    ):
        if min(records, every, clock_every) < 0:
            raise ValueError(f"results are given every {records} records, {every} ms, {clock_every} ms: not below 0")
        self.groups = groups
        self.records = records
        self.every = every
        self.clock_every = clock_every
        self.when = when
        self.purge = purge
        self.by_clock = clock_every > 0
        self.time = NEVER
        self.tallies = {}
        self.changed = {}

    cdef int add(self, object row) except -1:
        key = self.groups.key.get(row)
        cdef bint fires = self.when is not None and self.when(row)  # it may raise: before anything is taken in
        self.groups._take_in(key, row)
        cdef PyObject *known = find(self.tallies, key)
        cdef Tally tally
        if known is NULL:
            tally = self.tallies[key] = Tally.__new__(Tally)
        else:
            tally = <Tally><object>known
        tally.records += 1
        tally.fresh += 1
        self.held += 1
        if fires or tally.fresh == self.records:
            self.fired = key
            return READY
        if tally.fresh == 1:
            self.changed[key] = tally
        return TAKEN

    # Results.

    cdef object ready(self):
        return iter([self._give(self.fired, self.tallies[self.fired])])

    cdef object advance(self, int64_t watermark):
        cdef bint is_due = passes(self.watermark, watermark, self.every)
        self.watermark = max(self.watermark, watermark)
        return self._all() if is_due and self.changed else None

    cdef object tick(self, int64_t time):
        cdef bint is_due = passes(self.time, time, self.clock_every)
        self.time = max(self.time, time)
        return self._all() if is_due and self.changed else None

    cdef int64_t next_due(self) noexcept:
        return (floor_div(self.time, self.clock_every) + 1) * self.clock_every if self.changed else FOREVER

    cdef object finish(self):
        return self._all()

    def _all(self):
        """The results of all keys that have something new."""
        for key, tally in list(self.changed.items()):
            yield self._give(key, tally)

    cdef object _give(self, object key, Tally tally):
        self.groups.window = [tally.records - tally.fresh if self.purge else 0, tally.records]
        result = self.groups.record(key, self.groups.slots[key])
        self.held -= tally.fresh
        tally.fresh = 0
        self.changed.pop(key, None)
        if self.purge:
            self.groups.forget(key)
        return result

    # Checkpoints.

    cdef dict saved(self):
        cdef list records = [], fresh = []
        cdef Tally tally
        for tally in self.tallies.values():
            records.append(tally.records)
            fresh.append(tally.fresh)
        return {"tallies": (list(self.tallies), records, fresh), "groups": self.groups.saved()}

    cdef int load(self, dict tables) except -1:
        cdef Tally tally
        for key, records, fresh in zip(*tables["tallies"], strict=True):
            tally = self.tallies[key] = Tally.__new__(Tally)
            tally.records, tally.fresh = records, fresh
            self.held += tally.fresh
            if tally.fresh:
                self.changed[key] = tally
        return self.groups.load(tables["groups"])

    cdef object form(self):
        return f"one window: {self.groups.form()}"

    cpdef object snapshot(self):
        state = Windows.snapshot(self)
        state.single["clock"] = self.time
        return state

    cpdef restore(self, list states):
        Windows.restore(self, states)
        self.time = min([single["clock"] for _, single in states])
