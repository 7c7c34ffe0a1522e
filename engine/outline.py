"""Outline: as much of a plan as metrics need, in a form that travels."""

from __future__ import annotations

import msgspec

from engine.operations import MapAsync
from engine.plan import Plan, TaskPlan


class OperatorOutline(msgspec.Struct, array_like=True, frozen=True):
    """One operator. `kind`: what it is ("source", "map", "sink"); `role`: the place of its native piece in a task."""

    name: str
    kind: str
    role: str


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
    nodes = [(node.name, node.operation) for node in task.nodes]
    return TaskOutline(
        tuple(OperatorOutline(name, operation.kind, operation.role) for name, operation in nodes),
        task.workers,
        tuple(dict.fromkeys(position[edge.producer] for edge in task.inputs)),
        sum(edge.bound for edge in task.inputs),
        task.own_thread or isinstance(task.nodes[0].operation, MapAsync),
    )
