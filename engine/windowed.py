"""WindowedStream: a keyed stream that is divided into windows, and what may be made of these."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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
from engine.aggregates import Aggregate, collect, meaning_of
from engine.checks import check_function
from engine.errors import GraphError
from engine.event_time import Time, arrival_of, clock_of
from engine.folding import check_aggregates, folding, reducing
from engine.graph import LATE, Input, Key, OnError, users_place
from engine.grouping import key_of
from engine.naming import function_name
from engine.operation import Aside, Operation, Role, late
from engine.partials import Form
from engine.ranking import Ranked, Rows, ranked, ranking
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
class InWindows(Operation):
    """All records of a key in a window become one, once event time has passed its end."""

    role: ClassVar[Role] = "head"
    kind = "window"
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
    has_bounds: bool = True
    """Whether results have a `window_end`, which is their event time."""

    @property
    def time(self) -> Time | None:
        if self.window.counts or not self.has_bounds:
            return None
        if self.clock.is_arrival:
            return self.clock
        return Time("window_end", is_datetime=self.clock.is_datetime, shift=self.window.last_moment)

    @property
    def asides(self) -> tuple[Aside, ...]:
        return late(self.record_type, self.clock)

    @property
    def waits_for_time(self) -> bool:
        return not (self.window.counts or self.clock.is_arrival)

    def describe(self) -> str:
        by_clock = "" if self.window.counts or not self.clock.is_arrival else " of the clock"
        return f"{', '.join(each.name for each in self.aggregates)} in {self.window!r}{by_clock} by {self.key}"

    def meaning(self, inputs: Sequence[Input]) -> dict[str, Any]:
        return {**self.key.meaning, **meaning_of(self.aggregates, self.record_type), "windows": repr(self.window)}

    def build_head(self, name: str, guard: Guard, waker: Waker) -> Head:
        instant = self.clock.instant()
        windows = self._windows(self.key, instant, Panes)
        return Windowed(name, guard, windows, None if self.window.counts else arrival_of(instant))

    def build_merging(self, name: str, guard: Guard) -> Head:
        assert self.form is not None, "there are partial results"
        windows = self._windows(self.form.key(self.key), self.clock.instant(), MergingPanes)
        assert isinstance(windows, MergingPanes), "time is cut into panes"
        windows.partials = self.form.partials()
        return Windowed(name, guard, windows)

    def _windows(self, key: Key, instant: Instant, panes: type[Panes]) -> Windows:
        def groups() -> Groups:
            return Groups(key.getter(), [each.column() for each in self.aggregates], self.make)

        bound = as_datetime(self.window.zone) if self.clock.is_datetime else int
        return self.window.build(Parts(groups, instant, bound, self.lateness, panes))

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
        while node is not None and not node.operation.asides:
            node = node.inputs[0].node
        assert node is not None
        late = node.operation.asides[0]
        return Stream(self._flow, (Input(node, LATE, time=late.time),), late.type)


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
        bound = int if self._window.counts else self._clock.datetime_or_int
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
            name=name or f"process {function_name(function)}",
            on_error=on_error,
        )
        return WindowedResults(self._stream._flow, result._inputs, result.type)

    def top(
        self,
        most: int,
        by: str | Callable[[T], Any],
        *,
        smallest: bool = False,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> WindowedResults[Ranked[T], T]:
        """The `most` records of each key and window with the greatest `by` (or the smallest), in order, as `Ranked`.

        Of equals the earlier comes first; records whose `by` is None or NaN are passed over. A late record that is
        taken in gives all rows of its window anew.

        >>> from connectors.memory import collect, from_iterable
        >>> from engine import Dataflow, Tumbling
        >>> flow, got = Dataflow("latest"), []
        >>> times = flow.source(from_iterable([1, 7, 2, 12], type=int)).event_time(lambda x: x, out_of_order="5ms")
        >>> times.key_by().window(Tumbling("10ms")).top(2, by=lambda x: x).sink(collect(got))
        >>> _ = flow.run()
        >>> [(row.window_end, row.rank, row.record) for row in got]
        [(10, 1, 7), (10, 2, 2), (20, 1, 12)]
        """
        place = users_place()
        each = ranking(most, by, smallest, self._stream.type, place)
        lists = self._then((each,), ranked, None, None, on_error, place)
        node = lists._add(Rows(iter), Ranked, name, on_error, place)
        return WindowedResults(self._stream._flow, (Input(node, time=clock_of(lists._inputs)),), Ranked)

    def distinct(
        self, *parts: str | Callable[[T], Any], name: str | None = None, on_error: OnError | None = None
    ) -> WindowedResults[T, T]:
        """The first record to come of each key and window and, where `parts` are given, of each value of these.

        They go on when the window is over, with their own times: where windows are to follow, of the same size or
        larger, say `.event_time(...)` behind it.

        >>> from connectors.memory import collect, from_iterable
        >>> from engine import Dataflow, Tumbling
        >>> flow, got = Dataflow("parities"), []
        >>> times = flow.source(from_iterable([1, 3, 2, 13, 14], type=int)).event_time(lambda x: x, out_of_order="5ms")
        >>> times.key_by().window(Tumbling("10ms")).distinct(lambda x: x % 2).sink(collect(got))
        >>> _ = flow.run()
        >>> got
        [1, 2, 13, 14]
        """
        place = users_place()
        stream = self._stream
        key = stream.key + key_of(parts, {}, stream.type, "distinct", place)
        return self._then((reducing(_first),), _last, stream.type, name, on_error, place, key)

    def _then(
        self,
        aggregates: tuple[Aggregate, ...],
        make: Callable[[Any, list[Any]], Any],
        record_type: Any,
        name: str | None,
        on_error: OnError | None,
        place: str,
        key: Key | None = None,
    ) -> WindowedResults[Any, T]:
        """`key`: what results are for each of, where that is more than what the stream is keyed by, and not shown."""
        if self._window.combines:
            _check_combining(aggregates, self._window, place)
        stream = self._stream
        shape = (key or stream.key, self._window, self._clock, self._lateness)
        combined = self._window.grid() is not None and not self._clock.is_arrival and key is None
        form = Form.of(stream.key, aggregates, stream.type) if combined else None
        operation = InWindows(*shape, aggregates, make, stream.type, form, has_bounds=key is None)
        node = stream._add(operation, record_type, name, on_error, place)
        return WindowedResults(stream._flow, (Input(node),), record_type)


def _check_combining(aggregates: tuple[Aggregate, ...], window: Window, place: str) -> None:
    for each in aggregates:
        if not each.combines:
            raise GraphError(
                f"{place}: {window!r} makes windows of parts, but {each.name} does not say how two states become one",
                hint="give it combine=..., or use process, which gets the records",
            )


def _first(one: Any, other: Any) -> Any:
    return one


def _last(key: Any, results: list[Any]) -> Any:
    return results[-1]


def _window_result(key: Any, results: list[Any]) -> WindowResult[Any]:
    return WindowResult(key, *results)


def _with_bounds(key: Any, results: list[Any]) -> tuple[Any, Bounds, list[Any]]:
    start, end, records = results
    return key, Bounds(start, end), records
