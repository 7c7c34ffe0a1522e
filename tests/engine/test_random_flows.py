"""Random graphs give what plain lists give, whatever the windows, the frames and the threads are."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Dataflow, Settings, Stream, collect
from tests.engine.helpers import ListSink, ListSource, Runner
from tests.engine.random_programs import KINDS, Known, Step, extend, pairs, shift_later

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
    extend(pool, program)
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
