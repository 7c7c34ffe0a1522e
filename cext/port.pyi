"""Port: where a task's output goes, one channel or several, and which records go to which."""

from typing import Self, final

from cext.channel import Channel
from cext.getter import Getter
from cext.guard import Guard

@final
class Port:
    route: int
    channels: list[Channel]
    def __new__(
        cls,
        route: str,
        channels: list[Channel],
        key: Getter | None = None,
        guard: Guard | None = None,
        max_parallelism: int = 128,
    ) -> Self: ...
