"""Join operations: what brings the records of two keyed streams together, in windows or in an interval of time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from cext.getter import Getter
from cext.groups import Groups
from cext.guard import Guard
from cext.head import Head
from cext.interval_join import IntervalJoin
from cext.joined import Joined, Joins
from cext.panes import Panes
from cext.waker import Waker
from cext.window_join import Rows, WindowJoin
from engine.event_time import Time
from engine.graph import Key
from engine.operations import Aside, Operation, Role, function_name, late
from engine.windows import Parts, Window


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

    @property
    def asides(self) -> tuple[Aside, ...]:
        known = self.left.type if self.left.type == self.right.type else None
        return late(known, self.left.clock if self.left.clock == self.right.clock else None)

    @property
    def waits_for_time(self) -> bool:
        return True

    def keys(self) -> str:
        """What is compared, in words."""
        left, right = str(self.left.key), str(self.right.key)
        return f"by {left}" if left == right else f"by {left} = {right}"

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
    how: str

    def describe(self) -> str:
        return f"{self.how} join in {self.window!r} {self.keys()}"

    def build_join(self) -> Joins:
        left, right = self._panes(self.left), self._panes(self.right)
        return WindowJoin(left, right, self.how in {"left", "full"}, self.how in {"right", "full"})

    def _panes(self, side: Side) -> Panes:
        panes = self.window.build(Parts(side.groups, side.clock.instant(), int, 0))
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
    later: Time
    """The later time of a pair."""

    @property
    def time(self) -> Time | None:
        return self.later

    def describe(self) -> str:
        return f"interval join from {self.lower} to {self.upper} ms {self.keys()}"

    def build_join(self) -> Joins:
        left, right = self.left, self.right
        times = left.clock.instant(), right.clock.instant()
        return IntervalJoin(left.key.getter(), times[0], right.key.getter(), times[1], self.lower, self.upper)


class Later:
    """The later of the event times of a pair, so that no pair is behind the watermark that let it be made."""

    def __init__(self, left: Time, right: Time) -> None:
        self.clocks = left, right
        self._left, self._right = left.instant(), right.instant()

    def __call__(self, pair: tuple[Any, Any]) -> int:
        return max(self._left(pair[0]), self._right(pair[1]))

    def __reduce__(self) -> tuple[Any, ...]:
        return Later, self.clocks


class Into:
    """Calls a function of two records with a pair of them."""

    def __init__(self, function: Callable[[Any, Any], Any]) -> None:
        self.function = function
        self.__name__ = function_name(function)

    def __call__(self, pair: tuple[Any, Any]) -> Any:
        return self.function(*pair)
