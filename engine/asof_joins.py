"""As-of joins: each record with the latest of its key in another stream, as of its own time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar, overload

from engine.durations import Duration
from engine.event_time import checked_milliseconds
from engine.graph import OnError, users_place
from engine.join_operations import AsOf
from engine.joinable import Joinable, checked_how
from engine.windowed import WindowedResults

T = TypeVar("T")
M = TypeVar("M")
U = TypeVar("U")


class AsOfJoins(Joinable[T]):
    """`asof_join`, of a keyed stream."""

    @overload
    def asof_join(
        self,
        other: Joinable[M],
        *,
        tolerance: Duration | None = None,
        how: Literal["inner"] = "inner",
        into: None = None,
        type: type[Any] | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> WindowedResults[tuple[T, M], T | M]: ...
    @overload
    def asof_join(
        self,
        other: Joinable[M],
        *,
        tolerance: Duration | None = None,
        how: Literal["inner"] = "inner",
        into: Callable[[T, M], U],
        type: type[U] | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> WindowedResults[U, T | M]: ...
    @overload
    def asof_join(
        self,
        other: Joinable[M],
        *,
        tolerance: Duration | None = None,
        how: Literal["left"],
        into: None = None,
        type: type[Any] | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> WindowedResults[tuple[T, M | None], T | M]: ...
    @overload
    def asof_join(
        self,
        other: Joinable[M],
        *,
        tolerance: Duration | None = None,
        how: Literal["left"],
        into: Callable[[T, M | None], U],
        type: type[U] | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> WindowedResults[U, T | M]: ...
    def asof_join(
        self,
        other: Joinable[M],
        *,
        tolerance: Duration | None = None,
        how: Literal["inner", "left"] = "inner",
        into: Callable[[Any, Any], U] | None = None,
        type: type[U] | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> WindowedResults[Any, Any]:
        """Each record meets the one of `other` that has its key and was the latest at its own event time.

        A match is no later than the record, and at most `tolerance` earlier; of several with one time it is the last to
        come. `into(record, match)` makes what goes on, by default the pair; `how`: without a match, "left" gives None
        for it and "inner" drops the record. A record waits until event time has passed its own, which is that of the
        pair.

        Late are records of this stream that come before the watermark, and those of `other` that no record could meet
        which is not late: a late one still counts, from the watermark on, if none of its key has come after it.

        >>> from connectors.memory import collect, from_iterable
        >>> from engine import Dataflow
        >>> flow, got = Dataflow("rates"), []
        >>> trades = flow.source(from_iterable([1, 12, 31])).event_time(int)
        >>> rates = flow.source(from_iterable([2, 10, 12, 40])).event_time(int)
        >>> trades.key_by().asof_join(rates.key_by(), how="left").sink(collect(got))
        >>> _ = flow.run()
        >>> got
        [(1, None), (12, 12), (31, 12)]
        """
        place = users_place()
        checked_how(how, "asof_join", place, ("inner", "left"))
        most = None if tolerance is None else checked_milliseconds(tolerance, "asof_join's tolerance", place)
        left, right = self._sides(other, "asof_join", place)
        return self._joined(other, AsOf(left, right, how, most), into, type, name, on_error, place)
