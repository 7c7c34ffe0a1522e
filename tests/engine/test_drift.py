"""Inputs far apart in event time: the one ahead is held, state stays small, and no graph ever stands still."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import chain
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from connectors.memory import discard
from engine import Dataflow, Settings, Stream, Tumbling, count
from engine.plan import Plan
from engine.task_plan import Edge
from tests.engine import remote
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


# Who may be held.


def waits(flow: Dataflow, operator: str, processes: int | None = None) -> list[bool]:
    """Of each input of an operator, in the order in which they were written."""
    return [edge.waits for edge in edges(flow, operator, processes)]


def edges(flow: Dataflow, operator: str, processes: int | None = None) -> list[Edge]:
    return next(task.inputs for task in Plan.of(flow, processes).tasks if task.nodes[0].name == operator)


def counted(stream: Stream[Row], name: str = "windows") -> None:
    stream.key_by(key).window(Tumbling(40)).aggregate(n=count(), name=name).sink(ListSink(), name=f"{name} out")


def join(left: Stream[Row], right: Stream[Row], name: str = "join") -> Stream[Row]:
    pairs = left.key_by(key).interval_join(right.key_by(key), lower=-5, upper=5, into=met, name=name)
    return pairs.event_time(at)


def two(**options: Any) -> tuple[Dataflow, Stream[Row], Stream[Row]]:
    flow = Dataflow("two", settings=Settings(frame_records=1, max_window=4, max_drift=10, linger=0))
    return flow, source(flow, [], "left", **options), source(flow, [], "right", **options)


def test_inputs_wait_where_each_clock_has_its_sources_to_itself() -> None:
    flow, left, right = two()
    join(left, right).sink(ListSink())
    counted(left.union(right))
    left.filter(odd).sink(ListSink())
    assert waits(flow, "join") == waits(flow, "windows") == [True, True]
    assert waits(flow, "join", 3) == [True, True]
    assert waits(flow, "filter odd") == [False]


def test_only_what_keeps_records_for_a_time_holds_inputs() -> None:
    flow, left, right = two()
    both = left.union(right)
    both.map(shifted).sink(ListSink())
    both.key_by(key).aggregate(n=count()).sink(ListSink())
    both.key_by(key).deduplicate(within=5).sink(ListSink())
    assert (waits(flow, "map shifted"), waits(flow, "aggregate")) == ([False, False], [False, False])
    assert waits(flow, "deduplicate") == [True, True]


def test_clocks_that_share_a_source_stop_nobody() -> None:
    flow, left, right = two()
    read = flow.source(ListSource([]), name="shared").map(shifted)
    soon, later = read.filter(odd).event_time(at), read.event_time(at, out_of_order=1000)
    join(soon, later).sink(ListSink())
    join(soon, left, "with another").sink(ListSink())
    join(left, right, "others").sink(ListSink())
    assert waits(flow, "join") == [False, False]
    assert waits(flow, "with another") == [False, True]
    assert waits(flow, "others") == [True, True]


def test_a_clock_behind_a_clock_shares_its_source() -> None:
    flow, left, right = two()
    join(left, left.event_time(at, out_of_order=50)).sink(ListSink())
    counted(left.union(right))
    assert waits(flow, "join") == [False, False]
    assert waits(flow, "windows") == [False, True]


def test_instances_of_a_clock_behind_an_exchange_share_their_sources() -> None:
    flow = Dataflow("exchange")
    read = flow.source(ListSource([]))
    counted(read.map(shifted).event_time(at), "each its own")
    counted(flow.source(ListSource([])).rebalance(2).map(shifted).event_time(at), "spread")
    assert waits(flow, "each its own", 2) == [True]
    assert waits(flow, "spread", 2) == [False]


def test_where_a_clock_may_be_idle_only_a_straight_way_waits() -> None:
    flow, left, right = two(idle_after="1s")
    join(left.filter(odd), right).sink(ListSink())
    counted(join(left, right, "before"))
    counted(left.union(right).map(shifted).event_time(at), "merged")
    assert waits(flow, "join") == [True, True]
    assert waits(flow, "windows", 2) == [False]
    assert waits(flow, "merged", 2) == [False]


def test_a_promise_of_disorder_does_not_count_as_being_behind() -> None:
    flow = Dataflow("delays")
    soon, later = source(flow, [], "soon"), source(flow, [], "later", out_of_order=500)
    join(soon, later).sink(ListSink())
    counted(soon.union(later).map(shifted).event_time(at))
    assert [edge.delays for edge in edges(flow, "join")] == [(0, 0), (500, 500)]
    assert [edge.delays for edge in edges(flow, "windows", 2)] == [(0, 500)]


# What would happen if all were held.


def earlier(row: Row) -> Row:
    return row[0], row[1] - 100, row[2]


def crossed() -> tuple[Dataflow, ListSink, ListSink]:
    """To one join the left source is ahead, to the other one behind: each waits for what the other holds."""
    flow = Dataflow("crossed", settings=Settings(frame_records=1, max_window=4, max_drift=10, linger=0))
    left = flow.source(ListSource(rows_of(50, 1, 400)), name="left").map(shifted)
    right = source(flow, rows_of(0, 1, 400), "right")
    sinks = ListSink(), ListSink()
    join(left.event_time(at), right, "one").sink(sinks[0])
    join(left.map(earlier).event_time(at), right, "other").sink(sinks[1])
    return flow, *sinks


def test_two_joins_to_which_the_same_source_is_ahead_and_behind_do_not_stop_each_other() -> None:
    flow, one, other = crossed()
    stepped = Stepped(flow)
    stepped.run()
    assert stepped.stuck == []
    left, right = [shifted(row) for row in rows_of(50, 1, 400)], rows_of(0, 1, 400)
    assert sorted(one.records) == sorted(joined(left, right, 5))
    assert sorted(other.records) == sorted(joined(list(map(earlier, left)), right, 5))


def test_with_all_held_they_would(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.drift._with_sources_of_their_own", set)
    stepped = Stepped(crossed()[0])
    stepped.run()
    assert stepped.stuck


# How much is held.

PAIRS = 5_000 + 2 * (5_000 - 3)
"""With three keys, each record meets that of its own time and those 3 ms before and behind it."""


def far_apart(drift: Any) -> tuple[Stepped, ListSink]:
    """Two sources that go to one join, of 20,000 records each."""
    flow = Dataflow("far", settings=Settings(frame_records=1, max_window=64, max_drift=drift, linger=0))
    sink = ListSink()
    join(source(flow, rows_of(0, 1, 5_000), "left"), source(flow, rows_of(0, 1, 5_000), "right")).sink(sink)
    return Stepped(flow), sink


def held(stepped: Stepped) -> int:
    heads: list[Any] = [task.head for task in stepped.tasks("join")]
    return sum(head.windows.held for head in heads)


def test_a_source_waits_for_one_that_has_not_told_its_time() -> None:
    stepped, sink = far_apart(100)
    stepped.run("left", "join")
    (left,) = stepped.tasks("left")
    assert left.records_out < 5_000  # its first mark comes after 5 ms at the latest
    stepped.run()
    assert stepped.stuck == []
    assert len(sink.records) == PAIRS


def test_without_drift_all_of_it_is_held() -> None:
    stepped, sink = far_apart(None)
    stepped.run("left", "join")
    assert held(stepped) == stepped.tasks("left")[0].records_out == 5_000
    stepped.run()
    assert len(sink.records) == PAIRS


TICKS, BEHIND = 150_000, 500
"""How many records one source of a job has, and how far apart, in ms, those of the other one are."""


@pytest.mark.timeout(60)
@pytest.mark.parametrize("processes", [1, 2])
def test_a_job_whose_sources_differ_in_pace_holds_little(processes: int) -> None:
    """The fast source could give all that it has while the slow one, which needs 0.6 s, has hardly begun."""
    flow = Dataflow("ticks", settings=Settings(max_drift="1s", max_window=1000, beat="10ms"))
    fast = flow.source(remote.Ticks(TICKS, 1), name="fast").event_time(remote.time_of)
    slow = flow.source(remote.Ticks(TICKS, BEHIND, slow=True), name="slow").event_time(remote.time_of)
    pairs = fast.key_by(remote.key_of).interval_join(slow.key_by(remote.key_of), lower=-8, upper=8, name="join")
    pairs.sink(discard())
    most = 0
    with flow.start(processes=processes) as job:
        while not job.join(0.005):
            most = max(most, job.metrics()["join"].held)
        result = job.wait()
    assert result.records_written == sum(
        tick % 8 == time // BEHIND % 8 and abs(tick - time) <= 8
        for time in range(0, TICKS, BEHIND)
        for tick in range(max(0, time - 8), min(TICKS, time + 9))
    )
    assert result["fast"].records_out == TICKS
    assert 0 < most <= TICKS // 5
