"""stateful_map: one record to one other, with a state for each key."""

from __future__ import annotations

from typing import Any

import pytest

from engine import OperatorError
from tests.engine.helpers import Runner


def by_letter(stream: Any, **options: Any) -> Any:
    return stream.key_by(lambda r: r[0], **options)


def running_total(total: int | None, record: tuple[str, int]) -> tuple[int, tuple[str, int]]:
    total = (total or 0) + record[1]
    return total, (record[0], total)


@pytest.mark.parametrize("parallelism", [1, 2, 4])
def test_each_key_has_its_own_state_and_order(runner: Runner, parallelism: int) -> None:
    items = [("abc"[n % 3], n) for n in range(1000)]
    out = runner.through(items, lambda s: by_letter(s, parallelism=parallelism).stateful_map(running_total))
    for k, letter in enumerate("abc"):
        numbers = range(k, 1000, 3)
        assert [total for key, total in out if key == letter] == [sum(numbers[: i + 1]) for i in range(len(numbers))]


def test_initial_makes_each_keys_first_state_anew(runner: Runner) -> None:
    def remember(seen: list[int], record: tuple[str, int]) -> tuple[list[int], int]:
        seen.append(record[1])
        return seen, len(seen)

    items = [("a", 1), ("b", 1), ("a", 1)]
    assert runner.through(items, lambda s: by_letter(s).stateful_map(remember, initial=list)) == [1, 1, 2]


def test_a_state_of_none_forgets_the_key_and_initial_begins_again(runner: Runner) -> None:
    def countdown(left: int, record: Any) -> tuple[int | None, int]:
        return (left - 1 or None), left

    items = [("a", 0)] * 5
    assert runner.through(items, lambda s: by_letter(s).stateful_map(countdown, initial=lambda: 2)) == [2, 1, 2, 1, 2]


def test_false_states_are_states(runner: Runner) -> None:
    items = [("a", 0)] * 3
    seen: list[Any] = []

    def note(state: int | None, record: Any) -> tuple[int, None]:
        seen.append(state)
        return 0, None

    assert runner.through(items, lambda s: by_letter(s).stateful_map(note, initial=lambda: 7)) == [None] * 3
    assert seen == [7, 0, 0]


@pytest.mark.parametrize("wrong", [5, (1, 2, 3), None, [1, 2]], ids=repr)
def test_what_is_no_pair_is_an_error_that_says_so(runner: Runner, wrong: Any) -> None:
    flow = runner.flow()
    by_letter(flow.source(runner.source(["a"]))).stateful_map(lambda s, r: wrong).sink(runner.sink())
    with pytest.raises(OperatorError, match=r"wanted a pair \(new state, record\) from the function, got "):
        flow.run()


def test_a_record_that_raises_leaves_the_state_as_it_was(runner: Runner) -> None:
    def divide(state: int | None, record: tuple[str, int]) -> tuple[int, int]:
        return (state or 0) + 1, 12 // record[1] + (state or 0)

    flow, sink = runner.flow(), runner.sink()
    items = [("a", 1), ("a", 0), ("a", 2)]
    by_letter(flow.source(runner.source(items))).stateful_map(divide, on_error="skip").sink(sink)
    assert flow.run().skipped == 1
    assert sink.records == [12, 7]


def test_the_same_flow_starts_without_state_each_time(runner: Runner) -> None:
    flow, sink = runner.flow(), runner.sink()
    by_letter(flow.source(runner.source([("a", 1)] * 3))).stateful_map(running_total).sink(sink)
    flow.run()
    flow.run()
    assert sink.records == [("a", 1), ("a", 2), ("a", 3)] * 2


def test_two_stateful_maps_in_a_row_know_nothing_of_each_other(runner: Runner) -> None:
    def twice(stream: Any) -> Any:
        return by_letter(by_letter(stream).stateful_map(running_total)).stateful_map(running_total)

    assert runner.through([("a", 1)] * 4, twice) == [("a", 1), ("a", 3), ("a", 6), ("a", 10)]
