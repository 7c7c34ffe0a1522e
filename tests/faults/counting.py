"""What the jobs of these tests run in other processes, which import this module: so it takes no test library."""

from __future__ import annotations

from itertools import count
from pathlib import Path

from engine import Reader, Source


class Counting(Source[int], Reader[int]):
    """Gives 0, 1, 2, ... a few at a time, until there is a file at `end`. `at_home`: in the job's own process."""

    type = int
    blocking = False
    bounded = True

    def __init__(self, end: Path, *, at_home: bool = False, per_read: int = 50) -> None:
        self.end, self.at_home, self.per_read = str(end), at_home, per_read

    def open(self, partition: str) -> Reader[int]:
        self.numbers = count()
        return self

    def read(self, limit: int) -> list[int] | None:
        if Path(self.end).exists():
            return None
        return [next(self.numbers) for _ in range(min(limit, self.per_read))]


def double(number: int) -> int:
    return 2 * number
