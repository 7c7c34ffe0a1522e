"""The physical plan: its tasks, in order, the channels that join them, and how much can be in flight."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING

from engine.combining import Combines
from engine.drift import settle_drift
from engine.errors import GraphError
from engine.fusing import check_event_time, fuse
from engine.graph import Graph, Input, Node
from engine.layout import HOME, feeders, layout
from engine.settings import Settings
from engine.task_plan import Edge, TaskPlan, join_tasks, letters_per_record
from engine.waiting import check_waits

if TYPE_CHECKING:
    from engine.dataflow import Dataflow


@dataclass(eq=False)
class Plan:
    """Tasks in an order in which each stands behind all that feed it."""

    name: str
    settings: Settings
    tasks: list[TaskPlan]

    @classmethod
    def of(cls, flow: Dataflow, processes: int | None = None, *, saves: bool = False) -> Plan:
        """Plan `flow` for so many processes (see engine.layout), in a job that makes checkpoints if it `saves`;
        GraphError if it is not whole."""
        flow.graph.validate()
        if processes is not None and (not isinstance(processes, int) or processes < 1):
            raise GraphError(f"flow {flow.name!r} runs in a number of processes of at least 1, not {processes!r}")
        tasks, home = fuse(flow.graph, layout(flow.graph, processes))
        check_event_time(flow.graph, tasks)
        check_waits(flow.graph)
        plan = cls(flow.name, flow.settings, [])
        for consumer in tasks:
            for producer, source in _producers(flow.graph, home, consumer.nodes[0]):
                plan._feed(flow.graph, producer, consumer, source)
            plan.tasks.append(consumer)
        for task in plan.tasks:
            task.saves = saves
        plan._size()
        settle_drift(plan.tasks)
        return plan

    @property
    def edges(self) -> Iterator[Edge]:
        """Every edge once."""
        return (edge for task in self.tasks for edge in task.outputs)

    @property
    def workers(self) -> list[int]:
        """The numbers of the processes that run a part of it, without the user's own."""
        return sorted({worker for task in self.tasks for worker in task.workers} - {HOME})

    @property
    def bound(self) -> int:
        """The most records that can ever be in flight."""
        return sum(edge.bound for edge in self.edges)

    def _feed(self, graph: Graph, producer: TaskPlan, consumer: TaskPlan, source: Input) -> None:
        """Join the two, with a step between them where partial results are to cross to other processes, not records."""
        node = consumer.nodes[0]
        combines = Combines.of(node, self.settings) if _crosses_by_key(producer, consumer, source) else None
        if combines is None or source.key is None:
            join_tasks(producer, consumer, source)
            return
        taken = [each.nodes[0].name for each in self.tasks]
        name = next(name for name in _numbered(graph.unique(None, f"combine {node.name}", "")) if name not in taken)
        step = Node(name, combines, (), None, "fail", None, node.place, stage=producer.nodes[-1].stage)
        task = TaskPlan([step], producer.workers)
        join_tasks(producer, task, replace(source, route="forward", key=None))
        step.type = combines.gives(task.inputs[0].type)
        join_tasks(task, consumer, Input(step, route="hash", key=combines.form.key(source.key)))
        self.tasks.append(task)

    def _size(self) -> None:
        """Share the target delay among the channels of the longest path through each; check the parallelism of keys."""
        up: dict[TaskPlan, int] = {}
        for task in self.tasks:
            up[task] = max((up[edge.producer] + 1 for edge in task.inputs), default=0)
        down: dict[TaskPlan, int] = {}
        for task in reversed(self.tasks):
            down[task] = max((down[edge.consumer] + 1 for edge in task.outputs), default=0)
        for edge in self.edges:
            edge.share = self.settings.target_delay_s / (up[edge.producer] + 1 + down[edge.consumer])
            edge.most = max(self.settings.max_window, 2 * edge.consumer.batch, letters_per_record(edge))
            if edge.route == "hash" and edge.consumer.parallelism > self.settings.max_parallelism:
                node = edge.consumer.nodes[0]
                times, groups = edge.consumer.parallelism, self.settings.max_parallelism
                raise GraphError(
                    f"{node} runs {times} times, but there are {groups} key groups",
                    hint="raise Settings.max_parallelism",
                )


def _producers(graph: Graph, home: dict[Node, TaskPlan], node: Node) -> Iterator[tuple[TaskPlan, Input]]:
    """The tasks that feed `node`; dead letters come from all that send some."""
    for source in node.inputs:
        for sender in feeders(graph, source):
            yield home[sender], source
            if source.node is None:
                for task in _hashing_for(home[sender], sender):
                    yield task, source


def _hashing_for(task: TaskPlan, node: Node) -> Iterator[TaskPlan]:
    """The tasks that take the keys of records for `node`, the first of `task`, and so meet those that have none."""
    if task.nodes[0] is node:
        yield from (edge.producer for edge in task.inputs if edge.route == "hash")


def _crosses_by_key(producer: TaskPlan, consumer: TaskPlan, source: Input) -> bool:
    """Whether records are spread by key, over more than one process."""
    return source.route == "hash" and len({*producer.workers, *consumer.workers}) > 1


def _numbered(name: str) -> Iterator[str]:
    """`name`, and then with a number, from 2 on; not as one of two operators of a name is numbered."""
    yield name
    yield from (f"{name} ({number})" for number in count(2))
