"""A whole plan in one thread, whose tasks are stepped in a random order: what may happen in threads, with a seed."""

from __future__ import annotations

import random

from cext.task import Task
from engine import Dataflow
from engine.layout import HOME
from engine.plan import Plan
from engine.task_plan import TaskPlan
from engine.worker import Worker, list_partitions


class Stepped:
    """The tasks of `flow`, as many as it would have in so many processes. Its sources and sinks must not block."""

    def __init__(self, flow: Dataflow, seed: int = 0, processes: int | None = None) -> None:
        self.plan = Plan.of(flow, processes)
        for planned in self.plan.tasks:
            assert not planned.own_thread
            planned.workers = (HOME,) * planned.parallelism
        self.worker = Worker(self.plan, list_partitions(self.plan))
        self.dice = random.Random(seed)

    def planned(self, name: str) -> TaskPlan:
        """The planned task that begins with the operator of that name."""
        return next(each for each in self.plan.tasks if each.nodes[0].name == name)

    def tasks(self, *names: str) -> list[Task]:
        """The instances of the tasks that begin with these operators, or of all."""
        planned = map(self.planned, names) if names else self.plan.tasks
        return [task for each in planned for task in self.worker.instances_of(each).values()]

    def run(self, *names: str) -> None:
        """Step these, or all, until a round of them was in vain. Some are slower than others."""
        tasks = self.tasks(*names)
        weights = [self.dice.random() ** 3 for _ in tasks]
        while True:
            for task in self.dice.choices(tasks, weights, k=4 * len(tasks)):
                task.run_until_idle(1)
            if sum(task.run_until_idle(1) for task in tasks) == 0:
                break
        for task in self.tasks():
            if task.failure is not None:
                raise task.failure

    @property
    def stuck(self) -> list[str]:
        """The tasks that are not done."""
        return [task.name for task in self.tasks() if not task.done]
