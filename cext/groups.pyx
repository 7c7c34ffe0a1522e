"""Groups: keyed aggregate state, a slot for each key in every column."""

cimport cython
from cpython.ref cimport PyObject

from cext.partition cimport PyDict_GetItemWithError, find

from cext.operator_state import OperatorState


@cython.final
cdef class Groups:
    """What an aggregate knows of each key.

    `key` takes the key out of a record, `columns` aggregate, `make(key, results)` builds the record to emit.

    >>> from cext.columns import Count, Sum
    >>> from cext.getter import Getter
    >>> groups = Groups(Getter(lambda word: word[0]), [Count(Getter()), Sum(Getter(len))], lambda key, got: (key, *got))
    >>> [groups.update(word) for word in ("sluice", "weir", "spill")]
    [('s', 1, 6), ('w', 1, 4), ('s', 2, 11)]
    >>> list(groups)
    [('s', 2, 11), ('w', 1, 4)]
    """

    def __cinit__(self, Getter key not None, list columns not None, make):
        self.key = key
        self.columns = columns
        self.make = make
        self.slots = {}
        self.free = []
        self.window = []

    def __len__(self):
        return len(self.slots)

    def __iter__(self):
        for key, slot in self.slots.items():
            if self.given is None or key not in self.given:
                yield self.record(key, slot)

    def update(self, row):
        """Take `row` in and return its key's record as it is now."""
        key = self.key.get(row)
        cdef Py_ssize_t keys = len(self.slots)
        cdef Py_ssize_t slot = self._take_in(key, row)
        try:
            return self.record(key, slot)
        except BaseException:
            self._take_back(key, slot, len(self.slots) > keys)
            raise

    cdef Py_ssize_t add(self, object row) except -1:
        """Take `row` in, whole or, when it raises, not at all; return its key's slot."""
        return self._take_in(self.key.get(row), row)

    cdef Py_ssize_t _take_in(self, object key, object row) except -1:
        cdef PyObject *known = find(self.slots, key)
        cdef Py_ssize_t slot
        if known is not NULL:
            slot = <object>known
            self._add_columns(slot, row)
            if self.given is not None:
                self.given.discard(key)
            return slot
        slot = self._slot(key)
        try:
            self._add_columns(slot, row)
        except BaseException:
            self.forget(key)
            raise
        return slot

    cdef int _take_back(self, object key, Py_ssize_t slot, bint is_new) except -1:
        """Undo the last record of `key`."""
        cdef Column column
        for column in self.columns:
            column.undo(slot)
        if is_new:
            self.forget(key)
        return 0

    cdef Py_ssize_t _slot(self, object key) except -1:
        cdef Column column
        cdef Py_ssize_t slot
        if self.free:
            slot = self.free.pop()
        else:
            slot = len(self.slots)
            for column in self.columns:
                column.add_slot()
        self.slots[key] = slot
        return slot

    cdef int _add_columns(self, Py_ssize_t slot, object row) except -1:
        cdef Py_ssize_t done = 0
        cdef Column column
        try:
            for column in self.columns:
                column.add(slot, column.value.get(row))
                done += 1
        except BaseException:
            for column in self.columns[:done]:
                column.undo(slot)
            raise
        return 0

    cdef object record(self, object key, Py_ssize_t slot):
        cdef Column column
        return self.make(key, self.window + [column.result(slot) for column in self.columns])

    cdef int take(self, object key, Groups other, Py_ssize_t theirs) except -1:
        """Combine what `other`, groups of the same columns, has of `key` in its slot `theirs` with what is known."""
        cdef PyObject *known = PyDict_GetItemWithError(self.slots, key)  # `other` has seen that it can be a key
        cdef Py_ssize_t i, slot
        if known is NULL:
            slot = self._slot(key)
        else:
            slot = <object>known
        for i in range(len(self.columns)):
            (<Column>self.columns[i]).combine(slot, <Column>other.columns[i], theirs)
        return 0

    cdef int merge(self, Groups other) except -1:
        """Combine all that `other` knows with what is known."""
        for key, slot in other.slots.items():
            self.take(key, other, slot)
        return 0

    cdef object partial(self, object key, Py_ssize_t slot):
        """The record of `key`, of states instead of results."""
        cdef Column column
        return self.make(key, self.window + [column.state(slot) for column in self.columns])

    cdef int take_states(self, object key, list states) except -1:
        """Take in what other groups of the same columns had of `key`, whole or, when it raises, not at all."""
        cdef PyObject *known = find(self.slots, key)
        cdef Py_ssize_t i, slot
        cdef list joined
        if known is NULL:
            slot = self._slot(key)
        else:
            slot = <object>known
        try:
            joined = [(<Column>self.columns[i]).joined(slot, states[i]) for i in range(len(states))]
        except BaseException:
            if known is NULL:
                self.forget(key)
            raise
        for i in range(len(states)):
            (<Column>self.columns[i]).keep(slot, joined[i])
        if self.given is not None:
            self.given.discard(key)
        return 0

    cdef int forget(self, object key) except -1:
        """Drop `key`; its slot is used again."""
        cdef Py_ssize_t slot = self.slots.pop(key)
        cdef Column column
        for column in self.columns:
            column.clear(slot)
        self.free.append(slot)
        self.forgot = True
        return 0

    # Checkpoints.

    cdef tuple saved(self):
        """The keys, and of each column what it has of each."""
        cdef Column column
        slots = self.slots.values() if self.forgot else None
        return (list(self.slots), *[column.saved(slots) for column in self.columns])

    cdef int load(self, tuple table) except -1:
        """Know what was saved of keys that are not known, in groups of which none was forgotten."""
        cdef Py_ssize_t first = len(self.slots)
        cdef list keys = table[0]
        cdef Column column
        for column, states in zip(self.columns, table[1:], strict=True):
            column.load(states)
        self.slots.update(zip(keys, range(first, first + len(keys))))
        return 0

    cdef str form(self):
        """What its columns are: what was saved can only be loaded where that is the same."""
        return ", ".join([type(column).__name__.lower() for column in self.columns])

    cpdef object snapshot(self, bint ended):
        """All that is known; once `ended`, all has been given, and is given again only where it changes."""
        given = list(self.slots if ended else self.given or ())
        return OperatorState({"groups": self.saved(), "given": (given,)}, {"form": self.form()})

    cpdef restore(self, list states):
        """Know what several snapshots know of different keys."""
        for tables, single in states:
            check_form(single["form"], self.form())
            self.load(tables["groups"])
            if tables["given"][0]:
                self.given = set() if self.given is None else self.given
                self.given.update(tables["given"][0])


cdef int check_form(object was, object now) except -1:
    """State of one form makes no sense in another."""
    if was != now:
        raise ValueError(f"it is the state of {was}, and this is {now}")
    return 0
