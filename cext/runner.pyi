"""Runner: one thread's loop over its tasks."""

from collections.abc import Callable
from typing import Self, final

from cext.task import Task
from cext.waker import Waker

@final
class Runner:
    tasks: list[Task]
    waker: Waker
    def __new__(cls, tasks: list[Task], waker: Waker, failed: Callable[[Task, BaseException], None]) -> Self: ...
    def run(self) -> None: ...
