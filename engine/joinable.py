"""Joinable: what all joins of a keyed stream with another one by event time have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from engine.checks import check_function
from engine.equality import may_equal
from engine.errors import GraphError
from engine.event_time import time_of
from engine.graph import Input, Key, OnError
from engine.join_operations import Join, Side
from engine.operations import Map
from engine.stream import Stream
from engine.types import name_of, returned_by
from engine.windowed import WindowedResults

T = TypeVar("T")

_HOWS = ("inner", "left", "right", "full")


class Joinable(Stream[T]):
    """A keyed stream, as joins see it."""

    if TYPE_CHECKING:
        key: Key

    def _sides(self, other: Any, what: str, place: str) -> tuple[Side, Side]:
        """Both inputs, if they can be joined."""
        if not isinstance(other, Joinable):
            raise GraphError(f"{place}: {what} wants a keyed stream, got {other!r}", hint="write other.key_by(...)")
        if other._flow is not self._flow:
            raise GraphError(
                f"{place}: {what} of streams of two flows, {self._flow.name!r} and {other._flow.name!r}",
                hint="build both in one Dataflow",
            )
        _check_keys(self.key, other.key, what, place)
        return self._side(what, place), other._side(what, place)

    def _side(self, what: str, place: str) -> Side:
        clock = time_of(self._inputs)
        if clock is None:
            raise GraphError(
                f"{place}: {what} goes by event time, but where that stands in the records of {self!r} is not known",
                hint='write .event_time("field") before key_by, and once more behind map, which makes other records',
            )
        return Side(self.key, clock, self.type)

    def _joined(
        self,
        other: Joinable[Any],
        operation: Join,
        into: Callable[[Any, Any], Any] | None,
        known: Any,
        name: str | None,
        on_error: OnError | None,
        place: str,
    ) -> WindowedResults[Any, Any]:
        """The join and, behind it, what `into` makes of its pairs."""
        if into is not None:
            check_function(into, f"{operation.kind}'s into", place)
        pair = operation.pair_type
        inputs = (*self._inputs, *(replace(each, right=True) for each in other._inputs))
        said = max((each for each in (self._parallelism, other._parallelism) if each), default=None)
        both: Stream[Any] = Stream(self._flow, inputs, None, said)
        node = both._add(operation, known if into is None and known else pair, name, on_error, place)
        pairs: WindowedResults[Any, Any] = WindowedResults(self._flow, (Input(node),), node.type)
        if into is None:
            return pairs
        made = pairs._add(Map(into, spread=True), known or returned_by(into), None, on_error, place)
        return WindowedResults(self._flow, (Input(made),), made.type)


def checked_how(how: str, what: str, place: str, hows: tuple[str, ...] = _HOWS) -> None:
    """GraphError unless `how` is one of `hows`."""
    if how not in hows:
        *some, last = map('"{}"'.format, hows)
        raise GraphError(f"{place}: {what}'s how is {', '.join(some)} or {last}, not {how!r}")


def _check_keys(left: Key, right: Key, what: str, place: str) -> None:
    if len(left.parts) != len(right.parts):
        raise GraphError(
            f"{place}: {what} compares keys, but those of the two streams have not as many parts: {left} and {right}"
        )
    for mine, kind, other, others in zip(left.names, left.types, right.names, right.types, strict=True):
        if not may_equal(kind, others):
            raise GraphError(
                f"{place}: {what} compares {mine!r}, of type {name_of(kind)}, with {other!r}, of type "
                f"{name_of(others)}: these are never equal",
                hint=f"key one of them by a function, e.g. key_by({mine}=lambda r: ...)",
            )
