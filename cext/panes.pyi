"""Panes: tumbling and sliding windows, made of panes: runs of time that no window's bound divides."""

from collections.abc import Callable
from typing import Any, Self, final

from typing_extensions import disjoint_base

from cext.groups import Groups
from cext.instant import Instant
from cext.spans import Spans
from cext.windowed import Windows

@disjoint_base
class Grid:
    size: int
    offset: int
    def __new__(cls, size: int, offset: int = 0) -> Self: ...
    def index(self, time: int) -> int: ...
    def start(self, index: int) -> int: ...

@final
class Pane: ...

@disjoint_base
class Panes(Windows):
    grid: Grid
    instant: Instant
    spans: Spans
    def __new__(
        cls,
        grid: Grid,
        instant: Instant,
        make_groups: Callable[[], Groups],
        bound: Callable[[int], Any] = ...,
        width: int = 1,
        step: int = 1,
        lateness: int = 0,
    ) -> Self: ...
    def __len__(self) -> int: ...
