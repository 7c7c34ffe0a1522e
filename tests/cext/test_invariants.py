"""Random graphs of native tasks in random order: nothing lost, doubled, overtaken, over its bound or stuck."""

from __future__ import annotations

import itertools
import random
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from cext.chain import Filter, Map, Operator, Router
from cext.channel import Channel
from cext.frame import Frame, barrier, end, watermark
from cext.getter import Getter
from cext.guard import Guard
from cext.head import Expand, Head, Pass
from cext.port import Port
from cext.runner import Runner
from cext.sink import Sink
from cext.source import Source
from cext.task import Task
from cext.waker import Waker
from cext.window import Window

SOURCE = -1  # the node that all streams come from
MOST_RECORDS = 1_500
WATERMARK, BARRIER, END = 1, 2, 3

# A record is (key, ident, trail): `ident` is what the naive evaluation knows it by, and begins with its number in
# its source; `trail` is the instances it came through.
Record = tuple[int, tuple[int, ...], tuple[tuple[int, int], ...]]
Ident = tuple[int, tuple[int, ...]]


@dataclass(frozen=True)
class Edge:
    """From output `output` of node `producer`."""

    producer: int
    output: int
    route: str
    most: int
    frame: int


@dataclass(frozen=True)
class Node:
    kind: str
    parallelism: int
    inputs: tuple[Edge, ...]

    @property
    def outputs(self) -> int:
        return 2 if self.kind == "router" else 1


@dataclass(frozen=True)
class Spec:
    sources: int
    records: int
    nodes: tuple[Node, ...]

    def width(self, node: int) -> int:
        return self.sources if node == SOURCE else self.nodes[node].parallelism

    def open_ends(self) -> list[tuple[int, int]]:
        """(node, output) of each stream that no node reads."""
        read = {(edge.producer, edge.output) for node in self.nodes for edge in node.inputs}
        made = [(at, output) for at, node in enumerate(self.nodes) for output in range(node.outputs)]
        return [each for each in made if each not in read]


# What each kind of node makes of a record; the naive evaluation and the native tasks share nothing but this.


def keeps(ident: Ident) -> bool:
    return ident[1][0] % 3 != 0


def grown(ident: Ident) -> list[Ident]:
    key, path = ident
    return [(key, (*path, item)) for item in range(path[0] % 4)]


def goes_left(ident: Ident) -> bool:
    return (ident[0] + ident[1][0]) % 2 == 0


def naive(spec: Spec) -> dict[tuple[int, int], Counter[Ident]]:
    """How often each record comes out of each output of each node."""
    first = Counter({(key_of(n), (n, source)): 1 for source in range(spec.sources) for n in range(spec.records)})
    streams = {(SOURCE, 0): first}
    for at, node in enumerate(spec.nodes):
        total: Counter[Ident] = Counter()
        for edge in node.inputs:
            times = node.parallelism if edge.route == "broadcast" else 1
            for ident, count in streams[edge.producer, edge.output].items():
                total[ident] += times * count
        streams.update({(at, output): part for output, part in enumerate(evaluated(node.kind, total))})
    return streams


def evaluated(kind: str, total: Counter[Ident]) -> list[Counter[Ident]]:
    if kind == "filter":
        return [Counter({ident: count for ident, count in total.items() if keeps(ident)})]
    if kind == "expand":
        return [Counter({out: count for ident, count in total.items() for out in grown(ident)})]
    if kind == "router":
        left = Counter({ident: count for ident, count in total.items() if goes_left(ident)})
        return [left, total - left]
    return [total]


def key_of(number: int) -> int:
    return number % 5


@st.composite
def specs(draw: Callable[[Any], Any]) -> Spec:
    sources = draw(st.integers(1, 3))
    nodes: list[Node] = []
    streams = [(SOURCE, 0)]
    for at in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from(["pass", "map", "filter", "expand", "router"]))
        chosen = draw(st.lists(st.sampled_from(streams), min_size=1, max_size=3))
        parallelism = draw(st.integers(1, 3))
        edges = []
        for producer, output in chosen:
            width = sources if producer == SOURCE else nodes[producer].parallelism
            routes = ["hash", "rebalance", "broadcast"] + ["forward"] * (width == parallelism)
            sizes = draw(st.integers(1, 64)), draw(st.integers(1, 8))
            edges.append(Edge(producer, output, draw(st.sampled_from(routes)), *sizes))
        nodes.append(Node(kind, parallelism, tuple(edges)))
        streams += [(at, output) for output in range(nodes[at].outputs)]
    return Spec(sources, draw(st.integers(0, 40)), tuple(nodes))


def channel_of(most: int, frame: int, producer: Waker | None = None, consumer: Waker | None = None) -> Channel:
    if producer is consumer:
        return Channel(Window(0.1, most, frame), frame)
    return Channel(Window(0.1, most, frame), frame, producer, consumer)


@dataclass
class Graph:
    """The native tasks of a spec. `wakers[node]`: those of the node's instances, where threads run them."""

    spec: Spec
    wakers: dict[int, list[Waker]] | None = None
    tasks: dict[tuple[int, int], Task] = field(default_factory=dict)
    channels: list[Channel] = field(default_factory=list)
    lanes: dict[tuple[int, int], list[Channel]] = field(default_factory=lambda: defaultdict(list))
    ports: dict[tuple[int, int, int], list[Port]] = field(default_factory=lambda: defaultdict(list))
    ends: list[tuple[int, int, Channel]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for at, node in enumerate(self.spec.nodes):
            for edge in node.inputs:
                self.connect(edge, at, node.parallelism)
        for at, output in self.spec.open_ends():
            for instance in range(self.spec.width(at)):
                channel = self.channel(Edge(at, output, "forward", 7, 3), (at, instance), (len(self.spec.nodes), 0))
                self.ports[at, output, instance].append(Port("forward", [channel]))
                self.ends.append((at, output, channel))
        for at, node in enumerate(self.spec.nodes):
            for instance in range(node.parallelism):
                self.tasks[at, instance] = self.task(at, node, instance)

    def waker(self, node: int, instance: int) -> Waker | None:
        return None if self.wakers is None else self.wakers[node][instance]

    def channel(self, edge: Edge, producer: tuple[int, int], consumer: tuple[int, int]) -> Channel:
        channel = channel_of(edge.most, edge.frame, self.waker(*producer), self.waker(*consumer))
        self.channels.append(channel)
        return channel

    def connect(self, edge: Edge, at: int, width: int) -> None:
        for instance in range(self.spec.width(edge.producer)):
            to = [instance] if edge.route == "forward" else list(range(width))
            mine = [self.channel(edge, (edge.producer, instance), (at, consumer)) for consumer in to]
            for consumer, channel in zip(to, mine, strict=True):
                self.lanes[at, consumer].append(channel)
            key = Getter(lambda record: record[0]) if edge.route == "hash" else None
            port = Port(edge.route, mine, key, Guard("fail"))
            self.ports[edge.producer, edge.output, instance].append(port)

    def task(self, at: int, node: Node, instance: int) -> Task:
        here = ((at, instance),)
        name = f"{node.kind} {at}/{instance}"
        head: Head = Pass(name, Guard("fail"))
        chain: list[Operator] = [Map(name, Guard("fail"), lambda record: (*record[:2], record[2] + here))]
        router = None
        if node.kind == "expand":
            head = Expand(name, Guard("fail"), lambda record: [(*ident, record[2]) for ident in grown(record[:2])])
        elif node.kind == "filter":
            chain.insert(0, Filter(name, Guard("fail"), lambda record: keeps(record[:2])))
        elif node.kind == "pass":
            chain = []
        elif node.kind == "router":
            router = Router(Guard("fail"), (lambda record: goes_left(record[:2]),))
        outputs = [self.ports[at, output, instance] for output in range(node.outputs)]
        return Task(name, head, self.lanes[at, instance], chain, outputs, (), router, 8, 0)


# What must hold of what came out.


def assert_right(spec: Spec, came: dict[tuple[int, int], list[list[Record]]]) -> None:
    """`came`: for each open end what each instance gave, in order."""
    expected = naive(spec)
    for which, parts in came.items():
        assert Counter(record[:2] for part in parts for record in part) == expected[which]
        for part in parts:
            assert_order_kept(part)
    assert_one_instance_a_key(spec, came)


def assert_order_kept(part: list[Record]) -> None:
    """Records of one source that came the same way in the same instances kept their order: so do those of a key."""
    seen: dict[Any, list[tuple[int, ...]]] = defaultdict(list)
    for _, path, trail in part:
        seen[path[1], trail].append((path[0], *path[2:]))
    for (_, trail), paths in seen.items():
        if not_ambiguous(trail):
            assert paths == sorted(paths), trail


def not_ambiguous(trail: tuple[tuple[int, int], ...]) -> bool:
    """Whether a trail tells which way a record came: the specs that this file makes leave it open at times."""
    return trail is not None


def assert_one_instance_a_key(spec: Spec, came: dict[tuple[int, int], list[list[Record]]]) -> None:
    hashed = {at for at, node in enumerate(spec.nodes) if all(edge.route == "hash" for edge in node.inputs)}
    where: dict[tuple[int, int], set[int]] = defaultdict(set)
    for record in itertools.chain(*itertools.chain(*came.values())):
        for node, instance in record[2]:
            if node in hashed:
                where[node, record[0]].add(instance)
    assert all(len(instances) == 1 for instances in where.values())
