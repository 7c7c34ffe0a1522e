"""Watermarks: the operator that makes event time, from the times of the records that go by."""

from typing import Self, final

from cext.chain import Operator
from cext.guard import Guard
from cext.instant import Instant

@final
class Part:
    furthest: int
    idle: bool
    def __new__(cls) -> Self: ...

@final
class Watermarks(Operator):
    instant: Instant
    def __new__(
        cls, name: str, guard: Guard, instant: Instant, out_of_order: int = 0, idle_after: int = -1
    ) -> Self: ...
    def watermark(self) -> int: ...
    def is_idle(self) -> bool: ...
