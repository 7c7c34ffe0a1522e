"""Lanes by event time: who gives first, who is held for whom, and that barriers and ends come through."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cext.channel import Channel
from cext.frame import Frame, barrier, end, idle, watermark
from cext.getter import Getter
from cext.guard import Guard
from cext.head import Pass
from cext.instant import Instant
from cext.interval_join import IntervalJoin
from cext.joined import Joined
from cext.lanes import Lane, Lanes
from cext.port import Port
from cext.task import Task
from cext.window import Window

BARRIER, END = 2, 3
Item = int | list[int] | Frame


def channel(most: int = 64) -> Channel:
    return Channel(Window(0.1, most, most), 1)


class Rig:
    """A task with lanes by event time; what it gives is the numbers that went in, and its marks but for the time."""

    def __init__(
        self, lanes: int = 2, drift: int = 10, delays: tuple[tuple[int, int], ...] = (), waits: int = -1
    ) -> None:
        self.lanes = [channel() for _ in range(lanes)]
        self.out = channel(4096)
        each = [
            Lane(lane, bool(waits >> i & 1), *(delays[i] if delays else (0, 0))) for i, lane in enumerate(self.lanes)
        ]
        self.task = Task("task", Pass("pass", Guard("fail")), Lanes(each, drift), [], [[Port("forward", [self.out])]])

    def feed(self, lane: int, *items: Item) -> Rig:
        for item in items:
            if isinstance(item, Frame):
                assert self.lanes[lane].push(item)
            else:
                self.lanes[lane].push_rows([item] if isinstance(item, int) else item)
        return self

    def run(self) -> list[Any]:
        self.task.run_until_idle()
        got: list[Any] = []
        while (frame := self.out.pop()) is not None:
            got += frame.rows or ([(frame.kind, frame.value)] if frame.kind in {BARRIER, END} else [])
            self.out.give_back(frame.records)
        return got


def test_the_lane_furthest_behind_gives_first() -> None:
    rig = Rig(3, drift=1000).feed(0, watermark(30), 1, watermark(50), 2).feed(1, watermark(20), 3, watermark(40), 4)
    rig.feed(2, watermark(10), 5, watermark(45), 6)
    assert rig.run() == [5, 3, 1, 4, 6, 2]


def test_lanes_that_have_come_as_far_give_in_turn() -> None:
    rig = Rig(2).feed(0, 1, 2, 3).feed(1, 4, 5, 6)
    assert rig.run() == [1, 4, 2, 5, 3, 6]


def test_a_lane_too_far_ahead_is_held_until_the_other_has_come_closer() -> None:
    rig = Rig().feed(0, watermark(111), 1).feed(1, watermark(100), 2)
    assert rig.run() == [2]
    assert rig.feed(1, watermark(101)).run() == [1]
    assert rig.feed(0, 3, watermark(150), 4).feed(1, 5).run() == [5, 3]
    assert rig.feed(1, watermark(200), 6).run() == [4]  # now the other one is ahead


def test_a_lane_that_has_told_no_time_is_the_furthest_behind() -> None:
    rig = Rig().feed(0, 1, watermark(0), 2)
    assert rig.run() == [1]
    assert rig.feed(1, 3).run() == [3]
    assert rig.feed(1, watermark(-10)).run() == [2]


def test_nobody_is_held_for_a_lane_that_is_idle_or_has_ended() -> None:
    rig = Rig().feed(0, watermark(100), 1).feed(1, watermark(0))
    assert rig.run() == []
    assert rig.feed(1, idle()).run() == [1]
    assert rig.feed(1, 2).feed(0, 3).run() == [2]
    assert rig.feed(1, end()).run() == [3]
    assert rig.feed(0, end()).run() == [(END, 1)]


def test_a_lane_that_need_not_wait_is_never_held_but_others_are_for_it() -> None:
    rig = Rig(waits=0b01).feed(1, watermark(100), 1)
    assert rig.run() == [1]
    assert rig.feed(0, watermark(200), 2).run() == []
    assert rig.feed(1, watermark(190)).run() == [2]


def test_by_so_much_as_marks_are_delayed_a_lane_is_not_behind() -> None:
    """A lane is held for what it has come at the least beyond what the other has come at the most."""
    rig = Rig(delays=((0, 0), (100, 150))).feed(0, watermark(260), 1).feed(1, watermark(100), 2)
    assert rig.run() == [2, 1]
    assert rig.feed(0, watermark(261), 3).run() == []
    assert rig.feed(1, watermark(101)).run() == [3]
    assert rig.feed(1, watermark(172), 4).run() == []
    assert rig.feed(0, watermark(262)).run() == [4]


def test_delays_in_the_wrong_order_are_refused() -> None:
    for delays in ((2, 1), (-1, 0)):
        with pytest.raises(ValueError, match=f"from 0 on, the least first, not {delays[0]} and {delays[1]} ms"):
            Lane(channel(), True, *delays)


def test_while_a_barrier_is_awaited_nobody_is_held_for_time() -> None:
    """The lane behind in time brings it, and no time until it is through; the other one has it behind its records."""
    rig = Rig().feed(0, watermark(100), 1, watermark(500), 2, barrier(1), 3).feed(1, watermark(0), 4)
    assert rig.run() == [4]
    assert rig.feed(1, barrier(1), watermark(300)).run() == [1, 2, (BARRIER, 1)]
    assert rig.feed(1, watermark(490)).run() == [3]


def test_nor_while_one_is_known_to_be_on_its_way() -> None:
    rig = Rig().feed(0, watermark(100), 1, watermark(500), 2, barrier(3), 3).feed(1, watermark(0))
    assert rig.run() == []
    rig.task.expect_barrier(3)
    assert rig.run() == [1, 2]
    assert rig.feed(1, barrier(3)).run() == [(BARRIER, 3)]
    rig.task.expect_barrier(2)
    assert rig.run() == []
    assert rig.feed(1, end()).run() == [3]


class Diamond:
    """`ahead` goes on by `fork`, to `apart` right away, and through `both`, where it meets `behind`."""

    def __init__(self) -> None:
        self.ahead, self.behind = channel(), channel()
        ahead_apart, ahead_both, both_apart = (channel(2) for _ in range(3))
        self.out = channel(4096)
        self.tasks = [
            self.task("fork", Lanes([Lane(self.ahead)]), ahead_apart, ahead_both),
            self.task("both", Lanes([Lane(ahead_both, True), Lane(self.behind, True)]), both_apart),
            self.task("apart", Lanes([Lane(ahead_apart, True), Lane(both_apart, True)], 10), self.out),
        ]

    def task(self, name: str, lanes: Lanes, *outputs: Channel) -> Task:
        return Task(
            name, Pass(name, Guard("fail")), lanes, [], [[Port("forward", [each]) for each in outputs]], linger=0
        )

    def run(self) -> list[int]:
        """The barriers that come through."""
        for _ in range(50):
            for task in self.tasks:
                task.run_until_idle()
        found = []
        while (frame := self.out.pop()) is not None:
            found += [frame.value] if frame.kind == BARRIER else []
            self.out.give_back(frame.records)
        return found

    def feed(self, barriers: int) -> list[int]:
        """Much that is ahead, with a barrier behind it; what is behind has one right away."""
        came = []
        for time in range(100, 120):
            self.ahead.push_rows([time])
            assert self.ahead.push(watermark(time + 1))
            came += self.run()
        for mark in (watermark(0), barrier(barriers), watermark(1000)):
            assert self.behind.push(mark)
        assert self.ahead.push(barrier(barriers))
        return came + self.run()


def test_a_barrier_behind_what_is_held_for_who_waits_for_it() -> None:
    """`apart` holds what is ahead until `both` tells a time, which waits for the barrier that stands behind it."""
    diamond = Diamond()
    assert diamond.feed(1) == []
    for task in diamond.tasks:
        task.expect_barrier(1)
    assert diamond.run() == [1]


def test_who_expects_it_does_not_wait() -> None:
    diamond = Diamond()
    for task in diamond.tasks:
        task.expect_barrier(1)
    assert diamond.feed(1) == [1]


def test_who_drops_holds_nobody() -> None:
    rig = Rig().feed(0, watermark(100), [1, 2], end()).feed(1, watermark(0))
    rig.run()
    rig.task.cancel()
    assert rig.run() == []
    assert rig.task.dropped == 2
    assert rig.feed(1, end()).run() == [(END, 0)]


def test_time_in_which_lanes_are_held_is_counted_as_a_part_of_idle() -> None:
    rig = Rig().feed(0, watermark(100), 1)
    rig.run()
    counters = rig.task.counters()
    assert 0 < counters["drifting"] <= counters["idle"]
    rig.feed(1, end()).run()
    after = rig.task.counters()["drifting"]
    rig.run()
    assert rig.task.counters()["drifting"] == after


def test_what_a_join_holds_is_bounded_by_the_drift_however_far_its_inputs_are_apart() -> None:
    """The left input has 20,000 records before the right one tells any time, and goes on to be as far ahead."""
    left, right = channel(8), channel(8)
    join = IntervalJoin(*(2 * (Getter(lambda row: row[0]), Instant(Getter(lambda row: row[1])))), -5, 5)
    head = Joined("join", Guard("fail"), join)
    head.right = {right}
    out = channel(4096)
    task = Task("join", head, Lanes([Lane(left, True), Lane(right, True)], 50), [], [[Port("forward", [out])]])
    time = [0, 0]
    pairs = 0
    for at in range(20_000):
        while left.available() and time[0] < 20_000:  # as fast as it may
            left.push_rows([(0, time[0], 0)])
            time[0] += 1
            assert left.push(watermark(time[0]))
        right.push_rows([(0, at, 1)])
        assert right.push(watermark(at + 1))
        task.run_until_idle()
        assert join.held <= 50 + 2 * 6 + 2 * 4 + 2  # the drift, both intervals, a shelf of each, and a frame of each
        assert time[0] <= at + 50 + 8 + 3
        while (frame := out.pop()) is not None:
            pairs += frame.records
            out.give_back(frame.records)
    assert pairs == 11 * 20_000 - 2 * 15  # all but those that would be before the first or behind the last


# As a law: a join of two sources that are held, whatever comes when.

moves = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30), st.sampled_from(["row", "row", "mark", "barrier"])))


@settings(max_examples=150, deadline=None)
@given(moves, st.integers(0, 20), st.integers(2, 3))
def test_all_that_goes_in_comes_out_and_nothing_is_taken_from_too_far_ahead(
    moves: list[tuple[int, int, str]], drift: int, lanes: int
) -> None:
    """In each lane rows are the time that it has told; what comes out is at most `drift` ahead of what others told."""
    rig = Rig(lanes, drift)
    told = [-1] * lanes
    brought = [0] * lanes
    into: list[int] = []
    out: list[Any] = []
    for lane, ahead, what in moves:
        at = lane % lanes
        if rig.lanes[at].in_flight > 50:
            continue
        if what == "row":
            rig.feed(at, max(told[at], 0))
            into.append(max(told[at], 0))
        elif what == "mark":
            told[at] = max(told[at], 0) + ahead
            rig.feed(at, watermark(told[at]))
        else:
            brought[at] += 1
            rig.feed(at, barrier(brought[at]))
        got = rig.run()
        out += got
        if not any(brought):
            least = min(told)
            assert all(row <= (0 if least < 0 else least + drift) for row in got)
    for at in range(lanes):
        for number in range(brought[at] + 1, max(brought) + 1):
            rig.feed(at, barrier(number))
            out += rig.run()
    for at in range(lanes):
        rig.feed(at, end())
        out += rig.run()
    assert rig.task.done
    assert sorted(row for row in out if isinstance(row, int)) == sorted(into)
    assert [row for row in out if not isinstance(row, int)] == [(BARRIER, n + 1) for n in range(max(brought))] + [
        (END, 1)
    ]
