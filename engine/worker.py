"""One process: turns the plan into native tasks and channels, and says which of them share a thread."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

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
from engine.errors import ConnectorError, InputError, JobError, OperatorError, OutputError
from engine.graph import LETTERS, Node, is_ours
from engine.letters import DeadLetter
from engine.operations import FromSource, Operation, Split, ToSink, code_place, function_place
from engine.plan import Edge, Plan, TaskPlan, letters_per_record
from engine.sink import SinkContext
from engine.source import BadRecord

_LONGEST_RECORD = 200
_GO_ON = 'on_error="skip" or "dead-letter" goes on without such records'


class Worker:
    """A plan's native tasks and channels in this process, and the loops of the threads that run them.

    Sources' partitions are listed when it is made; nothing is opened before the loops run. `failed(task, error)` is
    called, in its thread, for each task that fails.
    """

    def __init__(self, plan: Plan, failed: Callable[[Task, BaseException], None]) -> None:
        self.plan = plan
        self.guards: dict[Node, list[Guard]] = {node: [] for task in plan.tasks for node in task.nodes}
        """What each operator has skipped and sent to the dead letters, in all places that work for it."""
        common = Waker()
        self._wakers = {
            task: [Waker() if task.own_thread else common for _ in range(task.parallelism)] for task in plan.tasks
        }
        self.channels = {edge: self._connect(edge) for edge in plan.edges}
        """Of each edge; those of the first producer first."""
        self._tasks = {task: self._build(task) for task in plan.tasks}
        self.runners = self._loops(common, failed)
        """By the name of the thread that is to run it; the first one runs all that never waits."""

    @property
    def tasks(self) -> list[Task]:
        """The native tasks, each behind all that feed it."""
        return [task for instances in self._tasks.values() for task in instances]

    def tasks_of(self, planned: TaskPlan) -> list[Task]:
        """The instances of a planned task."""
        return self._tasks[planned]

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
        """The sum of the most that was ever in flight in each channel: no less than there was at any moment."""
        return sum(channel.most_in_flight for channels in self.channels.values() for channel in channels)

    def _connect(self, edge: Edge) -> list[Channel]:
        before, after = self._wakers[edge.producer], self._wakers[edge.consumer]
        if edge.route == "forward":
            return [self._channel(edge, *pair) for pair in zip(before, after, strict=True)]
        return [self._channel(edge, producer, consumer) for producer in before for consumer in after]

    def _channel(self, edge: Edge, producer: Waker, consumer: Waker) -> Channel:
        frame = self.plan.settings.frame_records
        law = Window(edge.share, edge.most, min(frame, edge.most), max(edge.consumer.batch, letters_per_record(edge)))
        if producer is consumer:  # one thread: nobody to wake
            return Channel(law, frame)
        return Channel(law, frame, producer, consumer)

    def _build(self, planned: TaskPlan) -> list[Task]:
        shares = _partitions(planned)
        ready = {node: node.operation.prepare(node.name) for node in planned.nodes}
        return [self._instance(planned, index, shares, ready) for index in range(planned.parallelism)]

    def _instance(self, planned: TaskPlan, index: int, shares: list[list[str]], ready: dict[Node, Operation]) -> Task:
        last = planned.nodes[-1].operation
        lanes = [channel for edge in planned.inputs for channel in _incoming(edge, self.channels[edge], index)]
        outputs: list[list[Port]] = [[] for _ in range(planned.nodes[-1].outputs)]
        letters: list[Port] = []
        for edge in planned.outputs:
            (letters if edge.output == LETTERS else outputs[edge.output]).append(self._port(edge, index))
        head = self._head(planned, index, shares)
        chain = [
            operation.build_operator(node.name, self._guard(node))
            for node, operation in ready.items()
            if operation.role == "chain"
        ]
        router = last.build_router(self._guard(planned.nodes[-1])) if isinstance(last, Split) else None
        settings = self.plan.settings
        limits = (settings.frame_records, settings.linger_ns)
        return Task(planned.name, head, lanes, chain, outputs, letters, router, *limits)

    def _head(self, planned: TaskPlan, index: int, shares: list[list[str]]) -> Head:
        node = planned.nodes[0]
        operation, waker = node.operation, self._wakers[planned][index]
        if operation.role in {"chain", "router"}:
            return Pass("", Guard("fail"))
        guard = self._guard(node)
        if isinstance(operation, FromSource):
            source = operation.source
            return SourceHead(node.name, guard, source.open, shares[index], not source.bounded, BadRecord)
        if isinstance(operation, ToSink):
            sink, context = operation.sink, SinkContext(node.name, node.type, index, node.parallelism)
            linger = self.plan.settings.linger_ns
            return SinkHead(node.name, guard, lambda: sink.open(context), is_refusal, sink.batch_records, linger)
        return operation.build_head(node.name, guard, waker)

    def _port(self, edge: Edge, index: int) -> Port:
        channels = self.channels[edge]
        if edge.route == "forward":
            return Port("forward", [channels[index]])
        width = edge.consumer.parallelism
        mine = channels[index * width : (index + 1) * width]
        if edge.route == "hash" and edge.key is not None:
            guard = self._guard(edge.consumer.nodes[0])
            return Port("hash", mine, edge.key.getter(), guard, self.plan.settings.max_parallelism)
        return Port(edge.route, mine)

    def _guard(self, node: Node) -> Guard:
        """What `node` does with a record that it cannot handle, and how it says so."""

        def describe(record: Any, error: BaseException) -> BaseException:
            return describe_failure(node, record, error)

        def letter(record: Any, error: BaseException) -> DeadLetter:
            place = error.place if isinstance(error, InputError) else ""
            return DeadLetter(node.name, place or node.place, _what(error), record)

        guard = Guard(node.on_error, describe, letter)
        self.guards[node].append(guard)
        return guard

    def _loops(self, common: Waker, failed: Callable[[Task, BaseException], None]) -> dict[str, Runner]:
        """One loop for all that never waits, its tasks nearest the sinks first, and one for each task that does."""
        shared: list[Task] = []
        alone: dict[str, Runner] = {}
        for planned, tasks in self._tasks.items():
            for index, task in enumerate(tasks):
                if planned.own_thread:
                    waker = self._wakers[planned][index]
                    alone[f"headgate-{planned.name}-{index}"] = Runner([task], waker, failed)
                else:
                    shared.insert(0, task)
        return {"headgate": Runner(shared, common, failed), **alone}


def _partitions(planned: TaskPlan) -> list[list[str]]:
    """For a source: the partitions of each instance."""
    operation = planned.nodes[0].operation
    if not isinstance(operation, FromSource):
        return []
    try:
        partitions = list(operation.source.partitions())
    except Exception as error:
        raise describe_failure(planned.nodes[0], None, error) from error
    return [partitions[i :: planned.parallelism] for i in range(planned.parallelism)]


def _incoming(edge: Edge, channels: list[Channel], index: int) -> list[Channel]:
    """The channels of `edge` that lead to instance `index` of its consumer."""
    if edge.route == "forward":
        return [channels[index]]
    return channels[index :: edge.consumer.parallelism]


def is_refusal(error: BaseException) -> bool:
    """Whether a record is to blame for what a sink raised, not an outage."""
    return isinstance(error, OutputError) or not isinstance(error, ConnectorError)


def describe_failure(node: Node, record: Any, error: BaseException) -> BaseException:
    """The error that ends the job: it names the operator, the user's function, the record and the cause."""
    wrapped: JobError
    if node.operation.role in {"source", "sink"}:
        if isinstance(error, ConnectorError):
            what_to_do = f"; {_GO_ON}" if isinstance(error, InputError | OutputError) else ""
            _add_note(error, f"in operator {node}{what_to_do}")
            return error
        wrapped = ConnectorError(f"{node.operation.role} {node} failed: {_what(error)}")
    else:
        function = _raised_in(error) or function_place(node.operation.function)
        by = f" in {function}" if function else ""
        wrapped = OperatorError(
            f"operator {node} failed{by}: {_what(error)}; the record was {_shown(record)}",
            operator=node.name,
            record=record,
            hint=_GO_ON,
        )
    wrapped.__cause__ = error
    return wrapped


def _what(error: BaseException) -> str:
    """An exception's type and, where it has one, its text."""
    try:
        text = str(error)
    except Exception as another:
        text = f"its text cannot be had, that raises {type(another).__name__}"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _shown(record: Any) -> str:
    try:
        text = repr(record)
    except Exception as error:
        return f"a {type(record).__name__} that cannot be shown, its repr raises {type(error).__name__}"
    return text if len(text) <= _LONGEST_RECORD else f"{text[:_LONGEST_RECORD]}..."


def _raised_in(error: BaseException) -> str:
    """ "function (file:line)" of the user's function that was called and raised; "" where none of Python's was."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        code = frame.f_code
        if not (is_ours(code.co_filename) or code.co_filename.startswith("cext/")):
            return code_place(code)
    return ""


def _add_note(error: BaseException, note: str) -> None:
    if note not in getattr(error, "__notes__", ()):  # an error that is raised again has it already
        error.add_note(note)
