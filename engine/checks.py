"""What the builder refuses at the line that wrote it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import partial
from typing import Any

from engine.errors import GraphError
from engine.graph import Input, Node, feeding
from engine.naming import function_name
from engine.operations import FromSource
from engine.types import did_you_mean, fields_of, has_field, name_of


def checked_policy(on_error: str, place: str) -> Any:
    if on_error not in {"fail", "skip", "dead-letter"}:
        raise GraphError(f'{place}: on_error is "fail", "skip" or "dead-letter", not {on_error!r}')
    return on_error


def check_count(count: int, what: str, place: str) -> None:
    if not isinstance(count, int) or count < 1:
        raise GraphError(f"{place}: {what} of at least 1, got {count!r}")


def check_function(function: Any, what: str, place: str) -> None:
    if not callable(function):
        raise GraphError(f"{place}: {what} wants a function, got {function!r}")
    called = function if inspect.isroutine(function) or isinstance(function, partial) else type(function).__call__
    if what != "map_async" and (inspect.iscoroutinefunction(called) or inspect.isasyncgenfunction(called)):
        raise GraphError(
            f"{place}: {what} awaits nothing, but {function_name(function)} is async", hint="use map_async"
        )
    if what not in {"flat_map", "map_batch", "process"} and inspect.isgeneratorfunction(called):
        raise GraphError(
            f"{place}: {what} takes what its function returns, but {function_name(function)} yields",
            hint="use flat_map",
        )


def check_field(record_type: Any, part: Any, where: str, place: str) -> None:
    if isinstance(part, str) and not has_field(record_type, part):
        raise GraphError(
            f"{place}: {where} wants the field {part!r}, which {name_of(record_type)} has not",
            hint=did_you_mean(part, fields_of(record_type) or ()),
        )


def call_it(thing: Any) -> str | None:
    """A hint for who gave a class, or a function that makes one, where its instance is wanted."""
    return f"call it: {thing.__name__}(...)" if callable(thing) and hasattr(thing, "__name__") else None


def unbounded_sources(inputs: tuple[Input, ...]) -> Iterator[Node]:
    for each in feeding(inputs):
        if each.node and isinstance(each.node.operation, FromSource) and not each.node.operation.source.bounded:
            yield each.node
