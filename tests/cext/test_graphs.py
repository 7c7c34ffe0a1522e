"""Whole graphs with tiny windows, stepped in any order: nothing lost, nothing doubled, never past any limit.

This is what the core promises whatever is built of it: `pushed <= limit` on every channel at every moment, the most in
flight within the bound, every record accounted for, order kept within a key, and an end that always comes.
"""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cext.chain import Filter, Map, Router
from cext.channel import Channel
from cext.getter import Getter
from cext.guard import Guard
from cext.head import Batch, Expand, Head, Pass
from cext.port import Port
from cext.runner import Runner
from cext.sink import Sink
from cext.source import Source
from cext.task import Task
from cext.waker import Waker
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

    def head(self) -> Head:
        guard = Guard("fail")
        if self.kind == "expand":
            return Expand("expand", guard, expand)
        if self.kind == "batch":
            return Batch("batch", guard, lambda rows: rows, 3)
        return Pass("pass", guard)

    def chain(self) -> list[Any]:
        guard = Guard("fail")
        return [Filter("filter", guard, keep)] if self.kind == "filter" else [Map("map", guard, lambda record: record)]


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
    """Tasks, nearest the sinks last, and every channel between them; `apart`: for a thread each, with its waker."""

    plan: Plan
    apart: bool = False
    tasks: list[Task] = field(default_factory=list)
    wakers: list[Waker] = field(default_factory=list)
    channels: list[Channel] = field(default_factory=list)
    readers: list[Reader] = field(default_factory=list)
    writers: list[Writer] = field(default_factory=list)

    def __post_init__(self) -> None:
        plan = self.plan
        widths = [len(plan.sources), *(stage.width for stage in plan.stages)]
        self.rows = [[Waker() for _ in range(width)] for width in widths]
        sinks = 2 if plan.split else 1
        self.rows.append([Waker() for _ in range(sinks)])
        into: list[list[Channel]] = [[] for _ in plan.sources]
        for at in range(len(widths)):
            into = self.build(at, into)
        for at, lanes in enumerate(into):
            writer = Writer()
            self.writers.append(writer)
            sink = Sink("sink", Guard("fail"), self.opener(writer), lambda _: False, plan.batch)
            self.add(Task(f"sink {at}", sink, lanes, [], []), self.rows[-1][at])

    @staticmethod
    def opener(writer: Writer) -> Any:
        return lambda: writer

    def build(self, at: int, into: list[list[Channel]]) -> list[list[Channel]]:
        """The tasks of row `at`, fed by `into`; the lanes of the next row's."""
        plan, last = self.plan, at == len(self.plan.stages)
        following: list[list[Channel]] = [[] for _ in self.rows[at + 1]]
        for index, waker in enumerate(self.rows[at]):
            ports = self.ports(at, index, following, last)
            router = Router(Guard("fail"), (key_of,)) if last and plan.split else None
            if at == 0:
                reader = Reader(index, plan.sources[index], plan.per_read)
                self.readers.append(reader)
                head: Head = Source("source", Guard("fail"), self.opener_of(reader), [""], False, type(None))
                chain: list[Any] = []
            else:
                head, chain = plan.stages[at - 1].head(), plan.stages[at - 1].chain()
            self.add(Task(f"{at}.{index}", head, into[index], chain, ports, router=router, linger=1000), waker)
        return following

    @staticmethod
    def opener_of(reader: Reader) -> Any:
        return lambda _: reader

    def ports(self, at: int, index: int, following: list[list[Channel]], last: bool) -> list[list[Port]]:
        waker = self.rows[at][index]
        if last:
            made = [self.channel(self.plan.most, waker, consumer) for consumer in self.rows[at + 1]]
            for lanes, channel in zip(following, made, strict=True):
                lanes.append(channel)
            return [[Port("forward", [channel])] for channel in made]
        stage = self.plan.stages[at]
        route = stage.effective(len(self.rows[at]))
        targets = [index] if route == "forward" else list(range(stage.width))
        made = [self.channel(stage.most, waker, self.rows[at + 1][target]) for target in targets]
        for target, channel in zip(targets, made, strict=True):
            following[target].append(channel)
        return [[Port(route, made, Getter(key_of), Guard("fail"))]]

    def channel(self, most: int, producer: Waker, consumer: Waker) -> Channel:
        wakers = (producer, consumer) if self.apart else (None, None)
        made = Channel(Window(0.1, most, max(1, most // 2)), max(1, most // 2), *wakers)
        self.channels.append(made)
        return made

    def add(self, task: Task, waker: Waker) -> None:
        self.tasks.append(task)
        self.wakers.append(waker)

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


@pytest.mark.parametrize("seed", range(4))
def test_every_task_in_a_thread_of_its_own(seed: int) -> None:
    plan = Plan(
        sources=(400, 300),
        per_read=7,
        stages=(
            Stage("expand", 2, "hash", 1 + seed),
            Stage("filter", 2, "forward", 3 + seed),
            Stage("batch", 3, "rebalance" if seed % 2 else "hash", 2),
        ),
        split=seed >= 2,
        batch=seed,
        most=4,
    )
    graph = Graph(plan, apart=True)
    failures: list[BaseException] = []
    threads = [
        threading.Thread(target=Runner([task], waker, lambda _, error: failures.append(error)).run, daemon=True)
        for task, waker in zip(graph.tasks, graph.wakers, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
    assert not any(thread.is_alive() for thread in threads), "stuck"
    assert failures == []
    assert graph.written() == plan.expected()
    if plan.keeps_order:
        check_order(graph)
    graph.at_rest()


def test_a_diamond_does_not_lock_itself_up() -> None:
    """One output feeds two ways of very different growth, that meet again; both windows hold one record."""
    plan = Plan((200,), 3, (Stage("expand", 3, "broadcast", 1), Stage("pass", 1, "hash", 1)), False, 0, 1)
    graph = Graph(plan)
    Runner(list(reversed(graph.tasks)), Waker(), lambda *_: None).run()
    assert graph.written() == plan.expected()
    graph.at_rest()
