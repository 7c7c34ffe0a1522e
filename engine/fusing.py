"""Fusing: which operators share a task, and what has to share that of its source."""

from __future__ import annotations

from engine.errors import GraphError
from engine.event_time import EventTime, follows_source
from engine.graph import Graph, Node
from engine.operations import FromSource
from engine.task_plan import TaskPlan, route_between


def fuse(graph: Graph, workers: dict[Node, tuple[int, ...]]) -> tuple[list[TaskPlan], dict[Node, TaskPlan]]:
    """Put each node in the task of what feeds it where it may, else at the head of a new one."""
    tasks: list[TaskPlan] = []
    home: dict[Node, TaskPlan] = {}
    for node, where in workers.items():
        feeder = node.inputs[0].node if len(node.inputs) == 1 else None
        if feeder is not None and _may_join(graph, node, home[feeder], workers):
            home[node] = home[feeder]
            home[node].nodes.append(node)
        else:
            home[node] = TaskPlan([node], where)
            tasks.append(home[node])
    return tasks, home


def _may_join(graph: Graph, node: Node, task: TaskPlan, workers: dict[Node, tuple[int, ...]]) -> bool:
    feeder = task.nodes[-1]
    return (
        node.inputs[0].node is feeder
        and node.inputs[0].output >= 0
        and _may_follow(node, task)
        and workers[node] == workers[feeder]
        and route_between(node.inputs[0], len(workers[feeder]), len(workers[node])) == "forward"
        and len(list(graph.consumers(feeder, node.inputs[0].output))) == 1
    )


def _may_follow(node: Node, task: TaskPlan) -> bool:
    """In a source's task nothing may but what makes event time: to it, it matters which partition a record is from."""
    if _is_source(task):
        return isinstance(node.operation, EventTime) and len(task.nodes) == 1
    return node.operation.role in {"chain", "router"} and task.nodes[-1].operation.role in {"head", "chain"}


def _is_source(task: TaskPlan) -> bool:
    return isinstance(task.nodes[0].operation, FromSource)


def check_event_time(graph: Graph, tasks: list[TaskPlan]) -> None:
    """Only who asks a source knows its partitions apart, how far each has come, and that it has nothing."""
    for task in tasks:
        for node in task.nodes:
            operation = node.operation
            if not isinstance(operation, EventTime) or _is_source(task):
                continue
            hint = "write events = flow.source(...).event_time(...) once, and the other operators behind that"
            if operation.idle_after >= 0:
                raise GraphError(
                    f"{node} says idle_after, which is for partitions of a source, but is not what alone follows one",
                    hint=hint,
                )
            source = node.inputs[0].node
            if source is not None and follows_source(node.inputs) and len(list(graph.consumers(source, 0))) > 1:
                raise GraphError(
                    f"{node} shares its source with other operators, so it cannot tell that one's partitions apart",
                    hint=hint,
                )
