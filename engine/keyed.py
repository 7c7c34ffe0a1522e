"""KeyedStream: a stream whose records with equal keys meet, and the operators that keep something for each key."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from engine.aggregates import Aggregate
from engine.checks import check_function, unbounded_sources
from engine.duplicates import FOREVER, Deduplicated, Distinct
from engine.durations import Duration
from engine.errors import GraphError
from engine.event_time import ARRIVAL, Time, checked_milliseconds, clock_of, has_watermarks, time_of
from engine.folding import check_aggregates, folding, reducing
from engine.graph import Input, Key, OnError, users_place
from engine.joins import Joining
from engine.keyed_operations import Aggregated, RunningAggregate, StatefulMap
from engine.keyed_process import KeyedProcess, made_type
from engine.partials import Form
from engine.processing import AgeingStatefulMap, Processed, ProcessResults, process_class
from engine.ranking import Ranked, Rows, ranked, ranking, rising
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
        """Divide each key's records by time (`Tumbling`, `Sliding`, `Session`), by number (`Count`), or not (`Global`).

        A window's result comes once time has passed its end: event time, or that of the clock behind `processing_time`.
        `allowed_lateness`: how long after that records are still taken in that are late; each of them gives the
        window's result anew.

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
                f"{place}: window wants Tumbling, Sliding, Session, Count or Global, got {window!r}",
                hint='e.g. .window(Tumbling("10s"))',
            )
        clock = self._clock_for(window, place)
        lateness = checked_milliseconds(allowed_lateness, "window's allowed_lateness", place)
        if lateness and (window.counts or clock.is_arrival):
            raise GraphError(f"{place}: allowed_lateness is for event time: for {window!r} nothing comes too late here")
        return WindowedStream(self, window, clock, lateness)

    def _clock_for(self, window: Window, place: str) -> Time:
        """What `window` goes by, where that is a time."""
        if not window.counts:
            return self._clock(repr(window), place)
        if window.needs_watermarks and not has_watermarks(self._inputs):
            raise GraphError(
                f"{place}: {window!r} goes by event time, which this stream has none of",
                hint='write .event_time("field") right behind the source',
            )
        return clock_of(self._inputs) or ARRIVAL

    def deduplicate(
        self, *, within: Duration, name: str | None = None, on_error: OnError | None = None
    ) -> WindowedResults[T, T]:
        """A record goes on unless one of its key did that happened less than `within` before or after it.

        Keys are forgotten as event time passes; a record that comes before the watermark is late. Behind
        `processing_time` a record happens when it gets here, and none is late.

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
        operation = Deduplicated(self.key, self._clock("deduplicate", place), milliseconds, self.type)
        node = self._add(operation, self.type, name, on_error, place)
        return WindowedResults(self._flow, (Input(node),), self.type)

    def _distinct(
        self, within: Duration | None, name: str | None, on_error: OnError | None, place: str
    ) -> WindowedResults[T, T]:
        if within is None:
            operation = Distinct(self.key, ARRIVAL, FOREVER, self.type)
        else:
            milliseconds = checked_milliseconds(within, "distinct's within", place, 1)
            operation = Distinct(self.key, self._clock("distinct", place), milliseconds, self.type)
        node = self._add(operation, self.type, name, on_error, place)
        return WindowedResults(self._flow, (Input(node),), self.type)

    def _clock(self, what: str, place: str) -> Time:
        """Where the time stands that `what` goes by."""
        clock = clock_of(self._inputs)
        if clock is None:
            raise GraphError(
                f"{place}: {what} goes by event time, but where that stands in these records is not known",
                hint='write .event_time("field") before key_by, and once more behind map, which makes other records; '
                "or .processing_time(), to go by the clock",
            )
        return clock

    def top(
        self,
        most: int,
        by: str | Callable[[T], Any],
        *,
        smallest: bool = False,
        emit: Emit = "end",
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> Stream[Ranked[T]]:
        """The `most` records of each key with the greatest `by` (or the smallest), each a `Ranked` row with its place.

        Of equals the earlier comes first; records whose `by` is None or NaN are passed over. `emit`: "end", all of a
        key's rows when the stream ends, or "update", at once all rows that a record has changed: a row stands until
        another one with the same key and place comes.

        >>> from connectors.memory import collect, from_iterable
        >>> from engine import Dataflow
        >>> flow, best, now = Dataflow("best"), [], []
        >>> words = flow.source(from_iterable(["weir", "penstock", "dam", "sluice"])).key_by()
        >>> words.top(2, by=len).sink(collect(best))
        >>> words.top(2, by=len, emit="update").sink(collect(now), name="now")
        >>> _ = flow.run()
        >>> [(row.rank, row.record) for row in best]
        [(1, 'penstock'), (2, 'sluice')]
        >>> [(row.rank, row.record) for row in now]
        [(1, 'weir'), (1, 'penstock'), (2, 'weir'), (2, 'sluice')]
        """
        place = users_place()
        each = ranking(most, by, smallest, self.type, place)
        if emit == "update":
            each = rising(each, most, by, smallest)
        lists = self._aggregated((each,), ranked, None, emit, None, on_error, place)
        return Stream(self._flow, (Input(lists._add(Rows(iter), Ranked, name, on_error, place)),), Ranked)

    def stateful_map(
        self,
        function: Callable[[S | None, T], tuple[S | None, U]],
        *,
        initial: Callable[[], S] | None = None,
        ttl: Duration | None = None,
        type: type[U] | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> Stream[U]:
        """Each record becomes one other, with a state for each key: `function(state, record) -> (new state, other)`.

        A key's first state is `initial()`, or None without it. A key whose new state is None is forgotten, and so is,
        with `ttl`, one that has had no record for so long: in event time where the stream has it, else in processing
        time (see ValueState).

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
        if ttl is None:
            return self._then(StatefulMap(self.key, function, initial), known, name, on_error)
        milliseconds = checked_milliseconds(ttl, "stateful_map's ttl", users_place(), 1)
        operation = AgeingStatefulMap(self.key, time_of(self._inputs), function, initial, milliseconds)
        return self._then(operation, known, name, on_error)

    def process(
        self,
        process: Callable[[], KeyedProcess[T, U]],
        *,
        in_order: bool = False,
        type: type[U] | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> ProcessResults[U, T]:
        """Each record, and each timer, becomes any number, by a KeyedProcess with state, timers and side outputs.

        `process`: a class on KeyedProcess or, where that wants arguments, a function that makes an object of it: each
        instance of the operator makes one. `type`: that of the results, by default U of KeyedProcess[T, U]. Their
        event time is not known: write event_time("field") once more behind it.

        `in_order`: records wait until event time has passed them, and are given in its order, each timer in its place
        among them; so what comes of them is the same however they come. One that comes too late for that is counted,
        and can be read as `late`. Without it records are given as they come, most of them ahead of event time, so
        timers that are due before them may fire after them.

        >>> from connectors.memory import collect, from_iterable
        >>> from engine import Dataflow, KeyedProcess, ValueState
        >>> class Every(KeyedProcess[int, int]):
        ...     seen = ValueState(0)
        ...     def __init__(self, step):
        ...         self.step = step
        ...     def on_record(self, number):
        ...         self.seen += 1
        ...         if self.seen % self.step == 0:
        ...             yield number
        >>> flow, got = Dataflow("every"), []
        >>> flow.source(from_iterable(range(9))).key_by().process(lambda: Every(3)).sink(collect(got))
        >>> _ = flow.run()
        >>> got
        [2, 5, 8]
        """
        place = users_place()
        cls = process_class(process, place)
        known = type or made_type(cls)
        clock = time_of(self._inputs)
        if in_order and clock is None:
            raise GraphError(
                f"{place}: in_order goes by event time, but where that stands in these records is not known",
                hint='write .event_time("field") before key_by, and once more behind map, which makes other records',
            )
        operation = Processed(self.key, clock, process, cls, in_order, self.type)
        node = self._add(operation, known, name, on_error, place)
        return ProcessResults(self._flow, (Input(node),), known)

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
            Aggregated(self.key, aggregates, make, Form.of(self.key, aggregates, self.type))
            if emit == "end"
            else RunningAggregate(self.key, aggregates, make)
        )
        node = self._add(operation, record_type, name, on_error, place)
        return Stream(self._flow, (Input(node),), record_type)
