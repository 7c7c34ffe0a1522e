"""map_batch: many records at a time become any number."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from engine import OperatorError, Settings
from tests.engine.helpers import TIGHT, Runner


@pytest.mark.parametrize("size", [1, 2, 7, 1024, 1_000_000])
@pytest.mark.parametrize("settings", [TIGHT, Settings(), Settings(max_window=5, frame_records=3)])
def test_batches_hold_at_most_their_size_and_all_records_in_order(
    runner: Runner, size: int, settings: Settings
) -> None:
    sizes: list[int] = []

    def double(rows: list[int]) -> list[int]:
        sizes.append(len(rows))
        return [2 * x for x in rows]

    assert runner.through(range(500), lambda s: s.map_batch(double, size=size), settings) == [2 * x for x in range(500)]
    assert sum(sizes) == 500
    assert 1 <= min(sizes) <= max(sizes) <= size


def test_a_batch_may_give_fewer_or_more_or_nothing(runner: Runner) -> None:
    assert runner.through(range(100), lambda s: s.map_batch(lambda rows: [], size=7)) == []
    assert runner.through(range(100), lambda s: s.map_batch(lambda rows: rows * 3, size=1), TIGHT) == [
        x for x in range(100) for _ in range(3)
    ]


def test_generators_are_taken_up_as_there_is_credit(runner: Runner) -> None:
    def expand(rows: list[int]) -> Iterator[int]:
        for row in rows:
            yield from range(row)

    assert runner.through([300, 2, 0, 5], lambda s: s.map_batch(expand), TIGHT) == [
        i for n in (300, 2, 0, 5) for i in range(n)
    ]


def test_the_list_is_the_functions_own(runner: Runner) -> None:
    flow, changed, untouched = runner.flow(), runner.sink(), runner.sink()

    def spoil(rows: list[int]) -> list[int]:
        taken = list(rows)
        rows.clear()
        return taken

    numbers = flow.source(runner.source(range(3000)))
    numbers.map_batch(spoil).sink(changed)
    numbers.sink(untouched)
    flow.run()
    assert changed.records == untouched.records == list(range(3000))


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("size", [1, 4, 1024])
def test_a_batch_that_raises_is_tried_again_record_by_record(runner: Runner, size: int, lazy: bool) -> None:
    def halve(rows: list[int]) -> Any:
        halves = (100 // row for row in rows)
        return halves if lazy else list(halves)

    items = [1, 2, 0, 4, 0, 5]
    flow, sink = runner.flow(), runner.sink()
    flow.source(runner.source(items)).map_batch(halve, size=size, on_error="skip").sink(sink)
    result = flow.run()
    assert sink.records == [100, 50, 25, 20]
    assert result.skipped == 2


def test_with_fail_a_batch_is_tried_once_and_its_first_results_are_delivered(runner: Runner) -> None:
    calls: list[list[int]] = []

    def halve(rows: list[int]) -> Iterator[int]:
        calls.append(rows)
        return (100 // row for row in rows)

    flow, sink = runner.flow(), runner.sink()
    flow.source(runner.source([1, 2, 0, 4])).map_batch(halve).sink(sink)
    with pytest.raises(OperatorError, match=r"operator 'map_batch halve' .* failed in .*: ZeroDivisionError") as caught:
        flow.run()
    assert "; it was one of 4 records, the first was 1\n" in str(caught.value)  # which one is the function's own secret
    assert caught.value.record == [1, 2, 0, 4]
    assert sink.records == [100, 50]
    assert calls == [[1, 2, 0, 4]]


def test_with_fail_a_batch_of_one_names_its_record(runner: Runner) -> None:
    flow = runner.flow()
    flow.source(runner.source([0])).map_batch(lambda rows: [1 // rows[0]]).sink(runner.sink())
    with pytest.raises(OperatorError, match="; the record was 0\n") as caught:
        flow.run()
    assert caught.value.record == 0


def test_what_is_no_iterable_is_the_functions_fault(runner: Runner) -> None:
    flow = runner.flow()
    flow.source(runner.source([1])).map_batch(lambda rows: 5).sink(runner.sink())  # type: ignore[arg-type,return-value]
    with pytest.raises(OperatorError, match="'int' object is not iterable"):
        flow.run()
