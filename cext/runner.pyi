"""Runner: one thread's loop over its tasks."""

from collections.abc import Callable
from typing import Self, final

from cext.links import Links
from cext.processing_time import Clock
from cext.task import Task
from cext.waker import Waker

@final
class Runner:
    tasks: list[Task]
    waker: Waker
    links: Links | None
    clock: Clock | None
    passes: int
    def __new__(
        cls,
        tasks: list[Task],
        waker: Waker,
        failed: Callable[[Task, BaseException], None],
        links: Links | None = None,
        drained: Callable[[], None] | None = None,
        clock: Clock | None = None,
    ) -> Self: ...
    def run(self) -> None: ...
