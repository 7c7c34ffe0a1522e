"""Gather: the keys and values of a large dict, taken and let go while what comes next is called into the cache.

A task stands still meanwhile, or waits for the interpreter's lock. A count of references is in the object, so each of
a million scattered ones is a wait for memory: most of the time that `list` takes, or the end of a list.
"""

from cpython.dict cimport PyDict_Next
from cpython.list cimport PyList_New
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF

from cext.ahead cimport AHEAD, prefetch

cdef extern from "Python.h":
    PyObject **items_of "PySequence_Fast_ITEMS"(list items) noexcept


cdef tuple keys_and_values(dict table):
    """Two lists of the same order."""
    cdef list keys = PyList_New(len(table)), values = PyList_New(len(table))
    cdef PyObject **to_keys = items_of(keys)
    cdef PyObject **to_values = items_of(values)
    cdef PyObject *key
    cdef PyObject *value
    cdef Py_ssize_t at = 0, place = 0
    while PyDict_Next(table, &at, &key, &value):
        to_keys[place], to_values[place] = key, value
        place += 1
    hold(keys)
    hold(values)
    return keys, values


cdef list keys_of(dict table):
    """Its keys alone."""
    cdef list keys = PyList_New(len(table))
    cdef PyObject **to = items_of(keys)
    cdef PyObject *key
    cdef Py_ssize_t at = 0, place = 0
    while PyDict_Next(table, &at, &key, NULL):
        to[place] = key
        place += 1
    hold(keys)
    return keys


cdef void hold(list items) noexcept:
    """Count the references that a list has got: nothing may run between that and this."""
    cdef PyObject **first = items_of(items)
    cdef Py_ssize_t at, count = len(items)
    for at in range(count):
        if at + AHEAD < count:
            prefetch(first[at + AHEAD])
        Py_INCREF(<object>first[at])


def let_go(list items not None):
    """Empty a list.

    >>> items = ["weir", 1]
    >>> let_go(items)
    >>> items
    []
    """
    cdef Py_ssize_t at
    cdef PyObject **first
    for at in range(len(items) - 1, -1, -1):
        first = items_of(items)  # what goes may run code of its own
        if at >= AHEAD:
            prefetch(first[at - AHEAD])
        items.pop()
