"""Lanes: the inputs of a task, which of them is next, what time it is by their marks, and who waits for whom."""

from collections.abc import Sequence
from typing import Self, final

from cext.channel import Channel

@final
class Lane:
    channel: Channel
    waits: bool
    least_delay: int
    most_delay: int
    is_table: bool
    def __new__(
        cls,
        channel: Channel,
        waits: bool = False,
        least_delay: int = 0,
        most_delay: int = 0,
        is_table: bool = False,
    ) -> Self: ...

@final
class Lanes:
    each: list[Lane]
    drift: int
    def __new__(cls, each: Sequence[Lane], drift: int = -1, tables_first: bool = False) -> Self: ...
