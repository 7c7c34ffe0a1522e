"""Which types' values may be equal: so that a join whose keys never are is refused before it runs."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin
from uuid import UUID

_NUMBERS = (int, float, complex, Decimal, Fraction)
_KINDS: tuple[tuple[type, ...], ...] = (
    _NUMBERS,
    (str,),
    (bytes,),
    (datetime,),
    (date,),
    (time,),
    (timedelta,),
    (UUID,),
    (tuple,),
)
"""Values of one kind may be equal, those of two never are; a subclass is of the first one that it fits."""


def may_equal(one: Any, other: Any) -> bool:
    """Whether values of these types can be equal; True where that is not known. None is no value here.

    >>> may_equal(int, float), may_equal(int, str | None), may_equal(int, Any)
    (True, False, True)
    """
    left, right = _kinds(one), _kinds(other)
    return left is None or right is None or bool(left & right)


def _kinds(known: Any) -> set[tuple[type, ...]] | None:
    """The kinds of a type's values; None: they may be of any."""
    known = getattr(known, "__supertype__", known)
    origin = get_origin(known)
    if origin in {Union, UnionType}:
        return _together(*(_kinds(each) for each in get_args(known) if each is not type(None)))
    if origin is Literal:
        return _together(*(_kinds(type(each)) for each in get_args(known) if each is not None))
    found = origin or known
    if not isinstance(found, type) or (issubclass(found, Enum) and not issubclass(found, int | str)):
        return None
    return next(({kind} for kind in _KINDS if issubclass(found, kind)), None)


def _together(*each: set[tuple[type, ...]] | None) -> set[tuple[type, ...]] | None:
    found: set[tuple[type, ...]] = set()
    for kinds in each:
        if kinds is None:
            return None
        found |= kinds
    return found or None
