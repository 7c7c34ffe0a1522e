"""Joins against a naive oracle: any disorder, any skew; what is held, and each pair within credit."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cext.asof_join import AsOfJoin
from cext.channel import Channel
from cext.deduplicate import Deduplicate
from cext.frame import end, watermark
from cext.getter import Getter
from cext.groups import Groups
from cext.guard import Guard
from cext.instant import Instant
from cext.interval_join import IntervalJoin
from cext.joined import Joined, Joins
from cext.kept import Agenda
from cext.panes import Grid, Panes
from cext.port import Port
from cext.session_join import SessionJoin
from cext.task import Task
from cext.window import Window
from cext.window_join import Rows, WindowJoin

Row = tuple[int, int, int]
"""Key, time, and a number that tells it from others."""
Event = tuple[bool, Row] | int
"""A record and whether it is the right input's, or a watermark."""

KEY, TIME = Getter(lambda row: row[0]), Instant(Getter(lambda row: row[1]))


def panes(size: int, every: int, pane: int, lateness: int = 0) -> Panes:
    def groups() -> Groups:
        return Groups(KEY, [Rows(Getter())], lambda key, got: got)

    return Panes(Grid(pane), TIME, groups, int, size // pane, every // pane, lateness)


def windows(size: int, every: int, pane: int, keep_left: bool = False, keep_right: bool = False) -> WindowJoin:
    return WindowJoin(panes(size, every, pane), panes(size, every, pane), keep_left, keep_right)


def interval(
    lower: int, upper: int, keep_left: bool = False, keep_right: bool = False, lateness: int = 0
) -> IntervalJoin:
    return IntervalJoin(KEY, TIME, KEY, TIME, lower, upper, keep_left, keep_right, lateness)


def as_of(keep_left: bool = False, tolerance: int | None = None) -> AsOfJoin:
    return AsOfJoin(KEY, TIME, KEY, TIME, keep_left, tolerance)


def sessions(gap: int, *keep: bool) -> SessionJoin:
    return SessionJoin(gap, KEY, TIME, KEY, TIME, *keep)


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


@settings(deadline=None, max_examples=200)
@given(events(4), st.integers(-15, 15), st.integers(0, 20), st.booleans(), st.booleans(), st.sampled_from([0, 0, 2, 9]))
def test_an_outer_interval_join_gives_what_nested_loops_give(
    happened: list[Event], lower: int, width: int, keep_left: bool, keep_right: bool, lateness: int
) -> None:
    upper = lower + width
    join = interval(lower, upper, keep_left, keep_right, lateness=lateness)
    pairs, left, right = run(join, happened, lambda time, now: time < now - lateness)
    met = [(a, b) for a, _ in left for b, _ in right if a[0] == b[0] and lower <= b[1] - a[1] <= upper]
    alone: list[Any] = [(a, None) for a, _ in left if keep_left and all(a != mine for mine, _ in met)]
    alone += [(None, b) for b, _ in right if keep_right and all(b != other for _, other in met)]
    assert ordered(pairs) == ordered(met + alone)


@settings(deadline=None, max_examples=150)
@given(events(4), st.integers(-15, 15), st.integers(0, 20), st.booleans(), st.booleans(), st.sampled_from([0, 5]))
def test_no_pair_of_an_interval_join_is_late_for_the_event_time_that_goes_on(
    happened: list[Event], lower: int, width: int, keep_left: bool, keep_right: bool, lateness: int
) -> None:
    join = interval(lower, lower + width, keep_left, keep_right, lateness=lateness)
    now = told = -(10**9)
    for event in happened:
        if isinstance(event, int):
            now = max(now, event)
            pairs = join.pass_on(event)
        else:
            pairs = join.take(event[1], event[0]) or []
        assert all(max(row[1] for row in pair if row is not None) >= told for pair in pairs)
        told = now - join.delay


def test_the_delay_of_an_interval_join_is_what_its_lonely_records_wait() -> None:
    assert [interval(-3, 5, *keep).delay for keep in ((), (True, False), (False, True), (True, True))] == [0, 5, 3, 5]
    assert interval(2, 5, False, True).delay == interval(-5, -2, True).delay == 0
    assert interval(-3, 5, True, True, lateness=7).delay == 12
    join = interval(-3, 5, True)
    join.take((0, 100, 1), False)
    assert join.pass_on(105) == []
    assert join.pass_on(106) == [((0, 100, 1), None)]


def latest(left: Row, right: list[Row], tolerance: int | None) -> Row | None:
    """The right record of the key that was the latest at the left one's time; the last to come of several."""
    mine = [row for row in right if row[0] == left[0] and row[1] <= left[1]]
    last = max(mine, key=lambda row: (row[1], row[2]), default=None)
    return None if last is None or (tolerance is not None and left[1] - last[1] > tolerance) else last


@settings(deadline=None, max_examples=300)
@given(events(4), st.booleans(), st.sampled_from([None, None, 0, 2, 8]))
def test_an_as_of_join_gives_the_latest_there_was(
    happened: list[Event], keep_left: bool, tolerance: int | None
) -> None:
    """Against all records that came by the time that a left one's was passed, late ones too."""
    join = as_of(keep_left, tolerance)
    now = -(10**9)
    waiting: list[Row] = []
    right: list[Row] = []
    for event in [*happened, 10**9]:
        if isinstance(event, int):
            now = max(now, event)
            due = [row for row in waiting if row[1] < now]
            waiting = [row for row in waiting if row[1] >= now]
            wanted = [(row, latest(row, right, tolerance)) for row in sorted(due, key=lambda row: (row[1], row[2]))]
            assert join.pass_on(event) == [pair for pair in wanted if keep_left or pair[1] is not None]
            continue
        from_right, row = event
        if from_right:
            useless = row[1] < now and latest((row[0], now, 0), [*right, row], tolerance) != row
            assert join.take(row, True) == (None if useless else [])
            right.append(row)
        else:
            assert join.take(row, False) == (None if row[1] < now else [])
            waiting += [row] if row[1] >= now else []
        assert join.held >= len(waiting)
    assert join.end() == []
    assert join.held == 0


def test_an_as_of_join_holds_what_a_left_record_may_still_meet() -> None:
    for tolerance, kept in ((None, 2), (10, 1)):
        join = as_of(tolerance=tolerance)
        for time in range(1000):
            for key in (time, -1):  # one key that changes all the time, and many that never do
                join.take((key, time, time), True)
            join.take((-1, time, time), False)
            join.pass_on(time)
            assert join.held <= (time + 4 if tolerance is None else 2 * tolerance + 6)
        join.take((5, 10**6, 1), True)
        join.pass_on(10**6 - 1)
        assert join.held == (1002 if tolerance is None else 1)
        join.pass_on(10**6)
        assert join.held == (1001 if tolerance is None else 1), kept


def in_sessions(left: list[Row], right: list[Row], gap: int, keep: tuple[bool, bool]) -> list[Any]:
    found: list[Any] = []
    for key in {row[0] for row in left + right}:
        rows = sorted([(row[1], at, row) for at, side in enumerate((left, right)) for row in side if row[0] == key])
        cuts = [0, *(i for i in range(1, len(rows)) if rows[i][0] - rows[i - 1][0] > gap), len(rows)]
        for start, stop in pairwise(cuts):
            mine = [row for _, at, row in rows[start:stop] if at == 0]
            others = [row for _, at, row in rows[start:stop] if at == 1]
            found += [(row, other) for row in mine for other in others]
            found += [(row, None) for row in mine if keep[0] and not others]
            found += [(None, row) for row in others if keep[1] and not mine]
    return found


@settings(deadline=None, max_examples=150)
@given(events(4), st.integers(1, 8), st.booleans(), st.booleans())
def test_a_session_join_gives_what_nested_loops_give(
    happened: list[Event], gap: int, keep_left: bool, keep_right: bool
) -> None:
    """Without late records: whether one is too late hangs on which sessions are still open."""
    now = -(10**9)
    on_time: list[Event] = []
    for event in happened:
        now = max(now, event) if isinstance(event, int) else now
        on_time += [event] if isinstance(event, int) or event[1][1] >= now else []
    pairs, left, right = run(sessions(gap, keep_left, keep_right), on_time, lambda time, now: False)
    wanted = in_sessions([row for row, _ in left], [row for row, _ in right], gap, (keep_left, keep_right))
    assert ordered(pairs) == ordered(wanted)


@settings(deadline=None, max_examples=200)
@given(events(4), st.sampled_from([(10, 10, 10), (10, 5, 5), (9, 6, 3), (2, 1, 1)]), st.integers(1, 12))
def test_late_records_make_the_pairs_that_they_would_have_made(
    happened: list[Event], shape: tuple[int, int, int], lateness: int
) -> None:
    """A pair is given for each window of both that still took records in when the later of them came."""
    size, every, _ = shape
    join = WindowJoin(panes(*shape, lateness), panes(*shape, lateness))

    def is_late(time: int, now: int) -> bool:
        return time // every * every + size + lateness <= now

    pairs, left, right = run(join, happened, is_late)
    wanted: list[Any] = []
    for (mine, at), (other, when) in ((a, b) for a in left for b in right if a[0][0] == b[0][0]):
        starts = range((mine[1] - size) // every * every, mine[1] + 1, every)
        wanted += [
            (mine, other)
            for start in starts
            if start <= mine[1] < start + size and start <= other[1] < start + size
            if start + size + lateness > max(at, when) or start + size > max(at, when)
        ]
    assert ordered(pairs) == ordered(wanted)


def test_an_outer_window_join_has_no_lateness() -> None:
    with pytest.raises(ValueError, match="an outer join has no allowed lateness"):
        WindowJoin(panes(10, 10, 10, 5), panes(10, 10, 10, 5), True)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 20)), max_size=60))
def test_an_agenda_gives_the_earliest_first(steps: list[tuple[bool, int]]) -> None:
    agenda = Agenda()
    waiting: list[tuple[int, int]] = []
    for number, (takes, time) in enumerate(steps):
        if takes:
            due = sorted(entry for entry in waiting if entry[0] < time)
            assert agenda.take_before(time) == [number for _, number in due]
            waiting = [entry for entry in waiting if entry[0] >= time]
        else:
            agenda.add(number, time)
            waiting.append((time, number))
        assert len(agenda) == len(waiting)


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
    joins: list[Joins] = [
        windows(10, 10, 10),
        windows(20, 10, 10),
        interval(-10, 10),
        interval(-10, 10, True, True),
        as_of(True, 10),
        sessions(10),
    ]
    for join in joins:
        for time in range(5000):
            join.take((time, time, 1), bool(time % 2))
            join.pass_on(time)
            assert join.held <= 30


def test_a_record_whose_key_cannot_be_one_is_not_taken_in() -> None:
    for join in (windows(10, 10, 10), interval(-1, 1, True), as_of(), sessions(5)):
        for key, error in (([], TypeError), (float("nan"), ValueError)):
            for right in (False, True):
                with pytest.raises((error, TypeError)):
                    join.take((key, 5, 1), right)
        assert join.held == 0
        assert not join.take((1, 5, 2), True)
        assert join.held == 1


def test_bounds_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValueError, match="goes from its lower bound to its upper one, not from 2 to 1 ms"):
        interval(2, 1)
    with pytest.raises(ValueError, match="a tolerance is of at least 0 ms, not -1"):
        as_of(tolerance=-1)


@pytest.mark.parametrize("join", [windows(1000, 1000, 1000), interval(-1000, 1000, True), sessions(1000)])
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
