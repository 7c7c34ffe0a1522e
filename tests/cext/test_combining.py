"""Combining before an exchange gives what is given without: at each mark, whatever is held, late, refused or idle."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cext.channel import Channel
from cext.columns import Count, Custom, Distinct, Greatest, Least, Mean, Sum, Top
from cext.combining import Combine, Combining
from cext.frame import Frame, barrier, end, idle, watermark
from cext.getter import Getter
from cext.groups import Groups
from cext.guard import Guard
from cext.head import Aggregate, Head
from cext.instant import Instant
from cext.merging import KeyPart, MergingPanes, MergingWhole, Partials
from cext.panes import Grid, Panes
from cext.port import Port
from cext.task import Task
from cext.window import Window
from cext.windowed import Windowed

STATES = ("n", "some", "total", "least", "most", "mean", "top", "seen", "own")
Partial = msgspec.defstruct("Partial", ["key", "pane", *STATES])
PARTIALS = Partials(Partial, "pane", STATES)
ROW_KEY, VALUE, TIME = Getter(lambda row: row[0]), Getter(lambda row: row[2]), Instant(Getter(lambda row: row[1]))
ANY_KEY = Getter(KeyPart(Partial, "key", ROW_KEY))
Row = tuple[Any, int, Any, int]
"""Key, time, value, and a number that tells it from others."""


def columns() -> list[Any]:
    top = Top(Getter(), 3, Getter(lambda row: row[3]), VALUE)
    own = Custom(VALUE, int, lambda most, value: max(most, value or 0), None, max)
    of_values = [kind(VALUE) for kind in (Count, Sum, Least, Greatest, Mean)]
    return [Count(Getter()), *of_values, top, Distinct(VALUE), own]


def groups(key: Getter = ROW_KEY) -> Groups:
    return Groups(key, columns(), lambda key, got: (key, *got))


def partial_groups() -> Groups:
    return Groups(ROW_KEY, columns(), lambda key, got: Partial(key, *got))


def merging(size: int, every: int, pane: int, lateness: int) -> MergingPanes:
    panes = MergingPanes(Grid(pane), TIME, lambda: groups(ANY_KEY), int, size // pane, every // pane, lateness)
    panes.partials = PARTIALS
    return panes


def channel(most: int = 1024) -> Channel:
    return Channel(Window(0.1, most, most), min(most, 256))


class Line:
    """Producers, of which each has a task that combines or none, and one task that aggregates what comes from all."""

    def __init__(self, head: Head, producers: int, most: int, combines: list[Combine]) -> None:
        self.lanes, self.out, self.late = [channel() for _ in range(producers)], channel(), channel()
        self.between = [channel(most) for _ in combines] or self.lanes
        self.combines = combines
        ports, late = [[Port("forward", [self.out])]], [Port("forward", [self.late])]
        last = Task("last", head, list(self.between), [], ports, aside=[late])
        pairs = zip(combines, self.lanes, self.between, strict=False)
        self.tasks = [
            *(Task("combine", each, [lane], [], [[Port("forward", [way])]]) for each, lane, way in pairs),
            last,
        ]

    def step(self, producer: int, event: list[Row] | int | None) -> tuple[list[Any], list[Any]]:
        """What comes out, and what is late, once all have done what they can."""
        lane = self.lanes[producer]
        if isinstance(event, list):
            lane.push_rows(event)
        else:
            assert lane.push(idle() if event is None else watermark(event))
        return self.run()

    def run(self) -> tuple[list[Any], list[Any]]:
        while sum(task.run_until_idle() for task in self.tasks):
            pass
        found = []
        for way in (self.out, self.late):
            frames = list(iter(way.pop, None))
            way.give_back(sum(frame.records for frame in frames))
            found.append([row for frame in frames for row in frame.rows])
        return sorted(found[0], key=repr), sorted(found[1], key=repr)

    def finish(self) -> tuple[list[Any], list[Any]]:
        for lane in self.lanes:
            assert lane.push(end())
        result = self.run()
        assert all(task.done for task in self.tasks)
        assert not any(way.in_flight for way in [*self.lanes, *self.between])
        assert not any(each.combining.held or each.combining.keys or len(each.combining) for each in self.combines)
        return result


keys = st.one_of(st.just(0), st.integers(0, 3), st.sampled_from([float("nan")]))
values = st.one_of(st.integers(0, 5), st.sampled_from([None, "text"]))
rows = st.lists(st.tuples(keys, st.integers(-10, 60), values), min_size=1, max_size=8)
marks = st.one_of(st.integers(-15, 70), st.integers(-15, 70), st.integers(-15, 70), st.none())
scripts = st.lists(st.tuples(st.integers(0, 2), st.one_of(rows, marks)), min_size=5, max_size=30)
bounds = st.sampled_from([1000, 1000, 1000, 5, 2, 1])


def numbered(script: list[Any], producers: int) -> list[Any]:
    """Each row with a number of its own."""
    count = iter(range(10**6))
    return [
        (which % producers, [(*row, next(count)) for row in event] if isinstance(event, list) else event)
        for which, event in script
    ]


@settings(deadline=None, max_examples=300)
@given(
    script=scripts,
    producers=st.sampled_from([1, 1, 2, 3]),
    shape=st.sampled_from([(10, 10, 10), (10, 5, 5), (9, 6, 3), (64, 4, 4)]),
    lateness=st.sampled_from([0, 0, 7, 100]),
    most=st.integers(1, 5),
    most_keys=bounds,
    most_records=bounds,
)
def test_windows_are_what_they_are_without(
    script: list[Any],
    producers: int,
    shape: tuple[int, int, int],
    lateness: int,
    most: int,
    most_keys: int,
    most_records: int,
) -> None:
    plain, combined = Guard("skip"), Guard("skip")
    panes = Panes(Grid(shape[2]), TIME, groups, int, shape[0] // shape[2], shape[1] // shape[2], lateness)
    one = Line(Windowed("windows", plain, panes), producers, most, [])
    combines = [
        Combine("combine", combined, Combining(Grid(shape[2]), TIME, partial_groups, most_keys, most_records))
        for _ in range(producers)
    ]
    other = Line(Windowed("windows", combined, merging(*shape, lateness)), producers, most, combines)
    for producer, event in numbered(script, producers):
        assert other.step(producer, event) == one.step(producer, event)
        assert all(each.combining.keys <= most_keys and each.combining.held <= most_records for each in combines)
    assert other.finish() == one.finish()
    assert combined.skipped == plain.skipped


@settings(deadline=None)
@given(
    script=scripts,
    producers=st.integers(1, 3),
    most=st.integers(1, 5),
    most_keys=bounds,
)
def test_a_whole_stream_is_what_it_is_without(script: list[Any], producers: int, most: int, most_keys: int) -> None:
    plain, combined = Guard("skip"), Guard("skip")
    one = Line(Aggregate("all", plain, groups()), producers, most, [])
    combines = [Combine("c", combined, Combining(None, None, partial_groups, most_keys)) for _ in range(producers)]
    other = Line(Windowed("all", combined, MergingWhole(groups(ANY_KEY), PARTIALS)), producers, most, combines)
    for producer, event in numbered(script, producers):
        assert other.step(producer, event) == one.step(producer, event) == ([], [])
    assert other.finish() == one.finish()
    assert combined.skipped == plain.skipped


late_rows = st.lists(st.tuples(st.just(0), st.integers(0, 9), st.integers(0, 2)), min_size=1, max_size=5)


@settings(deadline=None)
@given(frames=st.lists(late_rows, max_size=12))
def test_of_equals_the_earlier_comes_first_though_some_come_as_they_are(frames: list[Any]) -> None:
    """A late record is behind the partial results that the ones before it are in."""

    def top(key: Getter, make: Any) -> Groups:
        return Groups(key, [Top(Getter(), 3, VALUE, Getter(lambda row: row[3]))], make)

    tops = msgspec.defstruct("Tops", ["key", "pane", "state"])
    partial = Combining(Grid(5), TIME, lambda: top(ROW_KEY, lambda key, got: tops(key, *got)))
    key = Getter(KeyPart(tops, "key", ROW_KEY))
    panes = MergingPanes(Grid(5), TIME, lambda: top(key, lambda key, got: (key, *got)), int, 1, 1, 100)
    panes.partials = Partials(tops, "pane", ("state",))
    line = Line(Windowed("windows", Guard("fail"), panes), 1, 1000, [Combine("combine", Guard("fail"), partial)])
    plain = Panes(Grid(5), TIME, lambda: top(ROW_KEY, lambda key, got: (key, *got)), int, 1, 1, 100)
    other = Line(Windowed("windows", Guard("fail"), plain), 1, 1000, [])
    for producer, frame in numbered([(0, frame) for frame in frames], 1):
        assert line.step(producer, frame) == other.step(producer, frame)
        assert line.step(producer, frame[0][1]) == other.step(producer, frame[0][1])
    assert line.finish() == other.finish()


def combine(keys: int = 65_536, grid: Grid | None = None) -> tuple[Line, Combine]:
    head = Combine("combine", Guard("fail"), Combining(grid, None if grid is None else TIME, partial_groups, keys))
    return Line(head, 1, 1024, []), head


def shares(line: Line, rows: list[Row]) -> tuple[int, int]:
    """How many partial results, and how many records, come of `rows`."""
    found: list[Any] = []
    for start in range(0, len(rows), 100):
        found += line.step(0, rows[start : start + 100])[0]
    found += line.finish()[0]
    partials = sum(type(row) is Partial for row in found)
    return partials, len(found) - partials


def test_keys_that_come_again_leave_once() -> None:
    line, _ = combine()
    assert shares(line, [(number % 50, 0, 1, number) for number in range(30_000)]) == (50, 0)


def test_keys_that_never_come_again_leave_as_they_are_nearly_always() -> None:
    line, _ = combine()
    partials, records = shares(line, [(number, 0, 1, number) for number in range(60_000)])
    assert partials + records == 60_000
    assert 0 < partials < 10_000


def test_it_is_tried_again_whether_combining_pays() -> None:
    line, head = combine(keys=10)
    new = [(number, 0, 1, number) for number in range(40)]
    again = [(number % 5, 0, 1, number) for number in range(1000)]
    line.step(0, new)
    assert head.combining.passes
    assert shares(line, again)[0] == 5
    assert not head.combining.passes


@pytest.mark.parametrize("mark", [watermark(10), barrier(7), idle(), end()], ids=repr)
def test_what_is_held_leaves_before_the_mark_that_it_may_not_be_behind(mark: Frame) -> None:
    line, head = combine(grid=Grid(10))
    line.lanes[0].push_rows([(1, 5, 1, 0), (1, 5, 2, 1)])
    assert line.lanes[0].push(mark)
    while sum(task.run_until_idle() for task in line.tasks):
        pass
    first, second = iter(line.out.pop, None)
    assert ([row.n for row in first.rows], second.kind, second.value) == ([2], mark.kind, mark.value)
    assert (head.combining.held, head.combining.keys, len(head.combining)) == (0, 0, 0)


def test_nothing_is_held_behind_a_barrier_or_while_idle() -> None:
    line, head = combine(grid=Grid(10))
    line.step(0, [(1, 5, 1, 0), (1, 5, 2, 1)])
    assert (head.combining.held, head.windows.held, head.combining.keys) == (2, 2, 1)
    assert line.lanes[0].push(barrier(7))
    assert [row.n for row in line.run()[0]] == [2]
    line.step(0, [(1, 5, 1, 2)])
    assert [row.n for row in line.step(0, None)[0]] == [1]
    assert line.step(0, [(1, 5, 1, 3)])[0] == [(1, 5, 1, 3)]  # how far event time is where it goes, nobody knows here


def test_a_stream_cut_short_gives_no_partial_results() -> None:
    line, head = combine()
    line.step(0, [(1, 5, 1, 0)])
    assert line.lanes[0].push(end(whole=False))
    assert line.run()[0] == []
    assert head.combining.held == 0


def test_a_partial_result_that_cannot_be_combined_leaves_no_trace() -> None:
    guard = Guard("dead-letter")
    whole = MergingWhole(groups(ANY_KEY), PARTIALS)
    line = Line(Windowed("all", guard, whole), 1, 5, [])
    line.step(0, [(1, 0, 5, 0), Partial(1, 0, 7, 7, "text", 1, 1, None, None, {9}, 0)])  # type: ignore[list-item]
    assert guard.lettered == 1
    assert line.finish()[0] == [(1, 1, 1, 5, 5, 5, 5.0, [5], 1, 5)]


def test_a_partial_result_behind_its_time_is_a_fault_of_ours() -> None:
    panes = merging(10, 10, 10, 0)
    panes.pass_on(10)
    with pytest.raises(RuntimeError, match="event time passed the pane of a partial result"):
        panes.put(Partial(1, 0, *[None] * len(STATES)))


def test_what_it_cannot_be_made_of() -> None:
    for arguments in ((Grid(1), None), (None, TIME), (None, None, None, 0), (None, None, None, 1, 0)):
        grid, instant, _, *bounds = (*arguments, None)[:3] + arguments[3:]
        with pytest.raises(ValueError, match="wanted a grid and an instant or neither"):
            Combining(grid, instant, partial_groups, *bounds)
