"""Rows of tasks between real sources and sinks, stepped in any order, to their end or cancelled on the way.

What comes out is what went in, each connector is closed once, and all credit comes back.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cext.chain import Filter, Map, Operator, Router
from cext.channel import Channel
from cext.getter import Getter
from cext.guard import Guard
from cext.head import Batch, Expand, Head, Pass
from cext.port import Port
from cext.sink import Sink
from cext.source import Source
from cext.task import Task
from cext.window import Window

KEYS = 5
ROUTES = ["forward", "hash", "rebalance", "broadcast"]

Record = tuple[int, int, tuple[int, ...]]
"""(source, number, which item of each expansion that it went through)"""


def key_of(record: Record) -> int:
    return record[1] % KEYS


# A plan: sources, stages, and what becomes of a record in each.


@dataclass(frozen=True)
class Stage:
    """`width` tasks, fed by all tasks of the stage before by `route`."""

    kind: str
    width: int
    route: str
    most: int

    def effective(self, before: int) -> str:
        """Between as many tasks as there were; forward needs the same number."""
        return "hash" if self.route == "forward" and before != self.width else self.route

    def operators(self) -> tuple[Head, list[Operator]]:
        """What each of its tasks is made of."""
        guard = Guard("fail")
        if self.kind == "expand":
            return Expand("expand", guard, expand), [Map("map", guard, lambda record: record)]
        if self.kind == "batch":
            return Batch("batch", guard, lambda rows: rows, 3), []
        return Pass("pass", guard), [Filter("filter", guard, keep)] if self.kind == "filter" else []


def expand(record: Record) -> list[Record]:
    return [(record[0], record[1], (*record[2], item)) for item in range(record[1] % 4)]


def keep(record: Record) -> bool:
    return record[1] % 3 != 0


@dataclass(frozen=True)
class Plan:
    """Sources of so many records each, stages in a row, and perhaps a split in two before the sinks."""

    sources: tuple[int, ...]
    per_read: int
    stages: tuple[Stage, ...]
    split: bool
    batch: int
    most: int

    def expected(self) -> list[Record]:
        records: list[Record] = [(source, i, ()) for source, count in enumerate(self.sources) for i in range(count)]
        before = len(self.sources)
        for stage in self.stages:
            copies = stage.width if stage.effective(before) == "broadcast" else 1
            before = stage.width
            made = [item for record in records for item in (expand(record) if stage.kind == "expand" else [record])]
            records = [record for record in made if stage.kind != "filter" or keep(record)] * copies
        return sorted(records)

    @property
    def keeps_order(self) -> bool:
        return all(stage.route in {"forward", "hash"} for stage in self.stages)


stages = st.builds(
    Stage,
    st.sampled_from(["pass", "expand", "batch", "filter"]),
    st.integers(1, 3),
    st.sampled_from(ROUTES),
    st.integers(1, 6),
)
plans = st.builds(
    Plan,
    st.lists(st.integers(0, 25), min_size=1, max_size=3).map(tuple),
    st.integers(1, 9),
    st.lists(stages, max_size=3).map(tuple),
    st.booleans(),
    st.integers(0, 4),
    st.integers(1, 6),
)


# The graph of a plan.


class Reader:
    def __init__(self, source: int, count: int, per_read: int) -> None:
        self.records: Iterator[Record] = ((source, i, ()) for i in range(count))
        self.per_read = per_read
        self.closed = 0

    def read(self, limit: int) -> list[Record] | None:
        return list(itertools.islice(self.records, min(limit, self.per_read))) or None

    def close(self) -> None:
        self.closed += 1


class Writer:
    def __init__(self) -> None:
        self.rows: list[Record] = []
        self.ended: list[str] = []

    def write(self, rows: list[Record]) -> None:
        assert not self.ended
        self.rows += rows

    def finish(self) -> None:
        self.ended.append("finished")

    def abort(self) -> None:
        self.ended.append("aborted")


@dataclass
class Graph:
    """The tasks of a plan, nearest the sinks last, and every channel between them."""

    plan: Plan
    tasks: list[Task] = field(default_factory=list)
    channels: list[Channel] = field(default_factory=list)
    readers: list[Reader] = field(default_factory=list)
    writers: list[Writer] = field(default_factory=list)

    def __post_init__(self) -> None:
        plan = self.plan
        self.widths = [len(plan.sources), *(stage.width for stage in plan.stages), 2 if plan.split else 1]
        into: list[list[Channel]] = [[] for _ in plan.sources]
        for at in range(len(plan.stages) + 1):
            into = self.build(at, into)
        for at, lanes in enumerate(into):
            writer = Writer()
            self.writers.append(writer)
            sink = Sink("sink", Guard("fail"), partial(Graph.open, writer), lambda _: False, plan.batch)
            self.tasks.append(Task(f"sink {at}", sink, lanes, [], []))

    @staticmethod
    def open(connector: Any, *_: str) -> Any:
        return connector

    def build(self, at: int, into: list[list[Channel]]) -> list[list[Channel]]:
        """The tasks of row `at`, fed by `into`; the lanes of the next row's."""
        plan, last = self.plan, at == len(self.plan.stages)
        following: list[list[Channel]] = [[] for _ in range(self.widths[at + 1])]
        for index in range(self.widths[at]):
            ports = self.ports_to_sinks(following) if last else [[self.port(at, index, following)]]
            router = Router(Guard("fail"), (key_of,)) if last and plan.split else None
            head, chain = (self.source(index), []) if at == 0 else plan.stages[at - 1].operators()
            self.tasks.append(Task(f"{at}.{index}", head, into[index], chain, ports, router=router, linger=1000))
        return following

    def source(self, index: int) -> Source:
        reader = Reader(index, self.plan.sources[index], self.plan.per_read)
        self.readers.append(reader)
        return Source("source", Guard("fail"), partial(Graph.open, reader), [""], False, type(None))

    def ports_to_sinks(self, following: list[list[Channel]]) -> list[list[Port]]:
        made = [self.channel(self.plan.most) for _ in following]
        for lanes, channel in zip(following, made, strict=True):
            lanes.append(channel)
        return [[Port("forward", [channel])] for channel in made]

    def port(self, at: int, index: int, following: list[list[Channel]]) -> Port:
        stage = self.plan.stages[at]
        route = stage.effective(self.widths[at])
        targets = [index] if route == "forward" else list(range(stage.width))
        made = [self.channel(stage.most) for _ in targets]
        for target, channel in zip(targets, made, strict=True):
            following[target].append(channel)
        return Port(route, made, Getter(key_of), Guard("fail"))

    def channel(self, most: int) -> Channel:
        self.channels.append(Channel(Window(0.1, most, max(1, most // 2)), max(1, most // 2)))
        return self.channels[-1]

    # Driven by hand.

    def step(self, at: int) -> bool:
        moved = self.tasks[at % len(self.tasks)].run_until_idle(1)
        for channel in self.channels:
            channel.validate()
            assert channel.in_flight <= channel.most_in_flight <= channel.bound
        return bool(moved)

    def run(self, schedule: Iterable[int]) -> None:
        """Step tasks as `schedule` says, then all in turn until every one is done."""
        for at in schedule:
            self.step(at)
        idle = 0
        while not all(task.done for task in self.tasks):
            moved = [self.step(at) for at in range(len(self.tasks))]
            idle = 0 if any(moved) else idle + 1
            assert idle < 100_000, "nothing moves, and it is not done"  # a batch may wait for its linger, 1 ms

    def written(self) -> list[Record]:
        return sorted(record for writer in self.writers for record in writer.rows)

    def at_rest(self) -> None:
        """Every credit is back, and every connector was closed once."""
        assert [channel.in_flight for channel in self.channels] == [0] * len(self.channels)
        assert [reader.closed for reader in self.readers] == [1] * len(self.readers)
        for channel in self.channels:
            channel.validate()
            assert channel.most_in_flight <= channel.bound


def check_order(graph: Graph) -> None:
    """Records of one key, of one source, in one sink."""
    for writer in graph.writers:
        last: dict[tuple[int, int], Record] = {}
        for record in writer.rows:
            place = (record[0], key_of(record))
            assert record > last.get(place, (-1, -1, ())), "out of order within a key"
            last[place] = record


schedules = st.lists(st.integers(0, 11), max_size=80)


@given(plans, schedules)
@settings(deadline=None, max_examples=150)
def test_nothing_is_lost_or_doubled_in_any_order_of_steps(plan: Plan, schedule: list[int]) -> None:
    graph = Graph(plan)
    graph.run(schedule)
    assert graph.written() == plan.expected()
    assert all(writer.ended == ["finished"] for writer in graph.writers)
    if plan.keeps_order:
        check_order(graph)
    if plan.split:
        assert all(key_of(record) for record in graph.writers[0].rows)
        assert not any(key_of(record) for record in graph.writers[1].rows)
    graph.at_rest()


@given(plans, schedules, st.integers(0, 11), st.integers(0, 80), st.booleans())
@settings(deadline=None, max_examples=100)
def test_cancelled_anywhere_at_any_moment_every_task_ends_and_all_credit_comes_back(
    plan: Plan, schedule: list[int], victim: int, when: int, all_of_them: bool
) -> None:
    graph = Graph(plan)
    for at in schedule[:when]:
        graph.step(at)
    ended = [task.done for task in graph.tasks]
    targets = graph.tasks if all_of_them else [graph.tasks[victim % len(graph.tasks)]]
    for task in targets:
        task.cancel()
    graph.run(schedule[when:])
    assert [channel.in_flight for channel in graph.channels] == [0] * len(graph.channels)
    assert all(len(writer.ended) <= 1 for writer in graph.writers)
    assert not Counter(graph.written()) - Counter(plan.expected())
    for writer, task, was_done in zip(
        graph.writers, graph.tasks[-len(graph.writers) :], ended[-len(graph.writers) :], strict=True
    ):
        if task in targets and not was_done:
            assert writer.ended != ["finished"]
