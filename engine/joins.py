"""Joining: how a keyed stream is joined with another one by event time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from engine import operations as ops
from engine.checks import check_function
from engine.durations import Duration
from engine.errors import GraphError
from engine.event_time import Time, signed_milliseconds, time_of
from engine.graph import Input, Key, OnError, users_place
from engine.join_operations import InInterval, Into, InWindow, Join, Later, Side
from engine.stream import Stream
from engine.types import optional, returned_by
from engine.windowed import WindowedResults
from engine.windows import Sliding, Tumbling, Window

T = TypeVar("T")
M = TypeVar("M")
U = TypeVar("U")


class Joining(Stream[T]):
    """What a keyed stream has to be joined with another one."""

    if TYPE_CHECKING:
        key: Key

    @overload
    def join(
        self,
        other: Joining[M],
        *,
        window: Window,
        how: Literal["inner"] = "inner",
        into: None = None,
        type: type[Any] | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> WindowedResults[tuple[T, M], T | M]: ...
    @overload
    def join(
        self,
        other: Joining[M],
        *,
        window: Window,
        how: Literal["inner"] = "inner",
        into: Callable[[T, M], U],
        type: type[U] | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> WindowedResults[U, T | M]: ...
    @overload
    def join(
        self,
        other: Joining[M],
        *,
        window: Window,
        how: Literal["left"],
        into: None = None,
        type: type[Any] | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> WindowedResults[tuple[T, M | None], T | M]: ...
    @overload
    def join(
        self,
        other: Joining[M],
        *,
        window: Window,
        how: Literal["left"],
        into: Callable[[T, M | None], U],
        type: type[U] | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> WindowedResults[U, T | M]: ...
    @overload
    def join(
        self,
        other: Joining[M],
        *,
        window: Window,
        how: Literal["right"],
        into: None = None,
        type: type[Any] | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> WindowedResults[tuple[T | None, M], T | M]: ...
    @overload
    def join(
        self,
        other: Joining[M],
        *,
        window: Window,
        how: Literal["right"],
        into: Callable[[T | None, M], U],
        type: type[U] | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> WindowedResults[U, T | M]: ...
    @overload
    def join(
        self,
        other: Joining[M],
        *,
        window: Window,
        how: Literal["full"],
        into: None = None,
        type: type[Any] | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> WindowedResults[tuple[T | None, M | None], T | M]: ...
    @overload
    def join(
        self,
        other: Joining[M],
        *,
        window: Window,
        how: Literal["full"],
        into: Callable[[T | None, M | None], U],
        type: type[U] | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> WindowedResults[U, T | M]: ...
    def join(
        self,
        other: Joining[M],
        *,
        window: Window,
        how: Literal["inner", "left", "right", "full"] = "inner",
        into: Callable[[Any, Any], U] | None = None,
        type: type[U] | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> WindowedResults[Any, Any]:
        """Each record meets those of `other` that have its key and are in the same window, `Tumbling` or `Sliding`.

        `into(record, match)` makes what goes on, by default the pair. `how`: which records go on that have no match in
        the window, with None for it: those of this stream ("left"), of `other` ("right"), of both ("full"), or none
        ("inner"). Pairs come once event time has passed the window's end.

        >>> from connectors.memory import collect, from_iterable
        >>> from engine import Dataflow, Tumbling
        >>> flow, got = Dataflow("pairs"), []
        >>> clicks = flow.source(from_iterable([1, 12, 31])).event_time(int)
        >>> sales = flow.source(from_iterable([5, 6, 17])).event_time(int)
        >>> pairs = clicks.key_by().join(sales.key_by(), window=Tumbling("10ms"), how="left")
        >>> pairs.sink(collect(got))
        >>> _ = flow.run()
        >>> got
        [(1, 5), (1, 6), (12, 17), (31, None)]
        """
        place = users_place()
        if not isinstance(window, Tumbling | Sliding):
            raise GraphError(
                f"{place}: join wants Tumbling or Sliding as its window, got {window!r}",
                hint='e.g. .join(other, window=Tumbling("10s")), or interval_join for times that are close together',
            )
        if how not in {"inner", "left", "right", "full"}:
            raise GraphError(f'{place}: how is "inner", "left", "right" or "full", not {how!r}')
        left, right = self._sides(other, "join", place)
        first = optional(left.type) if how in {"right", "full"} else left.type
        second = optional(right.type) if how in {"left", "full"} else right.type
        operation = InWindow(left, right, window, how)
        return self._joined(other, operation, (first, second), into, type, name, on_error, place)

    @overload
    def interval_join(
        self,
        other: Joining[M],
        *,
        lower: Duration,
        upper: Duration,
        into: None = None,
        type: type[Any] | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> WindowedResults[tuple[T, M], T | M]: ...
    @overload
    def interval_join(
        self,
        other: Joining[M],
        *,
        lower: Duration,
        upper: Duration,
        into: Callable[[T, M], U],
        type: type[U] | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> WindowedResults[U, T | M]: ...
    def interval_join(
        self,
        other: Joining[M],
        *,
        lower: Duration,
        upper: Duration,
        into: Callable[[Any, Any], U] | None = None,
        type: type[U] | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> WindowedResults[Any, Any]:
        """Each record meets those of `other` that have its key and happened from `lower` to `upper` after it.

        Both bounds are included; one with a minus sign is before it. `into(record, match)` makes what goes on, by
        default the pair. A pair comes as soon as both are there; its event time is the later one of theirs.

        >>> from connectors.memory import collect, from_iterable
        >>> from engine import Dataflow
        >>> flow, got = Dataflow("paid"), []
        >>> orders = flow.source(from_iterable([1000, 8000])).event_time(int)
        >>> payments = flow.source(from_iterable([900, 2000, 5000, 9000])).event_time(int)
        >>> orders.key_by().interval_join(payments.key_by(), lower="-1s", upper="2s").sink(collect(got))
        >>> _ = flow.run()
        >>> sorted(got)
        [(1000, 900), (1000, 2000), (8000, 9000)]
        """
        place = users_place()
        first = signed_milliseconds(lower, "interval_join's lower", place)
        last = signed_milliseconds(upper, "interval_join's upper", place)
        if first > last:
            raise GraphError(f"{place}: interval_join goes from lower to upper, not from {lower!r} to {upper!r}")
        left, right = self._sides(other, "interval_join", place)
        is_datetime = left.clock.is_datetime and right.clock.is_datetime
        later = Time(Later(left.clock, right.clock), is_datetime=is_datetime)
        operation = InInterval(left, right, first, last, later)
        return self._joined(other, operation, (left.type, right.type), into, type, name, on_error, place)

    def _sides(self, other: Any, what: str, place: str) -> tuple[Side, Side]:
        """Both inputs, if they can be joined."""
        if not isinstance(other, Joining):
            raise GraphError(f"{place}: {what} wants a keyed stream, got {other!r}", hint="write other.key_by(...)")
        if other._flow is not self._flow:
            raise GraphError(
                f"{place}: {what} of streams of two flows, {self._flow.name!r} and {other._flow.name!r}",
                hint="build both in one Dataflow",
            )
        if len(self.key.parts) != len(other.key.parts):
            raise GraphError(
                f"{place}: {what} compares keys, but those of the two streams have not as many parts: "
                f"{self.key} and {other.key}"
            )
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
        other: Joining[Any],
        operation: Join,
        types: tuple[Any, Any],
        into: Callable[[Any, Any], Any] | None,
        known: Any,
        name: str | None,
        on_error: OnError | None,
        place: str,
    ) -> WindowedResults[Any, Any]:
        """The join and, behind it, what `into` makes of its pairs."""
        if into is not None:
            check_function(into, f"{operation.kind}'s into", place)
        pair = None if None in types else tuple[types]  # type: ignore[valid-type]
        inputs = (*self._inputs, *(replace(each, right=True) for each in other._inputs))
        said = max((each for each in (self._parallelism, other._parallelism) if each), default=None)
        both: Stream[Any] = Stream(self._flow, inputs, None, said)
        node = both._add(operation, known if into is None and known else pair, name, on_error, place)
        pairs: WindowedResults[Any, Any] = WindowedResults(self._flow, (Input(node),), node.type)
        if into is None:
            return pairs
        made = pairs._add(ops.Map(Into(into)), known or returned_by(into), None, on_error, place)
        return WindowedResults(self._flow, (Input(made),), made.type)
