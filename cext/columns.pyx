"""Columns: the native aggregates.

A value of None is no value, as in SQL: `Count` without a field counts every record, all others pass over None.
"""

from array import array

cimport cython
from cpython cimport array as arrays
from cpython.mem cimport PyMem_Free, PyMem_Realloc

from libc.string cimport memcpy

from cext.getter cimport WHOLE

cdef arrays.array INTEGERS = array("q")
cdef object UNSEEN = object()  # a user's state may be None


@cython.final
cdef class Count(Column):
    """How many records; with a field or function: how many for which it is not None."""

    def __dealloc__(self):
        PyMem_Free(self.counts)

    cdef int add_slot(self) except -1:
        cdef int64_t *larger
        if self.size == self.room:
            larger = <int64_t *>PyMem_Realloc(self.counts, (2 * self.room + 64) * sizeof(int64_t))
            if larger is NULL:
                raise MemoryError(f"no memory for {2 * self.room + 64} keys")
            self.counts = larger
            self.room = 2 * self.room + 64
        self.counts[self.size] = 0
        self.size += 1
        return 0

    cdef int clear(self, Py_ssize_t slot) except -1:
        self.counts[slot] = 0
        return 0

    cdef int add(self, Py_ssize_t slot, object value) except -1:
        self.counted = value is not None or self.value.how == WHOLE
        self.counts[slot] += self.counted
        return 0

    cdef int undo(self, Py_ssize_t slot) except -1:
        self.counts[slot] -= self.counted
        return 0

    cdef int combine(self, Py_ssize_t slot, Column other, Py_ssize_t theirs) except -1:
        self.counts[slot] += (<Count>other).counts[theirs]
        return 0

    cdef object state(self, Py_ssize_t slot):
        return self.counts[slot]

    cdef object joined(self, Py_ssize_t slot, object state):
        return state

    cdef int keep(self, Py_ssize_t slot, object joined) except -1:
        self.counts[slot] += <int64_t>joined
        return 0

    cdef object result(self, Py_ssize_t slot):
        return self.counts[slot]

    cdef object saved(self, slots):
        cdef arrays.array found = arrays.clone(INTEGERS, self.size if slots is None else len(slots), False)
        cdef Py_ssize_t at = 0, slot
        if slots is None:
            memcpy(found.data.as_voidptr, self.counts, self.size * sizeof(int64_t))
            return found
        for slot in slots:
            found.data.as_longlongs[at] = self.counts[slot]
            at += 1
        return found

    cdef int load(self, list states) except -1:
        cdef int64_t count
        for count in states:
            self.add_slot()
            self.counts[self.size - 1] = count
        return 0


@cython.final
cdef class Sum(Objects):
    """The sum of all values, by `+`; None without any. A bool counts as the int that it is."""

    cdef object _with_value(self, object state, object value):
        if isinstance(value, (str, bytes)):
            raise TypeError(f"wanted a number to sum, got {value!r}")
        if state is None:
            return int(value) if isinstance(value, bool) else value
        return state + value


@cython.final
cdef class Least(Objects):
    """The smallest value; None without any, NaN once there was one."""

    cdef object _with_value(self, object state, object value):
        return value if state is None or value < state or value != value else state


@cython.final
cdef class Greatest(Objects):
    """The largest value; None without any, NaN once there was one."""

    cdef object _with_value(self, object state, object value):
        return value if state is None or value > state or value != value else state


@cython.final
cdef class Mean(Objects):
    """The mean of all values; None without any. Its state is (sum, count)."""

    cdef object _with_value(self, object state, object value):
        if isinstance(value, (str, bytes)):
            raise TypeError(f"wanted a number to take the mean of, got {value!r}")
        return (value, 1) if state is None else ((<tuple>state)[0] + value, (<tuple>state)[1] + 1)

    cdef object _combined(self, object state, object other):
        return (<tuple>state)[0] + (<tuple>other)[0], (<tuple>state)[1] + (<tuple>other)[1]

    cdef object result(self, Py_ssize_t slot):
        state = self.states[slot]
        return None if state is None else (<tuple>state)[0] / (<tuple>state)[1]


@cython.final
cdef class Collect(Objects):
    """All values in a list, in the order in which they came."""

    cdef int add(self, Py_ssize_t slot, object value) except -1:
        self.before = value
        if value is not None:
            if self.states[slot] is None:
                self.states[slot] = []
            (<list>self.states[slot]).append(value)
        return 0

    cdef int undo(self, Py_ssize_t slot) except -1:
        if self.before is not None:
            (<list>self.states[slot]).pop()
        return 0

    cdef object _own(self, object state):
        return list(state)

    cdef object _combined(self, object state, object other):
        (<list>state).extend(other)
        return state

    cdef object result(self, Py_ssize_t slot):
        return list(self.states[slot] or ())


@cython.final
cdef class Distinct(Objects):
    """How many different values; they must be hashable."""

    cdef int add(self, Py_ssize_t slot, object value) except -1:
        cdef set seen = self.states[slot]
        self.before = None
        if value is not None:
            if seen is None:
                seen = self.states[slot] = set()
            if value not in seen:
                seen.add(value)
                self.before = value
        return 0

    cdef int undo(self, Py_ssize_t slot) except -1:
        if self.before is not None:
            (<set>self.states[slot]).discard(self.before)
        return 0

    cdef object _own(self, object state):
        return set(state)

    cdef object _combined(self, object state, object other):
        (<set>state).update(other)
        return state

    cdef object joined(self, Py_ssize_t slot, object state):
        return state

    cdef int keep(self, Py_ssize_t slot, object joined) except -1:
        if self.states[slot] is None:
            self.states[slot] = joined
        elif joined is not None:
            (<set>self.states[slot]).update(joined)
        return 0

    cdef object result(self, Py_ssize_t slot):
        return len(self.states[slot] or ())


@cython.final
cdef class Top(Objects):
    """What `pick` takes of the `most` values greatest (or smallest) by `by`, in order; of equals, the earlier."""

    def __cinit__(self, Getter value, Py_ssize_t most, Getter by not None, Getter pick not None, bint smallest=False):
        if most < 1:
            raise ValueError(f"top() keeps at least 1 record, asked for {most}")
        self.most = most
        self.by = by
        self.pick = pick
        self.smallest = smallest

    cdef object _with_value(self, object state, object value):
        rank = self.by.get(value)
        if rank is None or rank != rank:  # NaN has no place in an order
            return state
        return self._inserted(list(state or ()), (rank, self.pick.get(value)))  # a new list: `undo` has the old one

    cdef list _inserted(self, list kept, tuple entry):
        cdef Py_ssize_t at = len(kept)
        while at > 0 and self._is_before(entry[0], kept[at - 1][0]):
            at -= 1
        kept.insert(at, entry)
        del kept[self.most:]
        return kept

    cdef object _combined(self, object state, object other):
        kept = list(state)
        for entry in other:
            kept = self._inserted(kept, entry)
        return kept

    cdef bint _is_before(self, object rank, object other) except -1:
        return rank < other if self.smallest else other < rank

    cdef object result(self, Py_ssize_t slot):
        return [entry[1] for entry in self.states[slot] or ()]


@cython.final
cdef class Custom(Objects):
    """A user's own: `create()` makes a state, `step(state, value)` the next, `finish(state)` the result.

    `step` returns the new state; if it changes the old one in place and raises half-way, that change stays.
    `join(state, other)` makes one state of two and may change the first; where it is missing nothing can be combined.
    """

    def __cinit__(self, Getter value, create, step, finish=None, join=None):
        self.join = join
        self.create = create
        self.step = step
        self.finish = finish

    cdef int add_slot(self) except -1:
        self.states.append(UNSEEN)
        return 0

    cdef int clear(self, Py_ssize_t slot) except -1:
        self.states[slot] = UNSEEN
        return 0

    cdef int add(self, Py_ssize_t slot, object value) except -1:
        before = self.states[slot]
        self.states[slot] = self.step(self.create() if before is UNSEEN else before, value)
        self.before = before
        return 0

    cdef int combine(self, Py_ssize_t slot, Column other, Py_ssize_t theirs) except -1:
        state, more = self.states[slot], (<Objects>other).states[theirs]
        if more is not UNSEEN:  # the other's must stay as it is, so a fresh one is joined with it
            self.states[slot] = self.join(self.create() if state is UNSEEN else state, more)
        return 0

    cdef object joined(self, Py_ssize_t slot, object state):
        mine = self.states[slot]
        return self.join(self.create() if mine is UNSEEN else mine, state)

    cdef object result(self, Py_ssize_t slot):
        state = self.states[slot]
        return state if self.finish is None else self.finish(state)
