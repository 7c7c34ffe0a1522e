"""Outline: as much of a plan as metrics need, in a form that travels."""

from __future__ import annotations

import msgspec

from engine.graph import LETTERS
from engine.operations import MapAsync
from engine.plan import Plan
from engine.task_plan import TaskPlan


class OperatorOutline(msgspec.Struct, array_like=True, frozen=True):
    """One operator. `kind`: what it is ("source", "map", "sink"); `role`: the place of its native piece in a task;
    `pickled_because`: why its records cross to other processes as pickles, if they do."""

    name: str
    kind: str
    role: str
    pickled_because: str | None = None


class TaskOutline(msgspec.Struct, array_like=True, frozen=True):
    """One task. `workers`: where each instance runs; `after`: the tasks that feed it, by where they stand."""

    operators: tuple[OperatorOutline, ...]
    workers: tuple[int, ...]
    after: tuple[int, ...]
    bound: int
    """The most records on all its inputs."""
    own_thread: bool
    """Whether each instance works, or waits, in a thread of its own."""


class Outline(msgspec.Struct, array_like=True, frozen=True):
    """The tasks of a plan, in its order, and the most records that can ever be in flight."""

    tasks: tuple[TaskOutline, ...]
    bound: int

    @classmethod
    def of(cls, plan: Plan) -> Outline:
        """What there is to know of `plan`."""
        position = {task: at for at, task in enumerate(plan.tasks)}
        return cls(tuple(_task(task, position) for task in plan.tasks), plan.bound)


def _task(task: TaskPlan, position: dict[TaskPlan, int]) -> TaskOutline:
    why = next((each.pickled_because for each in task.outputs if each.output != LETTERS and each.links), None)
    *others, last = [OperatorOutline(node.name, node.operation.kind, node.operation.role) for node in task.nodes]
    return TaskOutline(
        (*others, msgspec.structs.replace(last, pickled_because=why)),
        task.workers,
        tuple(dict.fromkeys(position[edge.producer] for edge in task.inputs)),
        sum(edge.bound for edge in task.inputs),
        task.own_thread or isinstance(task.nodes[0].operation, MapAsync),
    )
