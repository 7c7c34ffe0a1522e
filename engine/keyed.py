"""KeyedStream: a stream whose records with equal keys meet, and the operators that keep something for each key."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from engine import operations as ops
from engine.aggregates import Aggregate
from engine.checks import check_function, unbounded_sources
from engine.duplicates import Deduplicated
from engine.durations import Duration
from engine.errors import GraphError
from engine.event_time import Time, checked_milliseconds, time_of
from engine.folding import check_aggregates, folding, reducing
from engine.graph import Input, Key, OnError, users_place
from engine.joins import Joining
from engine.partials import Form
from engine.results import result_type
from engine.stream import Stream
from engine.types import returned_by, second_returned_by
from engine.windowed import WindowedResults, WindowedStream
from engine.windows import Window

if TYPE_CHECKING:
    from engine.dataflow import Dataflow

T = TypeVar("T")
U = TypeVar("U")
S = TypeVar("S")

Emit = Literal["end", "update"]


class KeyedStream(Joining[T]):
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
        own = (("type", type), ("emit", emit), ("name", name), ("on_error", on_error))
        check_aggregates(aggregates, own, self.type, place)
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
        return self._folded(reducing(function), self.type, emit, name, on_error, place)

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
        each = folding(initial, function, None, place)
        known = returned_by(function) or returned_by(initial)
        return self._folded(each, known, emit, name, on_error, place)

    def window(self, window: Window, *, allowed_lateness: Duration = 0) -> WindowedStream[T]:
        """Divide each key's records by event time (`Tumbling`, `Sliding`, `Session`) or by number (`Count`).

        A window's result comes once event time has passed its end. `allowed_lateness`: how long after that records are
        still taken in that are late; each of them gives the window's result anew.

        >>> from connectors.memory import collect, from_iterable
        >>> from engine import Dataflow, Tumbling, count
        >>> flow, got = Dataflow("clicks"), []
        >>> clicks = flow.source(from_iterable([1_000, 2_500, 900, 61_000])).event_time(int, out_of_order="10s")
        >>> clicks.key_by().window(Tumbling("1m")).aggregate(clicks=count()).sink(collect(got))
        >>> _ = flow.run()
        >>> [(row.window_start, row.clicks) for row in got]
        [(0, 3), (60000, 1)]
        """
        place = users_place()
        if not isinstance(window, Window):
            raise GraphError(
                f"{place}: window wants Tumbling, Sliding, Session or Count, got {window!r}",
                hint='e.g. .window(Tumbling("10s"))',
            )
        clock = time_of(self._inputs)
        if window.needs_time and clock is None:
            raise GraphError(
                f"{place}: {window!r} goes by event time, but where that stands in these records is not known",
                hint='write .event_time("field") before key_by, and once more behind map, which makes other records',
            )
        lateness = checked_milliseconds(allowed_lateness, "window's allowed_lateness", place)
        return WindowedStream(self, window, clock or Time("window_end"), lateness)

    def deduplicate(
        self, *, within: Duration, name: str | None = None, on_error: OnError | None = None
    ) -> WindowedResults[T, T]:
        """A record goes on unless one of its key did that happened less than `within` before or after it.

        Keys are forgotten as event time passes; a record that comes before the watermark is late.

        >>> from connectors.memory import collect, from_iterable
        >>> from engine import Dataflow
        >>> flow, got = Dataflow("once"), []
        >>> times = flow.source(from_iterable([1000, 1500, 2100, 1900])).event_time(int, out_of_order="1s")
        >>> times.key_by().deduplicate(within="1s").sink(collect(got))
        >>> _ = flow.run()
        >>> got
        [1000, 2100]
        """
        place = users_place()
        milliseconds = checked_milliseconds(within, "deduplicate's within", place, 1)
        clock = time_of(self._inputs)
        if clock is None:
            raise GraphError(
                f"{place}: deduplicate goes by event time, but where that stands in these records is not known",
                hint='write .event_time("field") before key_by, and once more behind map, which makes other records',
            )
        operation = Deduplicated(self.key, clock, milliseconds, self.type)
        node = self._add(operation, self.type, name, on_error, place)
        return WindowedResults(self._flow, (Input(node),), self.type)

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
        operation = (
            ops.Aggregated(self.key, aggregates, make, Form.of(self.key, aggregates, self.type))
            if emit == "end"
            else ops.RunningAggregate(self.key, aggregates, make)
        )
        node = self._add(operation, record_type, name, on_error, place)
        return Stream(self._flow, (Input(node),), record_type)
