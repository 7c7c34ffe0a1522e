"""Windows without an end against a naive oracle, and windows of any kind that go by the clock."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cext.channel import Channel
from cext.columns import Collect
from cext.deduplicate import Deduplicate
from cext.frame import Frame, end, watermark
from cext.getter import Getter
from cext.groups import Groups
from cext.guard import Guard
from cext.instant import Arrival, Instant
from cext.panes import Grid, Panes
from cext.port import Port
from cext.processing_time import ManualClock
from cext.sessions import Sessions
from cext.task import Task
from cext.triggered import Triggered
from cext.window import Window
from cext.windowed import Windowed, Windows

KEY = Getter(lambda row: row[0])
Result = tuple[int, int, int, tuple[int, ...]]
"""Key, bounds, and the numbers of the records."""


def groups() -> Groups:
    column = Collect(Getter(lambda row: row[-1]))
    return Groups(KEY, [column], lambda key, got: (key, got[0], got[1], tuple(got[2])))


keys = st.one_of(st.just(0), st.integers(0, 3))
events = st.lists(
    st.one_of(
        st.tuples(st.just("row"), keys, st.booleans()),
        st.tuples(st.just("event time"), st.integers(-30, 60)),
        st.tuples(st.just("clock"), st.integers(-30, 60)),
    ),
    max_size=50,
)
"""Records as (key, whether `when` is true of it), and times that come."""


class Oracle:
    """All records of each key in a list, and how many of them were given."""

    def __init__(self, records: int, every: int, clock_every: int, when: bool, purge: bool) -> None:
        self.records, self.when, self.purge = records, when, purge
        self.every = {"event time": every, "clock": clock_every}
        self.now: dict[str, int] = {}
        self.kept: dict[int, list[int]] = defaultdict(list)
        self.given: dict[int, int] = defaultdict(int)

    def put(self, key: int, fires: bool, number: int) -> list[Result]:
        self.kept[key].append(number)
        fresh = len(self.kept[key]) - self.given[key]
        return [self.give(key)] if fresh == self.records or (fires and self.when) else []

    def give(self, key: int) -> Result:
        start, whole = self.given[key] if self.purge else 0, self.kept[key]
        self.given[key] = len(whole)
        return key, start, len(whole), tuple(whole[start:])

    def rest(self) -> list[Result]:
        return [self.give(key) for key, whole in self.kept.items() if len(whole) > self.given[key]]

    def pass_on(self, kind: str, time: int) -> list[Result]:
        before, every = self.now.get(kind), self.every[kind]
        self.now[kind] = time if before is None else max(before, time)
        if not every or (before is not None and not any(moment % every == 0 for moment in range(before + 1, time + 1))):
            return []
        return self.rest()


@given(events, st.integers(0, 4), st.sampled_from([0, 1, 7, 20]), st.sampled_from([0, 7]), st.booleans(), st.booleans())
def test_triggers_are_what_lists_of_records_are(
    script: list[Any], records: int, every: int, clock_every: int, when: bool, purge: bool
) -> None:
    windows = Triggered(groups(), records, every, clock_every, (lambda row: row[1]) if when else None, purge)
    oracle = Oracle(records, every, clock_every, when, purge)
    for number, event in enumerate(script):
        if event[0] == "row":
            assert windows.put((*event[1:], number)) == oracle.put(event[1], event[2], number)
        else:
            found = windows.pass_on(event[1]) if event[0] == "event time" else windows.look(event[1])
            assert sorted(found) == sorted(oracle.pass_on(*event))
        assert windows.held == sum(len(mine) - oracle.given[key] for key, mine in oracle.kept.items())
    assert sorted(windows.end()) == sorted(oracle.rest())
    assert windows.held == 0


def test_a_record_for_which_when_raises_leaves_no_trace() -> None:
    windows = Triggered(groups(), 2, when=lambda row: 1 // row[1] > 1)
    assert windows.put((0, 1, 0)) == []
    with pytest.raises(ZeroDivisionError):
        windows.put((0, 0, 1))
    assert windows.held == 1
    assert windows.put((0, 1, 2)) == [(0, 0, 2, (0, 2))]


# In a task with a clock: what goes by it is what goes by event time where each record has the time at which it comes.

KINDS: dict[str, Callable[[Instant], Windows]] = {
    "tumbling": lambda instant: Panes(Grid(10), instant, groups),
    "sliding": lambda instant: Panes(Grid(4), instant, groups, int, 3, 1),
    "session": lambda instant: Sessions(6, instant, groups()),
    "first": lambda instant: Deduplicate(KEY, instant, 8),
}


def channel(most: int = 1024) -> Channel:
    return Channel(Window(0.1, most, 2 * most), most)


class Clocked:
    """A task whose head goes by a clock that is moved by hand, and what comes out of it."""

    def __init__(self, windows: Windows, arrival: Arrival | None, most: int) -> None:
        self.clock, self.most = ManualClock(1000), most
        self.head = Windowed("windows", Guard("fail"), windows, arrival)
        self.head.clock = self.clock
        self.lane, self.out = channel(), channel(most)
        self.task = Task("task", self.head, [self.lane], [], [[Port("forward", [self.out])]])
        self.got: list[Any] = []

    def run(self) -> None:
        while self.task.run_until_idle(1):
            for frame in iter(self.out.pop, None):
                self.got += frame.rows
                self.out.give_back(frame.records)
            assert self.out.in_flight <= self.most

    def push(self, *rows: Any) -> None:
        self.lane.push_rows(list(rows))
        self.run()

    def at(self, time: int) -> list[Any]:
        """What comes out once it is `time`."""
        self.clock.move(max(1000 + time, self.clock.read()))
        return self.taken()

    def taken(self) -> list[Any]:
        self.run()
        got, self.got = self.got, []
        return got

    def end(self) -> list[Any]:
        assert self.lane.push(end())
        got = self.taken()
        assert self.task.done
        assert self.lane.in_flight == self.head.late == 0
        return got


moments = st.lists(st.one_of(keys, st.tuples(st.integers(0, 90))), max_size=40)
"""Keys of records, and (time that the clock comes to,)."""


@settings(deadline=None)
@given(moments, st.sampled_from(sorted(KINDS)), st.integers(1, 4))
def test_by_the_clock_a_record_has_the_time_at_which_it_comes(script: list[Any], kind: str, most: int) -> None:
    arrival = Arrival(Getter())
    clocked = Clocked(KINDS[kind](arrival), arrival, most)
    windows, now = KINDS[kind](Instant(Getter(lambda row: row[1]))), 1000
    windows.pass_on(now)
    for number, event in enumerate(script):
        if isinstance(event, tuple):
            now = max(now, 1000 + event[0])
            assert clocked.at(event[0]) == windows.pass_on(now)
        else:
            row = (event, now, number)
            clocked.push(row)
            assert clocked.taken() == windows.put(row)
        assert clocked.head.windows.held == windows.held
    assert clocked.end() == windows.end()


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_event_time_means_nothing_to_what_goes_by_the_clock(kind: str) -> None:
    arrival = Arrival(Getter())
    clocked = Clocked(KINDS[kind](arrival), arrival, 8)
    given_at_once = [(7, 1000, 0)] if kind == "first" else []
    clocked.push((7, 1000, 0))
    assert clocked.lane.push(watermark(1 << 50))
    assert clocked.taken() == given_at_once
    assert clocked.head.windows.held == 1
    assert len(clocked.at(50)) == (kind != "first") * (3 if kind == "sliding" else 1)
    assert clocked.head.windows.held == 0
    assert clocked.end() == []


def test_a_task_is_looked_at_when_its_windows_are_due_by_the_clock() -> None:
    arrival = Arrival(Getter())
    clocked = Clocked(KINDS["tumbling"](arrival), arrival, 8)
    assert clocked.head.deadline() == -1  # nothing is open
    clocked.push((7, 0))
    assert clocked.head.deadline() == -1  # whoever moves the clock wakes it
    clocked.clock.move(1010)
    assert clocked.head.deadline() > 0
    assert clocked.taken() == [(7, 1000, 1010, (0,))]
    assert clocked.head.deadline() == -1


def test_the_systems_clock_makes_windows_due_by_itself() -> None:
    arrival = Arrival(Getter())
    head = Windowed("windows", Guard("fail"), KINDS["tumbling"](arrival), arrival)
    assert head.deadline() == -1
    lane, out = channel(), channel()
    task = Task("task", head, [lane], [], [[Port("forward", [out])]])
    lane.push_rows([(7, 0)])
    task.run_until_idle()
    assert head.deadline() > 0
    frame: Frame | None = None
    while frame is None:  # for up to 10 ms
        task.run_until_idle()
        frame = out.pop()
    ((key, start, finish, numbers),) = frame.rows
    assert (key, finish - start, numbers) == (7, 10, (0,))


def test_by_number_or_by_the_clock_whichever_comes_first() -> None:
    clocked = Clocked(Triggered(groups(), 3, 0, 10, purge=True), None, 8)
    clocked.push((7, 0), (7, 1), (7, 2), (7, 3))
    assert clocked.taken() == [(7, 0, 3, (0, 1, 2))]
    assert clocked.at(9) == []
    assert clocked.at(10) == [(7, 3, 4, (3,))]
    assert clocked.at(50) == []
    clocked.push((7, 4))
    assert clocked.taken() == []
    assert clocked.end() == [(7, 4, 5, (4,))]
