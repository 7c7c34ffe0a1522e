"""Stream: records of one type on their way, and the operators that take them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeGuard, TypeVar, overload

from engine import operations as ops
from engine.checks import call_it, check_count, check_field, check_function
from engine.durations import Duration, nanoseconds
from engine.errors import GraphError
from engine.event_time import ARRIVAL, EventTime, Time, Zone, checked_milliseconds, has_watermarks
from engine.graph import Input, Key, Node, OnError, Route, users_place
from engine.grouping import key_of
from engine.lookups import Asked
from engine.operation import Operation
from engine.sink import Sink
from engine.source import Source
from engine.types import awaited_from, guarded_by, items_returned_by, name_of, pair_of, returned_by

if TYPE_CHECKING:
    from typing_extensions import TypeIs

    from engine.dataflow import Dataflow
    from engine.keyed import KeyedStream
    from engine.windowed import WindowedResults

_KEYED = {
    *("aggregate", "reduce", "fold", "stateful_map", "process", "window", "deduplicate", "top"),
    *("join", "interval_join", "asof_join"),
}

T = TypeVar("T")
U = TypeVar("U")
M = TypeVar("M")


class Stream(Generic[T]):
    """Records of one type on their way: what an operator gives, for the next one to take.

    Every method that adds an operator takes `name` (what plans, counters and errors call it; unique in the flow)
    and `on_error` (see Dataflow). Functions are called with one record, on one thread. A stream that is used twice
    goes, whole, both ways.
    """

    def __init__(
        self, flow: Dataflow, inputs: tuple[Input, ...], record_type: Any, parallelism: int | None = None
    ) -> None:
        self._flow = flow
        self._inputs = inputs
        self.type = record_type
        """The type of the records, or None where it is not known."""
        said = [each.node.parallelism for each in inputs if not each.is_table and each.node and each.node.parallelism]
        self._parallelism = parallelism or max(said, default=None)

    # One record to at most one.

    def map(
        self,
        function: Callable[[T], U],
        *,
        type: type[U] | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> Stream[U]:
        """Each record becomes what `function` returns; `type` says its type where no annotation does.

        >>> from engine import Dataflow
        >>> flow = Dataflow("f")
        >>> from connectors.memory import from_iterable
        >>> flow.source(from_iterable(["12"])).map(int).type
        <class 'int'>
        """
        return self._then(ops.Map(function), type or returned_by(function), name, on_error)

    @overload
    def filter(
        self, function: Callable[[T], TypeGuard[U]], *, name: str | None = None, on_error: OnError | None = None
    ) -> Stream[U]: ...
    @overload
    def filter(
        self, function: Callable[[T], TypeIs[U]], *, name: str | None = None, on_error: OnError | None = None
    ) -> Stream[U]: ...
    @overload
    def filter(
        self, function: Callable[[T], object], *, name: str | None = None, on_error: OnError | None = None
    ) -> Stream[T]: ...
    def filter(
        self, function: Callable[[T], object], *, name: str | None = None, on_error: OnError | None = None
    ) -> Stream[Any]:
        """Records go on for which `function` is true; if it returns TypeGuard[U] or TypeIs[U], they are of that type.

        >>> from typing import TypeGuard
        >>> from connectors.memory import from_iterable
        >>> from engine import Dataflow
        >>> def is_text(value: object) -> TypeGuard[str]:
        ...     return isinstance(value, str)
        >>> Dataflow("f").source(from_iterable([1, "two"])).filter(is_text).type
        <class 'str'>
        """
        return self._then(ops.Filter(function), guarded_by(function) or self.type, name, on_error)

    def of_type(self, kind: type[U], *, name: str | None = None, on_error: OnError | None = None) -> Stream[U]:
        """Records go on that are instances of the class `kind`: one kind out of a stream of several.

        >>> from connectors.memory import from_iterable
        >>> from engine import Dataflow
        >>> Dataflow("f").source(from_iterable([1, "two"])).of_type(str).type
        <class 'str'>
        """
        if not isinstance(kind, type):
            raise GraphError(
                f"{users_place()}: of_type wants a class, got {kind!r}",
                hint="for several kinds use filter with a function that returns TypeGuard[...]",
            )
        return self._then(ops.OfType(kind), kind, name, on_error)

    def inspect(
        self, function: Callable[[T], object], *, name: str | None = None, on_error: OnError | None = None
    ) -> Stream[T]:
        """Records go on unchanged once `function` has seen them: to log, to count, to stop in a debugger."""
        return self._then(ops.Inspect(function), self.type, name, on_error)

    @overload
    def lookup_join(
        self,
        table: Mapping[Any, M] | Source[M] | Stream[M],
        on: str | Callable[[T], Any],
        into: None = None,
        *,
        table_key: str | Callable[[M], Any] | None = None,
        how: Literal["left"] = "left",
        delete: Callable[[M], object] | None = None,
        wait: bool = True,
        type: type[Any] | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> Stream[tuple[T, M | None]]: ...
    @overload
    def lookup_join(
        self,
        table: Mapping[Any, M] | Source[M] | Stream[M],
        on: str | Callable[[T], Any],
        into: None = None,
        *,
        table_key: str | Callable[[M], Any] | None = None,
        how: Literal["inner"],
        delete: Callable[[M], object] | None = None,
        wait: bool = True,
        type: type[Any] | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> Stream[tuple[T, M]]: ...
    @overload
    def lookup_join(
        self,
        table: Mapping[Any, M] | Source[M] | Stream[M],
        on: str | Callable[[T], Any],
        into: Callable[[T, M | None], U],
        *,
        table_key: str | Callable[[M], Any] | None = None,
        how: Literal["left"] = "left",
        delete: Callable[[M], object] | None = None,
        wait: bool = True,
        type: type[U] | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> Stream[U]: ...
    @overload
    def lookup_join(
        self,
        table: Mapping[Any, M] | Source[M] | Stream[M],
        on: str | Callable[[T], Any],
        into: Callable[[T, M], U],
        *,
        table_key: str | Callable[[M], Any] | None = None,
        how: Literal["inner"],
        delete: Callable[[M], object] | None = None,
        wait: bool = True,
        type: type[U] | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> Stream[U]: ...
    def lookup_join(
        self,
        table: Mapping[Any, M] | Source[M] | Stream[M],
        on: str | Callable[[T], Any],
        into: Callable[[T, M], U] | Callable[[T, M | None], U] | None = None,
        *,
        table_key: str | Callable[[M], Any] | None = None,
        how: Literal["left", "inner"] = "left",
        delete: Callable[[M], object] | None = None,
        wait: bool = True,
        type: type[U] | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> Stream[Any]:
        """Each record meets its match in `table`, by the value of its `on`, a field or function.

        `table`: a mapping, or a source with `table_key`, a field or function by which its records are found (unique, or
        the job fails); both are read into memory once, when the job starts. Or a stream, with `table_key` or keyed: the
        last record of each key is in the table, and meets what comes then; one for which `delete` is true takes its
        key out of it. `into(record, match)` makes what goes on, by default the pair; `how`: without a match, "left"
        gives None for it and "inner" drops the record. Both count it, as `unmatched`, which the summary shows.

        Records wait until a table that is a stream was read once: each of its sources has ended, or has been idle (see
        event_time's `idle_after`); with `wait=False` they do not. Event time goes by the records alone. How the two
        streams lie to each other in time is left to chance: where answers must not hang on it, use `asof_join`.

        >>> from connectors.memory import collect, from_iterable
        >>> from engine import Dataflow
        >>> flow, got = Dataflow("named"), []
        >>> names = flow.source(from_iterable([(1, "one"), (2, "two"), (1, "uno"), (2, None)]))
        >>> table = names.key_by(number=lambda pair: pair[0])
        >>> known = flow.source(from_iterable([1, 2])).lookup_join(table, on=int, delete=lambda pair: pair[1] is None)
        >>> known.sink(collect(got))
        >>> _ = flow.run()
        >>> got
        [(1, (1, 'uno')), (2, None)]
        """
        asked = Asked(self, table, on, into, table_key, how, delete, wait, users_place())
        asked.check()
        operation, inputs = asked.in_stream(table) if isinstance(table, Stream) else (asked.once(), self._inputs)
        match = None if isinstance(table, Mapping) else table.type
        known = returned_by(into) if into is not None else pair_of(self.type, match, match_may_lack=how == "left")
        both: Stream[Any] = Stream(self._flow, inputs, None, self._parallelism)
        node = both._add(operation, type or known, name, on_error, asked.place)
        return Stream(self._flow, (Input(node),), node.type)

    def event_time(
        self,
        time: str | Callable[[T], int | datetime | None],
        *,
        out_of_order: Duration | None = None,
        idle_after: Duration | None = None,
        zone: Zone | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> Stream[T]:
        """Say when the events happened that the records tell of: `time` is a field or function, for windows to go by.

        Its values are datetimes, or ints that count milliseconds since the epoch. A datetime without a zone is refused,
        unless `zone` says which one they all are in. Bounds of windows are datetimes where `time` is known to be one.

        `out_of_order`: how much earlier than one before it a record may be; one that is earlier still may be too late
        for its window. It holds for each partition of a source where this follows one, which is therefore the best
        place for it, and all partitions are read side by side then; else for each instance of the operator. Without it
        records come in order; where the stream has event time already that is not made anew, but `time` says where it
        stands from here on: what `map` gives, say.

        `idle_after`: a partition that gives nothing for so long is not waited for until it does.

        >>> from connectors.memory import discard, from_iterable
        >>> from engine import Dataflow
        >>> flow = Dataflow("clicks")
        >>> clicks = flow.source(from_iterable([1_000, 2_500, 900, 61_000])).event_time(int, out_of_order="10s")
        >>> clicks.sink(discard())
        >>> flow.run()["event_time"].watermark
        51000
        """
        place = users_place()
        if not isinstance(time, str) and not callable(time):
            raise GraphError(f"{place}: event_time wants a field or a function, got {time!r}")
        self._check_field(time, "event_time", place)
        found = Time.of(time, self.type, zone, place)
        if out_of_order is None and idle_after is None and has_watermarks(self._inputs):
            return Stream(
                self._flow, tuple(replace(each, time=found) for each in self._inputs), self.type, self._parallelism
            )
        late = checked_milliseconds(0 if out_of_order is None else out_of_order, "event_time's out_of_order", place)
        idle = -1 if idle_after is None else checked_milliseconds(idle_after, "event_time's idle_after", place) * 10**6
        node = self._add(EventTime(found, late, idle), self.type, name, on_error, place)
        return Stream(self._flow, (Input(node),), self.type)

    def processing_time(self) -> Stream[T]:
        """Let what follows go by the clock: the time of a record is when it gets to the window that takes it.

        No record is late. A window's result comes once the clock has passed its end, and at the end of the stream for
        those that have only begun. Bounds are datetimes, in UTC unless the window has a zone. The clock is that of the
        process that the window is in; it may be put back, but the window then waits until it is where it was. In one
        process `run(clock=...)` takes another, for tests. See `event_time` for results that can be had again.

        >>> from connectors.memory import collect, from_iterable
        >>> from engine import Dataflow, Tumbling, count
        >>> from engine.testing import ManualClock
        >>> flow, got = Dataflow("arrivals"), []
        >>> arrivals = flow.source(from_iterable(["a", "b", "a"])).processing_time()
        >>> arrivals.key_by(str).window(Tumbling("10s")).aggregate(n=count()).sink(collect(got))
        >>> _ = flow.run(clock=ManualClock(25_000))
        >>> [(row.key, f"{row.window_start:%S}", f"{row.window_end:%S}", row.n) for row in got]
        [('a', '20', '30', 2), ('b', '20', '30', 1)]
        """
        inputs = tuple(replace(each, time=ARRIVAL) for each in self._inputs)
        return Stream(self._flow, inputs, self.type, self._parallelism)

    def distinct(
        self,
        *parts: str | Callable[[T], Any],
        within: Duration | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> WindowedResults[T, T]:
        """The first record to come of each value of `parts`, fields or a function; without them, of each record itself.

        `within`: a value counts as new again after so much time without it going on, and is forgotten then: event time
        or, behind `processing_time`, that of the clock (see `KeyedStream.deduplicate`). Without it each value goes on
        once, and all of them are kept in memory for as long as the job runs.

        >>> from connectors.memory import collect, from_iterable
        >>> from engine import Dataflow
        >>> flow, got = Dataflow("once"), []
        >>> flow.source(from_iterable(["weir", "dam", "weir"])).distinct().sink(collect(got))
        >>> _ = flow.run()
        >>> got
        ['weir', 'dam']
        """
        from engine.keyed import KeyedStream  # which is a Stream itself

        place = users_place()
        key = key_of(parts or (itself,), {}, self.type, "distinct", place)
        inputs = self._routed("hash", "distinct", place, key)
        keyed: KeyedStream[T] = KeyedStream(self._flow, inputs, self.type, self._parallelism, key)
        return keyed._distinct(within, name, on_error, place)

    # One or many records to any number.

    def flat_map(
        self,
        function: Callable[[T], Iterable[U]],
        *,
        type: type[U] | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> Stream[U]:
        """Each record becomes all that `function` returns or yields, taken up as there is credit."""
        return self._then(ops.FlatMap(function), type or items_returned_by(function), name, on_error)

    def map_batch(
        self,
        function: Callable[[list[T]], Iterable[U]],
        *,
        size: int = 1024,
        type: type[U] | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> Stream[U]:
        """Up to `size` records at a time, fewer when no more are there, become all that `function` returns.

        Where `on_error` is not "fail", a batch that raises is tried again record by record.
        """
        check_count(size, "map_batch wants a size", users_place())
        return self._then(ops.MapBatch(function, size), type or items_returned_by(function), name, on_error)

    def map_async(
        self,
        function: Callable[[T], Awaitable[U]],
        *,
        concurrency: int = 100,
        ordered: bool = True,
        timeout: Duration | None = None,
        type: type[U] | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> Stream[U]:
        """Each record becomes what the coroutine `function(record)` returns, at most `concurrency` under way at once.

        `ordered`: results keep the order of the records, else they go on as they come; `timeout`: how long one call may
        take; past it, TimeoutError is that record's error.
        """
        place = users_place()
        check_count(concurrency, "map_async wants a concurrency", place)
        try:
            seconds = None if timeout is None else nanoseconds(timeout) / 1e9
        except (TypeError, ValueError) as error:
            raise GraphError(f"{place}: map_async's timeout: {error}") from error
        known = type or awaited_from(function)
        return self._then(ops.MapAsync(function, concurrency, ordered, seconds), known, name, on_error)

    # Ways apart and together.

    @overload
    def split(
        self, predicate: Callable[[T], TypeGuard[U]], /, *, name: str | None = None, on_error: OnError | None = None
    ) -> tuple[Stream[U], Stream[T]]: ...
    @overload
    def split(
        self, predicate: Callable[[T], TypeIs[U]], /, *, name: str | None = None, on_error: OnError | None = None
    ) -> tuple[Stream[U], Stream[T]]: ...
    @overload
    def split(
        self, predicate: Callable[[T], object], /, *, name: str | None = None, on_error: OnError | None = None
    ) -> tuple[Stream[T], Stream[T]]: ...
    @overload
    def split(
        self, *predicates: Callable[[T], object], name: str | None = None, on_error: OnError | None = None
    ) -> tuple[Stream[T], ...]: ...
    def split(
        self, *predicates: Callable[[T], object], name: str | None = None, on_error: OnError | None = None
    ) -> tuple[Stream[Any], ...]:
        """One stream for each predicate, and one for the rest; a record takes the first whose predicate is true.

        The stream of a predicate that returns TypeGuard[U] or TypeIs[U] is of that type, as with `filter`.

        >>> from engine import Dataflow
        >>> from connectors.memory import collect, from_iterable
        >>> flow, even, odd = Dataflow("parity"), [], []
        >>> evens, odds = flow.source(from_iterable(range(5))).split(lambda x: x % 2 == 0)
        >>> _ = evens.sink(collect(even)), odds.sink(collect(odd))
        >>> _ = flow.run()
        >>> even, odd
        ([0, 2, 4], [1, 3])
        """
        place = users_place()
        if not predicates:
            raise GraphError(
                f"{place}: split wants at least one predicate", hint="e.g. late, on_time = flights.split(is_late)"
            )
        for predicate in predicates:
            check_function(predicate, "split", place)
        operation = ops.Split(predicates)
        types = [*(guarded_by(predicate) or self.type for predicate in predicates), self.type]
        node = self._add(operation, self.type, name, on_error, place, len(types))
        return tuple(Stream(self._flow, (Input(node, output),), known) for output, known in enumerate(types))

    def union(self, *others: Stream[T]) -> Stream[T]:
        """The records of this stream and of `others`, as they come; each one's own order is kept."""
        place = users_place()
        for other in others:
            if not isinstance(other, Stream):
                raise GraphError(f"{place}: union wants streams, got {other!r}")
            if other._flow is not self._flow:
                raise GraphError(
                    f"{place}: union of streams of two flows, {self._flow.name!r} and {other._flow.name!r}",
                    hint="build both in one Dataflow",
                )
        streams = (self, *others)
        inputs = tuple(each for stream in streams for each in stream._inputs)
        known = self.type if all(other.type == self.type for other in others) else None
        said = [stream._parallelism for stream in streams if stream._parallelism]
        return Stream(self._flow, inputs, known, max(said, default=None))

    def stage(self, name: str, *, processes: int = 1) -> Stream[T]:
        """What follows runs in `processes` processes of its own, which are called `name`.

        All operators of a flow are in one stage unless it says otherwise; `run(processes=N)` says how many processes
        that one has. A name that is used again means the same processes.

        >>> from engine import Dataflow
        >>> from connectors.memory import discard, generate
        >>> flow = Dataflow("staged")
        >>> flow.source(generate(int, count=10)).map(str).stage("load", processes=2).sink(discard())
        >>> "worker 2, worker 3" in flow.explain()
        True
        """
        place = users_place()
        if not isinstance(name, str) or not name.strip():
            raise GraphError(f"{place}: a stage wants a name, got {name!r}", hint='e.g. .stage("load", processes=2)')
        check_count(processes, "stage wants processes", place)
        known = self._flow.graph.stages.setdefault(name, processes)
        if known != processes:
            raise GraphError(f"{place}: stage {name!r} has {known} processes elsewhere, and {processes} here")
        inputs = tuple(replace(each, stage=name) for each in self._inputs)
        return Stream(self._flow, inputs, self.type)

    def rebalance(self, parallelism: int) -> Stream[T]:
        """What follows runs `parallelism` times; each record goes to one of them.

        Full frames go whole to whichever has most credit, so that a slow one does not stop the others; when fewer
        records are there, all get a share.
        """
        return self._spread("rebalance", parallelism)

    def broadcast(self, parallelism: int) -> Stream[T]:
        """What follows runs `parallelism` times; each record goes to all of them."""
        return self._spread("broadcast", parallelism)

    def key_by(
        self, *parts: str | Callable[[T], Any], parallelism: int | None = None, **named: str | Callable[[T], Any]
    ) -> KeyedStream[T]:
        """Group by fields and functions; records with equal keys meet in the same place, in order.

        A field is given by its name, or by another_name="field"; a function by name=function, or alone (then it is
        called "key"). Several make a tuple; none at all makes one group of everything. `parallelism`: how many times
        what follows runs.

        >>> from connectors.memory import collect, from_iterable
        >>> from engine import Dataflow, count
        >>> flow, sizes = Dataflow("sizes"), []
        >>> words = flow.source(from_iterable(["a", "bb", "cc"]))
        >>> words.key_by(size=len).aggregate(words=count()).sink(collect(sizes))
        >>> _ = flow.run()
        >>> [(row.size, row.words) for row in sizes]
        [(1, 1), (2, 2)]
        """
        place = users_place()
        key = key_of(parts, named, self.type, "key_by", place)
        if parallelism is not None:
            check_count(parallelism, "key_by wants a parallelism", place)
        inputs = self._routed("hash", "key_by", place, key)
        from engine.keyed import KeyedStream  # which is a Stream itself

        return KeyedStream(self._flow, inputs, self.type, parallelism or self._parallelism, key)

    def sink(self, sink: Sink[T], *, name: str | None = None, on_error: OnError | None = None) -> None:
        """Write every record to `sink`: the end of a stream."""
        place = users_place()
        if not isinstance(sink, Sink):
            raise GraphError(
                f"{place}: wanted a Sink, got {sink!r}",
                hint=call_it(sink) or "use one of connectors.*, or a class of your own on engine.Sink",
            )
        unique = self._flow.graph.unique(name, sink.name, place)
        try:
            sink.check(self.type)
        except GraphError as error:
            raise GraphError(f"{place}: sink {unique!r}: {error}") from error
        self._flow._add(
            ops.ToSink(sink), self._inputs, self.type, name, sink.name, on_error, self._parallelism, place, 0
        )

    # For all of them.

    def _then(self, operation: Operation, record_type: Any, name: str | None, on_error: OnError | None) -> Stream[Any]:
        place = users_place()
        check_function(operation.function, operation.kind, place)
        node = self._add(operation, record_type, name, on_error, place)
        return Stream(self._flow, (Input(node),), record_type)

    def _add(
        self,
        operation: Operation,
        record_type: Any,
        name: str | None,
        on_error: OnError | None,
        place: str,
        outputs: int = 1,
    ) -> Node:
        default = operation.default_name
        return self._flow._add(
            operation, self._inputs, record_type, name, default, on_error, self._parallelism, place, outputs
        )

    def _spread(self, route: Route, parallelism: int) -> Stream[T]:
        place = users_place()
        check_count(parallelism, f"{route} wants a parallelism", place)
        return Stream(self._flow, self._routed(route, route, place), self.type, parallelism)

    def _routed(self, route: Route, what: str, place: str, key: Key | None = None) -> tuple[Input, ...]:
        if any(each.route == "broadcast" for each in self._inputs):
            raise GraphError(
                f"{place}: {what} right after broadcast would undo it",
                hint="put the operator between them that is to see every record",
            )
        return tuple(replace(each, route=route, key=key) for each in self._inputs)

    def _check_field(self, part: Any, where: str, place: str) -> None:
        check_field(self.type, part, where, place)

    if not TYPE_CHECKING:  # a checker knows by itself what is not there

        def __getattr__(self, name: str) -> Any:
            hint = f"; it is for each key: write .key_by(...).{name}(...)" if name in _KEYED else ""
            said = f"{type(self).__name__!r} object has no attribute {name!r}"
            raise AttributeError(said + hint, name=name, obj=self)

    def __iter__(self) -> AsyncIterator[T]:
        raise TypeError("a Stream holds no records to iterate over; add operators and a sink, then flow.run()")

    def __repr__(self) -> str:
        names = ", ".join("dead letters" if each.node is None else each.node.name for each in self._inputs)
        return f"<{type(self).__name__} of {name_of(self.type)} from {names}>"


def itself(record: T) -> T:
    """The record: what there is one of each, where nothing else is said."""
    return record
