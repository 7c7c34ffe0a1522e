"""Record operators: each takes the rows of a frame and gives those that go on, never more than it took."""

cimport cython
from cpython.ref cimport PyObject

from cext.clock cimport monotonic_ns
from cext.partition cimport find

from cext.operator_state import OperatorState

cdef extern from "Python.h":
    # As C sees them: no reference is counted and no error is raised behind our back.
    PyObject *PyObject_CallOneArg(PyObject *function, PyObject *argument) noexcept
    PyObject *PyObject_Call(PyObject *function, PyObject *arguments, PyObject *named) noexcept
    int PyObject_IsTrue(PyObject *value) noexcept
    int PyObject_IsInstance(PyObject *value, PyObject *kind) noexcept
    list PyList_New(Py_ssize_t size)
    Py_ssize_t PyList_GET_SIZE(list rows) noexcept
    PyObject *PyList_GET_ITEM(list rows, Py_ssize_t at) noexcept
    void PyList_SET_ITEM(list rows, Py_ssize_t at, PyObject *item) noexcept
    void Py_SET_SIZE(list rows, Py_ssize_t size) noexcept
    void Py_INCREF(PyObject *value) noexcept
    void Py_DECREF(PyObject *value) noexcept
    PyObject *Py_True
    PyObject *Py_False


cdef inline list empty_with_room(Py_ssize_t size):
    """An empty list with memory for `size` items; at every moment it is a whole list, for user code may look."""
    cdef list rows = PyList_New(size)
    Py_SET_SIZE(rows, 0)
    return rows


cdef inline void append_owned(list rows, PyObject *item) noexcept:
    """Append `item`, whose reference passes to `rows`; there must be room."""
    cdef Py_ssize_t at = PyList_GET_SIZE(rows)
    PyList_SET_ITEM(rows, at, item)
    Py_SET_SIZE(rows, at + 1)


cdef inline PyObject *row_at(list rows, Py_ssize_t at) except NULL:
    """The row at `at`, held: its list is shared, and if user code changes it all the same it must not bring us down."""
    cdef PyObject *row
    if at >= PyList_GET_SIZE(rows):
        raise RuntimeError("a list of records that others share was made shorter while an operator went through it")
    row = PyList_GET_ITEM(rows, at)
    Py_INCREF(row)
    return row


cdef inline object owned(PyObject *row):
    """What `row_at` holds, now held by whoever takes it."""
    result = <object>row
    Py_DECREF(row)
    return result


cdef inline int call_test(PyObject *function, PyObject *row) noexcept:
    """1 or 0 as the predicate says, -1 with the error set."""
    cdef PyObject *verdict = PyObject_CallOneArg(function, row)
    cdef int truth
    if verdict is NULL:
        return -1
    truth = 1 if verdict is Py_True else 0 if verdict is Py_False else PyObject_IsTrue(verdict)
    Py_DECREF(verdict)
    return truth


cdef object GONE = object()  # a record that goes no further


cdef class Operator:
    """The base of what a task chains: `run` counts and times `apply`, which takes one row after another through `step`.

    Where the cost of the loop counts, an operator has an `apply` of its own.
    """

    def __cinit__(self, str name not None, Guard guard not None, *arguments, **options):
        self.name = name
        self.guard = guard

    cdef object step(self, object row):
        """What goes on of `row`, or GONE."""
        raise NotImplementedError

    cdef list apply(self, list rows, Sideline side):
        cdef list out = []
        cdef Py_ssize_t i
        for i, row in enumerate(rows):
            try:
                made = self.step(row)
                if made is not GONE:
                    out.append(made)
            except BaseException as error:
                if not self.guard.handle(row, error, side):
                    side.lose(PyList_GET_SIZE(rows) - i)
                    break
        return out

    cdef list run(self, list rows, Sideline side):
        cdef int64_t start = monotonic_ns()
        cdef list out = self.apply(rows, side)
        self.busy_ns += monotonic_ns() - start
        self.records_in += PyList_GET_SIZE(rows)
        self.records_out += PyList_GET_SIZE(out)
        return out

    cpdef object snapshot(self):
        """What it knows, as an OperatorState; None: a new one knows as much."""
        return None

    cpdef restore(self, list states):
        """Go on from what all instances that the operator had knew, each without the keys of others; called first."""
        raise NotImplementedError(f"{type(self).__name__} {self.name!r} has no state, got {len(states)}")

    def __call__(self, list rows not None):
        """Run it over `rows` alone and return (records that go on, dead letters); raise what ends it."""
        side = Sideline()
        out = self.run(rows, side)
        if side.failure is not None:
            raise side.failure
        return out, side.letters


@cython.final
cdef class Map(Operator):
    """Each record becomes what `function` makes of it or, `spread`, of what is in it, a tuple."""

    def __cinit__(self, str name, Guard guard, function, bint spread=False):
        self.function = function
        self.spread = spread

    cdef list apply(self, list rows, Sideline side):
        cdef Py_ssize_t i, count = PyList_GET_SIZE(rows)
        cdef list out = empty_with_room(count)
        cdef PyObject *function = <PyObject *>self.function
        cdef PyObject *result
        cdef PyObject *row
        for i in range(count):
            row = row_at(rows, i)
            result = PyObject_Call(function, row, NULL) if self.spread else PyObject_CallOneArg(function, row)
            if result is not NULL:
                append_owned(out, result)
                Py_DECREF(row)
            elif not self.guard.caught(owned(row), side):
                side.lose(count - i)
                break
        return out


@cython.final
cdef class Filter(Operator):
    """Records go on for which `function` is true or, `by_class`, which are instances of the class that it is."""

    def __cinit__(self, str name, Guard guard, function, bint by_class=False):
        self.function = function
        self.by_class = by_class

    cdef list apply(self, list rows, Sideline side):
        cdef Py_ssize_t i, count = PyList_GET_SIZE(rows)
        cdef list out = empty_with_room(count)
        cdef PyObject *function = <PyObject *>self.function
        cdef PyObject *row
        cdef int keep
        for i in range(count):
            row = row_at(rows, i)
            keep = PyObject_IsInstance(row, function) if self.by_class else call_test(function, row)
            if keep == 1:
                append_owned(out, row)
            elif keep == 0:
                Py_DECREF(row)
            elif not self.guard.caught(owned(row), side):
                side.lose(count - i)
                break
        return out


@cython.final
cdef class Inspect(Operator):
    """Records go on unchanged once `function` has seen them."""

    def __cinit__(self, str name, Guard guard, function):
        self.function = function

    cdef list apply(self, list rows, Sideline side):
        cdef Py_ssize_t i, count = PyList_GET_SIZE(rows)
        cdef list out = empty_with_room(count)
        cdef PyObject *function = <PyObject *>self.function
        cdef PyObject *row
        cdef PyObject *ignored
        for i in range(count):
            row = row_at(rows, i)
            ignored = PyObject_CallOneArg(function, row)
            if ignored is not NULL:
                Py_DECREF(ignored)
                append_owned(out, row)
            elif not self.guard.caught(owned(row), side):
                side.lose(count - i)
                break
        return out


@cython.final
cdef class Lookup(Operator):
    """Each record meets its match in `table`; `join(record, match)` makes what goes on, (record, match) without it.

    Without a match, `match` is None, or with `inner` the record goes no further; `unmatched` counts both.
    """

    def __cinit__(self, str name, Guard guard, dict table not None, Getter key not None, join=None, bint inner=False):
        self.table = table
        self.key = key
        self.join = join
        self.inner = inner

    cdef object step(self, object row):
        match = self.table.get(self.key.get(row))
        if match is None:
            self.unmatched += 1
            if self.inner:
                return GONE
        return (row, match) if self.join is None else self.join(row, match)


@cython.final
cdef class StatefulMap(Operator):
    """Each record and its key's state become a new state and what goes on: `function(state, record) -> (state, out)`.

    A key's first state is `initial()`, or None without it; a key whose state becomes None is forgotten.
    """

    def __cinit__(self, str name, Guard guard, Getter key not None, function, initial=None):
        self.key = key
        self.function = function
        self.initial = initial
        self.states = {}

    cdef object step(self, object row):
        key = self.key.get(row)
        cdef PyObject *known = find(self.states, key)
        state = None
        if known is not NULL:
            state = <object>known
        elif self.initial is not None:
            state = self.initial()
        result = self.function(state, row)
        if type(result) is not tuple or len(<tuple>result) != 2:
            raise TypeError(f"wanted a pair (new state, record) from the function, got {result!r}")
        if (<tuple>result)[0] is None:
            self.states.pop(key, None)
        else:
            self.states[key] = (<tuple>result)[0]
        return (<tuple>result)[1]

    cpdef object snapshot(self):
        return OperatorState({"states": (list(self.states), list(self.states.values()))}, {})

    cpdef restore(self, list states):
        for tables, _ in states:
            self.states.update(zip(*tables["states"], strict=True))


@cython.final
cdef class Running(Operator):
    """Each record becomes its key's aggregate as it is with that record taken in."""

    def __cinit__(self, str name, Guard guard, Groups groups not None):
        self.groups = groups

    cdef object step(self, object row):
        return self.groups.update(row)

    cpdef object snapshot(self):
        return self.groups.snapshot(False)

    cpdef restore(self, list states):
        self.groups.restore(states)


@cython.final
cdef class Router:
    """Sends each record to the first of several outputs whose predicate is true, else to the last."""

    def __cinit__(self, Guard guard not None, tuple predicates not None):
        self.guard = guard
        self.predicates = predicates

    cdef list route(self, list rows, Sideline side):
        """The rows of each output, one list more than there are predicates."""
        cdef list outputs = [[] for _ in range(len(self.predicates) + 1)]
        cdef Py_ssize_t i
        for i, row in enumerate(rows):
            try:
                (<list>outputs[self._choose(row)]).append(row)
            except BaseException as error:
                if not self.guard.handle(row, error, side):
                    side.lose(PyList_GET_SIZE(rows) - i)
                    break
        return outputs

    cdef Py_ssize_t _choose(self, object row) except -1:
        cdef Py_ssize_t i
        for i in range(len(self.predicates)):
            if self.predicates[i](row):
                return i
        return len(self.predicates)
