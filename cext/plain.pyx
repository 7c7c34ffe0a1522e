"""Plain: what of a checkpoint may be made bytes later, as it cannot change, and what is as simple as can be."""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from uuid import UUID

from cpython.object cimport Py_TYPE, PyTypeObject

cdef enum:
    _SCALAR
    _FIXED
    _CHANGING

SCALAR, FIXED, CHANGING = _SCALAR, _FIXED, _CHANGING

cdef int DEEPEST = 8  # tuples in tuples that are looked into

cdef PyTypeObject *INT = <PyTypeObject *>int
cdef PyTypeObject *FLOAT = <PyTypeObject *>float
cdef PyTypeObject *STR = <PyTypeObject *>str
cdef PyTypeObject *BYTES = <PyTypeObject *>bytes
cdef PyTypeObject *BOOL = <PyTypeObject *>bool
cdef PyTypeObject *TUPLE = <PyTypeObject *>tuple

cdef frozenset FIXED_TYPES = frozenset((date, datetime, time, timedelta, Decimal, Fraction, UUID))


cdef inline bint is_scalar(object item) noexcept:
    cdef PyTypeObject *kind = Py_TYPE(item)
    return kind == INT or kind == STR or kind == FLOAT or item is None or kind == BYTES or kind == BOOL


cdef bint is_fixed(object item, int depth) except -1:
    """Whether nothing can change `item`; only of what is exactly of a type that is known."""
    if is_scalar(item):
        return True
    if Py_TYPE(item) == TUPLE:
        if depth == 0:
            return False
        for each in <tuple>item:
            if not is_fixed(each, depth - 1):
                return False
        return True
    return type(item) in FIXED_TYPES


def plainness(list items not None):
    """How plain all of `items` are: SCALAR, or FIXED, which nobody can change either; else CHANGING.

    >>> [plainness(items) == kind for items, kind in [([1, "weir"], SCALAR), ([(1, "weir")], FIXED), ([[1]], CHANGING)]]
    [True, True, True]
    """
    cdef Py_ssize_t at = 0, count = len(items)
    while at < count and is_scalar(items[at]):
        at += 1
    if at == count:
        return _SCALAR
    while at < count:
        if not is_fixed(items[at], DEEPEST):
            return _CHANGING
        at += 1
    return _FIXED
