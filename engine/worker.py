"""One process: turns the plan into native tasks and channels, and says which of them share a thread."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

from cext.chain import Operator
from cext.channel import Channel
from cext.guard import Guard
from cext.head import Head, Pass, Several
from cext.inlet import Inlet
from cext.link import Peer
from cext.links import Links
from cext.outlet import Outlet
from cext.port import Port
from cext.runner import Runner
from cext.sink import Sink as SinkHead
from cext.source import Source as SourceHead
from cext.task import Task
from cext.waker import Waker
from cext.watermarks import Watermarks
from cext.window import Window
from engine.codec import Codec
from engine.errors import ConnectorError, InputError, JobError, OperatorError, OutputError
from engine.graph import LATE, LETTERS, Node, is_ours
from engine.layout import HOME
from engine.letters import DeadLetter
from engine.operations import FromSource, Operation, Split, ToSink, code_place, function_place
from engine.plan import Edge, Plan, TaskPlan, letters_per_record
from engine.sink import SinkContext
from engine.source import BadRecord

_LONGEST_RECORD = 200
_GO_ON = 'on_error="skip" or "dead-letter" goes on without such records'
_OUTAGES = (ConnectorError, OSError, MemoryError)  # OSError is also no connection, no permission and no time left


class Worker:
    """What process `number` runs of a plan: native tasks and channels, and the loops of the threads that run them.

    `partitions`: those of every source (see `list_partitions`), of which each instance has its share; nothing is opened
    before the loops run. `epoch` is the job's incarnation, which every message to and from another process carries.
    """

    def __init__(self, plan: Plan, partitions: dict[str, list[str]], number: int = HOME, epoch: int = 0) -> None:
        self.plan = plan
        self.partitions = partitions
        self.number = number
        self.epoch = epoch
        self.guards: dict[Node, list[Guard]] = {node: [] for task in plan.tasks for node in task.nodes}
        """What each operator has skipped and sent to the dead letters, in all places that work for it."""
        self.refused: dict[str, int] = {}
        """How much its sockets turned away, by reason; one thread counts each reason."""
        self.outlets: dict[int, list[Outlet]] = {}
        self.inlets: dict[int, list[Inlet]] = {}
        """The halves of channels that end in another process, by its number."""
        self._edges: dict[int, Edge] = {}
        """By the number of each of its channels."""
        self._common = Waker()
        self._wakers = {
            task: [Waker() if task.own_thread else self._common for _ in range(task.parallelism)] for task in plan.tasks
        }
        numbers = count()
        self.channels = {edge: self._connect(edge, numbers) for edge in plan.edges}
        """Of each edge, by the instances of producer and consumer, where one of these is here."""
        self._tasks = {task: self._build(task) for task in plan.tasks}
        self.runners: dict[str, Runner] = {}
        """By the name of the thread that is to run it; the first one runs all that never waits. See `loops`."""

    @property
    def tasks(self) -> list[Task]:
        """The native tasks, each behind all that feed it."""
        return [task for instances in self._tasks.values() for task in instances.values()]

    def instances_of(self, planned: TaskPlan) -> dict[int, Task]:
        """The instances of a planned task that run here, by their index."""
        return self._tasks[planned]

    @property
    def peers(self) -> list[Peer]:
        """What it shares with each other process."""
        others = sorted({*self.outlets, *self.inlets})
        return [
            Peer(self.number, other, self.epoch, self.outlets.get(other, []), self.inlets.get(other, []))
            for other in others
        ]

    @property
    def sources(self) -> list[SourceHead]:
        """The heads that read."""
        return [task.head for task in self.tasks if isinstance(task.head, SourceHead)]

    def blame(self, channel: int, error: Exception) -> BaseException:
        """The error to raise when a record of `channel` could not be encoded or decoded."""
        edge = self._edges[channel]
        before, after = edge.producer.nodes[-1], edge.consumer.nodes[0]
        failure = JobError(
            f"a record could not cross from operator {before} to {after} in another process: {_what(error)}"
        )
        failure.__cause__ = error
        return failure

    @property
    def open_threads(self) -> list[str]:
        """Names of threads, besides those of the loops, that run on behalf of an operator."""
        return [name for task in self.tasks if (name := task.head.open_thread()) is not None]

    def wake(self) -> None:
        """Make every thread look at its tasks."""
        for runner in self.runners.values():
            runner.waker.notify()

    @property
    def in_flight(self) -> int:
        """Records pushed into a channel whose fate is not final yet, wherever they are."""
        return sum(channel.in_flight for channel in self._fed_here())

    @property
    def most_in_flight(self) -> int:
        """The sum of the most that was ever in flight in each channel: no less than there was at any moment."""
        return sum(channel.most_in_flight for channel in self._fed_here())

    @property
    def credit(self) -> int:
        """Records that may be pushed into its channels now."""
        return sum(limit - pushed for pushed, _, limit, _ in (channel.counters for channel in self._fed_here()))

    def _fed_here(self) -> Iterator[Channel]:
        """The channels whose producer is here: each channel of a job is that of one process."""
        for edge, channels in self.channels.items():
            for (i, _), channel in channels.items():
                if edge.producer.workers[i] == self.number:
                    yield channel

    def _connect(self, edge: Edge, numbers: Iterator[int]) -> dict[tuple[int, int], Channel]:
        """The channels of `edge` with an end here, and what stands in for their ends elsewhere; all are numbered."""
        channels = {}
        codec = Codec.of(edge.type)
        for (i, j), number in zip(edge.pairs, numbers, strict=False):
            before, after = edge.producer.workers[i], edge.consumer.workers[j]
            if self.number not in {before, after}:
                continue
            channel = self._channel(
                edge,
                self._wakers[edge.producer][i] if before == self.number else self._common,
                self._wakers[edge.consumer][j] if after == self.number else self._common,
            )
            channels[i, j] = channel
            self._edges[number] = edge
            if after != self.number:
                settings = self.plan.settings
                limits = (settings.frame_bytes, settings.max_window_bytes, settings.max_record_bytes)
                outlet = Outlet(number, channel, codec, self.number, self.epoch, *limits)
                self.outlets.setdefault(after, []).append(outlet)
            elif before != self.number:
                self.inlets.setdefault(before, []).append(Inlet(number, channel, codec))
        return channels

    def _channel(self, edge: Edge, producer: Waker, consumer: Waker) -> Channel:
        frame = self.plan.settings.frame_records
        law = Window(edge.share, edge.most, min(frame, edge.most), max(edge.consumer.batch, letters_per_record(edge)))
        if producer is consumer:  # one thread: nobody to wake
            return Channel(law, frame)
        return Channel(law, frame, producer, consumer)

    def _build(self, planned: TaskPlan) -> dict[int, Task]:
        """The instances that run here, by their index."""
        mine = [index for index, worker in enumerate(planned.workers) if worker == self.number]
        if not mine:
            return {}
        ready = {node: node.operation.prepare(node.name) for node in planned.nodes}
        return {index: self._instance(planned, index, ready) for index in mine}

    def _instance(self, planned: TaskPlan, index: int, ready: dict[Node, Operation]) -> Task:
        last = planned.nodes[-1].operation
        lanes = [channel for edge in planned.inputs for (_, j), channel in self.channels[edge].items() if j == index]
        outputs: list[list[Port]] = [[] for _ in range(planned.nodes[-1].outputs)]
        aside: dict[int, list[Port]] = {LETTERS: [], LATE: []}
        for edge in planned.outputs:
            (outputs[edge.output] if edge.output >= 0 else aside[edge.output]).append(self._port(edge, index))
        chain = [
            operation.build_operator(node.name, self._guard(node))
            for node, operation in ready.items()
            if operation.role == "chain"
        ]
        head = self._head(planned, index, chain)
        router = last.build_router(self._guard(planned.nodes[-1])) if isinstance(last, Split) else None
        settings = self.plan.settings
        limits = (settings.frame_records, settings.linger_ns)
        return Task(planned.name, head, lanes, chain, outputs, aside[LETTERS], router, *limits, aside[LATE])

    def _head(self, planned: TaskPlan, index: int, chain: list[Operator]) -> Head:
        node = planned.nodes[0]
        operation, waker = node.operation, self._wakers[planned][index]
        if operation.role in {"chain", "router"}:
            return Pass("", Guard("fail"))
        guard = self._guard(node)
        if isinstance(operation, FromSource):
            source = operation.source
            share = self.partitions[node.name][index :: planned.parallelism]
            watermarks = next((each for each in chain if isinstance(each, Watermarks)), None)
            return SourceHead(node.name, guard, source.open, share, not source.bounded, BadRecord, watermarks)
        if isinstance(operation, ToSink):
            sink, context = operation.sink, SinkContext(node.name, node.type, index, planned.parallelism)
            linger = self.plan.settings.linger_ns
            return SinkHead(node.name, guard, lambda: sink.open(context), is_refusal, sink.batch_records, linger)
        return operation.build_head(node.name, guard, waker)

    def _port(self, edge: Edge, index: int) -> Port:
        mine = [channel for (i, _), channel in self.channels[edge].items() if i == index]
        if edge.route == "forward":
            return Port("forward", mine)
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

    def loops(
        self,
        failed: Callable[[Task, BaseException], None],
        links: Links | None = None,
        drained: Callable[[], None] | None = None,
    ) -> dict[str, Runner]:
        """One loop for all that never waits, its tasks nearest the sinks first, and one for each task that does.

        `failed(task, error)` is called, in its thread, for each task that fails; `links` are served by the first
        loop, which calls `drained()` once its tasks and all channels to and from other processes have ended.
        """
        shared: list[Task] = []
        alone: dict[str, Runner] = {}
        for planned, tasks in self._tasks.items():
            for index, task in tasks.items():
                if planned.own_thread:
                    waker = self._wakers[planned][index]
                    alone[f"headgate-{planned.name}-{index}"] = Runner([task], waker, failed)
                else:
                    shared.insert(0, task)
        self.runners = {"headgate": Runner(shared, self._common, failed, links, drained), **alone}
        return self.runners


def list_partitions(plan: Plan) -> dict[str, list[str]]:
    """The partitions of each source, by its name; listed once, in the process that starts the job."""
    return {
        node.name: _partitions(node, node.operation)
        for task in plan.tasks
        for node in task.nodes
        if isinstance(node.operation, FromSource)
    }


def _partitions(node: Node, operation: FromSource) -> list[str]:
    try:
        return list(operation.source.partitions())
    except Exception as error:
        raise describe_failure(node, None, error) from error


def is_refusal(error: BaseException) -> bool:
    """Whether a record is to blame for what a sink raised, not an outage."""
    return isinstance(error, OutputError) or not isinstance(error, _OUTAGES)


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
            f"operator {node} failed{by}: {_what(error)}; {_culprit(record)}",
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


def _culprit(record: Any) -> str:
    if isinstance(record, Several):
        return f"it was one of {len(record)} records, the first was {_shown(record[0])}"
    return f"the record was {_shown(record)}"


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
