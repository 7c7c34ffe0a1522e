"""Operations that keep nothing for a key: what reads, writes, changes and divides records."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from cext import chain, head
from cext.chain import Operator, Router
from cext.guard import Guard
from cext.head import Head
from cext.waker import Waker
from engine.graph import Input
from engine.naming import function_name
from engine.operation import Operation, Role
from engine.sink import Sink
from engine.source import Source


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
