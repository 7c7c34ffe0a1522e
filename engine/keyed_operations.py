"""Operations that keep something for each key of a whole stream: a state, or aggregates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from cext import chain, head
from cext.chain import Operator
from cext.groups import Groups
from cext.guard import Guard
from cext.head import Head
from cext.instant import Instant
from cext.merging import MergingWhole
from cext.panes import Grid
from cext.waker import Waker
from cext.windowed import Windowed
from engine.aggregates import Aggregate, meaning_of
from engine.graph import Input, Key
from engine.operation import Operation, Role
from engine.partials import Form
from engine.types import first_returned_by


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
