"""WindowedStream: a keyed stream that is divided into windows, and what may be made of these."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, overload

from cext.groups import Groups
from cext.guard import Guard
from cext.head import Head
from cext.instant import Instant
from cext.merging import MergingPanes
from cext.panes import Grid, Panes
from cext.waker import Waker
from cext.windowed import Windowed, Windows
from engine import operations as ops
from engine.aggregates import Aggregate, collect
from engine.checks import check_function
from engine.errors import GraphError
from engine.event_time import Time
from engine.folding import check_aggregates, folding, reducing
from engine.graph import LATE, Input, Key, OnError, users_place
from engine.partials import Form
from engine.results import result_type
from engine.stream import Stream
from engine.types import items_returned_by
from engine.windows import Bounds, Parts, Window, WindowResult, as_datetime

if TYPE_CHECKING:
    from engine.keyed import KeyedStream

T = TypeVar("T")
U = TypeVar("U")
S = TypeVar("S")


@dataclass(frozen=True, eq=False)
class InWindows(ops.Operation):
    """All records of a key in a window become one, once event time has passed its end."""

    role: ClassVar[ops.Role] = "head"
    kind = "window"
    gives_late: ClassVar[bool] = True
    key: Key
    window: Window
    clock: Time
    """Where the event time of the records stands."""
    lateness: int
    aggregates: tuple[Aggregate, ...]
    make: Callable[[Any, list[Any]], Any]
    record_type: Any
    form: Form | None
    """What partial results look like; None: there are none."""

    @property
    def time(self) -> Time | None:
        if not self.window.needs_time:
            return None
        return Time("window_end", is_datetime=self.clock.is_datetime, shift=-1)

    @property
    def late_type(self) -> Any:
        return self.record_type

    @property
    def late_time(self) -> Time | None:
        return self.clock

    def describe(self) -> str:
        return f"{', '.join(each.name for each in self.aggregates)} in {self.window!r} by {self.key}"

    def build_head(self, name: str, guard: Guard, waker: Waker) -> Head:
        return Windowed(name, guard, self._windows(self.key, Panes))

    def build_merging(self, name: str, guard: Guard) -> Head:
        assert self.form is not None, "there are partial results"
        windows = self._windows(self.form.key(self.key), MergingPanes)
        assert isinstance(windows, MergingPanes), "time is cut into panes"
        windows.partials = self.form.partials()
        return Windowed(name, guard, windows)

    def _windows(self, key: Key, panes: type[Panes]) -> Windows:
        def groups() -> Groups:
            return Groups(key.getter(), [each.column() for each in self.aggregates], self.make)

        bound = as_datetime(self.window.zone) if self.clock.is_datetime else int
        return self.window.build(Parts(groups, self.clock.instant(), bound, self.lateness, panes))

    def grid(self) -> Grid | None:
        return self.window.grid()

    def instant(self) -> Instant:
        return self.clock.instant()


class WindowedResults(Stream[U], Generic[U, T]):
    """What windows and joins give, and the records of type T that came too `late` for them."""

    @property
    def late(self) -> Stream[T]:
        """The records that came when all of their windows were over; they are counted, read or not.

        >>> from connectors.memory import collect, from_iterable
        >>> from engine import Dataflow, Tumbling, count
        >>> flow, totals, late = Dataflow("late"), [], []
        >>> times = flow.source(from_iterable([1, 12, 3, 14])).event_time(int)
        >>> counts = times.key_by().window(Tumbling("10ms")).aggregate(n=count())
        >>> counts.sink(collect(totals), name="counts")
        >>> counts.late.sink(collect(late), name="late")
        >>> flow.run().late, late, [row.n for row in totals]
        (1, [3], [1, 2])
        """
        node = self._inputs[0].node
        while node is not None and not node.operation.gives_late:
            node = node.inputs[0].node
        assert node is not None
        operation = node.operation
        return Stream(self._flow, (Input(node, LATE, time=operation.late_time),), operation.late_type)


class WindowedStream(Generic[T]):
    """A keyed stream that is divided into windows; made by `KeyedStream.window`."""

    def __init__(self, stream: KeyedStream[T], window: Window, clock: Time, lateness: int) -> None:
        self._stream, self._window, self._clock, self._lateness = stream, window, clock, lateness

    @overload
    def aggregate(
        self, *, type: type[U], name: str | None = None, on_error: OnError | None = None, **aggregates: Aggregate
    ) -> WindowedResults[U, T]: ...
    @overload
    def aggregate(
        self, *, type: None = None, name: str | None = None, on_error: OnError | None = None, **aggregates: Aggregate
    ) -> WindowedResults[Any, T]: ...
    def aggregate(
        self,
        *,
        type: type[U] | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
        **aggregates: Aggregate,
    ) -> WindowedResults[Any, T]:
        """All records of a key in a window become one: the key's parts, window_start, window_end and `aggregates`.

        `type`: a class with just these fields; by default one is made, a msgspec.Struct.

        >>> from connectors.memory import collect, from_iterable
        >>> from engine import Dataflow, Sliding, count
        >>> flow, got = Dataflow("trend"), []
        >>> times = flow.source(from_iterable([1, 12, 14])).event_time(int)
        >>> times.key_by().window(Sliding("20ms", every="10ms")).aggregate(n=count()).sink(collect(got))
        >>> _ = flow.run()
        >>> [(row.window_start, row.window_end, row.n) for row in got]
        [(-10, 10, 1), (0, 20, 3), (10, 30, 2)]
        """
        place = users_place()
        stream = self._stream
        own = (("type", type), ("name", name), ("on_error", on_error))
        check_aggregates(aggregates, own, stream.type, place)
        bound = self._clock.datetime_or_int if self._window.needs_time else int
        bounds = {"window_start": bound, "window_end": bound}
        known, make = result_type(stream.key, aggregates, stream.type, type, place, bounds)
        return self._then(tuple(aggregates.values()), make, known, name, on_error, place)

    def reduce(
        self, function: Callable[[T, T], T], *, name: str | None = None, on_error: OnError | None = None
    ) -> WindowedResults[WindowResult[T], T]:
        """All records of a key in a window become one WindowResult: the first, then `function(value, record)`.

        Where a window is made of parts (`Sliding`, `Session`), `function` joins the values of parts as well.
        """
        place = users_place()
        check_function(function, "reduce", place)
        return self._then((reducing(function),), _window_result, WindowResult, name, on_error, place)

    def fold(
        self,
        initial: Callable[[], S],
        function: Callable[[S, T], S],
        *,
        combine: Callable[[S, S], S] | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> WindowedResults[WindowResult[S], T]:
        """All records of a key in a window become one WindowResult: `initial()`, then `function(state, record)`.

        `combine(state, other)` makes one state of two: windows that are made of parts (`Sliding`, `Session`) want it.
        """
        place = users_place()
        each = folding(initial, function, combine, place)
        return self._then((each,), _window_result, WindowResult, name, on_error, place)

    def process(
        self,
        function: Callable[[Any, Bounds, list[T]], Iterable[U]],
        *,
        type: type[U] | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> WindowedResults[U, T]:
        """`function(key, bounds, records)` gets all records of a key in a window, and gives or yields any number.

        >>> from connectors.memory import collect, from_iterable
        >>> from engine import Dataflow, Tumbling
        >>> flow, got = Dataflow("medians"), []
        >>> times = flow.source(from_iterable([1, 7, 2, 12], type=int)).event_time(lambda x: x, out_of_order="5ms")
        >>> def median(key, bounds, numbers):
        ...     yield bounds.start, sorted(numbers)[len(numbers) // 2]
        >>> times.key_by().window(Tumbling("10ms")).process(median).sink(collect(got))
        >>> _ = flow.run()
        >>> got
        [(0, 2), (10, 12)]
        """
        place = users_place()
        check_function(function, "process", place)
        windows = self._then((collect(),), _with_bounds, None, None, on_error, place)
        result = windows.flat_map(
            lambda each: function(*each),
            type=type or items_returned_by(function),
            name=name or f"process {ops.function_name(function)}",
            on_error=on_error,
        )
        return WindowedResults(self._stream._flow, result._inputs, result.type)

    def _then(
        self,
        aggregates: tuple[Aggregate, ...],
        make: Callable[[Any, list[Any]], Any],
        record_type: Any,
        name: str | None,
        on_error: OnError | None,
        place: str,
    ) -> WindowedResults[Any, T]:
        if self._window.combines:
            _check_combining(aggregates, self._window, place)
        stream = self._stream
        form = None if self._window.grid() is None else Form.of(stream.key, aggregates, stream.type)
        windows = self._window, self._clock, self._lateness
        operation = InWindows(stream.key, *windows, aggregates, make, stream.type, form)
        node = stream._add(operation, record_type, name, on_error, place)
        return WindowedResults(stream._flow, (Input(node),), record_type)


def _check_combining(aggregates: tuple[Aggregate, ...], window: Window, place: str) -> None:
    for each in aggregates:
        if not each.combines:
            raise GraphError(
                f"{place}: {window!r} makes windows of parts, but {each.name} does not say how two states become one",
                hint="give it combine=..., or use process, which gets the records",
            )


def _window_result(key: Any, results: list[Any]) -> WindowResult[Any]:
    return WindowResult(key, *results)


def _with_bounds(key: Any, results: list[Any]) -> tuple[Any, Bounds, list[Any]]:
    start, end, records = results
    return key, Bounds(start, end), records
