"""KeyedStream: a stream whose records with equal keys meet, and the operators that keep something for each key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from engine import operations as ops
from engine.aggregates import Aggregate, custom
from engine.checks import check_function, unbounded_sources
from engine.errors import GraphError
from engine.graph import Input, Key, OnError, users_place
from engine.results import result_type
from engine.stream import Stream
from engine.types import returned_by, second_returned_by

if TYPE_CHECKING:
    from engine.dataflow import Dataflow

T = TypeVar("T")
U = TypeVar("U")
S = TypeVar("S")

Emit = Literal["end", "update"]


class KeyedStream(Stream[T]):
    """A stream whose records with equal keys meet in one place; made by `key_by`."""

    def __init__(
        self, flow: Dataflow, inputs: tuple[Input, ...], record_type: Any, parallelism: int | None, key: Key
    ) -> None:
        super().__init__(flow, inputs, record_type, parallelism)
        self.key = key
        """What it is keyed by."""

    @overload
    def aggregate(
        self,
        *,
        type: type[U],
        emit: Emit = "end",
        name: str | None = None,
        on_error: OnError | None = None,
        **aggregates: Aggregate,
    ) -> Stream[U]: ...
    @overload
    def aggregate(
        self,
        *,
        type: None = None,
        emit: Emit = "end",
        name: str | None = None,
        on_error: OnError | None = None,
        **aggregates: Aggregate,
    ) -> Stream[Any]: ...
    def aggregate(
        self,
        *,
        type: type[U] | None = None,
        emit: Emit = "end",
        name: str | None = None,
        on_error: OnError | None = None,
        **aggregates: Aggregate,
    ) -> Stream[Any]:
        """All records of a key become one, with the key's parts and `aggregates` as its fields.

        `emit`: "end", one record a key when the stream ends, or "update", one for each record that comes in, as the
        aggregates are then. `type`: a class with just these fields; by default one is made, a msgspec.Struct.
        """
        place = users_place()
        for own, value in (("type", type), ("emit", emit), ("name", name), ("on_error", on_error)):
            if isinstance(value, Aggregate):
                raise GraphError(
                    f"{place}: aggregate takes {own}= itself, so no result can be called that",
                    hint=f"call it otherwise, e.g. {own}_=..., and rename it with map where that matters",
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
                self._check_field(part, f"aggregate {field}={each.name}(...)", place)
        known, make = result_type(self.key, aggregates, self.type, type, place)
        return self._aggregated(tuple(aggregates.values()), make, known, emit, name, on_error, place)

    def reduce(
        self,
        function: Callable[[T, T], T],
        *,
        emit: Emit = "end",
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> Stream[tuple[Any, T]]:
        """All records of a key become one pair (key, value): the first record, then `function(value, record)`."""
        place = users_place()
        check_function(function, "reduce", place)
        first = object()
        each = custom(lambda: first, lambda value, record: record if value is first else function(value, record))  # type: ignore[arg-type]
        return self._folded(replace(each, name="reduce"), self.type, emit, name, on_error, place)

    def fold(
        self,
        initial: Callable[[], S],
        function: Callable[[S, T], S],
        *,
        emit: Emit = "end",
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> Stream[tuple[Any, S]]:
        """All records of a key become one pair (key, state): `initial()`, then `function(state, record)` for each."""
        place = users_place()
        if not callable(initial):
            raise GraphError(
                f"{place}: fold wants a function that makes a first state, got {initial!r}",
                hint=f"write lambda: {initial!r}",
            )
        check_function(function, "fold", place)
        known = returned_by(function) or returned_by(initial)
        return self._folded(replace(custom(initial, function), name="fold"), known, emit, name, on_error, place)

    def stateful_map(
        self,
        function: Callable[[S | None, T], tuple[S | None, U]],
        *,
        initial: Callable[[], S] | None = None,
        type: type[U] | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> Stream[U]:
        """Each record becomes one other, with a state for each key: `function(state, record) -> (new state, other)`.

        A key's first state is `initial()`, or None without it. A key whose new state is None is forgotten.

        >>> from engine import Dataflow
        >>> from connectors.memory import collect, from_iterable
        >>> flow, got = Dataflow("gaps"), []
        >>> readings = flow.source(from_iterable([("a", 1), ("b", 5), ("a", 4)]))
        >>> gaps = readings.key_by(lambda r: r[0]).stateful_map(lambda last, r: (r[1], r[1] - (last or 0)))
        >>> gaps.sink(collect(got))
        >>> _ = flow.run()
        >>> got
        [1, 5, 3]
        """
        if initial is not None and not callable(initial):
            raise GraphError(
                f"{users_place()}: stateful_map wants a function that makes a first state, got {initial!r}",
                hint=f"write lambda: {initial!r}",
            )
        known = type or second_returned_by(function)
        return self._then(ops.StatefulMap(self.key, function, initial), known, name, on_error)

    def _folded(
        self, each: Aggregate, known: Any, emit: Emit, name: str | None, on_error: OnError | None, place: str
    ) -> Stream[Any]:
        pair = tuple[Any, known] if known is not None else None
        return self._aggregated((each,), lambda key, results: (key, results[0]), pair, emit, name, on_error, place)

    def _aggregated(
        self,
        aggregates: tuple[Aggregate, ...],
        make: Callable[[Any, list[Any]], Any],
        record_type: Any,
        emit: Emit,
        name: str | None,
        on_error: OnError | None,
        place: str,
    ) -> Stream[Any]:
        if emit not in {"end", "update"}:
            raise GraphError(f'{place}: emit is "end" or "update", not {emit!r}')
        unbounded = next(unbounded_sources(self._inputs), None)
        if emit == "end" and unbounded is not None:
            raise GraphError(
                f"{place}: an aggregate over a stream that never ends gives nothing; its source is {unbounded}",
                hint='say emit="update" to have the aggregate after each record',
            )
        kind = ops.Aggregated if emit == "end" else ops.RunningAggregate
        operation = kind(self.key, aggregates, make)
        node = self._add(operation, record_type, name, on_error, place)
        return Stream(self._flow, (Input(node),), record_type)
