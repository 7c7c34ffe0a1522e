"""flat_map: expansions of any size, taken up as there is credit."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from engine import Settings
from tests.engine.helpers import TIGHT, Runner


def test_each_record_becomes_any_number(runner: Runner) -> None:
    assert runner.through(range(100), lambda s: s.flat_map(lambda x: range(x % 4))) == [
        i for x in range(100) for i in range(x % 4)
    ]


@pytest.mark.parametrize("settings", [TIGHT, Settings()])
def test_a_huge_expansion_goes_through_a_small_window(runner: Runner, settings: Settings) -> None:
    size = 2000 if settings is TIGHT else 200_000
    assert runner.through([size, 0, 1], lambda s: s.flat_map(range), settings) == [*range(size), 0]


@pytest.mark.parametrize("empty", [(), [], "", {}, iter(())])
def test_empty_expansions(runner: Runner, empty: Any) -> None:
    assert runner.through(range(5000), lambda s: s.flat_map(lambda x: empty)) == []


def test_generators_run_only_as_far_as_there_is_credit(runner: Runner) -> None:
    made: list[int] = []
    written_when_made: list[int] = []
    sink = runner.sink()

    def count(record: int) -> Iterator[int]:
        for i in range(500):
            made.append(i)
            written_when_made.append(len(sink.records))
            yield i

    flow = runner.flow(settings=Settings(max_window=10))
    flow.source(runner.source([1])).flat_map(count).sink(sink)
    flow.run()
    assert sink.records == made == list(range(500))
    assert max(i + 1 - written for i, written in zip(made, written_when_made, strict=True)) <= 11


def test_a_dict_gives_its_keys_and_a_text_its_letters_as_iteration_does(runner: Runner) -> None:
    assert runner.through([{"a": 1, "b": 2}, "xy"], lambda s: s.flat_map(lambda x: x)) == ["a", "b", "x", "y"]


def test_an_expansion_that_never_ends_is_stopped_by_cancel(runner: Runner) -> None:
    closed: list[bool] = []

    def forever(record: int) -> Iterator[int]:
        try:
            yield from itertools.count()
        finally:
            closed.append(True)

    flow, sink = runner.flow(), runner.sink()
    flow.source(runner.source([1, 2])).flat_map(forever).sink(sink)
    job = flow.start()
    while job.metrics().records_written < 5000:
        assert job.state == "running"
    job.cancel()
    with pytest.raises(Exception, match="job 'test' was cancelled"):
        job.wait()
    assert closed == [True]
    assert sink.records == list(range(len(sink.records)))
    assert sink.ends == ["abort"]


def test_nested_expansions(runner: Runner) -> None:
    out = runner.through(
        [3, 4], lambda s: s.flat_map(range).flat_map(range).flat_map(lambda x: (x, x)), Settings(max_window=2)
    )
    assert out == [y for n in (3, 4) for i in range(n) for x in range(i) for y in (x, x)]


def test_an_expansion_into_two_branches(runner: Runner) -> None:
    flow, left, right = runner.flow(settings=Settings(max_window=3)), runner.sink(), runner.sink()
    numbers = flow.source(runner.source([100])).flat_map(range)
    low, high = numbers.split(lambda x: x < 10)
    low.sink(left)
    high.sink(right)
    flow.run()
    assert (left.records, right.records) == (list(range(10)), list(range(10, 100)))
