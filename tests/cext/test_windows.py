"""Windows against a naive oracle: any disorder, any lateness, any skew; and each result within credit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cext.channel import Channel
from cext.columns import Collect, Count, Custom
from cext.frame import end, watermark
from cext.getter import Getter
from cext.groups import Groups
from cext.guard import Guard
from cext.instant import Instant
from cext.panes import Grid, Panes
from cext.port import Port
from cext.sessions import Sessions
from cext.task import Task
from cext.triggered import Triggered
from cext.window import Window
from cext.windowed import Windowed, Windows

KEY, TIME = Getter(lambda row: row[0]), Instant(Getter(lambda row: row[1]))
Row = tuple[int, int, int]
"""Key, time, and a number that tells it from others."""
Result = tuple[int, int, int, tuple[int, ...]]
"""Key, window, and the numbers of its records."""


def groups() -> Groups:
    columns = [Collect(Getter(lambda row: row[2])), Count(Getter())]
    return Groups(KEY, columns, lambda key, got: (key, got[0], got[1], tuple(sorted(got[2])), got[3]))


def panes(size: int, every: int, pane: int, offset: int = 0, lateness: int = 0) -> Panes:
    return Panes(Grid(pane, offset), TIME, groups, int, size // pane, every // pane, lateness)


def checked(results: list[Any]) -> list[Result]:
    for result in results:
        assert result[4] == len(result[3]) > 0
    return [result[:4] for result in results]


class Oracle:
    """Windows of `size` every `every` from `offset` on, kept as lists of records."""

    def __init__(self, size: int, every: int, offset: int, lateness: int) -> None:
        self.size, self.every, self.offset, self.lateness = size, every, offset, lateness
        self.kept: dict[tuple[int, int], dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
        self.time = -(10**9)

    def of(self, time: int) -> list[tuple[int, int]]:
        starts = range(time - (time - self.offset) % self.every, time - self.size, -self.every)
        return [(start, start + self.size) for start in sorted(starts)]

    def put(self, row: Row) -> list[Result] | None:
        key, time, number = row
        # What comes in is in all windows that were not given, and in those that may be given anew.
        mine = [window for window in self.of(time) if window[1] + self.lateness > self.time]
        for window in mine:
            self.kept[window][key].append(number)
        given = [window for window in mine if window[1] <= self.time]
        return [self.result(window, key) for window in given] if mine else None

    def result(self, window: tuple[int, int], key: int) -> Result:
        return key, *window, tuple(sorted(self.kept[window][key]))

    def pass_on(self, time: int) -> list[Result]:
        due = sorted((window for window in self.kept if self.time < window[1] <= time), key=lambda each: each[1])
        self.time = max(self.time, time)
        return [self.result(window, key) for window in due for key in self.kept[window]]


class SessionOracle:
    """Sessions, found anew from all records of a key each time."""

    def __init__(self, gap: int, lateness: int) -> None:
        self.gap, self.lateness, self.time = gap, lateness, -(10**9)
        self.kept: dict[int, list[list[tuple[int, int]]]] = defaultdict(list)
        self.given: set[Result] = set()

    def put(self, row: Row) -> list[Result] | None:
        key, time, number = row
        alive = [each for each in self.kept[key] if self.end(each) + self.lateness >= self.time]
        near = [each for each in alive if min(each)[0] - self.gap <= time <= max(each)[0] + self.gap]
        if not near and time + self.gap + self.lateness < self.time:
            return None
        whole = sorted([(time, number), *(entry for each in near for entry in each)])
        self.kept[key] = [*(each for each in alive if each not in near), whole]
        return [self.told(key, whole)] if self.end(whole) < self.time else []

    def end(self, entries: list[tuple[int, int]]) -> int:
        return max(entries)[0] + self.gap

    def told(self, key: int, entries: list[tuple[int, int]]) -> Result:
        result = key, min(entries)[0], self.end(entries), tuple(sorted(number for _, number in entries))
        self.given.add(result)
        return result

    def pass_on(self, time: int) -> list[Result]:
        self.time = max(self.time, time)
        due = [(key, each) for key in self.kept for each in self.kept[key] if self.end(each) < self.time]
        found = {(key, min(each)[0], self.end(each), tuple(sorted(n for _, n in each))) for key, each in due}
        return [self.told(*each) for each in due if (each[0], *self.shape(each[1])) in found - self.given]

    def shape(self, entries: list[tuple[int, int]]) -> tuple[int, int, tuple[int, ...]]:
        return min(entries)[0], self.end(entries), tuple(sorted(number for _, number in entries))


keys = st.one_of(st.just(0), st.integers(0, 3))  # one is much more frequent
events = st.lists(st.one_of(st.tuples(keys, st.integers(-40, 120)), st.integers(-50, 130)), max_size=60)
"""Records as (key, time), and watermarks."""


def compare(windows: Windows, oracle: Any, script: list[Any], ordered: bool = True) -> None:
    for number, event in enumerate(script):
        if isinstance(event, int):
            got, wanted = checked(windows.pass_on(event)), oracle.pass_on(event)
            assert sorted(got) == sorted(wanted)
            assert [each[2] for each in got] == sorted(each[2] for each in wanted)  # by the windows' ends
        else:
            row = (*event, number)
            found, right = windows.put(row), oracle.put(row)
            assert (None if found is None else checked(found)) == right
    assert sorted(checked(windows.end())) == sorted(oracle.pass_on(10**9))
    assert len(windows) == 0  # type: ignore[arg-type]
    assert not isinstance(windows, Panes) or len(windows.spans) == 0


@given(
    events,
    st.sampled_from([(10, 10, 10), (10, 5, 5), (9, 6, 3), (30, 2, 2), (64, 2, 2), (51, 6, 3), (7, 3, 1), (5, 5, 5)]),
    st.integers(-7, 7),
    st.sampled_from([0, 0, 3, 25]),
)
def test_panes_are_what_lists_of_records_are(
    script: list[Any], shape: tuple[int, int, int], offset: int, lateness: int
) -> None:
    compare(panes(*shape, offset, lateness), Oracle(*shape[:2], offset, lateness), script)


@pytest.mark.parametrize("late", [2, 4])
def test_a_late_record_is_in_the_windows_to_come_whose_spans_are_made(late: int) -> None:
    script = [(0, 2), (0, 3), (0, 5), (1, 7), 8, (0, late), 9, (1, late), 10]
    compare(panes(8, 1, 1), Oracle(8, 1, 0, 0), script)


def test_a_wide_window_is_made_of_few_spans() -> None:
    combined: list[tuple[int, int]] = []

    def combine(one: int, other: int) -> int:
        combined.append((one, other))
        return one + other

    def counts() -> Groups:
        column = Custom(Getter(), int, lambda total, row: total + 1, None, combine)
        return Groups(KEY, [column], lambda key, got: tuple(got))

    windows = Panes(Grid(1), TIME, counts, int, 50)
    got: list[tuple[int, int, int]] = []
    for time in range(500):
        windows.put((0, time, 0))
        got += windows.pass_on(time)
        assert len(windows) <= 50
        assert len(windows.spans) <= 50 + 25 + 12 + 6
    assert got[49:] == [(start, start + 50, 50) for start in range(450)]
    assert len(combined) < 14 * len(got)  # not 50


@given(events, st.integers(1, 20), st.sampled_from([0, 0, 3, 25]))
def test_sessions_are_what_lists_of_records_are(script: list[Any], gap: int, lateness: int) -> None:
    compare(Sessions(gap, TIME, groups(), int, lateness), SessionOracle(gap, lateness), script)


@given(st.lists(keys, max_size=40), st.integers(1, 7))
def test_windows_of_so_many_records(stream: list[int], size: int) -> None:
    windows = Triggered(groups(), size, purge=True)
    mine: dict[int, list[int]] = defaultdict(list)
    for number, key in enumerate(stream):
        mine[key].append(number)
        count = len(mine[key])
        wanted = [] if count % size else [(key, count - size, count, tuple(mine[key][-size:]))]
        assert checked(windows.put((key, 0, number)) or []) == wanted
    rest = [(key, n - n % size, n, tuple(its[n - n % size :])) for key, its in mine.items() if (n := len(its)) % size]
    assert sorted(checked(windows.end())) == sorted(rest)


# In a task: within credit, whatever the frames are, and before the mark that made them due.

KINDS: dict[str, Callable[[], Windows]] = {
    "tumbling": lambda: panes(10, 10, 10),
    "sliding": lambda: panes(12, 4, 4),
    "late": lambda: panes(12, 4, 4, 0, 20),
    "session": lambda: Sessions(6, TIME, groups(), int, 5),
    "counted": lambda: Triggered(groups(), 3, purge=True),
    "triggered": lambda: Triggered(groups(), 4, 20, 0, lambda row: row[1] % 5 == 0),
}


def channel(most: int = 1024, frame: int = 256) -> Channel:
    return Channel(Window(0.1, most, 2 * frame), frame)


def through(make: Callable[[], Windows], script: list[Any], most: int, together: int) -> tuple[list[Any], list[Any]]:
    """What comes out of a task, and what was late, with frames of so many records and a narrow way out."""
    lane, out, late = channel(), channel(most, most), channel(most, most)
    head = Windowed("windows", Guard("fail"), make())
    task = Task("task", head, [lane], [], [[Port("forward", [out])]], aside=[[Port("forward", [late])]])
    got: tuple[list[Any], list[Any]] = [], []

    def run() -> None:
        while task.run_until_idle(1):
            for source, into in ((out, got[0]), (late, got[1])):
                for frame in iter(source.pop, None):
                    into.extend(frame.rows)
                    source.give_back(frame.records)
                    if not frame.records and source is out:
                        into.append(frame.kind * 1000 + frame.value)
            assert out.in_flight <= most

    rows: list[Any] = []
    for number, event in enumerate([*script, None]):
        if isinstance(event, tuple):
            rows.append((*event, number))
        if rows and (len(rows) == together or not isinstance(event, tuple)):
            lane.push_rows(rows)
            rows = []
        if isinstance(event, int):
            assert lane.push(watermark(event))
        run()
    assert lane.push(end())
    run()
    assert task.done
    assert lane.in_flight == 0
    assert head.late == len(got[1])
    return got


@settings(deadline=None)
@given(events, st.sampled_from(sorted(KINDS)), st.integers(1, 4), st.integers(1, 5))
def test_a_firing_of_any_size_stays_within_any_credit(script: list[Any], kind: str, most: int, together: int) -> None:
    got, late = through(KINDS[kind], script, most, together)
    windows = KINDS[kind]()
    wanted, too_late, time = [], [], -(10**9)
    for number, event in enumerate(script):
        if isinstance(event, int):
            wanted += windows.pass_on(event)
            if event > time:
                time = event
                wanted.append(1000 + event)
        else:
            found = windows.put((*event, number))
            wanted += found or []
            too_late += [(*event, number)] if found is None else []
    assert (got, late) == ([*wanted, *windows.end(), 3001], too_late)


def test_what_a_window_cannot_be() -> None:
    with pytest.raises(ValueError, match="a pane is at least 1 ms long, not 0"):
        Grid(0)
    with pytest.raises(ValueError, match="windows of 2 panes begin every 1 to 2 panes, not every 3"):
        Panes(Grid(1), TIME, groups, int, 2, 3)
    with pytest.raises(ValueError, match="the gap between sessions is at least 1 ms, not 0"):
        Sessions(0, TIME, groups())
    with pytest.raises(ValueError, match="results are given every 0 records, -1 ms, 0 ms: not below 0"):
        Triggered(groups(), 0, -1)


@settings(deadline=None)
@given(events, st.sampled_from(sorted(KINDS)))
def test_what_is_held_is_what_was_taken_and_is_not_over(script: list[Any], kind: str) -> None:
    windows = KINDS[kind]()
    taken = 0
    for number, event in enumerate(script):
        if isinstance(event, int):
            windows.pass_on(event)
        else:
            taken += windows.put((*event, number)) is not None
        assert 0 <= windows.held <= taken
    windows.end()
    assert windows.held == 0


def test_what_is_held_goes_with_its_window() -> None:
    for windows in (panes(10, 10, 10), panes(10, 5, 5), Sessions(5, TIME, groups())):
        for number, time in enumerate((1, 4, 2, 31)):
            windows.put((0, time, number))
        assert windows.held == 4
        windows.pass_on(25)
        assert windows.held == 1
    counted = Triggered(groups(), 3, purge=True)
    assert [counted.put((0, 1, number)) and counted.held for number in range(4)] == [[], [], 0, []]
    assert counted.held == 1
