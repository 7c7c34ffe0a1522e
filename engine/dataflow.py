"""Dataflow, Stream, KeyedStream: the fluent builder of graphs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, overload

from cext.getter import Getter
from engine import operations as ops
from engine.aggregates import Aggregate, custom
from engine.durations import Duration, nanoseconds
from engine.errors import GraphError
from engine.graph import LETTERS, Graph, Input, Key, Node, OnError, Route, feeding, users_place
from engine.letters import DeadLetter
from engine.results import result_type
from engine.settings import Settings
from engine.sink import Sink
from engine.source import Source
from engine.types import (
    awaited_from,
    did_you_mean,
    fields_of,
    has_field,
    items_returned_by,
    name_of,
    returned_by,
    second_returned_by,
)

if TYPE_CHECKING:
    from engine.job import Job
    from engine.metrics import JobResult

T = TypeVar("T")
U = TypeVar("U")
K = TypeVar("K")
S = TypeVar("S")
M = TypeVar("M")

Emit = Literal["end", "update"]


class Dataflow:
    """A graph of operators, from sources to sinks, that can be run.

    `name`: what the job is called; `on_error`: what operators that say nothing of their own do with a record that they
    cannot handle ("fail": deliver what came before it and fail the job; "skip": count it; "dead-letter": send it
    to `dead_letters`); `settings`: the limits of the job.

    >>> from connectors.memory import collect, from_iterable
    >>> flow, squares = Dataflow("squares"), []
    >>> _ = flow.source(from_iterable([1, 2, 3])).map(lambda x: x * x).sink(collect(squares))
    >>> flow.run().state, squares
    ('finished', [1, 4, 9])
    """

    def __init__(self, name: str, *, on_error: OnError = "fail", settings: Settings | None = None) -> None:
        place = users_place()
        if not isinstance(name, str) or not name.strip():
            raise GraphError(f"{place}: a Dataflow wants a name, got {name!r}", hint='e.g. Dataflow("flight-delays")')
        if settings is not None and not isinstance(settings, Settings):
            raise GraphError(f"{place}: settings are a Settings(...), got {settings!r}")
        self.graph = Graph(name)
        self.on_error: OnError = _checked(on_error, place)
        self.settings = settings or Settings()

    @property
    def name(self) -> str:
        """What the job is called."""
        return self.graph.name

    def source(self, source: Source[T], *, name: str | None = None, on_error: OnError | None = None) -> Stream[T]:
        """Read `source`: the beginning of a stream. `on_error` is about records that it cannot read."""
        place = users_place()
        if not isinstance(source, Source):
            raise GraphError(
                f"{place}: wanted a Source, got {source!r}",
                hint=_call_it(source)
                or "use one of connectors.*, e.g. connectors.memory.from_iterable(...) for a list",
            )
        node = self._add(ops.FromSource(source), (), source.type, name, source.name, on_error, 1, place)
        return Stream(self, (Input(node),), source.type)

    @property
    def dead_letters(self) -> Stream[DeadLetter]:
        """Every record that an operator with on_error="dead-letter" could not handle, and why."""
        return Stream(self, (Input(None, LETTERS),), DeadLetter)

    def run(self, *, progress: bool | None = None) -> JobResult:
        """Run to the end and return what was done.

        SIGINT or SIGTERM stops the sources and drains; a second one drops what is on its way. `progress`: show a live
        table on stderr, and a summary at the end (by default where stderr is a terminal). Raises GraphError before anything runs if the graph is not whole,
        and JobError, with `.result`, when the job fails.
        """
        from engine.job import run

        return run(self, progress)

    def start(self) -> Job:
        """Start the job and return at once."""
        from engine.job import Job

        return Job(self).start()

    def explain(self) -> str:
        """The plan as text: tasks, edges, and the most records that can ever be in flight on each and in sum."""
        from engine.plan import Plan

        return str(Plan.of(self))

    def to_mermaid(self) -> str:
        """The graph as Mermaid flowchart text."""
        from engine.draw import mermaid

        return mermaid(self.graph)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """A notebook shows the graph itself."""
        from engine.draw import svg

        return {"image/svg+xml": svg(self.graph), "text/plain": repr(self)}

    def __repr__(self) -> str:
        return f"<Dataflow {self.name!r}: {len(self.graph.nodes)} operators>"

    def _add(
        self,
        operation: ops.Operation,
        inputs: tuple[Input, ...],
        record_type: Any,
        name: str | None,
        default: str,
        on_error: OnError | None,
        parallelism: int,
        place: str,
        outputs: int = 1,
    ) -> Node:
        unique = self.graph.unique(name, default, place)
        policy = self.on_error if on_error is None else _checked(on_error, place)
        if policy == "dead-letter" and any(each.node is None for each in feeding(inputs)):
            if on_error is not None:
                raise GraphError(
                    f"{place}: {unique!r} handles dead letters, so it cannot send its own there", hint='use "skip"'
                )
            policy = "fail"
        return self.graph.add(Node(unique, operation, inputs, record_type, policy, parallelism, place, outputs))


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
        self._parallelism = parallelism or max((each.node.parallelism for each in inputs if each.node), default=1)

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

        >>> flow = Dataflow("f")
        >>> from connectors.memory import from_iterable
        >>> flow.source(from_iterable(["12"])).map(int).type
        <class 'int'>
        """
        return self._then(ops.Map(function), type or returned_by(function), name, on_error)

    def filter(
        self, function: Callable[[T], object], *, name: str | None = None, on_error: OnError | None = None
    ) -> Stream[T]:
        """Records go on for which `function` is true."""
        return self._then(ops.Filter(function), self.type, name, on_error)

    def inspect(
        self, function: Callable[[T], object], *, name: str | None = None, on_error: OnError | None = None
    ) -> Stream[T]:
        """Records go on unchanged once `function` has seen them: to log, to count, to stop in a debugger."""
        return self._then(ops.Inspect(function), self.type, name, on_error)

    @overload
    def lookup_join(
        self,
        table: Mapping[Any, M] | Source[M],
        on: str | Callable[[T], Any],
        into: None = None,
        *,
        table_key: str | Callable[[M], Any] | None = None,
        how: Literal["left", "inner"] = "left",
        type: type[U] | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> Stream[Any]: ...
    @overload
    def lookup_join(
        self,
        table: Mapping[Any, M] | Source[M],
        on: str | Callable[[T], Any],
        into: Callable[[T, M], U] | Callable[[T, M | None], U],
        *,
        table_key: str | Callable[[M], Any] | None = None,
        how: Literal["left", "inner"] = "left",
        type: type[U] | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> Stream[U]: ...
    def lookup_join(
        self,
        table: Mapping[Any, M] | Source[M],
        on: str | Callable[[T], Any],
        into: Callable[[T, M], U] | Callable[[T, M | None], U] | None = None,
        *,
        table_key: str | Callable[[M], Any] | None = None,
        how: Literal["left", "inner"] = "left",
        type: type[U] | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> Stream[Any]:
        """Each record meets its match in `table`, which is read into memory once, when the job starts.

        `table`: a mapping, or a source with `table_key`, a field or function by which its records are found
        (unique, or the job fails); `on`: the field or function of this stream's records to look up;
        `into(record, match)` makes what goes on, by default the pair; `how`: without a match, "left" gives None for
        it and "inner" drops the record (what went in and what came out is counted).
        """
        place = users_place()
        if isinstance(table, Source) == (table_key is None):
            raise GraphError(
                f"{place}: lookup_join wants table_key with a source, and no table_key with a mapping",
                hint='e.g. lookup_join(csv_files("planes.csv", type=Plane), on="tail", table_key="tail")',
            )
        if not isinstance(table, Source | Mapping):
            raise GraphError(f"{place}: lookup_join wants a mapping or a source as its table, got {table!r}")
        if how not in {"left", "inner"}:
            raise GraphError(f'{place}: how is "left" or "inner", not {how!r}')
        for what, part in (("on", on), ("table_key", table_key)):
            if part is not None and not isinstance(part, str) and not callable(part):
                raise GraphError(f"{place}: lookup_join wants a field or a function as {what}, got {part!r}")
        self._check_field(on, "lookup_join", place)
        if isinstance(table, Source):
            if not table.bounded:
                raise GraphError(f"{place}: lookup_join reads its table to the end, but {table.name!r} never ends")
            _check_field_of(table.type, table_key, "lookup_join's table", place)
        operation = ops.LookupJoin(table, Getter(table_key), Getter(on), into, how == "inner")
        known = type or (None if into is None else returned_by(into))
        return self._then(operation, known, name, on_error)

    # One or many records to any number.

    def flat_map(
        self,
        function: Callable[[T], Iterable[U]],
        *,
        type: type[U] | None = None,
        name: str | None = None,
        on_error: OnError | None = None,
    ) -> Stream[U]:
        """Each record becomes all that `function` returns or yields, of any length: it is taken up as there is credit."""
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

        Where `on_error` is not "fail", a batch that raises is tried again record by record, to set aside only those at fault.
        """
        _check_count(size, "map_batch wants a size", users_place())
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
        _check_count(concurrency, "map_async wants a concurrency", place)
        try:
            seconds = None if timeout is None else nanoseconds(timeout) / 1e9
        except (TypeError, ValueError) as error:
            raise GraphError(f"{place}: map_async's timeout: {error}") from error
        known = type or awaited_from(function)
        return self._then(ops.MapAsync(function, concurrency, ordered, seconds), known, name, on_error)

    # Ways apart and together.

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
    ) -> tuple[Stream[T], ...]:
        """One stream for each predicate, and one for the rest; a record takes the first whose predicate is true.

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
            _check_function(predicate, "split", place)
        operation = ops.Split(predicates)
        outputs = len(predicates) + 1
        node = self._add(operation, self.type, name, on_error, place, outputs)
        return tuple(Stream(self._flow, (Input(node, output),), self.type) for output in range(outputs))

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
        return Stream(self._flow, inputs, known, max(stream._parallelism for stream in streams))

    def rebalance(self, parallelism: int) -> Stream[T]:
        """What follows runs `parallelism` times; each record goes to one of them, whichever has most credit."""
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
        >>> from engine import count
        >>> flow, sizes = Dataflow("sizes"), []
        >>> _ = flow.source(from_iterable(["a", "bb", "cc"])).key_by(size=len).aggregate(words=count()).sink(collect(sizes))
        >>> _ = flow.run()
        >>> [(row.size, row.words) for row in sizes]
        [(1, 1), (2, 2)]
        """
        place = users_place()
        functions = [part for part in parts if not isinstance(part, str)]
        if len(functions) > 1:
            raise GraphError(
                f"{place}: key_by has {len(functions)} functions without a name", hint="write key_by(day=..., hour=...)"
            )
        everything: tuple[Any, ...] = (*parts, *named.values())
        for part in everything:
            if not isinstance(part, str) and not callable(part):
                raise GraphError(f"{place}: key_by wants field names and functions, got {part!r}")
            self._check_field(part, "key_by", place)
        names = (*(part if isinstance(part, str) else "key" for part in parts), *named)
        if len(set(names)) < len(names):
            raise GraphError(f"{place}: key_by has two parts with one name: {', '.join(names)}")
        fields = fields_of(self.type) or {}
        types = tuple(
            fields.get(part, Any) if isinstance(part, str) else returned_by(part) or Any for part in everything
        )
        key = Key(everything, names, types)
        if parallelism is not None:
            _check_count(parallelism, "key_by wants a parallelism", place)
        inputs = self._routed("hash", "key_by", place, key)
        return KeyedStream(self._flow, inputs, self.type, parallelism or self._parallelism, key)

    def sink(self, sink: Sink[T], *, name: str | None = None, on_error: OnError | None = None) -> None:
        """Write every record to `sink`: the end of a stream."""
        place = users_place()
        if not isinstance(sink, Sink):
            raise GraphError(
                f"{place}: wanted a Sink, got {sink!r}",
                hint=_call_it(sink) or "use one of connectors.*, or a class of your own on engine.Sink",
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

    def _then(
        self, operation: ops.Operation, record_type: Any, name: str | None, on_error: OnError | None
    ) -> Stream[Any]:
        place = users_place()
        if operation.function is not None or not isinstance(operation, ops.LookupJoin):
            _check_function(operation.function, operation.kind, place)
        node = self._add(operation, record_type, name, on_error, place)
        return Stream(self._flow, (Input(node),), record_type)

    def _add(
        self,
        operation: ops.Operation,
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
        _check_count(parallelism, f"{route} wants a parallelism", place)
        return Stream(self._flow, self._routed(route, route, place), self.type, parallelism)

    def _routed(self, route: Route, what: str, place: str, key: Key | None = None) -> tuple[Input, ...]:
        if any(each.route == "broadcast" for each in self._inputs):
            raise GraphError(
                f"{place}: {what} right after broadcast would undo it",
                hint="put the operator between them that is to see every record",
            )
        return tuple(replace(each, route=route, key=key) for each in self._inputs)

    def _check_field(self, part: Any, where: str, place: str) -> None:
        _check_field_of(self.type, part, where, place)

    def __iter__(self) -> AsyncIterator[T]:
        raise TypeError("a Stream holds no records to iterate over; add operators and a sink, then flow.run()")

    def __repr__(self) -> str:
        names = ", ".join("dead letters" if each.node is None else each.node.name for each in self._inputs)
        return f"<{type(self).__name__} of {name_of(self.type)} from {names}>"


class KeyedStream(Stream[T]):
    """A stream whose records with equal keys meet in one place; made by `key_by`."""

    def __init__(self, flow: Dataflow, inputs: tuple[Input, ...], record_type: Any, parallelism: int, key: Key) -> None:
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
        if not aggregates:
            raise GraphError(f"{place}: aggregate has nothing to compute", hint="e.g. .aggregate(flights=count())")
        for field, each in aggregates.items():
            if not isinstance(each, Aggregate):
                raise GraphError(
                    f"{place}: wanted an aggregate for {field!r}, got {each!r}", hint="e.g. count(), mean('delay')"
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
        _check_function(function, "reduce", place)
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
        _check_function(function, "fold", place)
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

        >>> from connectors.memory import collect, from_iterable
        >>> flow, got = Dataflow("gaps"), []
        >>> readings = flow.source(from_iterable([("a", 1), ("b", 5), ("a", 4)]))
        >>> _ = readings.key_by(lambda r: r[0]).stateful_map(lambda last, r: (r[1], r[1] - (last or 0))).sink(collect(got))
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
        unbounded = next(_unbounded_sources(self._inputs), None)
        if emit == "end" and unbounded is not None:
            raise GraphError(
                f"{place}: an aggregate over a stream that never ends gives nothing; its source is {unbounded}",
                hint='say emit="update" to have the aggregate after each record',
            )
        kind = ops.Aggregated if emit == "end" else ops.RunningAggregate
        operation = kind(self.key, aggregates, make)
        node = self._add(operation, record_type, name, on_error, place)
        return Stream(self._flow, (Input(node),), record_type)


def _checked(on_error: str, place: str) -> Any:
    if on_error not in {"fail", "skip", "dead-letter"}:
        raise GraphError(f'{place}: on_error is "fail", "skip" or "dead-letter", not {on_error!r}')
    return on_error


def _check_count(count: int, what: str, place: str) -> None:
    if not isinstance(count, int) or count < 1:
        raise GraphError(f"{place}: {what} of at least 1, got {count!r}")


def _check_function(function: Any, what: str, place: str) -> None:
    if not callable(function):
        raise GraphError(f"{place}: {what} wants a function, got {function!r}")


def _check_field_of(record_type: Any, part: Any, where: str, place: str) -> None:
    if isinstance(part, str) and not has_field(record_type, part):
        raise GraphError(
            f"{place}: {where} wants the field {part!r}, which {name_of(record_type)} has not",
            hint=did_you_mean(part, fields_of(record_type) or ()),
        )


def _call_it(thing: Any) -> str | None:
    """A hint for who gave a class, or a function that makes one, where its instance is wanted."""
    return f"call it: {thing.__name__}(...)" if callable(thing) and hasattr(thing, "__name__") else None


def _unbounded_sources(inputs: tuple[Input, ...]) -> Iterator[Node]:
    for each in feeding(inputs):
        if each.node and isinstance(each.node.operation, ops.FromSource) and not each.node.operation.source.bounded:
            yield each.node
