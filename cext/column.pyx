"""Column: what an aggregate knows, one state a slot, a slot a key.

`add` either takes a value in or raises and changes nothing; `undo` takes the last `add` back, so that
a record which a later column refuses leaves no trace in an earlier one. `combine` takes in what another column of the
same kind has in a slot, which stays as it is: first what came first.

A `state` is what a column has in a slot, as an object that can travel. `joined` makes one of it and of what the slot
has, or raises and changes nothing; `keep` puts that into the slot. So a partial result is taken in whole or not at all.
For checkpoints, `saved` gives the states of many slots at once (None: of all), as a list or an array, and `load` makes
slots of them.
"""


cdef class Column:
    """The base: `value` takes out of a record what is aggregated."""

    def __cinit__(self, Getter value not None, *arguments, **options):
        self.value = value

    cdef int add_slot(self) except -1:
        raise NotImplementedError

    cdef int clear(self, Py_ssize_t slot) except -1:
        raise NotImplementedError

    cdef int add(self, Py_ssize_t slot, object value) except -1:
        raise NotImplementedError

    cdef int undo(self, Py_ssize_t slot) except -1:
        raise NotImplementedError

    cdef int combine(self, Py_ssize_t slot, Column other, Py_ssize_t theirs) except -1:
        raise NotImplementedError

    cdef object state(self, Py_ssize_t slot):
        raise NotImplementedError

    cdef object joined(self, Py_ssize_t slot, object state):
        raise NotImplementedError

    cdef int keep(self, Py_ssize_t slot, object joined) except -1:
        raise NotImplementedError

    cdef object result(self, Py_ssize_t slot):
        raise NotImplementedError

    cdef object saved(self, slots):
        raise NotImplementedError

    cdef int load(self, list states) except -1:
        raise NotImplementedError


cdef class Objects(Column):
    """The base of columns whose state is an object, None while there was no value; `add` replaces it."""

    def __cinit__(self, Getter value, *arguments, **options):
        self.states = []

    cdef int add_slot(self) except -1:
        self.states.append(None)
        return 0

    cdef int clear(self, Py_ssize_t slot) except -1:
        self.states[slot] = None
        return 0

    cdef int undo(self, Py_ssize_t slot) except -1:
        self.states[slot] = self.before
        return 0

    cdef object result(self, Py_ssize_t slot):
        return self.states[slot]

    cdef object saved(self, slots):
        cdef list states = self.states
        cdef Py_ssize_t slot
        return list(states) if slots is None else [states[slot] for slot in slots]

    cdef int load(self, list states) except -1:
        self.states.extend(states)
        return 0

    cdef int add(self, Py_ssize_t slot, object value) except -1:
        cdef object before = self.states[slot]
        if value is not None:
            self.states[slot] = self._with_value(before, value)
        self.before = before
        return 0

    cdef int combine(self, Py_ssize_t slot, Column other, Py_ssize_t theirs) except -1:
        state, more = self.states[slot], (<Objects>other).states[theirs]
        if more is not None:
            self.states[slot] = self._own(more) if state is None else self._combined(state, more)
        return 0

    cdef object state(self, Py_ssize_t slot):
        return self.states[slot]

    cdef object joined(self, Py_ssize_t slot, object state):
        mine = self.states[slot]
        return mine if state is None else state if mine is None else self._combined(mine, state)

    cdef int keep(self, Py_ssize_t slot, object joined) except -1:
        self.states[slot] = joined
        return 0

    cdef object _own(self, object state):
        """What of another's state may be kept and changed."""
        return state

    cdef object _combined(self, object state, object other):
        """Both; `state` may change in place."""
        return self._with_value(state, other)

    cdef object _with_value(self, object state, object value):
        raise NotImplementedError
