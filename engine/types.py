"""What can be known of record types: their fields, and what a user's function returns."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any

import msgspec


def fields_of(record_type: Any) -> dict[str, Any] | None:
    """The fields of a Struct, dataclass, NamedTuple or TypedDict with their types; None where that is not known.

    >>> class Point(msgspec.Struct):
    ...     x: int
    >>> fields_of(Point), fields_of(dict)
    ({'x': <class 'int'>}, None)
    """
    origin = typing.get_origin(record_type) or record_type
    if not isinstance(origin, type):
        return None
    if issubclass(origin, msgspec.Struct):
        return {field.name: field.type for field in msgspec.structs.fields(origin)}
    if dataclasses.is_dataclass(origin):
        names = [field.name for field in dataclasses.fields(origin)]
    elif issubclass(origin, tuple) and hasattr(origin, "_fields"):
        names = list(origin._fields)
    elif typing.is_typeddict(origin):
        names = list(origin.__annotations__)
    else:
        return None
    hints = _hints(origin)
    return {name: hints.get(name, Any) for name in names}


def returned_by(function: Callable[..., Any]) -> Any:
    """The type that `function` says it returns (a class returns itself), or None."""
    if isinstance(function, type):
        return function
    if not inspect.isroutine(function):
        function = getattr(type(function), "__call__", function)
    return _hints(function).get("return")


def items_returned_by(function: Callable[..., Any]) -> Any:
    """The type of the items of the iterable that `function` says it returns, or None."""
    returned = returned_by(function)
    arguments = typing.get_args(returned)
    origin = typing.get_origin(returned)
    if not arguments or not isinstance(origin, type) or not issubclass(origin, Iterable):
        return None
    return arguments[0]


def optional(known: Any) -> Any:
    """`known | None`, where anything is known."""
    return None if known is None else known | None if isinstance(known, type | types.UnionType) else Any


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """A hint that names what there is, the likeliest first.

    >>> did_you_mean("carier", ["carrier", "origin"])
    "did you mean 'carrier'? There are: carrier, origin"
    """
    names = list(names)
    close = get_close_matches(name, names, n=1)
    there_are = f"there are: {', '.join(names)}" if names else "there are none"
    return f"did you mean {close[0]!r}? {there_are.capitalize()}" if close else there_are


def name_of(record_type: Any) -> str:
    """How a type is written in plans and errors.

    >>> name_of(int), name_of(None), name_of(tuple[str, int])
    ('int', '?', 'tuple[str, int]')
    """
    if record_type is None:
        return "?"
    return (
        record_type.__name__ if isinstance(record_type, type) and not typing.get_args(record_type) else str(record_type)
    )


def _hints(thing: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(thing)
    except Exception:  # a name that is not there yet, an object without annotations: then nothing is known
        return {}
