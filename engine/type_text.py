"""A type as text: what checkpoints keep of it, to compare it later. Records' fields are told by `record_form`."""

from __future__ import annotations

import re
import types
import typing
from typing import Any

UNKNOWN = "Any"


def type_text(known: Any) -> str:
    """A type by its name and its arguments, whatever module it stands in.

    >>> import msgspec
    >>> class Weir(msgspec.Struct):
    ...     level: float | None
    >>> type_text(dict[str, Weir | None])
    'dict[str, Weir | None]'
    """
    return " | ".join(alternatives(known))


def alternatives(known: Any) -> tuple[str, ...]:
    """The types that a value may be of: those of a union, else the only one.

    >>> alternatives(int | list[str | None])
    ('int', 'list[str | None]')
    """
    if known is None or known is Any:
        return (UNKNOWN,)
    known = plain(known)
    if typing.get_origin(known) in {typing.Union, types.UnionType}:
        return tuple(text for each in typing.get_args(known) for text in alternatives(each))
    return (_name(typing.get_origin(known) or known) + _arguments(known),)


def plain(known: Any) -> Any:
    """What a NewType or an Annotated stands for."""
    while True:
        if hasattr(known, "__supertype__"):
            known = known.__supertype__
        elif typing.get_origin(known) is typing.Annotated:
            known = typing.get_args(known)[0]
        else:
            return known


def _arguments(known: Any) -> str:
    arguments = typing.get_args(known)
    if not arguments:
        return ""
    if typing.get_origin(known) is typing.Literal:
        return f"[{', '.join(map(repr, arguments))}]"
    return f"[{', '.join('...' if each is ... else type_text(each) for each in arguments)}]"


def _name(known: Any) -> str:
    if known is types.NoneType:
        return "None"
    if known is typing.Literal:
        return "Literal"
    if isinstance(known, type):
        return known.__qualname__.rpartition(".")[2]
    return re.sub(r" at 0x[0-9a-f]+", "", repr(known))
