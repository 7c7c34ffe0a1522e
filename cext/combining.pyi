"""Combining: partial results of keyed aggregates, made before records cross to other processes."""

from collections.abc import Callable
from typing import Self, final

from cext.groups import Groups
from cext.guard import Guard
from cext.instant import Instant
from cext.panes import Grid
from cext.windowed import Windowed, Windows

@final
class Combining(Windows):
    grid: Grid | None
    instant: Instant | None
    keys: int
    passes: bool
    def __new__(
        cls,
        grid: Grid | None,
        instant: Instant | None,
        make_groups: Callable[[], Groups],
        most_keys: int = 65_536,
        most_records: int = ...,
    ) -> Self: ...
    def __len__(self) -> int: ...

@final
class Combine(Windowed):
    combining: Combining
    def __new__(cls, name: str, guard: Guard, windows: Combining) -> Self: ...
