"""TaskPlan and Edge: what a physical plan is made of, operators that run as one and the channels that join them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from engine.combining import Combines
from engine.either import codec_of
from engine.graph import ASIDE, LETTERS, Input, Key, Node, Route
from engine.lookups import LookupStream
from engine.operations import FromSource, MapAsync, MapBatch, ToSink


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


def letters_per_record(edge: Edge) -> int:
    """How many dead letters one record may become on its way out: each port that hashes may refuse its key."""
    if edge.output != LETTERS:
        return 0
    return sum(other.route == "hash" for other in edge.producer.outputs)


def route_between(source: Input, before: int, after: int) -> Route:
    """How records cross from `before` instances to `after`: between one and one there is only one way."""
    if before == after == 1:
        return "forward"
    if source.route == "forward" and before != after:
        return "rebalance"
    return source.route


def join_tasks(producer: TaskPlan, consumer: TaskPlan, source: Input) -> None:
    """Give records from `producer` to `consumer`, as `source` says."""
    route = route_between(source, producer.parallelism, consumer.parallelism)
    edge = Edge(producer, source.output, consumer, route, source.key, source.right)
    if source.output == LETTERS and any(
        (each.producer, each.output, each.right) == (producer, LETTERS, source.right) for each in consumer.inputs
    ):
        return  # several of its operators send dead letters by the one port that a task has for them
    producer.outputs.append(edge)
    consumer.inputs.append(edge)
