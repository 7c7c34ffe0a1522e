"""Runner: one thread's loop over its tasks."""

from collections.abc import Callable
from typing import Self, final

from cext.links import Links
from cext.task import Task
from cext.waker import Waker

@final
class Runner:
    tasks: list[Task]
    waker: Waker
    links: Links | None
    passes: int
    def __new__(
        cls,
        tasks: list[Task],
        waker: Waker,
        failed: Callable[[Task, BaseException], None],
        links: Links | None = None,
        drained: Callable[[], None] | None = None,
    ) -> Self: ...
    def run(self) -> None: ...
