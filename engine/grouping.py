"""Grouping: what a stream is to be keyed by, checked where it was written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.checks import check_field
from engine.errors import GraphError
from engine.graph import Key, Part
from engine.types import fields_of, returned_by


def key_of(parts: tuple[Part, ...], named: Mapping[str, Part], record_type: Any, what: str, place: str) -> Key:
    """The key of field names and functions in records of that type; GraphError, about `what`, where there is none."""
    functions = [part for part in parts if not isinstance(part, str)]
    if len(functions) > 1:
        raise GraphError(
            f"{place}: {what} has {len(functions)} functions without a name", hint=f"write {what}(day=..., hour=...)"
        )
    everything = (*parts, *named.values())
    for part in everything:
        if not isinstance(part, str) and not callable(part):
            raise GraphError(f"{place}: {what} wants field names and functions, got {part!r}")
        check_field(record_type, part, what, place)
    names = (*(part if isinstance(part, str) else "key" for part in parts), *named)
    if len(set(names)) < len(names):
        raise GraphError(f"{place}: {what} has two parts with one name: {', '.join(names)}")
    fields = fields_of(record_type) or {}
    types = tuple(fields.get(part, Any) if isinstance(part, str) else returned_by(part) or Any for part in everything)
    return Key(everything, names, types)
