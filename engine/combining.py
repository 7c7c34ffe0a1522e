"""Combining: an aggregate's partial results are made where its records come from, so that fewer cross a link."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from cext.combining import Combine, Combining
from cext.groups import Groups
from cext.guard import Guard
from cext.head import Head
from cext.instant import Instant
from cext.panes import Grid
from cext.waker import Waker
from engine.aggregates import Aggregate
from engine.either import Either
from engine.graph import Key, Node
from engine.operation import Operation, Role
from engine.partials import Form

if TYPE_CHECKING:
    from engine.settings import Settings


class Combined(Protocol):
    """An operation whose records may come as partial results."""

    key: Key
    aggregates: tuple[Aggregate, ...]
    form: Form | None

    def grid(self) -> Grid | None:
        """How time is cut into panes; None: it is not."""

    def instant(self) -> Instant | None:
        """Takes the time out of a record, where time is cut into panes."""


@dataclass(frozen=True, eq=False)
class Combines(Operation):
    """Records of a key become partial results of the aggregate at `node`, or go on as they are."""

    role: ClassVar[Role] = "head"
    kind = "combine"
    node: Node
    combined: Combined
    form: Form
    most_keys: int

    @classmethod
    def of(cls, node: Node, settings: Settings) -> Combines | None:
        """The step before `node`; None where its records are to come as they are."""
        operation: Any = node.operation
        form = getattr(operation, "form", None)
        if form is None or settings.combine_keys == 0:
            return None
        return cls(node, operation, form, settings.combine_keys)

    def describe(self) -> str:
        return f"partial {', '.join(each.name for each in self.combined.aggregates)} by {self.combined.key}"

    def gives(self, record_type: Any) -> Either:
        """The type of what it gives where it takes records of that type."""
        return Either(self.form.type, record_type)

    def groups(self) -> Groups:
        """Fresh state, whose records are partial results."""
        combined = self.combined
        return Groups(combined.key.getter(), [each.column() for each in combined.aggregates], self.form.make)

    def build_head(self, name: str, guard: Guard, waker: Waker) -> Head:
        bounds = (self.most_keys, *(() if self.form.most_records is None else (self.form.most_records,)))
        return Combine(name, guard, Combining(self.combined.grid(), self.combined.instant(), self.groups, *bounds))
