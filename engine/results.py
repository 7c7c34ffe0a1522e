"""The records that an aggregate emits: the key's parts, then the aggregates, as one Struct."""

from __future__ import annotations

import keyword
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from engine.aggregates import Aggregate
from engine.errors import GraphError
from engine.graph import Key
from engine.types import fields_of, name_of


def result_type(
    key: Key,
    aggregates: Mapping[str, Aggregate],
    record_type: Any,
    wanted: Any,
    place: str,
    bounds: Mapping[str, Any] | None = None,
) -> tuple[Any, Callable[[Any, list[Any]], Any]]:
    """The type of the results and what makes one of a key and its aggregates; GraphError where they do not fit.

    `bounds`: the fields, with their types, that stand between the two.
    """
    bounds = bounds or {}
    names = (*key.names, *bounds, *aggregates)
    if len(set(names)) < len(names):
        raise GraphError(f"{place}: parts of the key and results share a name: {', '.join(names)}")
    types = (*key.types, *bounds.values(), *(each.result_type(record_type) for each in aggregates.values()))
    if wanted is None:
        wanted = _struct(names, types, place)
    fields = fields_of(wanted)
    if fields is None or set(fields) != set(names):
        there = "no fields" if fields is None else ", ".join(fields)
        raise GraphError(f"{place}: the aggregate gives the fields {', '.join(names)}; {name_of(wanted)} has {there}")
    if getattr(wanted, "__struct_fields__", None) == names == getattr(wanted, "__match_args__", None):
        return wanted, _by_position(wanted, len(key.parts))
    return wanted, _by_name(wanted, names, len(key.parts))


def _struct(names: tuple[str, ...], types: tuple[Any, ...], place: str) -> type:
    for name in names:
        if not name.isidentifier() or keyword.iskeyword(name):
            raise GraphError(f"{place}: {name!r} cannot be the name of a field")
    return msgspec.defstruct("Aggregate", list(zip(names, types, strict=True)), module=__name__)


def _by_position(wanted: Any, parts: int) -> Callable[[Any, list[Any]], Any]:
    if parts == 1:
        return lambda key, results: wanted(key, *results)
    return lambda key, results: wanted(*key, *results)


def _by_name(wanted: Any, names: tuple[str, ...], parts: int) -> Callable[[Any, list[Any]], Any]:
    def make(key: Any, results: list[Any]) -> Any:
        values = (key, *results) if parts == 1 else (*key, *results)
        return wanted(**dict(zip(names, values, strict=True)))

    return make
