"""Folding: what keyed streams and windows are asked to make of the records of a key, checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from engine.aggregates import Aggregate, custom
from engine.checks import check_field, check_function
from engine.errors import GraphError

S = TypeVar("S")


def check_aggregates(
    aggregates: Mapping[str, Aggregate], own: Iterable[tuple[str, Any]], record_type: Any, place: str
) -> None:
    """Refuse what `aggregate` cannot compute; `own`: its arguments that are no aggregates."""
    for name, value in own:
        if isinstance(value, Aggregate):
            raise GraphError(
                f"{place}: aggregate takes {name}= itself, so no result can be called that",
                hint=f"call it otherwise, e.g. {name}_=..., and rename it with map where that matters",
            )
    if not aggregates:
        raise GraphError(f"{place}: aggregate has nothing to compute", hint="e.g. .aggregate(flights=count())")
    for field, each in aggregates.items():
        if not isinstance(each, Aggregate):
            raise GraphError(
                f"{place}: wanted an aggregate for {field!r}, got {each!r}",
                hint="write one of those that engine offers, e.g. engine.count() or engine.collect('delay')",
            )
        for part in each.fields:
            check_field(record_type, part, f"aggregate {field}={each.name}(...)", place)


def reducing(function: Callable[[Any, Any], Any]) -> Aggregate:
    """What `reduce` does: the first record, then `function(value, record)`, which nobody promised to be associative."""
    first = object()

    def add(value: Any, record: Any) -> Any:
        return record if value is first else function(value, record)

    return replace(custom(lambda: first, add, combine=add), name="reduce", partial=None)


def folding(
    initial: Callable[[], S],
    function: Callable[[S, Any], S],
    combine: Callable[[S, S], S] | None,
    place: str,
) -> Aggregate:
    """What `fold` does: `initial()`, then `function(state, record)` for each."""
    if not callable(initial):
        raise GraphError(
            f"{place}: fold wants a function that makes a first state, got {initial!r}",
            hint=f"write lambda: {initial!r}",
        )
    check_function(function, "fold", place)
    if combine is not None:
        check_function(combine, "fold's combine", place)
    return replace(custom(initial, function, combine=combine), name="fold")
