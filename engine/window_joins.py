"""Window joins: records that have a key and a window in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar, overload

from engine.durations import Duration
from engine.errors import GraphError
from engine.event_time import checked_milliseconds
from engine.graph import OnError, users_place
from engine.join_operations import InWindow
from engine.joinable import Joinable, checked_how
from engine.windowed import WindowedResults
from engine.windows import Session, Sliding, Tumbling, Window

T = TypeVar("T")
M = TypeVar("M")
U = TypeVar("U")


class WindowJoins(Joinable[T]):
    """`join`, of a keyed stream."""

    @overload
    def join(
        self,
        other: Joinable[M],
        *,
        window: Window,
        how: Literal["inner"] = "inner",
        into: None = None,
        allowed_lateness: Duration = 0,
        type: type[Any] | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> WindowedResults[tuple[T, M], T | M]: ...
    @overload
    def join(
        self,
        other: Joinable[M],
        *,
        window: Window,
        how: Literal["inner"] = "inner",
        into: Callable[[T, M], U],
        allowed_lateness: Duration = 0,
        type: type[U] | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> WindowedResults[U, T | M]: ...
    @overload
    def join(
        self,
        other: Joinable[M],
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
        other: Joinable[M],
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
        other: Joinable[M],
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
        other: Joinable[M],
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
        other: Joinable[M],
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
        other: Joinable[M],
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
        other: Joinable[M],
        *,
        window: Window,
        how: Literal["inner", "left", "right", "full"] = "inner",
        into: Callable[[Any, Any], U] | None = None,
        allowed_lateness: Duration = 0,
        type: type[U] | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> WindowedResults[Any, Any]:
        """Each record meets those of `other` that have its key and are in the same window.

        `window` is `Tumbling`, `Sliding` or `Session`; the records of both streams make a session together.
        `into(record, match)` makes what goes on, by default the pair. `how`: which records go on that have no match in
        the window, with None for it: those of this stream ("left"), of `other` ("right"), of both ("full"), or none
        ("inner"). Pairs come once event time has passed the window's end.

        `allowed_lateness`: how long after that records are still taken in that are late; each gives the pairs that it
        makes, and none anew. It is for inner joins in `Tumbling` and `Sliding`: a pair with None that was given cannot
        be taken back.

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
        if not isinstance(window, Tumbling | Sliding | Session):
            raise GraphError(
                f"{place}: join wants Tumbling, Sliding or Session as its window, got {window!r}",
                hint='e.g. .join(other, window=Tumbling("10s")), or interval_join for times that are close together',
            )
        checked_how(how, "join", place)
        lateness = checked_milliseconds(allowed_lateness, "join's allowed_lateness", place)
        if lateness and (how != "inner" or isinstance(window, Session)):
            raise GraphError(
                f"{place}: allowed_lateness is for inner joins in Tumbling or Sliding, not a {how} join in {window!r}",
                hint="what a late record would change has been given; allow for more disorder, by out_of_order",
            )
        left, right = self._sides(other, "join", place)
        operation = InWindow(left, right, how, window, lateness)
        return self._joined(other, operation, into, type, name, on_error, place)
