"""Runner: one thread's loop over its tasks."""

from collections.abc import Callable

from cext.task import Task
from cext.waker import Waker

class Runner:
    tasks: list[Task]
    waker: Waker
    def __init__(
        self, tasks: list[Task], waker: Waker, failed: Callable[[Task, BaseException], None]
    ) -> None: ...
    def run(self) -> None: ...
