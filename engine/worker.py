"""One process: turns the plan into native tasks and channels, and says which of them share a thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any

from cext.chain import Operator
from cext.channel import Channel
from cext.guard import Guard, Sideline
from cext.head import Head, Pass
from cext.inlet import Inlet
from cext.joined import Joined
from cext.lanes import Lane, Lanes
from cext.link import Peer
from cext.links import Links
from cext.outlet import Outlet
from cext.port import Port
from cext.processing_time import Clock
from cext.runner import Runner
from cext.sink import Sink as SinkHead
from cext.source import Source as SourceHead
from cext.stream_lookup import StreamLookup
from cext.task import Task
from cext.waker import Waker
from cext.watermarks import Watermarks
from cext.window import Window
from engine.codec import Codec
from engine.combining import Combines
from engine.describe import describe_failure, describe_unread, describe_unsent, is_known, is_refusal, what
from engine.either import EitherCodec, codec_of
from engine.errors import InputError
from engine.graph import ASIDE, LETTERS, Node
from engine.layout import HOME
from engine.letters import DeadLetter
from engine.lookups import LookupStream
from engine.operation import Operation
from engine.operations import FromSource, Split, ToSink
from engine.plan import Plan
from engine.sink import Recovery, Sink, SinkContext, Writer
from engine.source import BadRecord
from engine.task_plan import Edge, TaskPlan, letters_per_record

if TYPE_CHECKING:
    from engine.control import Life


class Worker:
    """What process `number` runs of a plan: native tasks and channels, and the loops of the threads that run them.

    `partitions`: those of every source (see `list_partitions`), of which each instance has its share; nothing is opened
    before the loops run. `epoch` is the job's incarnation, which every message to and from another process carries;
    `life` which of the job's it is, where that makes checkpoints; `clock`, if it is not the system's, tells processing
    time.
    """

    def __init__(
        self,
        plan: Plan,
        partitions: dict[str, list[str]],
        number: int = HOME,
        epoch: int = 0,
        life: Life | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.plan = plan
        self.partitions = partitions
        self.number = number
        self.epoch = epoch
        self.life = life
        self.checkpoint = 0  # the one that its tasks go on from
        self.clock = clock or Clock()
        self.guards: dict[Node, list[Guard]] = {node: [] for task in plan.tasks for node in task.nodes}
        """What each operator has skipped and sent to the dead letters, in all places that work for it."""
        self.refused: dict[str, int] = {}
        """How much its sockets turned away, by reason; one thread counts each reason."""
        self.outlets: dict[int, list[Outlet]] = {}
        self.inlets: dict[int, list[Inlet]] = {}
        """The halves of channels that end in another process, by its number."""
        self.halves: dict[tuple[TaskPlan, int], list[Outlet | Inlet]] = {}
        """The same, by the task, and which of its instances, that is at the end here."""
        self.codecs: dict[Edge, Codec | EitherCodec] = {}
        """How records cross on each edge that has a channel to another process."""
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
        self._failed: Callable[[Task, BaseException], None]

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

    @property
    def sinks(self) -> list[SinkHead]:
        """The heads that write."""
        return [task.head for task in self.tasks if isinstance(task.head, SinkHead)]

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
        for (i, j), number in zip(edge.pairs, numbers, strict=False):
            before, after = edge.producer.workers[i], edge.consumer.workers[j]
            if self.number not in {before, after}:
                continue
            channels[i, j] = self._channel(
                edge,
                self._wakers[edge.producer][i] if before == self.number else self._common,
                self._wakers[edge.consumer][j] if after == self.number else self._common,
            )
            if after != self.number:
                outlet = self._outlet(edge, number, channels[i, j], i)
                self.outlets.setdefault(after, []).append(outlet)
                self.halves.setdefault((edge.producer, i), []).append(outlet)
            elif before != self.number:
                inlet = self._inlet(edge, number, channels[i, j], j)
                self.inlets.setdefault(before, []).append(inlet)
                self.halves.setdefault((edge.consumer, j), []).append(inlet)
        return channels

    def _outlet(self, edge: Edge, number: int, channel: Channel, index: int) -> Outlet:
        node, settings = edge.producer.nodes[-1], self.plan.settings
        skipping, side = Guard("skip"), Sideline()
        self.guards[node].append(skipping)

        def unsent(error: Exception) -> bool:
            if node.on_error == "skip" and is_known(error):
                return skipping.handle(None, error, side)
            task = self._tasks[edge.producer][index]
            task.cancel()
            self._wakers[edge.producer][index].notify()
            self._failed(task, describe_unsent(node, edge.consumer.nodes[0], error))
            return False

        # A message longer than the longest record would be refused, so a frame must not be.
        frame_bytes = min(settings.frame_bytes, settings.max_record_bytes)
        limits = (frame_bytes, settings.max_window_bytes, settings.max_record_bytes)
        return Outlet(number, channel, self._codec(edge), self.number, self.epoch, *limits, unsent)

    def _inlet(self, edge: Edge, number: int, channel: Channel, index: int) -> Inlet:
        def unread(error: Exception) -> None:
            failure = describe_unread(edge.producer.nodes[-1], edge.consumer.nodes[0], error)
            self._failed(self._tasks[edge.consumer][index], failure)

        return Inlet(number, channel, self._codec(edge), unread)

    def _codec(self, edge: Edge) -> Codec | EitherCodec:
        if edge not in self.codecs:
            self.codecs[edge] = codec_of(edge.type)
        return self.codecs[edge]

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
        outputs: list[list[Port]] = [[] for _ in range(planned.nodes[-1].outputs)]
        letters: list[Port] = []
        aside: list[list[Port]] = [[] for _ in planned.nodes[0].operation.asides]
        for edge in planned.outputs:
            port = self._port(edge, index)
            if edge.output >= 0:
                outputs[edge.output].append(port)
            else:
                (letters if edge.output == LETTERS else aside[ASIDE - edge.output]).append(port)
        chain = [
            operation.build_operator(node.name, self._guard(node))
            for node, operation in ready.items()
            if operation.role == "chain"
        ]
        head = self._head(planned, index, chain)
        head.clock = self.clock
        right = frozenset(channel for edge, channel in self._inputs(planned, index) if edge.right)
        if isinstance(head, Joined):
            head.right = right
        elif isinstance(head, StreamLookup):
            head.tables = right
        router = last.build_router(self._guard(planned.nodes[-1])) if isinstance(last, Split) else None
        settings = self.plan.settings
        limits = (settings.frame_records, settings.linger_ns)
        lanes = self._lanes(planned, index)
        task = Task(planned.name, head, lanes, chain, outputs, letters, router, *limits, aside)
        if not planned.own_thread:  # the accounts of others are kept by their own threads
            for half in self.halves.get((planned, index), ()):
                half.task = task
        return task

    def _lanes(self, planned: TaskPlan, index: int) -> Lanes:
        """What feeds one instance, by event time where it keeps records for a time."""
        operation, drift = planned.nodes[0].operation, self.plan.settings.max_drift_ms
        lanes = [
            Lane(channel, edge.waits and drift is not None, *edge.delays, edge.is_table)
            for edge, channel in self._inputs(planned, index)
        ]
        if isinstance(operation, LookupStream):
            return Lanes(lanes, tables_first=operation.waits)
        return Lanes(lanes, drift or 0) if operation.waits_for_time else Lanes(lanes)

    def _inputs(self, planned: TaskPlan, index: int) -> Iterator[tuple[Edge, Channel]]:
        """The channels that feed one instance, those with the right-hand records of a join behind the others."""
        for edge in sorted(planned.inputs, key=lambda edge: edge.right):
            yield from ((edge, channel) for (_, j), channel in self.channels[edge].items() if j == index)

    def _head(self, planned: TaskPlan, index: int, chain: list[Operator]) -> Head:
        node = planned.nodes[0]
        operation, waker = node.operation, self._wakers[planned][index]
        if operation.role in {"chain", "router"}:
            return Pass("", Guard("fail"))
        guard = self._guard(operation.node if isinstance(operation, Combines) else node)
        if planned.merges:
            return operation.build_merging(node.name, guard)
        if isinstance(operation, FromSource):
            source = operation.source
            share = self.partitions[node.name][index :: planned.parallelism]
            in_turn = not source.bounded
            watermarks = next((each for each in chain if isinstance(each, Watermarks)), None)
            return SourceHead(node.name, guard, source.open, share, in_turn, BadRecord, source.blocking, watermarks)
        if isinstance(operation, ToSink):
            return self._sink_head(
                node, operation.sink, guard, SinkContext(node.name, node.type, index, planned.parallelism)
            )
        return operation.build_head(node.name, guard, waker)

    def _sink_head(self, node: Node, sink: Sink[Any], guard: Guard, context: SinkContext) -> SinkHead:
        def open_writer() -> Writer[Any]:
            if (life := self.life) is None or not head.prepares:
                return sink.open(context)
            which = (self.plan.name, life.epoch, tuple(head.earlier), self.checkpoint)
            recovery = Recovery(*which, line=life.line, again=node.name in life.again)
            return sink.open(replace(context, recovery=recovery))

        linger = self.plan.settings.linger_ns
        head = SinkHead(node.name, guard, open_writer, is_refusal, sink.batch_records, linger)
        head.prepares = self.life is not None and sink.delivery == "exactly once"
        return head

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
            return DeadLetter(node.name, place or node.place, what(error), record)

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
                    alone[f"headgate-{planned.name}-{index}"] = Runner([task], waker, failed, clock=self.clock)
                else:
                    shared.insert(0, task)
        self._failed = failed
        self.runners = {"headgate": Runner(shared, self._common, failed, links, drained, self.clock), **alone}
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
