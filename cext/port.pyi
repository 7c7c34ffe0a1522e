"""Port: where a task's output goes, one channel or several, and which records go to which."""

from cext.channel import Channel
from cext.getter import Getter
from cext.guard import Guard

class Port:
    route: int
    channels: list[Channel]
    def __init__(
        self,
        route: str,
        channels: list[Channel],
        key: Getter | None = None,
        guard: Guard | None = None,
        max_parallelism: int = 128,
    ) -> None: ...
