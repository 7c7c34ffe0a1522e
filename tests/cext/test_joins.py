"""Joins against a naive oracle: any disorder, any skew; what is held, and each pair within credit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cext.channel import Channel
from cext.deduplicate import Deduplicate
from cext.frame import end, watermark
from cext.getter import Getter
from cext.groups import Groups
from cext.guard import Guard
from cext.instant import Instant
from cext.interval_join import IntervalJoin
from cext.joined import Joined, Joins
from cext.panes import Grid, Panes
from cext.port import Port
from cext.task import Task
from cext.window import Window
from cext.window_join import Rows, WindowJoin

Row = tuple[int, int, int]
"""Key, time, and a number that tells it from others."""
Event = tuple[bool, Row] | int
"""A record and whether it is the right input's, or a watermark."""

KEY, TIME = Getter(lambda row: row[0]), Instant(Getter(lambda row: row[1]))


def panes(size: int, every: int, pane: int) -> Panes:
    def groups() -> Groups:
        return Groups(KEY, [Rows(Getter())], lambda key, got: got)

    return Panes(Grid(pane), TIME, groups, int, size // pane, every // pane)


def windows(size: int, every: int, pane: int, keep_left: bool = False, keep_right: bool = False) -> WindowJoin:
    return WindowJoin(panes(size, every, pane), panes(size, every, pane), keep_left, keep_right)


def interval(lower: int, upper: int) -> IntervalJoin:
    return IntervalJoin(KEY, TIME, KEY, TIME, lower, upper)


def events(bound: int) -> st.SearchStrategy[list[Event]]:
    """Records of both inputs, `bound` or less behind the latest or, seldom, too late; watermarks keep the promise."""
    step = st.tuples(st.booleans(), st.integers(0, 6), st.integers(0, bound + 3), st.integers(0, 5), st.booleans())

    def build(steps: list[tuple[bool, int, int, int, bool]]) -> list[Event]:
        found: list[Event] = []
        latest = 0
        for number, (right, ahead, behind, key, tells) in enumerate(steps):
            latest += ahead
            found.append((right, (min(key, 2), latest - behind, number)))  # key 2 is as frequent as all others
            if tells:
                found.append(latest - bound)
        return found

    return st.lists(step, max_size=80).map(build)


Taken = list[tuple[Row, int]]
"""Records, and the event time when they were taken in."""


def run(join: Joins, happened: list[Event], is_late: Any) -> tuple[list[Any], Taken, Taken]:
    """The pairs, and the records of either input that were taken; those that were not must be late."""
    pairs: list[Any] = []
    taken: tuple[Taken, Taken] = [], []
    now = -(10**9)
    for event in happened:
        if isinstance(event, int):
            now = max(now, event)
            pairs += join.pass_on(event)
            continue
        right, row = event
        found = join.take(row, right)
        assert (found is None) == is_late(row[1], now)
        if found is not None:
            taken[right].append((row, now))
            pairs += found
    pairs += join.end()
    assert join.held == 0
    return pairs, *taken


def in_windows(left: Taken, right: Taken, size: int, every: int, keep: tuple[bool, bool]) -> list[Any]:
    times = [row[1] for row, _ in left + right]
    found: list[Any] = []
    for start in range((min(times, default=0) - size) // every * every, max(times, default=0) + 1, every):
        mine = [row for row, now in left if start <= row[1] < start + size > now]
        others = [row for row, now in right if start <= row[1] < start + size > now]
        found += [(row, other) for row in mine for other in others if row[0] == other[0]]
        if keep[0]:
            found += [(row, None) for row in mine if all(row[0] != other[0] for other in others)]
        if keep[1]:
            found += [(None, row) for row in others if all(row[0] != other[0] for other in mine)]
    return found


def ordered(pairs: list[Any]) -> list[Any]:
    return sorted(pairs, key=lambda pair: [(row is not None, row or ()) for row in pair])


@settings(deadline=None, max_examples=150)
@given(events(4), st.sampled_from([(10, 10, 10), (10, 5, 5), (9, 6, 3), (1, 1, 1)]), st.booleans(), st.booleans())
def test_a_window_join_gives_what_nested_loops_give(
    happened: list[Event], shape: tuple[int, int, int], keep_left: bool, keep_right: bool
) -> None:
    size, every, _ = shape

    def is_late(time: int, now: int) -> bool:
        return time // every * every + size <= now

    pairs, left, right = run(windows(*shape, keep_left, keep_right), happened, is_late)
    assert ordered(pairs) == ordered(in_windows(left, right, size, every, (keep_left, keep_right)))


@settings(deadline=None, max_examples=150)
@given(events(4), st.integers(-15, 15), st.integers(0, 20))
def test_an_interval_join_gives_what_nested_loops_give(happened: list[Event], lower: int, width: int) -> None:
    upper = lower + width
    pairs, left, right = run(interval(lower, upper), happened, lambda time, now: time < now)
    wanted = [(a, b) for a, _ in left for b, _ in right if a[0] == b[0] and lower <= b[1] - a[1] <= upper]
    assert ordered(pairs) == ordered(wanted)


def test_an_interval_join_holds_a_record_until_its_last_partner_would_be_late() -> None:
    join = interval(-2, 5)
    join.take((0, 100, 1), False)
    join.take((0, 100, 2), True)
    assert join.held == 2
    join.pass_on(102)
    assert join.take((0, 105, 3), True) == [((0, 100, 1), (0, 105, 3))]
    join.pass_on(105)  # the right record of 100 could meet left ones up to 102; shelves are of 2 ms
    assert join.held == 2
    join.pass_on(1000)
    assert join.held == 0
    assert join.take((0, 999, 4), False) is None


def test_state_is_bounded_by_the_watermark_however_many_records_come() -> None:
    joins: list[Joins] = [windows(10, 10, 10), windows(20, 10, 10), interval(-10, 10)]
    for join in joins:
        for time in range(5000):
            join.take((time, time, 1), bool(time % 2))
            join.pass_on(time)
            assert join.held <= 30


def test_a_record_whose_key_cannot_be_one_is_not_taken_in() -> None:
    for join in (windows(10, 10, 10), interval(-1, 1)):
        for key, error in (([], TypeError), (float("nan"), ValueError)):
            with pytest.raises((error, TypeError)):
                join.take((key, 5, 1), False)
        assert join.held == 0
        assert not join.take((1, 5, 2), True)
        assert join.held == 1


def test_bounds_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValueError, match="goes from its lower bound to its upper one, not from 2 to 1 ms"):
        interval(2, 1)


@pytest.mark.parametrize("join", [windows(1000, 1000, 1000), interval(-1000, 1000)], ids=["window", "interval"])
def test_pairs_of_a_hot_key_leave_within_credit(join: Joins) -> None:
    """200 records by 200 make 40,000 pairs, which leave 7 at a time."""
    left, right = (Channel(Window(0.1, 1024, 1024, 0)) for _ in range(2))
    out = Channel(Window(0.1, 7, 7, 0), 7)
    head = Joined("join", Guard("fail"), join)
    head.right = {right}
    task = Task("join", head, [left, right], [], [[Port("forward", [out])]])
    for channel in (left, right):
        channel.push_rows([(0, time, time) for time in range(200)])
        assert channel.push(watermark(5000))
        assert channel.push(end(True))
    pairs: list[Any] = []
    marks = 0
    while not task.done:
        task.run_until_idle()
        assert out.in_flight <= 7
        while (frame := out.pop()) is not None:
            if frame.records:
                assert marks == 0, "a mark went before the pairs that it made due"
                pairs += frame.rows
                out.give_back(frame.records)
            else:
                marks += 1
    assert len(pairs) == len(set(pairs)) == 40_000
    assert join.held == 0


@settings(deadline=None, max_examples=150)
@given(events(4), st.integers(1, 12))
def test_of_records_that_are_close_together_the_first_goes_on(happened: list[Event], within: int) -> None:
    once = Deduplicate(KEY, TIME, within)
    given: list[Row] = []
    now = -(10**9)
    for event in happened:
        if isinstance(event, int):
            now = max(now, event)
            assert once.pass_on(event) == []
            continue
        _, row = event
        known = any(row[0] == other[0] and abs(row[1] - other[1]) < within for other in given)
        assert once.put(row) == (None if row[1] < now else [] if known else [row])
        given += [row] if row[1] >= now and not known else []
        assert once.held <= len(given)
    assert once.end() == []
    assert once.held == 0


def test_what_cannot_be_a_key_is_no_duplicate() -> None:
    once = Deduplicate(KEY, TIME, 5)
    keys: list[Any] = [[], float("nan")]
    for key in keys:
        with pytest.raises((TypeError, ValueError)):
            once.put((key, 5, 1))
    assert once.put((1, 5, 2)) == [(1, 5, 2)]
    with pytest.raises(ValueError, match="duplicates are looked for within at least 1 ms, not 0"):
        Deduplicate(KEY, TIME, 0)
