"""Interval joins: records that have a key in common and times that are close together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar, overload

from engine.durations import Duration
from engine.errors import GraphError
from engine.event_time import checked_milliseconds, signed_milliseconds
from engine.graph import OnError, users_place
from engine.join_operations import InInterval
from engine.joinable import Joinable, checked_how
from engine.windowed import WindowedResults

T = TypeVar("T")
M = TypeVar("M")
U = TypeVar("U")


class IntervalJoins(Joinable[T]):
    """`interval_join`, of a keyed stream."""

    @overload
    def interval_join(
        self,
        other: Joinable[M],
        *,
        lower: Duration,
        upper: Duration,
        allowed_lateness: Duration = 0,
        how: Literal["inner"] = "inner",
        into: None = None,
        type: type[Any] | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> WindowedResults[tuple[T, M], T | M]: ...
    @overload
    def interval_join(
        self,
        other: Joinable[M],
        *,
        lower: Duration,
        upper: Duration,
        allowed_lateness: Duration = 0,
        how: Literal["inner"] = "inner",
        into: Callable[[T, M], U],
        type: type[U] | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> WindowedResults[U, T | M]: ...
    @overload
    def interval_join(
        self,
        other: Joinable[M],
        *,
        lower: Duration,
        upper: Duration,
        allowed_lateness: Duration = 0,
        how: Literal["left"],
        into: None = None,
        type: type[Any] | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> WindowedResults[tuple[T, M | None], T | M]: ...
    @overload
    def interval_join(
        self,
        other: Joinable[M],
        *,
        lower: Duration,
        upper: Duration,
        allowed_lateness: Duration = 0,
        how: Literal["left"],
        into: Callable[[T, M | None], U],
        type: type[U] | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> WindowedResults[U, T | M]: ...
    @overload
    def interval_join(
        self,
        other: Joinable[M],
        *,
        lower: Duration,
        upper: Duration,
        allowed_lateness: Duration = 0,
        how: Literal["right"],
        into: None = None,
        type: type[Any] | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> WindowedResults[tuple[T | None, M], T | M]: ...
    @overload
    def interval_join(
        self,
        other: Joinable[M],
        *,
        lower: Duration,
        upper: Duration,
        allowed_lateness: Duration = 0,
        how: Literal["right"],
        into: Callable[[T | None, M], U],
        type: type[U] | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> WindowedResults[U, T | M]: ...
    @overload
    def interval_join(
        self,
        other: Joinable[M],
        *,
        lower: Duration,
        upper: Duration,
        allowed_lateness: Duration = 0,
        how: Literal["full"],
        into: None = None,
        type: type[Any] | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> WindowedResults[tuple[T | None, M | None], T | M]: ...
    @overload
    def interval_join(
        self,
        other: Joinable[M],
        *,
        lower: Duration,
        upper: Duration,
        allowed_lateness: Duration = 0,
        how: Literal["full"],
        into: Callable[[T | None, M | None], U],
        type: type[U] | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> WindowedResults[U, T | M]: ...
    def interval_join(
        self,
        other: Joinable[M],
        *,
        lower: Duration,
        upper: Duration,
        allowed_lateness: Duration = 0,
        how: Literal["inner", "left", "right", "full"] = "inner",
        into: Callable[[Any, Any], U] | None = None,
        type: type[U] | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> WindowedResults[Any, Any]:
        """Each record meets those of `other` that have its key and happened from `lower` to `upper` after it.

        Both bounds are included; one with a minus sign is before it. `into(record, match)` makes what goes on, by
        default the pair. A pair comes as soon as both are there; its event time is the later one of theirs.

        `how`: which records go on that have no match, with None for it: those of this stream ("left"), of `other`
        ("right"), of both ("full"), or none ("inner"). They come once any match would be late, and their time is their
        own: so event time goes on with a delay, by `upper` at a left join and by `-lower` at a right one.

        `allowed_lateness`: how much later than the watermark a record may be that is still taken in; event time goes on
        with that much delay too.

        >>> from connectors.memory import collect, from_iterable
        >>> from engine import Dataflow
        >>> flow, got = Dataflow("paid"), []
        >>> orders = flow.source(from_iterable([1000, 8000, 30_000])).event_time(int)
        >>> payments = flow.source(from_iterable([900, 2000, 5000, 9000])).event_time(int)
        >>> paid = orders.key_by().interval_join(payments.key_by(), lower="-1s", upper="2s", how="left")
        >>> paid.sink(collect(got))
        >>> _ = flow.run()
        >>> sorted(got)
        [(1000, 900), (1000, 2000), (8000, 9000), (30000, None)]
        """
        place = users_place()
        first = signed_milliseconds(lower, "interval_join's lower", place)
        last = signed_milliseconds(upper, "interval_join's upper", place)
        if first > last:
            raise GraphError(f"{place}: interval_join goes from lower to upper, not from {lower!r} to {upper!r}")
        checked_how(how, "interval_join", place)
        lateness = checked_milliseconds(allowed_lateness, "interval_join's allowed_lateness", place)
        left, right = self._sides(other, "interval_join", place)
        operation = InInterval(left, right, how, first, last, lateness)
        return self._joined(other, operation, into, type, name, on_error, place)
