"""Cost: what a sink's write costs, a fixed part and a part for each record, and so how many records make a good one."""

from typing import Self, final

@final
class Cost:
    batch: int
    most: int
    fixed: float
    each: float
    def __new__(cls, most: int = 0) -> Self: ...
    def take(self, there: int) -> int: ...
    def note(self, rows: int, took: int) -> None: ...
