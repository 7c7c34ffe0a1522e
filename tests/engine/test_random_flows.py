"""Random graphs give what plain lists give, whatever the windows, the frames and the threads are."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Dataflow, KeyedStream, Settings, Stream, collect, count, sum_
from tests.engine.helpers import ListSink, ListSource, Runner

MOST = 3000
"""Records of one stream at which a program stops growing."""


@dataclass
class Known:
    """A stream, and the records that it must have, in any order."""

    stream: Stream[Any]
    rows: list[int]


@dataclass(frozen=True)
class Step:
    """One line of a random program: what to add, to which of the streams so far, and a number for it to play with."""

    kind: str
    at: int
    other: int
    n: int
    parallelism: int


def shift(n: int, x: int) -> int:
    return x + n


def is_kept(n: int, x: int) -> bool:
    return x % (n + 2) != 0


def copies(n: int, x: int) -> list[int]:
    return [x + i for i in range(x % (n % 3 + 2))]


def pairs(rows: list[int]) -> list[int]:
    return [x for row in rows for x in (row, -row)]


async def shift_later(x: int) -> int:
    return x + 1


def refuse(n: int, x: int) -> int:
    if x % (n + 2) == 0:
        raise ValueError(x)
    return x


def number(state: int | None, x: int) -> tuple[int, int]:
    return (state or 0) + 1, (x % 5) * 1000 + (state or 0) + 1


def flat(pair: tuple[int, int]) -> int:
    return pair[0] * 100_000 + pair[1]


def keyed(one: Known, step: Step) -> tuple[KeyedStream[Any], dict[int, list[int]]]:
    """The stream keyed by x % 5, and the records of each key."""
    groups: dict[int, list[int]] = defaultdict(list)
    for x in one.rows:
        groups[x % 5].append(x)
    return one.stream.key_by(lambda x: x % 5, parallelism=step.parallelism), groups


Grow = Callable[[Known, Known, Step], list[Known]]
"""The streams that a step makes of one stream, and of a second where it takes two."""


def per_record(step: Step) -> dict[str, tuple[Callable[[Stream[Any]], Stream[Any]], Callable[[int], list[int]]]]:
    """Operators that go by the record: how they are added, and what each record becomes."""
    n, table = step.n, {0: 10, 1: 20}
    return {
        "map": (lambda s: s.map(partial(shift, n)), lambda x: [x + n]),
        "filter": (lambda s: s.filter(partial(is_kept, n)), lambda x: [x] * is_kept(n, x)),
        "inspect": (lambda s: s.inspect(str), lambda x: [x]),
        "flat_map": (lambda s: s.flat_map(partial(copies, n)), partial(copies, n)),
        "map_batch": (lambda s: s.map_batch(pairs, size=n + 1), lambda x: [x, -x]),
        "map_async": (
            lambda s: s.map_async(shift_later, concurrency=n + 1, ordered=n % 2 == 0),
            lambda x: [x + 1],
        ),
        "skip": (lambda s: s.map(partial(refuse, n), on_error="skip"), lambda x: [x] * is_kept(n, x)),
        "lookup": (
            lambda s: s.lookup_join(table, on=lambda x: x % 3, into=lambda x, more: x + more, how="inner"),
            lambda x: [x + table[x % 3]] if x % 3 in table else [],
        ),
        "rebalance": (lambda s: s.rebalance(step.parallelism).map(abs), lambda x: [abs(x)]),
        "broadcast": (lambda s: s.broadcast(step.parallelism).map(abs), lambda x: [abs(x)] * step.parallelism),
        "keyed map": (lambda s: s.key_by(lambda x: x % 5, parallelism=step.parallelism).map(abs), lambda x: [abs(x)]),
    }


def union(one: Known, two: Known, step: Step) -> list[Known]:
    return [Known(one.stream.union(two.stream), one.rows + two.rows)]


def split(one: Known, two: Known, step: Step) -> list[Known]:
    kept = partial(is_kept, step.n)
    yes, no = one.stream.split(kept)
    return [Known(yes, [x for x in one.rows if kept(x)]), Known(no, [x for x in one.rows if not kept(x)])]


def stateful(one: Known, two: Known, step: Step) -> list[Known]:
    stream, groups = keyed(one, step)
    numbers = [k * 1000 + i + 1 for k, group in groups.items() for i in range(len(group))]
    return [Known(stream.stateful_map(number), numbers)]


def fold(one: Known, two: Known, step: Step) -> list[Known]:
    stream, groups = keyed(one, step)
    sums = [flat((k, sum(group))) for k, group in groups.items()]
    return [Known(stream.fold(int, lambda state, x: state + x).map(flat), sums)]


def reduce(one: Known, two: Known, step: Step) -> list[Known]:
    stream, groups = keyed(one, step)
    return [Known(stream.reduce(max).map(flat), [flat((k, max(group))) for k, group in groups.items()])]


def aggregate(one: Known, two: Known, step: Step) -> list[Known]:
    stream, groups = keyed(one, step)
    rows = stream.aggregate(n=count(), total=sum_(lambda x: x))
    totals = [k + len(group) + sum(group) for k, group in groups.items()]
    return [Known(rows.map(lambda row: row.key + row.n + row.total), totals)]


def update(one: Known, two: Known, step: Step) -> list[Known]:
    stream, groups = keyed(one, step)
    counts = [flat((k, i + 1)) for k, group in groups.items() for i in range(len(group))]
    return [Known(stream.fold(int, lambda state, x: state + 1, emit="update").map(flat), counts)]


WHOLE: dict[str, Grow] = {f.__name__: f for f in (union, split, stateful, fold, reduce, aggregate, update)}


def grow(one: Known, two: Known, step: Step) -> list[Known]:
    if step.kind in WHOLE:
        return WHOLE[step.kind](one, two, step)
    add, becomes = per_record(step)[step.kind]
    return [Known(add(one.stream), [y for x in one.rows for y in becomes(x)])]


KINDS = [*per_record(Step("", 0, 0, 1, 1)), *WHOLE]

steps = st.builds(
    Step,
    kind=st.sampled_from(KINDS),
    at=st.integers(0, 20),
    other=st.integers(0, 20),
    n=st.integers(0, 6),
    parallelism=st.integers(1, 3),
)
limits = st.builds(
    Settings, frame_records=st.sampled_from([1, 2, 7, 1024]), max_window=st.sampled_from([1, 2, 64, 8192])
)


@settings(deadline=None, max_examples=200)
@given(
    sources=st.lists(st.integers(0, 200), min_size=1, max_size=3),
    program=st.lists(steps, max_size=12),
    limits=limits,
    threads=st.lists(st.booleans(), min_size=1, max_size=5),
)
def test_random_graphs_give_what_lists_give(
    sources: list[int], program: list[Step], limits: Settings, threads: list[bool]
) -> None:
    flow = Dataflow("random", settings=limits)
    pool = [
        Known(flow.source(ListSource(range(size), blocking=threads[i % len(threads)])), list(range(size)))
        for i, size in enumerate(sources)
    ]
    for step in program:
        one, two = pool[step.at % len(pool)], pool[step.other % len(pool)]
        if len(one.rows) + len(two.rows) < MOST:
            pool += grow(one, two, step)
    sinks = []
    for i, known in enumerate(pool):
        sink = ListSink(blocking=threads[i % len(threads)], batch=0 if i % 2 else 10)
        known.stream.sink(sink)
        sinks.append(sink)
    result = flow.run()
    for known, sink in zip(pool, sinks, strict=True):
        assert Counter(sink.records) == Counter(known.rows)
        assert sink.ends.count("finish") == len(sink.calls) - sink.calls.count("write") - sink.calls.count("open")
    assert result.in_flight == result.dropped == 0
    assert result.most_in_flight <= result.bound
    assert result.records_read == sum(sources)
    assert result.records_written == sum(len(known.rows) for known in pool)
    assert not any(each.queued for each in result.operators)


def rich(stream: Stream[Any]) -> Stream[Any]:
    """A line of operators whose answer has one right order."""
    return (
        stream.filter(lambda x: x % 3 != 0)
        .flat_map(lambda x: [x] * (x % 4))
        .map_batch(pairs, size=5)
        .map_async(shift_later, concurrency=3)
        .key_by(lambda x: x % 7)
        .fold(int, mix, emit="update")
    )


def mix(state: int, x: int) -> int:
    return (31 * state + x) & 0xFFFF


def rich_by_hand(numbers: Iterable[int]) -> list[tuple[int, int]]:
    states: dict[int, int] = defaultdict(int)
    out = []
    for value in pairs([x for x in numbers if x % 3 for _ in range(x % 4)]):
        key = (value + 1) % 7
        states[key] = mix(states[key], value + 1)
        out.append((key, states[key]))
    return out


@pytest.mark.parametrize("max_window", [1, 2, 64, 8192])
@pytest.mark.parametrize("frame_records", [1, 2, 7, 1024])
def test_answers_do_not_depend_on_the_settings(runner: Runner, frame_records: int, max_window: int) -> None:
    limits = Settings(frame_records=frame_records, max_window=max_window)
    assert runner.through(range(200), rich, limits) == rich_by_hand(range(200))


@pytest.mark.parametrize("max_window", [1, 2, 64, 8192])
@pytest.mark.parametrize("frame_records", [1, 2, 7, 1024])
@pytest.mark.parametrize("parallelism", [1, 2, 4])
def test_the_order_within_a_key_is_kept(runner: Runner, frame_records: int, max_window: int, parallelism: int) -> None:
    flow = runner.flow(settings=Settings(frame_records=frame_records, max_window=max_window))
    sink = runner.sink()
    numbers = flow.source(runner.source(range(300))).map(lambda x: x)
    first = numbers.key_by(lambda x: x % 9, parallelism=parallelism).map(lambda x: x).filter(lambda x: x % 2)
    first.key_by(lambda x: x % 9).aggregate(all=collect()).sink(sink)
    flow.run()
    assert {row.key: row.all for row in sink.records} == {
        k: [x for x in range(300) if x % 9 == k and x % 2] for k in range(9)
    }
