"""What can be known of record types: their fields, and what a user's function returns."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Awaitable, Callable, Iterable
from difflib import get_close_matches
from functools import cached_property, partial
from typing import Any, TypeVar

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
        names = list(origin.__struct_fields__)
    elif dataclasses.is_dataclass(origin):
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
    """The type that `function` says it returns (a class returns itself, a coroutine what it is awaited for), or None.

    >>> def parse(text: str, base: int) -> int: ...
    >>> returned_by(parse), returned_by(partial(parse, base=8)), returned_by(lambda text: text)
    (<class 'int'>, <class 'int'>, None)
    """
    returned = _annotated(function)
    return bool if _is_guard(returned) else returned


def guarded_by(predicate: Callable[..., Any]) -> Any:
    """U where `predicate` says it returns TypeGuard[U] or TypeIs[U]: the type of what it is true for. Else None."""
    returned = _annotated(predicate)
    known = typing.get_args(returned)[0] if _is_guard(returned) else None
    return None if known is Any else known


def _is_guard(returned: Any) -> bool:
    return str(typing.get_origin(returned)).endswith((".TypeGuard", ".TypeIs"))  # of typing or typing_extensions


def _annotated(function: Callable[..., Any]) -> Any:
    while isinstance(function, partial):
        function = function.func
    if isinstance(function, type):
        return function
    if not inspect.isroutine(function):
        function = getattr(type(function), "__call__", function)  # noqa: B004 - the function is wanted, not whether
    returned = _hints(function).get("return")
    is_open = typing.get_origin(returned) is not None and getattr(returned, "__parameters__", None)
    if returned is Any or returned is typing.Self or isinstance(returned, TypeVar) or is_open:
        return None  # it says nothing, or something that depends on its arguments
    return returned


def awaited_from(function: Callable[..., Any]) -> Any:
    """The type of what a coroutine, or a function that returns an awaitable, says it gives, or None."""
    returned = returned_by(function)
    origin = typing.get_origin(returned) or returned
    if not isinstance(origin, type) or not issubclass(origin, Awaitable):
        return returned
    arguments = typing.get_args(returned)
    return arguments[-1] if arguments else None


def items_returned_by(function: Callable[..., Any]) -> Any:
    """The type of the items of the iterable that `function` says it returns, or None."""
    returned = returned_by(function)
    arguments = typing.get_args(returned)
    origin = typing.get_origin(returned)
    if not arguments or not isinstance(origin, type) or not issubclass(origin, Iterable):
        return None
    if origin is tuple and arguments[1:] != (...,):
        return arguments[0] if len(set(arguments)) == 1 else None
    return None if arguments[0] is Any else arguments[0]


def first_returned_by(function: Callable[..., Any]) -> Any:
    """The type of the first item of the pair that `function` says it returns, or None."""
    returned = returned_by(function)
    arguments = typing.get_args(returned)
    is_pair = typing.get_origin(returned) is tuple and len(arguments) == 2 and arguments[1] is not ...
    return arguments[0] if is_pair else None


def second_returned_by(function: Callable[..., Any]) -> Any:
    """The type of the second item of the pair that `function` says it returns, or None."""
    returned = returned_by(function)
    arguments = typing.get_args(returned)
    is_pair = typing.get_origin(returned) is tuple and len(arguments) == 2 and arguments[1] is not ...
    return arguments[1] if is_pair and arguments[1] is not Any else None


def has_field(record_type: Any, name: str) -> bool:
    """Whether records of `record_type` have `name`, as a field or a property; True where that is not known."""
    fields = fields_of(record_type)
    if fields is None or name in fields:
        return True
    found = getattr(typing.get_origin(record_type) or record_type, name, None)
    return isinstance(found, property | cached_property)


def optional(known: Any) -> Any:
    """`known | None`, where anything is known."""
    if known is None or known is Any:
        return known
    try:
        return known | None
    except TypeError:  # a name in quotes, say
        return Any


def pair_of(record: Any, match: Any, *, match_may_lack: bool) -> Any:
    """The type of (record, match), None unless both are known.

    >>> pair_of(int, str, match_may_lack=True), pair_of(int, None, match_may_lack=False)
    (tuple[int, str | None], None)
    """
    if record is None or match is None:
        return None
    second: Any = optional(match) if match_may_lack else match
    return tuple[record, second]


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """A hint that names what there is, the likeliest first.

    >>> did_you_mean("carier", ["carrier", "origin"])
    "did you mean 'carrier'? There are: carrier, origin"
    """
    names = list(names)
    close = get_close_matches(name, names, n=1)
    there_are = f"there are: {', '.join(names)}" if names else "there are none"
    return f"did you mean {close[0]!r}? T{there_are[1:]}" if close else there_are


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
