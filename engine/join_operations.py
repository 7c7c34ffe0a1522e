"""Join operations: what brings the records of two keyed streams together, by windows or by their event times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from cext.asof_join import AsOfJoin
from cext.getter import Getter
from cext.groups import Groups
from cext.guard import Guard
from cext.head import Head
from cext.instant import Instant
from cext.interval_join import IntervalJoin
from cext.joined import Joined, Joins
from cext.panes import Panes
from cext.session_join import SessionJoin
from cext.waker import Waker
from cext.window_join import Rows, WindowJoin
from engine.event_time import Time
from engine.graph import Input, Key
from engine.operation import Aside, Operation, Role, late
from engine.pair_times import Later, OfLeft
from engine.types import optional
from engine.windows import Parts, Session, Window


@dataclass(frozen=True)
class Side:
    """One input of a join: by what it is keyed, where its event time stands, and what its records are."""

    key: Key
    clock: Time
    type: Any

    def groups(self) -> Groups:
        """Keeps the records of each key."""
        return Groups(self.key.getter(), [Rows(Getter())], lambda key, results: results)


@dataclass(frozen=True, eq=False)
class Join(Operation):
    """The base: its results are pairs (left record, right record)."""

    role: ClassVar[Role] = "head"
    left: Side
    right: Side
    how: str

    @property
    def keep_left(self) -> bool:
        """Whether left records go on that have no match."""
        return self.how in {"left", "full"}

    @property
    def keep_right(self) -> bool:
        """... and right ones."""
        return self.how in {"right", "full"}

    @property
    def pair_type(self) -> Any:
        """The type of its pairs; None where it is not known."""
        if self.left.type is None or self.right.type is None:
            return None
        first: Any = optional(self.left.type) if self.keep_right else self.left.type
        second: Any = optional(self.right.type) if self.keep_left else self.right.type
        return tuple[first, second]

    @property
    def asides(self) -> tuple[Aside, ...]:
        known = self.left.type if self.left.type == self.right.type else None
        return late(known, self.left.clock if self.left.clock == self.right.clock else None)

    @property
    def waits_for_time(self) -> bool:
        return True

    @property
    def is_datetime(self) -> bool:
        """Whether both sides have datetimes as their event times."""
        return self.left.clock.is_datetime and self.right.clock.is_datetime

    def keys(self) -> str:
        """What is compared, in words."""
        left, right = str(self.left.key), str(self.right.key)
        return f"by {left}" if left == right else f"by {left} = {right}"

    def sides(self) -> tuple[Getter, Instant, Getter, Instant]:
        """What takes key and time out of left records, and of right ones."""
        left, right = self.left, self.right
        return left.key.getter(), left.clock.instant(), right.key.getter(), right.clock.instant()

    def meaning(self, inputs: Sequence[Input]) -> dict[str, Any]:
        left, right = self.left, self.right
        key = {"left": left.key.meaning, "right": right.key.meaning}
        keys = {f"{side} {what}": each for side, known in key.items() for what, each in known.items()}
        return {**keys, "left records": left.type, "right records": right.type}

    def build_join(self) -> Joins:
        """The native join."""
        raise NotImplementedError

    def build_head(self, name: str, guard: Guard, waker: Waker) -> Head:
        return Joined(name, guard, self.build_join())


@dataclass(frozen=True, eq=False)
class InWindow(Join):
    """Records that have a key and a window in common."""

    kind = "join"
    window: Window
    lateness: int
    """How long after its end a window takes records in, ms."""

    def meaning(self, inputs: Sequence[Input]) -> dict[str, Any]:
        return {**super().meaning(inputs), "windows": repr(self.window)}

    def describe(self) -> str:
        return f"{self.how} join in {self.window!r} {self.keys()}"

    def build_join(self) -> Joins:
        if isinstance(self.window, Session):
            return SessionJoin(self.window.gap, *self.sides(), self.keep_left, self.keep_right)
        return WindowJoin(self._panes(self.left), self._panes(self.right), self.keep_left, self.keep_right)

    def _panes(self, side: Side) -> Panes:
        panes = self.window.build(Parts(side.groups, side.clock.instant(), int, self.lateness))
        assert isinstance(panes, Panes), "the builder takes no others"
        return panes


@dataclass(frozen=True, eq=False)
class InInterval(Join):
    """Records that have a key in common and times that are close together."""

    kind = "interval_join"
    lower: int
    """Milliseconds from the left record to the first right one that belongs to it."""
    upper: int
    """... and to the last one."""
    lateness: int
    """How much later than the watermark a record may be, ms."""

    @property
    def time(self) -> Time | None:
        return Time(Later(self.left.clock, self.right.clock), is_datetime=self.is_datetime)

    @property
    def delay(self) -> int:
        return self.build_join().delay

    def meaning(self, inputs: Sequence[Input]) -> dict[str, Any]:
        return {**super().meaning(inputs), "interval": f"from {self.lower} to {self.upper} ms"}

    def describe(self) -> str:
        how = "" if self.how == "inner" else f"{self.how} "
        held = f", event time goes on {self.delay} ms later" if self.delay else ""
        return f"{how}interval join from {self.lower} to {self.upper} ms {self.keys()}{held}"

    def build_join(self) -> Joins:
        return IntervalJoin(*self.sides(), self.lower, self.upper, self.keep_left, self.keep_right, self.lateness)


@dataclass(frozen=True, eq=False)
class AsOf(Join):
    """Each left record with the right one of its key that was the latest at its time."""

    kind = "asof_join"
    tolerance: int | None
    """How much earlier a match may be, ms; None: any time."""

    @property
    def time(self) -> Time | None:
        return Time(OfLeft(self.left.clock), is_datetime=self.left.clock.is_datetime)

    def meaning(self, inputs: Sequence[Input]) -> dict[str, Any]:
        tolerance = "any" if self.tolerance is None else f"{self.tolerance} ms"
        return {**super().meaning(inputs), "tolerance": tolerance}

    def describe(self) -> str:
        within = "" if self.tolerance is None else f", at most {self.tolerance} ms before"
        return f"{self.how} as-of join {self.keys()}{within}"

    def build_join(self) -> Joins:
        return AsOfJoin(*self.sides(), self.keep_left, self.tolerance)
