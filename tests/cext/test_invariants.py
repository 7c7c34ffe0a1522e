"""Random graphs of native tasks in random order: nothing lost, doubled, overtaken, over its bound or stuck."""

from __future__ import annotations

import itertools
import random
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
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
from cext.lanes import Lane, Lanes
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
    drift: int = -1
    """How far its lanes may be apart in event time; below 0: they give in turn."""

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
    first: Counter[Ident] = Counter(
        {(key_of(n), (n, source)): 1 for source in range(spec.sources) for n in range(spec.records)}
    )
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
        kind = draw(st.sampled_from(["map", "filter", "expand", "router"]))
        chosen = draw(st.lists(st.sampled_from(streams), min_size=1, max_size=3, unique=True))
        parallelism = draw(st.integers(1, 3))
        edges = []
        for producer, output in chosen:
            width = sources if producer == SOURCE else nodes[producer].parallelism
            routes = ["hash", "rebalance", "broadcast"] + ["forward"] * (width == parallelism)
            sizes = draw(st.integers(1, 64)), draw(st.integers(1, 8))
            edges.append(Edge(producer, output, draw(st.sampled_from(routes)), *sizes))
        nodes.append(Node(kind, parallelism, tuple(edges), draw(st.sampled_from([-1, 0, 3]))))
        streams += [(at, output) for output in range(nodes[at].outputs)]
    return Spec(sources, draw(st.integers(0, 40)), tuple(nodes))


def channel_of(most: int, frame: int, producer: Waker | None = None, consumer: Waker | None = None) -> Channel:
    if producer is consumer:
        return Channel(Window(0.1, most, 2 * frame), frame)
    return Channel(Window(0.1, most, 2 * frame), frame, producer, consumer)


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
        elif node.kind == "router":
            router = Router(Guard("fail"), (lambda record: goes_left(record[:2]),))
        outputs = [self.ports[at, output, instance] for output in range(node.outputs)]
        lanes = Lanes([Lane(each, waits=True) for each in self.lanes[at, instance]], node.drift)
        return Task(name, head, lanes, chain, outputs, (), router, 8, 0)


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
    """Records of one source that came the same way through the same instances are in order; so are those of a key."""
    seen: dict[Any, list[tuple[int, ...]]] = defaultdict(list)
    for key, path, trail in part:  # with the trail, which way every router sent it tells the way
        seen[path[1], trail, goes_left((key, path))].append((path[0], *path[2:]))
    for (_, trail, _), paths in seen.items():
        assert paths == sorted(set(paths)), trail


def assert_one_instance_a_key(spec: Spec, came: dict[tuple[int, int], list[list[Record]]]) -> None:
    hashed = {at for at, node in enumerate(spec.nodes) if all(edge.route == "hash" for edge in node.inputs)}
    where: dict[tuple[int, int], set[int]] = defaultdict(set)
    for record in itertools.chain(*itertools.chain(*came.values())):
        for node, instance in record[2]:
            if node in hashed:
                where[node, record[0]].add(instance)
    assert all(len(instances) == 1 for instances in where.values())


def assert_at_rest(graph: Graph) -> None:
    for channel in graph.channels:
        channel.validate()
        assert channel.in_flight == 0
        assert channel.most_in_flight <= channel.bound
    for task in graph.tasks.values():
        assert task.done
        assert task.failure is None
        assert task.dropped == 0


# In one thread, in random order.


class Checkpoints:
    """Begins one after the other: when all ends have the barrier of the last, or `is_hasty`, when that takes long.

    Tasks get to know of it, each whenever it likes.
    """

    def __init__(self, graph: Graph, dice: random.Random, *, is_hasty: bool) -> None:
        self.dice, self.is_hasty = dice, is_hasty
        self.tasks = list(graph.tasks.values())
        self.words: list[Callable[[], None]] = []
        self.begun = self.complete = self.given_up = 0
        self.feeders: list[Feeder] = []
        self.taps: list[Tap] = []

    def go_on(self) -> bool:
        if self.words:
            self.words.pop(self.dice.randrange(len(self.words)))()
            return True
        if all(feeder.next is None for feeder in self.feeders):
            return False
        if all(self.begun in tap.barriers for tap in self.taps):
            self.complete += self.begun > 0
        elif self.is_hasty:
            if self.dice.random() < 0.99:
                return True
            self.given_up += 1
            self.tell(lambda task, number: task.drop_barrier(number))
            if self.dice.random() < 0.5:
                return True
        else:
            return False
        self.begun += 1
        self.tell(lambda task, number: task.expect_barrier(number))
        return True

    def tell(self, what: Callable[[Task, int], None]) -> None:
        self.words += [partial(what, task, self.begun) for task in self.tasks]


class Feeder:
    """An instance of the source: a task whose lane is filled with its script of records and marks.

    After record n follow the watermark n + 1 and, where it is time for one, the newest barrier.
    """

    def __init__(self, graph: Graph, instance: int, checkpoints: Checkpoints) -> None:
        self.graph, self.instance, self.checkpoints = graph, instance, checkpoints
        self.ports = graph.ports[SOURCE, 0, instance]
        lane = Channel(Window(0.1, 16, 16), 1)
        self.lane, self.script = lane, self.write()
        self.before: list[int] = []
        """For each record the last barrier before it."""
        self.next: list[Record] | Frame | None = next(self.script)
        self.task = Task(f"feeder {instance}", Pass("", Guard("fail")), [lane], [], [self.ports], (), None, 8, 0)

    def write(self) -> Iterator[list[Record] | Frame]:
        brought = 0
        for n in range(self.graph.spec.records):
            self.before.append(brought)
            yield [(key_of(n), (n, self.instance), ())]
            yield watermark(n + 1)
            if self.checkpoints.begun > brought and self.checkpoints.dice.random() < 0.4:
                brought = self.checkpoints.begun
                yield barrier(brought)
        yield end()

    def fill(self) -> None:
        while self.next is not None:
            if isinstance(self.next, list):
                if not self.lane.available():
                    return
                self.lane.push_rows(self.next)
            elif not self.lane.push(self.next):
                return
            self.next = next(self.script, None)


class Tap:
    """Takes what leaves by an open end, gives credit back when it likes, and looks at the marks."""

    def __init__(self, channel: Channel, feeders: list[Feeder]) -> None:
        self.channel, self.feeders = channel, feeders
        self.records: list[Record] = []
        self.barriers: list[int] = [0]
        self.newest = 0
        """The newest barrier that any record so far was behind of, in its source."""
        self.time = self.owed = 0
        self.ended = False

    def take(self) -> bool:
        frame = self.channel.pop()
        if frame is None:
            return False
        assert not self.ended
        self.owed += frame.records
        self.records += frame.rows
        for _, path, _ in frame.rows:
            assert path[0] >= self.time
            before = self.feeders[path[1]].before[path[0]]
            assert before >= self.barriers[-1], "a record before the barrier came behind it"
            self.newest = max(self.newest, before)
        if frame.kind == WATERMARK:
            assert frame.value > self.time
            self.time = frame.value
        elif frame.kind == BARRIER:
            assert frame.value > self.barriers[-1]
            assert frame.value > self.newest, "a record behind the barrier came before it"
            self.barriers.append(frame.value)
        elif frame.kind == END:
            assert frame.value == 1
            self.ended = True
        return True

    def give(self) -> bool:
        moved = self.owed > 0
        self.channel.give_back(self.owed)
        self.owed = 0
        return moved


def actors(graph: Graph, feeders: list[Feeder], taps: list[Tap]) -> list[Callable[[], bool]]:
    """All that can make something move."""

    def feed(feeder: Feeder) -> Callable[[], bool]:
        def act() -> bool:
            feeder.fill()
            return feeder.task.run_until_idle(1) > 0

        return act

    def step(task: Task) -> Callable[[], bool]:
        return lambda: task.run_until_idle(1) > 0

    acts = [*map(feed, feeders), *map(step, graph.tasks.values())]
    return acts + [act for tap in taps for act in (tap.take, tap.give)]


def shuffle_through(acts: list[Callable[[], bool]], dice: random.Random, after: Callable[[], None]) -> None:
    """Act at random until nothing moves: until a whole round of everybody was in vain."""
    favourites = [dice.random() ** 3 for _ in acts]  # some are much slower than others
    while True:
        for act in dice.choices(acts, favourites, k=4 * len(acts)):
            act()
            after()
        if sum(act() for act in acts) == 0:
            return


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(specs(), st.integers(0, 1 << 32), st.booleans())
def test_graphs_stepped_at_random_lose_double_and_overtake_nothing(spec: Spec, seed: int, is_hasty: bool) -> None:
    """Nor is anything of a checkpoint that a record before its barrier has not come to, or one behind it has."""
    sizes = naive(spec)
    assume(sum(sum(stream.values()) for stream in sizes.values()) <= MOST_RECORDS)
    graph = Graph(spec)
    dice = random.Random(seed)
    checkpoints = Checkpoints(graph, dice, is_hasty=is_hasty)
    feeders = [Feeder(graph, instance, checkpoints) for instance in range(spec.sources)]
    taps = [Tap(channel, feeders) for *_, channel in graph.ends]
    checkpoints.feeders, checkpoints.taps = feeders, taps

    def check() -> None:
        for channel in graph.channels:
            channel.validate()
            assert channel.in_flight <= channel.bound

    shuffle_through([*actors(graph, feeders, taps), checkpoints.go_on], dice, check)

    event(f"records, in hundreds: {sum(len(tap.records) for tap in taps) // 100}")
    event(f"checkpoints, complete: {min(3, checkpoints.complete)}, given up: {min(3, checkpoints.given_up)}")
    assert all(feeder.task.done for feeder in feeders)
    assert all(tap.ended for tap in taps), "stuck"
    assert_at_rest(graph)
    came: dict[tuple[int, int], list[list[Record]]] = defaultdict(list)
    for (at, output, _), tap in zip(graph.ends, taps, strict=True):
        came[at, output].append(tap.records)
        assert tap.time == spec.records
    assert_right(spec, came)


# In threads.


class Reader:
    def __init__(self, count: int, instance: str) -> None:
        self.records: Iterator[Record] = iter([(key_of(n), (n, int(instance)), ()) for n in range(count)])

    def read(self, limit: int) -> list[Record] | None:
        return list(itertools.islice(self.records, limit)) or None

    def close(self) -> None:
        pass


class Writer:
    def __init__(self, records: list[Record]) -> None:
        self.records = records

    def write(self, records: list[Record]) -> None:
        self.records += records

    def finish(self) -> None:
        pass

    def abort(self) -> None:
        raise AssertionError("cut short")


DIAMOND = Spec(
    sources=2,
    records=600,
    nodes=(
        Node("map", 2, (Edge(SOURCE, 0, "forward", 5, 2),)),
        Node("router", 1, (Edge(0, 0, "rebalance", 3, 1), Edge(SOURCE, 0, "hash", 1, 1))),
        Node("expand", 3, (Edge(1, 0, "hash", 2, 1), Edge(0, 0, "hash", 9, 4))),
        Node("filter", 2, (Edge(1, 1, "broadcast", 6, 8), Edge(2, 0, "rebalance", 4, 2))),
        Node("map", 3, (Edge(2, 0, "forward", 64, 8), Edge(3, 0, "hash", 1, 8))),
    ),
)
FAN = Spec(
    sources=3,
    records=1_000,
    nodes=(
        Node("expand", 3, (Edge(SOURCE, 0, "hash", 16, 8),)),
        Node("router", 2, (Edge(0, 0, "rebalance", 2, 2),)),
        Node("map", 1, (Edge(1, 0, "rebalance", 1, 1), Edge(1, 1, "rebalance", 1, 1))),
        Node("filter", 2, (Edge(1, 1, "broadcast", 8, 3), Edge(2, 0, "hash", 5, 5))),
    ),
)


@pytest.mark.parametrize("spec", [DIAMOND, FAN], ids=["diamond", "fan"])
def test_the_same_holds_when_every_instance_has_a_thread_of_its_own(spec: Spec) -> None:
    wakers = {at: [Waker() for _ in range(spec.width(at))] for at in range(SOURCE, len(spec.nodes))}
    collector = Waker()
    graph = Graph(spec, {**wakers, len(spec.nodes): [collector]})
    failures: list[BaseException] = []
    came: dict[tuple[int, int], list[list[Record]]] = defaultdict(list)
    collecting = []
    for at, output, channel in graph.ends:
        came[at, output].append([])
        head = Sink("sink", Guard("fail"), partial(Writer, came[at, output][-1]), lambda _: False, 0, 0)
        collecting.append(Task("sink", head, [channel], [], []))

    def told(_: Task, error: BaseException) -> None:
        failures.append(error)

    runners = [Runner(collecting, collector, told)]
    for instance in range(spec.sources):
        source = Source("source", Guard("fail"), partial(Reader, spec.records), [str(instance)], False, type(None))
        task = Task("source", source, [], [], [graph.ports[SOURCE, 0, instance]])
        runners.append(Runner([task], wakers[SOURCE][instance], told))
    runners += [Runner([task], wakers[at][instance], told) for (at, instance), task in graph.tasks.items()]
    threads = [threading.Thread(target=runner.run, daemon=True) for runner in runners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive(), "stuck"
    assert failures == []
    assert_at_rest(graph)
    assert_right(spec, came)
