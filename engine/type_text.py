"""A record type as text, with all that its records are made of: what checkpoints keep of it, to compare it later."""

from __future__ import annotations

import re
import types
import typing
from typing import Any

from engine.types import fields_of

UNKNOWN = "Any"


def type_text(known: Any, above: tuple[Any, ...] = ()) -> str:
    """A type with all that its records are made of, whatever module it stands in.

    >>> import msgspec
    >>> class Weir(msgspec.Struct):
    ...     name: str
    ...     level: float | None
    >>> type_text(list[Weir])
    'list[Weir(name: str, level: float | None)]'
    """
    if known is None or known is Any:
        return UNKNOWN
    known = getattr(known, "__supertype__", known)
    origin, arguments = typing.get_origin(known), typing.get_args(known)
    if origin is typing.Annotated:
        return type_text(arguments[0], above)
    if origin in {typing.Union, types.UnionType}:
        return " | ".join(type_text(each, above) for each in arguments)
    return _name(origin or known) + _arguments(origin, arguments, above) + _fields(known, above)


def _fields(known: Any, above: tuple[Any, ...]) -> str:
    """Those of a type that has some, once: it may hold itself."""
    fields = None if known in above else fields_of(known)
    if not fields:
        return ""
    return f"({', '.join(f'{name}: {type_text(each, (*above, known))}' for name, each in fields.items())})"


def _arguments(origin: Any, arguments: tuple[Any, ...], above: tuple[Any, ...]) -> str:
    if not arguments:
        return ""
    if origin is typing.Literal:
        return f"[{', '.join(map(repr, arguments))}]"
    return f"[{', '.join('...' if each is ... else type_text(each, above) for each in arguments)}]"


def _name(known: Any) -> str:
    if known is types.NoneType:
        return "None"
    if known is typing.Literal:
        return "Literal"
    if isinstance(known, type):
        return known.__qualname__.rpartition(".")[2]
    return re.sub(r" at 0x[0-9a-f]+", "", repr(known))
