"""One process: turns the plan into native tasks and channels, and says which of them share a thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cext.chain import Operator, Router
from cext.channel import Channel
from cext.guard import Guard
from cext.head import Head, Pass
from cext.port import Port
from cext.runner import Runner
from cext.sink import Sink as SinkHead
from cext.source import Source as SourceHead
from cext.task import Task
from cext.waker import Waker
from cext.window import Window

from engine.errors import ConnectorError, HeadgateError, JobError, OperatorError
from engine.graph import LETTERS, Node
from engine.letters import DeadLetter
from engine.operations import FromSource, Split, ToSink, function_place
from engine.plan import Edge, Plan, TaskPlan
from engine.sink import SinkContext
from engine.source import BadRecord

_LONGEST_RECORD = 200


@dataclass(eq=False)
class Instance:
    """One of the `parallelism` instances of a planned task, as it runs."""

    plan: TaskPlan
    index: int
    waker: Waker
    task: Task | None = None
    operators: list[Operator] = field(default_factory=list)


@dataclass(eq=False)
class Worker:
    """All instances of a plan that run in this process, and the threads' loops that run them."""

    plan: Plan
    instances: list[Instance]
    runners: dict[str, Runner]
    """By the name of the thread that is to run them; the first one is that of all that never waits."""
    channels: dict[Edge, list[Channel]]

    @property
    def tasks(self) -> list[Task]:
        """The native tasks."""
        return [each.task for each in self.instances if each.task is not None]

    @property
    def sources(self) -> list[SourceHead]:
        """The heads that read."""
        return [task.head for task in self.tasks if isinstance(task.head, SourceHead)]

    def wake(self) -> None:
        """Make every thread look at its tasks."""
        for runner in self.runners.values():
            runner.waker.notify()

    @property
    def in_flight(self) -> int:
        """Records pushed into a channel whose fate is not final yet."""
        return sum(channel.in_flight for channels in self.channels.values() for channel in channels)

    @property
    def most_in_flight(self) -> int:
        """The sum of the most that was ever in flight in each channel: no less than what was in flight at any moment."""
        return sum(channel.most_in_flight for channels in self.channels.values() for channel in channels)


def build(plan: Plan, failed: Callable[[Task, BaseException], None]) -> Worker:
    """Make everything that `plan` needs; sources' partitions are listed here, nothing is opened yet."""
    common = Waker()
    instances = {task: [Instance(task, i, Waker() if task.own_thread else common) for i in range(task.parallelism)] for task in plan.tasks}
    channels = {edge: _channels(edge, plan, instances) for edge in plan.edges}
    for task, running in instances.items():
        shares = _partitions(task)
        for instance in running:
            instance.task = _task(instance, plan, channels, shares)
    everything = [instance for running in instances.values() for instance in running]
    return Worker(plan, everything, _runners(everything, common, failed), channels)


def _runners(instances: list[Instance], common: Waker, failed: Callable[[Task, BaseException], None]) -> dict[str, Runner]:
    """One loop for all that never waits, its tasks nearest the sinks first, and one for each task that does."""
    shared = [each.task for each in reversed(instances) if each.waker is common and each.task is not None]
    runners = {"headgate": Runner(shared, common, failed)}
    for each in instances:
        if each.waker is not common and each.task is not None:
            runners[f"headgate-{each.task.name}-{each.index}"] = Runner([each.task], each.waker, failed)
    return runners


def _channels(edge: Edge, plan: Plan, instances: dict[TaskPlan, list[Instance]]) -> list[Channel]:
    """The edge's channels, those of the first producer first."""
    pairs = [(producer, consumer) for producer in instances[edge.producer] for consumer in instances[edge.consumer]]
    if edge.route == "forward":
        pairs = list(zip(instances[edge.producer], instances[edge.consumer], strict=True))
    frame = plan.settings.frame_records
    made = []
    for producer, consumer in pairs:
        law = Window(edge.share, edge.most, min(frame, edge.most), edge.consumer.batch)
        apart = producer.waker is not consumer.waker
        made.append(Channel(law, frame, producer.waker if apart else None, consumer.waker if apart else None))
    return made


def _task(instance: Instance, plan: Plan, channels: dict[Edge, list[Channel]], shares: list[list[str]]) -> Task:
    task, index = instance.plan, instance.index
    lanes = [channel for edge in task.inputs for channel in _incoming(edge, channels[edge], index)]
    last = task.nodes[-1]
    outputs: list[list[Port]] = [[] for _ in range(last.outputs)]
    letters: list[Port] = []
    for edge in task.outputs:
        port = _port(edge, channels[edge], index, plan.settings.max_parallelism)
        (letters if edge.output == LETTERS else outputs[edge.output]).append(port)
    head, chained = _head(instance, plan, shares)
    instance.operators = [node.operation.build_operator(node.name, _guard(node)) for node in chained if not isinstance(node.operation, Split)]
    router: Router | None = None
    if isinstance(last.operation, Split):
        router = last.operation.build_router(_guard(last))
    settings = plan.settings
    return Task(task.name, head, lanes, instance.operators, outputs, letters, router, settings.frame_records, settings.linger_ns)


def _head(instance: Instance, plan: Plan, shares: list[list[str]]) -> tuple[Head, list[Node]]:
    """The task's head, and the nodes that are chained behind it."""
    node, rest = instance.plan.nodes[0], instance.plan.nodes[1:]
    operation, guard = node.operation, _guard(node)
    if isinstance(operation, FromSource):
        source = operation.source
        return SourceHead(node.name, guard, source.open, shares[instance.index], not source.bounded, BadRecord), rest
    if isinstance(operation, ToSink):
        sink = operation.sink
        context = SinkContext(node.name, node.type, instance.index, node.parallelism)
        return SinkHead(node.name, guard, lambda: sink.open(context), sink.batch_records, plan.settings.linger_ns), rest
    if operation.role == "head":
        return operation.build_head(node.name, guard, instance.waker), rest
    return Pass(node.name, guard), instance.plan.nodes


def _partitions(task: TaskPlan) -> list[list[str]]:
    """For a source: the partitions of each instance."""
    operation = task.nodes[0].operation
    if not isinstance(operation, FromSource):
        return []
    partitions = list(operation.source.partitions())
    return [partitions[i :: task.parallelism] for i in range(task.parallelism)]


def _incoming(edge: Edge, channels: list[Channel], index: int) -> list[Channel]:
    if edge.route == "forward":
        return [channels[index]]
    return channels[index :: edge.consumer.parallelism]


def _port(edge: Edge, channels: list[Channel], index: int, max_parallelism: int) -> Port:
    if edge.route == "forward":
        return Port("forward", [channels[index]])
    width = edge.consumer.parallelism
    mine = channels[index * width : (index + 1) * width]
    if edge.route == "hash" and edge.key is not None:
        return Port("hash", mine, edge.key.getter(), _guard(edge.consumer.nodes[0]), max_parallelism)
    return Port(edge.route, mine)


def _guard(node: Node) -> Guard:
    """What `node` does with a record that it cannot handle, and how it says so."""

    def describe(record: Any, error: BaseException) -> BaseException:
        return describe_failure(node, record, error)

    def letter(record: Any, error: BaseException) -> DeadLetter:
        place = getattr(error, "place", "") or node.place
        return DeadLetter(node.name, place, f"{type(error).__name__}: {error}", record)

    return Guard(node.on_error, describe, letter)


def describe_failure(node: Node, record: Any, error: BaseException) -> BaseException:
    """The error that ends the job: it names the operator, the user's function, the record and the cause."""
    if isinstance(error, HeadgateError):
        error.add_note(f"in operator {node}")
        return error
    what = f"{type(error).__name__}: {error}"
    wrapped: JobError
    if node.operation.role in {"source", "sink"}:
        wrapped = ConnectorError(f"{node.operation.role} {node} failed: {what}")
    else:
        function = function_place(node.operation.function)
        shown = repr(record)
        shown = shown if len(shown) <= _LONGEST_RECORD else f"{shown[:_LONGEST_RECORD]}..."
        by = f" in {function}" if function else ""
        wrapped = OperatorError(
            f"operator {node} failed{by}: {what}; the record was {shown}", operator=node.name, record=record,
            hint='on_error="skip" or "dead-letter" goes on without such records',
        )
    wrapped.__cause__ = error
    return wrapped
