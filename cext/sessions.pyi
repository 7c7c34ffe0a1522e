"""Sessions: windows that last as long as the records of a key are close together."""

from collections.abc import Callable
from typing import Any, Self, final

from cext.groups import Groups
from cext.instant import Instant
from cext.windowed import Windows

@final
class Session: ...

@final
class Sessions(Windows):
    instant: Instant
    gap: int
    def __new__(
        cls, gap: int, instant: Instant, groups: Groups, bound: Callable[[int], Any] = ..., lateness: int = 0
    ) -> Self: ...
    def __len__(self) -> int: ...
