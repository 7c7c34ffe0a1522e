"""Duplicates: the operation that lets only the first of records go on that are close together in event time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from cext.deduplicate import Deduplicate
from cext.guard import Guard
from cext.head import Head
from cext.waker import Waker
from cext.windowed import Windowed
from engine.event_time import Time, arrival_of
from engine.graph import Input, Key
from engine.operation import Aside, Operation, Role, late

FOREVER = 1 << 60
"""Milliseconds that no two moments are apart by."""


@dataclass(frozen=True, eq=False)
class Deduplicated(Operation):
    """Of the records of a key that are close together in time the first to come goes on."""

    role: ClassVar[Role] = "head"
    kind = "deduplicate"
    keeps_records: ClassVar[bool] = True
    key: Key
    clock: Time
    within: int
    """Milliseconds."""
    record_type: Any

    @property
    def asides(self) -> tuple[Aside, ...]:
        return late(self.record_type, self.clock)

    @property
    def waits_for_time(self) -> bool:
        return not self.clock.is_arrival

    def meaning(self, inputs: Sequence[Input]) -> dict[str, Any]:
        return {**self.key.meaning, "within": "any time" if self.within >= FOREVER else f"{self.within} ms"}

    def describe(self) -> str:
        return f"one of each {self.key} within {self.within} ms"

    def build_head(self, name: str, guard: Guard, waker: Waker) -> Head:
        instant = self.clock.instant()
        return Windowed(name, guard, Deduplicate(self.key.getter(), instant, self.within), arrival_of(instant))


@dataclass(frozen=True, eq=False)
class Distinct(Deduplicated):
    """Of the records of a value the first to come goes on."""

    kind = "distinct"

    def describe(self) -> str:
        within = f" within {self.within} ms" if self.within < FOREVER else ""
        return f"distinct {self.key}{within}"
