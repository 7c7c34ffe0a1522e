"""Duplicates: the operation that lets only the first of records go on that are close together in event time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from cext.deduplicate import Deduplicate
from cext.guard import Guard
from cext.head import Head
from cext.waker import Waker
from cext.windowed import Windowed
from engine.event_time import Time
from engine.graph import Key
from engine.operations import Operation, Role


@dataclass(frozen=True, eq=False)
class Deduplicated(Operation):
    """Of the records of a key that are close together in time the first to come goes on."""

    role: ClassVar[Role] = "head"
    kind = "deduplicate"
    keeps_records: ClassVar[bool] = True
    gives_late: ClassVar[bool] = True
    key: Key
    clock: Time
    within: int
    """Milliseconds."""
    record_type: Any

    @property
    def waits_for_time(self) -> bool:
        return True

    @property
    def late_type(self) -> Any:
        return self.record_type

    @property
    def late_time(self) -> Time | None:
        return self.clock

    def describe(self) -> str:
        return f"one of each {self.key} within {self.within} ms"

    def build_head(self, name: str, guard: Guard, waker: Waker) -> Head:
        return Windowed(name, guard, Deduplicate(self.key.getter(), self.clock.instant(), self.within))
