"""Inputs far apart in event time: the one ahead is held, state stays small, and no graph ever stands still."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from engine import Dataflow, Settings, Stream, Tumbling, count
from engine.plan import Edge, Plan
from tests.engine.helpers import ListSink, ListSource
from tests.engine.stepped import Stepped

Row = tuple[int, int, int]
"""Key, time, and a number."""
TIME = "time"
MOST_ROWS = 3000
EVER = 10**7
"""More than any two times are apart."""


def key(row: Row) -> int:
    return row[0]


def at(row: Row) -> int:
    return row[1]


def source(flow: Dataflow, rows: list[Row] | dict[str, list[Row]], name: str, **options: Any) -> Stream[Row]:
    return flow.source(ListSource(rows), name=name).event_time(at, **options)


def rows_of(first: int, pace: int, size: int, jitter: int = 0, seed: int = 0) -> list[Row]:
    dice = Random(seed)
    return [(n % 3, first + n * pace - dice.randrange(jitter + 1), n) for n in range(size)]


# Any graph comes to its end, with the answer that lists give.


@dataclass
class Known:
    """A stream, and what is on it."""

    stream: Stream[Any]
    rows: list[Row]


@dataclass(frozen=True)
class Origin:
    """A source of `parts` partitions: from `first` on a record every `pace` ms, up to `jitter` ms too early."""

    first: int
    pace: int
    size: int
    jitter: int
    parts: int
    parsed: bool
    """Whether event time is made in a task behind the source's."""

    def build(self, flow: Dataflow, number: int) -> Known:
        parts = {
            str(i): rows_of(self.first + i * 20, self.pace, self.size, self.jitter, 10 * number + i)
            for i in range(self.parts)
        }
        read: Stream[Any] = flow.source(ListSource(parts), name=f"source-{number}")
        if self.parsed:
            bound = EVER if self.parts > 1 else self.jitter
            return Known(read.map(tuple).event_time(at, out_of_order=bound), list(chain(*parts.values())))
        return Known(read.event_time(at, out_of_order=self.jitter), list(chain(*parts.values())))


origins = st.builds(
    Origin,
    first=st.sampled_from([0, 0, 500, 5000]),
    pace=st.sampled_from([1, 10, 200]),
    size=st.integers(0, 30),
    jitter=st.sampled_from([0, 0, 15, 1000]),
    parts=st.integers(1, 3),
    parsed=st.booleans(),
)


def odd(row: Row) -> bool:
    return row[2] % 2 == 1


def shifted(row: Row) -> Row:
    return row[0], row[1], row[2] + 1


def met(left: Row, right: Row) -> Row:
    return left[0], max(left[1], right[1]), left[2] + right[2]


def joined(left: list[Row], right: list[Row], width: int) -> list[Row]:
    return [met(a, b) for a in left for b in right if a[0] == b[0] and abs(b[1] - a[1]) <= width]


def extend(pool: list[Known], kind: str, one: Known, other: Known) -> Known:
    if kind == "filter":
        return Known(one.stream.filter(odd), [row for row in one.rows if odd(row)])
    if kind == "map":
        return Known(one.stream.map(shifted).event_time(at), [shifted(row) for row in one.rows])
    if kind == "union":
        return Known(one.stream.union(other.stream), one.rows + other.rows)
    if kind == "retime":  # a clock behind another one
        return Known(one.stream.event_time(at, out_of_order=EVER), one.rows)
    if kind == "spread":
        return Known(one.stream.rebalance(2).map(shifted).event_time(at), [shifted(row) for row in one.rows])
    pairs = one.stream.key_by(key).interval_join(other.stream.key_by(key), lower=-5, upper=5, into=met)
    return Known(pairs.event_time(at), joined(one.rows, other.rows, 5))


KINDS = ["filter", "map", "union", "retime", "spread", "join", "join", "join"]
steps = st.tuples(st.sampled_from(KINDS), st.integers(0, 20), st.integers(0, 20))
limits = st.builds(
    Settings,
    frame_records=st.sampled_from([1, 2, 5]),
    max_window=st.sampled_from([1, 2, 5, 20]),
    max_drift=st.sampled_from([0, 1, 50]),
    linger=st.just(0),
)


def random_flow(origins: list[Origin], program: list[tuple[str, int, int]], limits: Settings) -> tuple[Any, ...]:
    flow = Dataflow("random", settings=limits)
    pool = [each.build(flow, number) for number, each in enumerate(origins)]
    for kind, one, other in program:
        pool.append(extend(pool, kind, pool[one % len(pool)], pool[other % len(pool)]))
        assume(sum(len(known.rows) for known in pool) <= MOST_ROWS)
    sinks = []
    for known in pool:
        sinks.append(ListSink())
        counts = known.stream.key_by(key).window(Tumbling(40)).aggregate(n=count())
        counts.sink(sinks[-1])
    return flow, pool, sinks


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(
    st.lists(origins, min_size=1, max_size=4),
    st.lists(steps, max_size=7),
    limits,
    st.integers(1, 2),
    st.integers(0, 1 << 32),
)
def test_random_graphs_come_to_an_end_and_give_what_lists_give(
    origins: list[Origin], program: list[tuple[str, int, int]], limits: Settings, processes: int, seed: int
) -> None:
    flow, pool, sinks = random_flow(origins, program, limits)
    stepped = Stepped(flow, seed, processes)
    stepped.run()
    assert stepped.stuck == []
    held = sum(edge.waits for edge in stepped.plan.edges)
    event(f"inputs that wait: {min(held, 9)}")
    for known, sink in zip(pool, sinks, strict=True):
        wanted = Counter((row[0], row[1] // 40 * 40) for row in known.rows)
        assert sorted((each.key, each.window_start, each.n) for each in sink.records) == sorted(
            (*which, n) for which, n in wanted.items()
        )
