"""Triggered: one window a key, without an end, whose result is given now and again, as triggers say."""

from collections.abc import Callable
from typing import Any, Self, final

from cext.groups import Groups
from cext.windowed import Windows

@final
class Tally: ...

@final
class Triggered(Windows):
    records: int
    every: int
    clock_every: int
    purge: bool
    def __new__(
        cls,
        groups: Groups,
        records: int = 0,
        every: int = 0,
        clock_every: int = 0,
        when: Callable[[Any], object] | None = None,
        purge: bool = False,
    ) -> Self: ...
