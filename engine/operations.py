"""Operations: what each kind of node does, and the native piece that does it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import CodeType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from cext import chain, head
from cext.chain import Operator, Router
from cext.getter import Getter
from cext.groups import Groups
from cext.guard import Guard
from cext.head import Head
from cext.instant import Instant
from cext.merging import MergingWhole
from cext.panes import Grid
from cext.waker import Waker
from cext.windowed import Windowed
from engine.aggregates import Aggregate, meaning_of
from engine.graph import Input, Key, Part
from engine.partials import Form
from engine.sink import Sink
from engine.source import Source
from engine.types import first_returned_by

if TYPE_CHECKING:
    from engine.event_time import Time

Role = Literal["source", "head", "chain", "router", "sink"]


@dataclass(frozen=True)
class Aside:
    """What leaves an operation beside its results: its name, and its type and event time where these are known."""

    name: str
    type: Any = None
    time: Time | None = None


def late(record_type: Any, time: Time | None) -> tuple[Aside, ...]:
    """What leaves windows and joins aside."""
    return (Aside("late", record_type, time),)


@dataclass(frozen=True, eq=False)
class Operation:
    """The base. `role` is the place that its native piece has in a task.

    "source" and "sink" have a task of their own; a "head" begins one, since it may give more records than
    it takes; a "chain" operation joins the task of what feeds it; a "router" ends one.
    """

    role: ClassVar[Role]
    kind: ClassVar[str]
    keeps_records: ClassVar[bool] = False
    """Whether it gives only records that it took, unchanged."""

    @property
    def function(self) -> Callable[..., Any] | None:
        """The user's function, if there is one: errors name it."""
        return getattr(self, "f", None)

    @property
    def default_name(self) -> str:
        """What its node is called unless the user names it."""
        name = "" if self.function is None else function_name(self.function)
        return f"{self.kind} {name}" if name not in {"", "lambda"} else self.kind

    @property
    def time(self) -> Time | None:
        """Where the event time stands in what it gives, if it says so itself."""
        return None

    @property
    def asides(self) -> tuple[Aside, ...]:
        """Its outputs aside, by number: of graph.ASIDE the first."""
        return ()

    @property
    def waits_for_time(self) -> bool:
        """Whether it keeps records, or what they came to, until event time has passed them."""
        return False

    @property
    def delay(self) -> int:
        """By how many milliseconds its head holds back the event time that it passes on."""
        return 0

    def meaning(self, inputs: Sequence[Input]) -> dict[str, Any]:
        """What the meaning of its state hangs on beside its kind, by what that is called: texts, and types, None where
        that is not known."""
        return {}

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of what it keeps, where each may come and go by itself."""
        return ()

    def describe(self) -> str:
        """What it does, in a word or two."""
        return self.kind if self.function is None else f"{self.kind} {function_name(self.function)}"

    def prepare(self, name: str) -> Self:
        """This operation with all that its instances in this process share; called once a job."""
        return self

    def build_head(self, name: str, guard: Guard, waker: Waker) -> Head:
        """The native head of a task that begins with this operation."""
        return head.Pass(name, guard)

    def build_merging(self, name: str, guard: Guard) -> Head:
        """The same where some of its records come as partial results (see engine.combining)."""
        raise NotImplementedError

    def build_operator(self, name: str, guard: Guard) -> Operator:
        """The native operator of a "chain" operation."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class FromSource(Operation):
    """Reads a connector."""

    role: ClassVar[Role] = "source"
    kind = "source"
    source: Source[Any]

    def meaning(self, inputs: Sequence[Input]) -> dict[str, Any]:
        return {"connector": type(self.source).__name__.lstrip("_")}

    def describe(self) -> str:
        return f"source {self.source.name}"


@dataclass(frozen=True, eq=False)
class ToSink(Operation):
    """Writes to a connector."""

    role: ClassVar[Role] = "sink"
    kind = "sink"
    sink: Sink[Any]

    def meaning(self, inputs: Sequence[Input]) -> dict[str, Any]:
        return {"connector": type(self.sink).__name__.lstrip("_")}

    def describe(self) -> str:
        return f"sink {self.sink.name}"


@dataclass(frozen=True, eq=False)
class Map(Operation):
    """One record becomes one other."""

    role: ClassVar[Role] = "chain"
    kind = "map"
    f: Callable[..., Any]
    spread: bool = False
    """Whether records are tuples, in which the function's arguments are."""

    def build_operator(self, name: str, guard: Guard) -> Operator:
        return chain.Map(name, guard, self.f, self.spread)


@dataclass(frozen=True, eq=False)
class Filter(Operation):
    """Records go on for which the function is true."""

    role: ClassVar[Role] = "chain"
    kind = "filter"
    keeps_records: ClassVar[bool] = True
    f: Callable[[Any], Any]

    def build_operator(self, name: str, guard: Guard) -> Operator:
        return chain.Filter(name, guard, self.f)


@dataclass(frozen=True, eq=False)
class OfType(Operation):
    """Records go on that are of the class."""

    role: ClassVar[Role] = "chain"
    kind = "of_type"
    keeps_records: ClassVar[bool] = True
    f: type[Any]

    def build_operator(self, name: str, guard: Guard) -> Operator:
        return chain.Filter(name, guard, self.f, by_class=True)


@dataclass(frozen=True, eq=False)
class Inspect(Operation):
    """Records go on unchanged once the function has seen them."""

    role: ClassVar[Role] = "chain"
    kind = "inspect"
    keeps_records: ClassVar[bool] = True
    f: Callable[[Any], Any]

    def build_operator(self, name: str, guard: Guard) -> Operator:
        return chain.Inspect(name, guard, self.f)


@dataclass(frozen=True, eq=False)
class FlatMap(Operation):
    """One record becomes any number."""

    role: ClassVar[Role] = "head"
    kind = "flat_map"
    f: Callable[[Any], Iterable[Any]]

    def build_head(self, name: str, guard: Guard, waker: Waker) -> Head:
        return head.Expand(name, guard, self.f)


@dataclass(frozen=True, eq=False)
class MapBatch(Operation):
    """Many records become any number."""

    role: ClassVar[Role] = "head"
    kind = "map_batch"
    f: Callable[[list[Any]], Iterable[Any]]
    size: int

    def build_head(self, name: str, guard: Guard, waker: Waker) -> Head:
        return head.Batch(name, guard, self.f, self.size)


@dataclass(frozen=True, eq=False)
class MapAsync(Operation):
    """One record becomes one other, many at a time, by a coroutine."""

    role: ClassVar[Role] = "head"
    kind = "map_async"
    f: Callable[[Any], Awaitable[Any]]
    concurrency: int
    ordered: bool
    timeout: float | None

    def build_head(self, name: str, guard: Guard, waker: Waker) -> Head:
        from engine.asynchronous import AsyncMap

        return AsyncMap(name, guard, self.f, self.concurrency, self.ordered, self.timeout, waker)


@dataclass(frozen=True, eq=False)
class StatefulMap(Operation):
    """One record and its key's state become a new state and one other record."""

    role: ClassVar[Role] = "chain"
    kind = "stateful_map"
    key: Key
    f: Callable[[Any, Any], tuple[Any, Any]]
    initial: Callable[[], Any] | None

    def meaning(self, inputs: Sequence[Input]) -> dict[str, Any]:
        return {**self.key.meaning, "state": first_returned_by(self.f), "time to live": "none"}

    def build_operator(self, name: str, guard: Guard) -> Operator:
        return chain.StatefulMap(name, guard, self.key.getter(), self.f, self.initial)


@dataclass(frozen=True, eq=False)
class LookupJoin(Operation):
    """One record meets its match in a table that is read once, when the job starts."""

    role: ClassVar[Role] = "chain"
    kind = "lookup_join"
    table: Mapping[Any, Any] | Source[Any]
    table_key: Part | None
    on: Part
    f: Callable[[Any, Any], Any] | None
    inner: bool

    def prepare(self, name: str) -> Self:
        from engine.tables import load

        return replace(self, table=load(self.table, Getter(self.table_key), name))

    def build_operator(self, name: str, guard: Guard) -> Operator:
        assert isinstance(self.table, dict), "prepare() comes first"
        return chain.Lookup(name, guard, self.table, Getter(self.on), self.f, self.inner)


@dataclass(frozen=True, eq=False)
class Aggregated(Operation):
    """All records of a key become one, at the end of the stream."""

    role: ClassVar[Role] = "head"
    kind = "aggregate"
    key: Key
    aggregates: tuple[Aggregate, ...]
    make: Callable[[Any, list[Any]], Any]
    form: Form | None = None
    """What partial results look like; None: there are none."""

    @property
    def default_name(self) -> str:
        only = self.aggregates[0].name
        return only if only in {"reduce", "fold"} else self.kind

    def meaning(self, inputs: Sequence[Input]) -> dict[str, Any]:
        return {**self.key.meaning, **meaning_of(self.aggregates, inputs[0].type), "results": "at the end"}

    def groups(self) -> Groups:
        """Fresh state."""
        return Groups(self.key.getter(), [each.column() for each in self.aggregates], self.make)

    def describe(self) -> str:
        return f"{', '.join(each.name for each in self.aggregates)} by {self.key}"

    def build_head(self, name: str, guard: Guard, waker: Waker) -> Head:
        return head.Aggregate(name, guard, self.groups())

    def build_merging(self, name: str, guard: Guard) -> Head:
        assert self.form is not None, "there are partial results"
        columns = [each.column() for each in self.aggregates]
        groups = Groups(self.form.key(self.key).getter(), columns, self.make)
        return Windowed(name, guard, MergingWhole(groups, self.form.partials()))

    def grid(self) -> Grid | None:
        """Time is not cut into panes."""
        return None

    def instant(self) -> Instant | None:
        """So there is none to take."""
        return None


@dataclass(frozen=True, eq=False)
class RunningAggregate(Aggregated):
    """Each record becomes its key's aggregate so far."""

    role: ClassVar[Role] = "chain"

    def meaning(self, inputs: Sequence[Input]) -> dict[str, Any]:
        return {**super().meaning(inputs), "results": "after each record"}

    def describe(self) -> str:
        return f"running {super().describe()}"

    def build_operator(self, name: str, guard: Guard) -> Operator:
        return chain.Running(name, guard, self.groups())


@dataclass(frozen=True, eq=False)
class Split(Operation):
    """Records go to the first output whose predicate is true, else to the last."""

    role: ClassVar[Role] = "router"
    kind = "split"
    keeps_records: ClassVar[bool] = True
    predicates: tuple[Callable[[Any], Any], ...]

    def describe(self) -> str:
        return f"split by {', '.join(map(function_name, self.predicates))}"

    def build_router(self, guard: Guard) -> Router:
        """The native router."""
        return Router(guard, self.predicates)


def function_name(function: Callable[..., Any]) -> str:
    """A function's name, as plans and default names show it."""
    name: str = getattr(function, "__name__", None) or type(function).__name__
    return "lambda" if name == "<lambda>" else name


def function_place(function: Callable[..., Any] | None) -> str:
    """ "function name (file:line)", as errors show it; "" without one."""
    code = getattr(function, "__code__", None)
    if function is None:
        return ""
    return code_place(code) if code else function_name(function)


def code_place(code: CodeType) -> str:
    """ "function name (file:line)" of a function written in Python."""
    name = code.co_qualname if code.co_name == "__call__" else code.co_name
    return f"{'lambda' if name == '<lambda>' else name} ({code.co_filename}:{code.co_firstlineno})"
