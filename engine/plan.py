"""The physical plan: which operators share a task, which channels join the tasks, and how much can be in flight."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count, product
from typing import TYPE_CHECKING, Any

from engine.combining import Combines
from engine.drift import settle_drift
from engine.either import codec_of
from engine.errors import GraphError
from engine.event_time import EventTime, follows_source
from engine.graph import ASIDE, LETTERS, Graph, Input, Key, Node, Route
from engine.layout import HOME, feeders, layout
from engine.lookups import LookupStream
from engine.operations import FromSource, MapAsync, MapBatch, Operation, ToSink
from engine.settings import Settings
from engine.waiting import check_waits

if TYPE_CHECKING:
    from engine.dataflow import Dataflow


@dataclass(eq=False)
class Edge:
    """What joins two tasks: a channel, or several where they run more than once."""

    producer: TaskPlan
    output: int
    consumer: TaskPlan
    route: Route
    key: Key | None
    right: bool
    """Whether it brings the right-hand records of a join."""
    most: int = 0
    """The bound of one channel, in records."""
    share: float = 0.0
    """How long a record may wait in it, seconds."""
    waits: bool = False
    """Whether it may be held until other inputs have come as far in event time (see engine.drift)."""
    delays: tuple[int, int] = (0, 0)
    """How far its marks are, at least and at most, behind what was seen where they were made, ms."""

    @property
    def is_table(self) -> bool:
        """Whether its records make the table of a lookup_join, by which event time does not go."""
        return self.right and isinstance(self.consumer.nodes[0].operation, LookupStream)

    @property
    def channels(self) -> int:
        """How many channels it is made of."""
        if self.route == "forward":
            return self.producer.parallelism
        return self.producer.parallelism * self.consumer.parallelism

    @property
    def pairs(self) -> Iterator[tuple[int, int]]:
        """The instances of producer and consumer that each channel joins, those of the first producer first."""
        if self.route == "forward":
            yield from ((index, index) for index in range(self.producer.parallelism))
        else:
            yield from product(range(self.producer.parallelism), range(self.consumer.parallelism))

    @property
    def type(self) -> Any:
        """What its records are, as far as is known; dead letters hold whatever went wrong."""
        if self.output <= ASIDE:
            return self.producer.nodes[0].operation.asides[ASIDE - self.output].type
        return None if self.output == LETTERS else self.producer.nodes[-1].type

    @property
    def links(self) -> int:
        """How many of its channels end in another process."""
        return sum(self.producer.workers[i] != self.consumer.workers[j] for i, j in self.pairs)

    @property
    def pickled_because(self) -> str | None:
        """Why its records cross to other processes as pickles; None: as msgpack, or they do not cross."""
        return codec_of(self.type).pickled_because if self.links else None

    @property
    def bound(self) -> int:
        """The most records that can be in flight on it."""
        return self.channels * self.most


@dataclass(eq=False)
class TaskPlan:
    """Operators that run as one: a head, what is chained behind it, and perhaps a router."""

    nodes: list[Node]
    workers: tuple[int, ...]
    """In which process each of its instances runs."""
    inputs: list[Edge] = field(default_factory=list)
    outputs: list[Edge] = field(default_factory=list)
    saves: bool = False
    """Whether it runs in a job that makes checkpoints."""

    @property
    def name(self) -> str:
        """Its operators' names."""
        return " | ".join(node.name for node in self.nodes)

    def instance_name(self, instance: int) -> str:
        """That of one of its instances, for a reader."""
        return f"{self.name!r}, instance {instance}" if self.parallelism > 1 else repr(self.name)

    @property
    def parallelism(self) -> int:
        """How many instances of it run."""
        return len(self.workers)

    @property
    def own_thread(self) -> bool:
        """Whether it waits for the outside world and so gets a thread of its own.

        A sink that need not wait to write waits for the disk where it prepares and commits.
        """
        operation = self.nodes[0].operation
        if isinstance(operation, FromSource):
            return operation.source.blocking
        return isinstance(operation, ToSink) and (operation.sink.blocking or (self.saves and operation.sink.commits))

    @property
    def shows(self) -> bool:
        """Whether it shows what it has written once that is in a complete checkpoint, where there are any."""
        operation = self.nodes[0].operation
        return isinstance(operation, ToSink) and operation.sink.delivery == "exactly once"

    @property
    def merges(self) -> bool:
        """Whether some of its records come as partial results."""
        return any(
            edge.output != LETTERS and isinstance(edge.producer.nodes[-1].operation, Combines) for edge in self.inputs
        )

    @property
    def batch(self) -> int:
        """How many records it likes to have in hand at once; 0: it does not mind."""
        operation = self.nodes[0].operation
        if isinstance(operation, MapAsync):
            return operation.concurrency
        if isinstance(operation, MapBatch):
            return operation.size
        return operation.sink.batch_records if isinstance(operation, ToSink) else 0


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
        tasks, home = _fuse(flow.graph, layout(flow.graph, processes))
        _check_event_time(flow.graph, tasks)
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
            _join(producer, consumer, source)
            return
        taken = [each.nodes[0].name for each in self.tasks]
        name = next(name for name in _numbered(graph.unique(None, f"combine {node.name}", "")) if name not in taken)
        step = Node(name, combines, (), None, "fail", None, node.place, stage=producer.nodes[-1].stage)
        task = TaskPlan([step], producer.workers)
        _join(producer, task, replace(source, route="forward", key=None))
        step.type = combines.gives(task.inputs[0].type)
        _join(task, consumer, Input(step, route="hash", key=combines.form.key(source.key)))
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

    def __str__(self) -> str:
        return self.text()

    def text(self, *, checkpoint: bool = False) -> str:
        """The plan as a tree; with `checkpoint`, what each source and sink can do in a job that makes checkpoints."""
        return "\n".join([f"flow {self.name!r}", *self._lines(checkpoint=checkpoint)])

    def _lines(self, *, checkpoint: bool) -> Iterator[str]:
        seen: set[TaskPlan] = set()
        for task in self.tasks:
            if not task.inputs:
                yield from self._tree(task, "", seen, checkpoint=checkpoint)
        delay = self.settings.target_delay
        yield f"at most {self.bound:,} records in flight; behind a slow sink about as many as it takes in {delay}"
        links = sum(edge.links for edge in self.edges)
        if links:
            mib = links * self.settings.max_window_bytes / 2**20
            yield f"at most {mib:,.0f} MiB of them encoded, between processes"

    def _tree(self, task: TaskPlan, indent: str, seen: set[TaskPlan], *, checkpoint: bool) -> Iterator[str]:
        times = f" x {task.parallelism}" if task.parallelism > 1 else ""
        if set(task.workers) != {HOME} or self.workers:
            times += f" [{', '.join(dict.fromkeys(map(worker_name, task.workers)))}]"
        thread = " [own thread]" if task.own_thread else ""
        again = " (see above)" if task in seen and task.outputs else ""
        end = _promise(task.nodes[0].operation) if checkpoint else ""
        yield f"{indent}{'; '.join(_described(node) for node in task.nodes)}{end}{times}{thread}{again}"
        if task in seen:
            return
        seen.add(task)
        for edge in task.outputs:
            by = f" by {edge.key}" if edge.route == "hash" and edge.key else ""
            what = _part(task, edge.output)
            side = _side(edge)
            yield f"{indent}  └─ {what}{side}{edge.route}{by}: at most {edge.bound:,} records{_links(edge)}"
            yield from self._tree(edge.consumer, indent + "     ", seen, checkpoint=checkpoint)


def _described(node: Node) -> str:
    description = node.operation.describe()
    policy = "" if node.on_error == "fail" else f", on_error={node.on_error}"
    return (
        f"{node.name}{policy}"
        if description in {node.name, f"{node.operation.kind} {node.name}"}
        else f"{node.name} ({description}{policy})"
    )


def _promise(operation: Operation) -> str:
    """What a source or sink can do in a job that makes checkpoints."""
    if isinstance(operation, FromSource):
        return ", resumable" if operation.source.resumable else ", cannot go on where it stopped"
    return f", {operation.sink.delivery}" if isinstance(operation, ToSink) else ""


def _links(edge: Edge) -> str:
    if not edge.links:
        return ""
    why = edge.pickled_because
    coding = "msgpack" if why is None else f"pickles ({why})"
    return f", {edge.links} of {edge.channels} channels to other processes, as {coding}"


def _side(edge: Edge) -> str:
    return "table, " if edge.is_table else "right side, " if edge.right else ""


def _part(task: TaskPlan, output: int) -> str:
    if output == LETTERS:
        return "dead letters, "
    if output <= ASIDE:
        return f"{task.nodes[0].operation.asides[ASIDE - output].name} records, "
    outputs = task.nodes[-1].outputs
    return f"part {output + 1} of {outputs}, " if outputs > 1 else ""


def letters_per_record(edge: Edge) -> int:
    """How many dead letters one record may become on its way out: each port that hashes may refuse its key."""
    if edge.output != LETTERS:
        return 0
    return sum(other.route == "hash" for other in edge.producer.outputs)


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


def _fuse(graph: Graph, workers: dict[Node, tuple[int, ...]]) -> tuple[list[TaskPlan], dict[Node, TaskPlan]]:
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
        and _route(node.inputs[0], len(workers[feeder]), len(workers[node])) == "forward"
        and len(list(graph.consumers(feeder, node.inputs[0].output))) == 1
    )


def _may_follow(node: Node, task: TaskPlan) -> bool:
    """In a source's task nothing may but what makes event time: to it, it matters which partition a record is from."""
    if _is_source(task):
        return isinstance(node.operation, EventTime) and len(task.nodes) == 1
    return node.operation.role in {"chain", "router"} and task.nodes[-1].operation.role in {"head", "chain"}


def _is_source(task: TaskPlan) -> bool:
    return isinstance(task.nodes[0].operation, FromSource)


def _check_event_time(graph: Graph, tasks: list[TaskPlan]) -> None:
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


def _route(source: Input, before: int, after: int) -> Route:
    """How records cross from `before` instances to `after`: between one and one there is only one way."""
    if before == after == 1:
        return "forward"
    if source.route == "forward" and before != after:
        return "rebalance"
    return source.route


def _crosses_by_key(producer: TaskPlan, consumer: TaskPlan, source: Input) -> bool:
    """Whether records are spread by key, over more than one process."""
    return source.route == "hash" and len({*producer.workers, *consumer.workers}) > 1


def _numbered(name: str) -> Iterator[str]:
    """`name`, and then with a number, from 2 on; not as one of two operators of a name is numbered."""
    yield name
    yield from (f"{name} ({number})" for number in count(2))


def _join(producer: TaskPlan, consumer: TaskPlan, source: Input) -> None:
    route = _route(source, producer.parallelism, consumer.parallelism)
    edge = Edge(producer, source.output, consumer, route, source.key, source.right)
    if source.output == LETTERS and any(
        (each.producer, each.output, each.right) == (producer, LETTERS, source.right) for each in consumer.inputs
    ):
        return  # several of its operators send dead letters by the one port that a task has for them
    producer.outputs.append(edge)
    consumer.inputs.append(edge)


def worker_name(number: int) -> str:
    """What a process of a job is called."""
    return "home" if number == HOME else f"worker {number}"
