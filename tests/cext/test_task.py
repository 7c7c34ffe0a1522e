"""Tasks: marks in order over several lanes, the end however it comes, and where the time went."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cext.chain import Filter, Map, Operator
from cext.channel import Channel
from cext.columns import Count
from cext.frame import Frame, barrier, end, idle, watermark
from cext.getter import Getter
from cext.groups import Groups
from cext.guard import Guard
from cext.head import Aggregate, Expand, Head, Pass
from cext.lanes import Lane, Lanes
from cext.port import Port
from cext.sink import Sink
from cext.source import Source
from cext.task import Task
from cext.window import Window

WATERMARK, BARRIER, END, IDLE = 1, 2, 3, 4
MODES = ["fail", "skip", "dead-letter"]


def channel(most: int = 1024, frame: int = 256) -> Channel:
    return Channel(Window(0.1, most, 2 * frame), frame)


def guard(mode: str = "fail") -> Guard:
    return Guard(mode, None, lambda record, error: (record, error))


class Rig:
    """A task between `lanes` and one output, and what came out: records, and marks as (kind, value)."""

    def __init__(
        self,
        lanes: int = 1,
        *chain: Operator,
        head: Head | None = None,
        most: int = 1024,
        linger: int = 0,
    ) -> None:
        self.lanes = [channel() for _ in range(lanes)]
        self.out, self.dead = channel(most, most), channel()
        self.task = Task(
            "task",
            head or Pass("pass", guard()),
            self.lanes,
            list(chain),
            [[Port("forward", [self.out])]],
            [Port("forward", [self.dead])],
            linger=linger,
        )
        self.got: list[Any] = []
        self.letters: list[Any] = []

    def feed(self, lane: int, *items: Any) -> Rig:
        """Marks as they are; anything else is a record in a frame of its own, lists are frames."""
        for item in items:
            if isinstance(item, Frame):
                assert self.lanes[lane].push(item)
            else:
                self.lanes[lane].push_rows(item if isinstance(item, list) else [item])
        return self

    def take(self) -> list[Any]:
        """What has come out since."""
        for source, target in ((self.out, self.got), (self.dead, self.letters)):
            for frame in iter(source.pop, None):
                target.extend(frame.rows or [(frame.kind, frame.value)])
                source.give_back(frame.records)
        return self.got

    def run(self) -> list[Any]:
        """Until nothing moves; everything that has come out so far."""
        for _ in range(1000):
            moved = self.task.run_until_idle(1)
            for each in (*self.lanes, self.out, self.dead):
                each.validate()
                assert each.in_flight <= each.bound
            if not moved:
                self.take()
                if not self.task.run_until_idle(1):
                    break
        return self.take()


# The end.


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("cut", [None, 0, 1, 2])
def test_the_end_comes_once_all_lanes_have_ended_and_is_whole_if_all_were(
    order: tuple[int, ...], cut: int | None
) -> None:
    rig = Rig(3)
    for i, lane in enumerate(order):
        assert not rig.task.done
        rig.feed(lane, i, end(lane != cut))
        assert rig.run()[i] == i
    assert rig.task.done
    assert rig.got == [0, 1, 2, (END, cut is None)]
    assert rig.task.failure is None


def test_after_the_end_nothing_moves() -> None:
    rig = Rig().feed(0, 1, end())
    rig.run()
    rig.task.cancel()
    assert rig.task.run_until_idle() == 0
    assert rig.got == [1, (END, 1)]
    before = rig.task.counters()
    assert rig.task.counters() == before


def test_what_comes_behind_an_end_is_not_taken() -> None:
    rig = Rig(2).feed(0, end(), 7).feed(1, 1)
    assert rig.run() == [1]
    assert rig.lanes[0].in_flight == 1


# Watermarks.


def test_event_time_is_the_least_of_all_lanes() -> None:
    rig = Rig(2)
    assert rig.feed(0, watermark(10)).run() == []
    assert rig.feed(1, watermark(4)).run() == [(WATERMARK, 4)]
    assert rig.feed(1, watermark(7)).run()[1:] == [(WATERMARK, 7)]
    assert rig.feed(1, watermark(20)).run()[2:] == [(WATERMARK, 10)]
    assert rig.feed(1, watermark(25)).run()[3:] == []


def test_event_time_never_goes_back() -> None:
    assert Rig().feed(0, watermark(5), watermark(3), watermark(5), watermark(-1), watermark(6)).run() == [
        (WATERMARK, 5),
        (WATERMARK, 6),
    ]


def test_a_lane_that_has_ended_holds_no_time_back() -> None:
    rig = Rig(2).feed(0, watermark(10)).feed(1, watermark(4))
    assert rig.run() == [(WATERMARK, 4)]
    assert rig.feed(1, end()).run()[1:] == [(WATERMARK, 10)]
    rig = Rig(2).feed(1, end()).feed(0, watermark(10))
    assert rig.run() == [(WATERMARK, 10)]


@given(
    st.integers(1, 4),
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(-50, 50) | st.none() | st.just("end")),
        max_size=30,
    ),
)
def test_event_time_beside_its_definition(lanes: int, steps: list[tuple[int, Any]]) -> None:
    """A number is a watermark, None a record."""
    rig, ended, times, passed = Rig(lanes), set[int](), [-(2**62)] * lanes, -(2**62)
    wanted: list[Any] = []
    for lane, what in steps:
        if lane >= lanes or lane in ended:
            continue
        if what is None:
            wanted.append(lane)
            rig.feed(lane, lane)
        elif what == "end":
            ended.add(lane)
            rig.feed(lane, end())
        else:
            times[lane] = max(times[lane], what)
            rig.feed(lane, watermark(what))
        running = [times[i] for i in range(lanes) if i not in ended]
        if not running:
            wanted.append((END, 1))
        elif min(running) > passed:
            passed = min(running)
            wanted.append((WATERMARK, passed))
        assert rig.run() == wanted


# Barriers.


def test_a_barrier_waits_for_all_lanes_and_holds_those_that_have_brought_it() -> None:
    rig = Rig(3).feed(0, 1, barrier(5), 2).feed(1, 3, barrier(5), 4)
    assert sorted(rig.run()) == [1, 3]
    assert rig.feed(2, 6).run()[2:] == [6]
    rig.feed(2, barrier(5), 7)
    assert rig.run()[3] == (BARRIER, 5)
    assert sorted(rig.got[4:]) == [2, 4, 7]


def test_a_lane_that_has_ended_brings_no_barrier() -> None:
    rig = Rig(3).feed(0, barrier(1), 2).feed(1, end())
    assert rig.run() == []
    assert rig.feed(2, end()).run() == [(BARRIER, 1), 2]


def test_time_that_an_ended_lane_held_back_goes_on_though_a_barrier_is_awaited() -> None:
    rig = Rig(2).feed(0, watermark(10), barrier(1)).feed(1, watermark(4), end())
    got = rig.run()
    assert got[0] == (WATERMARK, 4)
    assert sorted(got[1:]) == [(WATERMARK, 10), (BARRIER, 1)]
    rig = Rig(3).feed(0, watermark(10), barrier(1)).feed(1, watermark(4), end()).feed(2, watermark(20))
    assert rig.run() == [(WATERMARK, 4), (WATERMARK, 10)]


def test_watermarks_of_the_lanes_that_run_pass_while_one_is_held() -> None:
    rig = Rig(2).feed(0, watermark(10), barrier(1)).feed(1, watermark(3), watermark(5))
    assert rig.run() == [(WATERMARK, 3), (WATERMARK, 5)]


@given(
    st.integers(1, 4), st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["row", "barrier", "end"])), max_size=40)
)
@settings(deadline=None)
def test_no_record_passes_a_barrier_in_either_direction(lanes: int, steps: list[tuple[int, str]]) -> None:
    """Records carry the number of the checkpoint that they belong to: how many barriers their lane had before them."""
    rig, ended, brought = Rig(lanes), set[int](), [0] * lanes
    for lane, what in steps:
        if lane >= lanes or lane in ended:
            continue
        if what == "row":
            rig.feed(lane, ("row", lane, brought[lane]))
        elif what == "barrier":
            brought[lane] += 1
            rig.feed(lane, barrier(brought[lane]))
        else:
            ended.add(lane)
            rig.feed(lane, end())
        rig.run()
    passed = 0
    for item in rig.got:
        if item[0] == "row":
            assert item[2] == passed
        elif item[0] == BARRIER:
            passed += 1
            assert item == (BARRIER, passed)
    running = [brought[lane] for lane in range(lanes) if lane not in ended]
    if running:
        assert passed == min(running)
        assert not rig.task.done
    else:
        assert rig.got[-1] == (END, 1)


@pytest.mark.parametrize("first", [0, 1])
def test_only_equal_barriers_are_aligned(first: int) -> None:
    """5 was given up before the source of the one lane made it, which skips it."""
    rig = Rig(2)
    fed = {0: ["a", barrier(5), "b", barrier(6), "c"], 1: ["d", barrier(6), "e"]}
    for lane in (first, 1 - first):
        rig.feed(lane, *fed[lane]).run()
    assert sorted(rig.got[:3]) == ["a", "b", "d"]
    assert rig.got[3] == (BARRIER, 6)
    assert sorted(rig.got[4:]) == ["c", "e"]
    rig.feed(first, barrier(7), "f").run()
    assert rig.feed(1 - first, barrier(7)).run()[6:] == [(BARRIER, 7), "f"]


def test_a_lane_goes_on_once_it_is_known_that_its_barrier_comes_to_nothing() -> None:
    """Because it was given up, or as a newer one has begun; what other lanes bring of it goes by."""
    rig = Rig(2).feed(0, barrier(1), "a")
    assert rig.run() == []
    rig.task.drop_barrier(1)
    assert rig.run() == ["a"]
    assert rig.feed(1, barrier(1), "b").feed(0, barrier(2), "c").run() == ["a", "b"]
    rig.task.expect_barrier(3)
    assert rig.feed(1, barrier(2), "d").run()[2:] in (["c", "d"], ["d", "c"])
    assert rig.feed(0, barrier(3)).feed(1, end()).run()[4:] == [(BARRIER, 3)]


def test_a_lane_that_brought_a_barrier_which_came_to_nothing_may_end() -> None:
    rig = Rig(3).feed(0, barrier(1), "a", end()).feed(1, barrier(2))
    assert rig.run() == ["a"]
    assert rig.feed(2, barrier(1), "b", barrier(2)).run() == ["a", "b", (BARRIER, 2)]


def test_barriers_of_a_table_that_is_read_first_are_aligned_with_their_equals() -> None:
    """The first came to nothing while the table was read, and its other lane brings it only now."""
    table, stream, out = channel(), channel(), channel()
    lanes = Lanes([Lane(table, is_table=True), Lane(stream)], tables_first=True)
    task = Task("join", Pass("pass", guard()), lanes, [], [[Port("forward", [out])]], linger=0)
    kept: list[int] = []
    task.checkpointed = lambda task, number, is_last, states: kept.append(number)
    for lane, items in ((table, ["t", barrier(1), "u", barrier(2), idle()]), (stream, ["a", barrier(1), "b"])):
        for item in items:
            lane.push(item) if isinstance(item, Frame) else lane.push_rows([item])
    task.run_until_idle()
    assert kept == []
    assert stream.push(barrier(2))
    task.run_until_idle()
    assert kept == [2]
    frames = list(iter(out.pop, None))
    assert [row for frame in frames for row in frame.rows or []] == ["t", "u", "a", "b"]
    assert (frames[-1].kind, frames[-1].value) == (BARRIER, 2)


# Lanes.


def test_lanes_take_turns() -> None:
    rig = Rig(3)
    for lane in range(3):
        rig.feed(lane, *[lane] * 4)
    got = rig.run()
    assert [sorted(got[i : i + 3]) for i in range(0, 12, 3)] == [[0, 1, 2]] * 4


def test_an_empty_lane_is_passed_over() -> None:
    assert Rig(3).feed(1, 1, 2, 3).run() == [1, 2, 3]


# Marks where there is no room.


def test_a_mark_that_waits_for_a_slot_holds_back_what_is_behind_it() -> None:
    rig = Rig(most=8).feed(0, 1, watermark(5), 2, end())
    rig.task.run_until_idle(1)
    while rig.out.push(watermark(-1)):
        pass
    assert rig.task.run_until_idle() == 0  # without credit it does not look for marks either
    assert rig.run() == [1, *[(WATERMARK, -1)] * 7, (WATERMARK, 5), 2, (END, 1)]


def two_outputs() -> tuple[Task, Channel, Channel, Channel]:
    lane, free, full = channel(), channel(8, 8), channel(8, 8)
    ports = [Port("forward", [free]), Port("forward", [full])]
    return Task("task", Pass("pass", guard()), [lane], [], [ports], linger=0), lane, free, full


@pytest.mark.parametrize("mark", [watermark(5), barrier(5)])
def test_a_mark_that_one_port_has_had_goes_to_the_others_though_the_task_is_cancelled(mark: Frame) -> None:
    task, lane, free, full = two_outputs()
    lane.push(mark)
    lane.push_rows([1, 2])
    lane.push(end())
    task.run_until_idle(1)  # the mark is taken
    while full.push(watermark(-1)):
        pass
    assert task.run_until_idle() == 0
    assert [frame.value for frame in iter(free.pop, None)] == [5]
    task.cancel()
    assert task.run_until_idle() == 0
    assert list(iter(free.pop, None)) == []
    assert len(list(iter(full.pop, None))) == 8
    task.run_until_idle()
    assert task.done
    for out, values in ((free, [(END, 0)]), (full, [(mark.kind, 5), (END, 0)])):
        assert [(frame.kind, frame.value) for frame in iter(out.pop, None)] == values
    assert (lane.in_flight, task.dropped) == (0, 2)


def test_an_end_that_one_port_has_had_stays_whole_though_the_task_is_cancelled() -> None:
    task, lane, free, full = two_outputs()
    lane.push(end())
    task.run_until_idle(1)
    while full.push(watermark(-1)):
        pass
    assert task.run_until_idle() == 0
    task.cancel()
    assert len(list(iter(full.pop, None))) == 8
    task.run_until_idle()
    assert task.done
    for out in (free, full):
        assert [(frame.kind, frame.value) for frame in iter(out.pop, None)] == [(END, 1)]


def test_a_mark_that_no_port_has_had_yet_is_dropped_with_the_rest() -> None:
    rig = Rig(head=Expand("expand", guard(), lambda row: [row] * 50), most=8)
    rig.feed(0, 1, watermark(5), end())
    rig.task.run_until_idle()
    rig.task.cancel()
    got = rig.run()
    assert got == [1] * 8 + [(END, 0)]
    assert rig.lanes[0].in_flight == 0


# Failure.


def broken(at: int, error: BaseException | None = None) -> Callable[[int], int]:
    def function(row: int) -> int:
        if row == at:
            raise error or ValueError(row)
        return row

    return function


@pytest.mark.parametrize("at", range(6))
def test_what_came_before_a_failure_is_delivered_and_then_a_cut_end(at: int) -> None:
    rig = Rig(1, Map("map", guard(), broken(at))).feed(0, [0, 1], 2, [3, 4, 5], watermark(9), 6, end())
    assert rig.run() == [*range(at), (END, 0)]
    assert isinstance(rig.task.failure, ValueError)
    assert (rig.task.done, rig.lanes[0].in_flight) == (True, 0)


def test_letters_of_records_before_a_failure_are_delivered() -> None:
    chain = [Map("first", guard("dead-letter"), broken(1)), Map("second", guard(), broken(3))]
    rig = Rig(1, *chain).feed(0, [0, 1, 2, 3, 4], end())
    assert rig.run() == [0, 2, (END, 0)]
    assert [letter[0] for letter in rig.letters] == [1, END]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), MemoryError(), RecursionError()])
def test_whatever_is_raised_ends_the_task_and_not_its_thread(error: BaseException) -> None:
    rig = Rig(1, Map("map", guard("skip"), broken(1, error))).feed(0, [0, 1, 2], end())
    got = rig.run()
    assert got == ([0, 2, (END, 1)] if isinstance(error, Exception) else [0, (END, 0)])
    assert rig.task.failure is (None if isinstance(error, Exception) else error)


def test_a_failure_is_handed_over_once() -> None:
    rig = Rig(1, Map("map", guard(), broken(0))).feed(0, 0, end())
    rig.run()
    failure = rig.task.take_failure()
    assert isinstance(failure, ValueError)
    assert (rig.task.take_failure(), rig.task.failure) == (None, None)


@pytest.mark.parametrize("way", ["fails", "is cancelled"])
def test_who_drops_lets_everything_by_until_all_lanes_end(way: str) -> None:
    """Its producers are not stopped: they learn nothing of it, and must not wait for credit."""
    rig = Rig(2, Map("map", guard(), broken(0)))
    if way == "fails":
        rig.feed(0, [0, 1, 2])
    else:
        rig.task.cancel()
    rig.run()
    for turn in range(50):
        rig.feed(turn % 2, [turn] * 100, watermark(turn))
        if turn == 20:
            rig.feed(0, barrier(1))
        assert rig.run() == []
        assert rig.lanes[turn % 2].available() >= 924
        assert not rig.task.done
    assert rig.task.dropped == 50 * 100 + 3 * (way == "fails")
    rig.feed(0, end()).run()
    assert rig.feed(1, end()).run() == [(END, 0)]
    assert rig.task.done


def test_dropping_needs_no_credit() -> None:
    rig = Rig(most=5)
    rig.feed(0, [1] * 5, [2] * 100)
    rig.task.run_until_idle()
    assert rig.lanes[0].in_flight == 100
    rig.task.cancel()
    rig.task.run_until_idle()
    assert rig.lanes[0].in_flight == 0
    assert rig.out.in_flight == 5


def test_a_held_lane_is_let_by_too() -> None:
    rig = Rig(2).feed(0, barrier(1), [1, 2, 3], end())
    rig.run()
    assert rig.lanes[0].in_flight == 3
    rig.task.cancel()
    rig.feed(1, 5, end())
    assert rig.run() == [(END, 0)]
    assert rig.task.dropped == 4


@pytest.mark.parametrize("steps", range(10))
def test_cancelled_at_any_moment_it_ends_cut_unless_it_had_ended(steps: int) -> None:
    rig = Rig(1, Filter("filter", guard(), lambda row: row % 2)).feed(0, [1, 2], watermark(1), 3, barrier(1), 4, end())
    rig.task.run_until_idle(steps)
    ended = rig.task.done
    rig.task.cancel()
    rig.task.cancel()
    got = rig.run()
    whole = [1, (WATERMARK, 1), 3, (BARRIER, 1), (END, 1)]
    assert got == whole if ended else got == [*whole[: len(got) - 1], (END, 0)]
    assert rig.lanes[0].in_flight == 0
    assert rig.task.failure is None


def test_of_two_failures_the_first_counts() -> None:
    head = BrokenEnd("head", guard())
    rig = Rig(1, Map("map", guard(), broken(0)), head=head).feed(0, 0, end())
    assert rig.run() == [(END, 0)]
    assert str(rig.task.failure) == "0"
    assert head.closed == [False]


class BrokenEnd(Head):
    """Passes on what it is given, and fails when it is closed."""

    def __init__(self, name: str, guard: Guard) -> None:
        self.rows: list[Any] | None = None
        self.lane: Channel | None = None
        self.closed: list[bool] = []
        self.finished: list[bool] = []

    def hungry(self) -> bool:
        return self.rows is None

    def accept(self, lane: Channel, frame: Frame, now: int) -> None:
        self.lane, self.rows = lane, frame.rows

    def more(self, limit: int, now: int, side: Any) -> list[Any] | None:
        if self.rows is None or self.lane is None:
            return None
        rows, self.rows = self.rows, None
        self.lane.give_back(len(rows))
        return rows

    def drained(self) -> bool:
        return self.rows is None

    def finish(self, whole: bool) -> None:
        self.finished.append(whole)

    def close(self, whole: bool) -> None:
        self.closed.append(whole)
        raise OSError("close")


@pytest.mark.parametrize("whole", [True, False])
def test_an_end_that_cannot_be_closed_is_cut(whole: bool) -> None:
    head = BrokenEnd("head", guard())
    rig = Rig(head=head).feed(0, 1, end(whole))
    assert rig.run() == [1, (END, 0)]
    assert str(rig.task.failure) == "close"
    assert (head.finished, head.closed) == ([whole], [whole])


def test_a_policy_that_raises_ends_the_task() -> None:
    def describe(record: Any, error: BaseException) -> BaseException:
        raise RuntimeError("describe")

    rig = Rig(1, Map("map", Guard("fail", describe), broken(1))).feed(0, [0], [1], end())
    assert rig.run() == [0, (END, 0)]
    assert str(rig.task.failure) == "describe"
    assert rig.lanes[0].in_flight == 0


# Abandoned: nobody can be waited for.


@pytest.mark.parametrize("full", [True, False])
def test_an_abandoned_task_ends_though_its_lanes_never_do(full: bool) -> None:
    head = BrokenEnd("head", guard())
    rig = Rig(2, head=head, most=4).feed(0, 1, 2, 3, 4, 5, 6).feed(1, barrier(1), 7)
    rig.task.run_until_idle()
    while full and rig.out.push(watermark(-1)):
        pass
    rig.task.abandon()
    rig.task.run_until_idle()
    assert rig.task.done
    assert head.closed == [False]
    assert [lane.in_flight for lane in rig.lanes] == [0, 0]
    assert (rig.take()[-1] == (END, 0)) is not full


def test_an_abandoned_task_that_has_ended_stays_as_it_is() -> None:
    rig = Rig().feed(0, 1, end())
    assert rig.run() == [1, (END, 1)]
    rig.task.abandon()
    assert rig.task.run_until_idle() == 0
    assert rig.run() == [1, (END, 1)]


# Time and counters.


def spin(ms: float) -> None:
    until = time.monotonic_ns() + int(ms * 1e6)
    while time.monotonic_ns() < until:
        pass


def test_busy_idle_and_backpressured_add_up_to_its_wall_time() -> None:
    """30 ms of each, however they are mixed."""
    before = time.monotonic_ns()
    rig = Rig(1, Map("map", guard(), lambda row: spin(1)), most=10)
    rig.task.run_until_idle()  # its time begins with its first step
    after = time.monotonic_ns()
    for _ in range(3):
        for _ in range(10):
            rig.task.run_until_idle()
            spin(1)
        rig.feed(0, *range(20))
        rig.task.run_until_idle()
        for _ in range(10):
            assert rig.task.run_until_idle() == 0
            spin(1)
        rig.take()
        rig.task.run_until_idle()
        rig.take()
    begin = time.monotonic_ns()
    counters = rig.task.counters()
    end_ = time.monotonic_ns()
    spent = counters["busy"] + counters["idle"] + counters["backpressured"]
    assert (begin - after) / 1e9 - 1e-9 <= spent <= (end_ - before) / 1e9 + 1e-9
    assert counters["busy"] >= 0.060
    assert counters["idle"] >= 0.030
    assert counters["backpressured"] >= 0.030
    assert counters["busy"] <= spent - 0.060


def test_time_stands_still_after_the_end() -> None:
    rig = Rig().feed(0, 1, end())
    rig.run()
    first = rig.task.counters()
    spin(3)
    assert rig.task.counters() == first


def test_what_is_under_way_elsewhere_is_busy_time() -> None:
    class Away(BrokenEnd):
        def more(self, limit: int, now: int, side: Any) -> list[Any] | None:
            self.waiting = self.rows is not None
            return None

    rig = Rig(head=Away("away", guard())).feed(0, 1)
    rig.task.run_until_idle()
    spin(20)
    rig.task.run_until_idle()
    spin(20)
    assert rig.task.counters()["busy"] >= 0.040


def test_a_task_counts_records_and_frames() -> None:
    rig = Rig(1, Filter("filter", guard(), lambda row: row % 2)).feed(0, [1, 2, 3], watermark(1), [4, 5], end())
    rig.run()
    counters = rig.task.counters()
    assert {name: counters[name] for name in ("records_in", "records_out", "frames_in", "dropped")} == {
        "records_in": 5,
        "records_out": 3,
        "frames_in": 4,
        "dropped": 0,
    }
    assert counters["frames_out"] == 4 + 2  # two of data and two marks, and the marks to where letters go
    assert rig.task.input_channels == rig.lanes


def test_a_task_shows_what_it_is_made_of() -> None:
    head, operator, lane, out = Pass("pass", guard()), Map("map", guard(), len), channel(), channel()
    outputs = [[Port("forward", [out])]]
    task = Task("name", head, [lane], [operator], outputs)
    assert (task.name, task.head, task.chain, task.outputs, task.letters) == ("name", head, [operator], outputs, [])
    assert [each.channel for each in task.lanes.each] == [lane]


def test_a_task_cannot_be_made_of_nothing() -> None:
    build: Any = Task
    wrong: list[tuple[Any, ...]] = [
        (),
        (None, Pass("p", guard()), [], [], []),
        ("task", None, [], [], []),
        ("task", Pass("p", guard()), [1], [], []),
    ]
    for arguments in wrong:
        with pytest.raises(TypeError):
            build(*arguments)


# Deadlines: a thread that parks must wake for them, which is seen by what a runner does; here by what a step does.


def test_a_task_that_waits_for_records_lets_go_of_what_it_has() -> None:
    rig = Rig(linger=10**15, most=1024)
    rig.feed(0, 1, 2).task.run_until_idle()
    assert rig.take() == [1, 2]


def test_a_task_without_credit_lets_go_of_what_it_has() -> None:
    lane, first, second = channel(), channel(64, 64), channel(3, 3)
    ports = [Port("forward", [first]), Port("forward", [second])]
    task = Task("task", Pass("pass", guard()), [lane], [], [ports], linger=10**15)
    lane.push_rows([1, 2, 3, 4])
    task.run_until_idle()
    assert [row for frame in iter(first.pop, None) for row in frame.rows] == [1, 2, 3]


# Many tasks at once: whatever happens to a task, credit comes back and the end goes on.

faults = st.none() | st.tuples(st.integers(0, 40), st.sampled_from([ValueError, KeyboardInterrupt]))


@given(
    st.lists(
        st.lists(st.integers(0, 40) | st.sampled_from(["watermark", "barrier"]), max_size=12), min_size=1, max_size=3
    ),
    st.sampled_from(["pass", "expand", "aggregate"]),
    st.sampled_from(MODES),
    faults,
    st.integers(1, 6),
    st.none() | st.integers(0, 60),
    st.lists(st.booleans(), min_size=1, max_size=8),
)
@settings(deadline=None, max_examples=200)
def test_any_task_comes_to_its_end_and_gives_all_credit_back(
    lanes: list[list[Any]],
    kind: str,
    mode: str,
    fault: tuple[int, type[BaseException]] | None,
    most: int,
    cancel_at: int | None,
    takes: list[bool],
) -> None:
    def function(row: int) -> int:
        if fault is not None and row == fault[0]:
            raise fault[1](row)
        return row

    heads: dict[str, Callable[[], Head]] = {
        "pass": lambda: Pass("head", guard(mode)),
        "expand": lambda: Expand("head", guard(mode), lambda row: [function(row)] * (row % 5)),
        "aggregate": lambda: Aggregate(
            "head", guard(mode), Groups(Getter(function), [Count(Getter())], lambda key, got: key)
        ),
    }
    rig = Rig(len(lanes), Map("map", guard(mode), function), head=heads[kind](), most=most)
    for at, script in enumerate(lanes):
        barriers = 0
        for item in script:
            barriers += item == "barrier"
            rig.feed(
                at, watermark(barriers) if item == "watermark" else barrier(barriers) if item == "barrier" else item
            )
        rig.feed(at, end())
    for step, take in enumerate(itertools.cycle([*takes, True])):
        if step == cancel_at:
            rig.task.cancel()
        rig.task.run_until_idle(1)
        for each in (*rig.lanes, rig.out, rig.dead):
            each.validate()
            assert each.in_flight <= each.bound
        if take:
            rig.take()
        if rig.task.done:
            break
        assert step < 5000
    rig.take()
    assert [lane.in_flight for lane in rig.lanes] == [0] * len(lanes)
    assert [item for item in rig.got if isinstance(item, tuple) and item[0] == END] == [rig.got[-1]]
    if rig.got[-1] == (END, 1):
        assert rig.task.failure is None


def test_a_source_and_a_sink_have_no_lanes_and_no_ports() -> None:
    source = Source("source", guard(), lambda _: None, [], False, type(None))
    out = channel()
    task = Task("source", source, [], [], [[Port("forward", [out])]])
    task.run_until_idle()
    assert [(frame.kind, frame.value) for frame in iter(out.pop, None)] == [(END, 1)]

    class Nowhere:
        def write(self, rows: list[Any]) -> None:
            pass

        def finish(self) -> None:
            pass

    lane = channel()
    lane.push_rows([1])
    lane.push(end())
    task = Task("sink", Sink("sink", guard(), Nowhere, lambda _: False), [lane], [], [])
    task.run_until_idle()
    assert task.done
    assert (task.counters()["records_in"], task.counters()["records_out"]) == (1, 0)


# Event time over lanes that have nothing for now.


def test_event_time_does_not_wait_for_a_lane_that_is_idle_until_its_next_frame() -> None:
    rig = Rig(2)
    rig.feed(0, watermark(5)).feed(1, watermark(3))
    assert rig.run() == [(WATERMARK, 3)]
    rig.feed(1, idle())
    assert rig.run()[1:] == [(WATERMARK, 5)]
    rig.feed(0, watermark(7))
    assert rig.run()[2:] == [(WATERMARK, 7)]
    rig.feed(1, "late").feed(0, watermark(9))
    assert rig.run()[3:] == ["late"]
    rig.feed(1, watermark(8))
    assert rig.run()[4:] == [(WATERMARK, 8)]
    rig.feed(1, end())
    assert rig.run()[5:] == [(WATERMARK, 9)]


def test_when_all_lanes_are_idle_so_is_the_task() -> None:
    rig = Rig(3)
    rig.feed(0, watermark(5), idle()).feed(1, watermark(3), idle()).feed(2, end())
    assert rig.run() == [(WATERMARK, 3), (WATERMARK, 5), (IDLE, 0)]
    assert rig.task.event_time == 5
    rig.feed(1, watermark(4))
    assert rig.run()[3:] == [(WATERMARK, 5)]  # they must wait for it again


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(-9, 9)), max_size=40))
def test_event_time_never_goes_back_whatever_lanes_are_idle(script: list[tuple[int, int]]) -> None:
    rig = Rig(3)
    assert rig.task.event_time is None
    for lane, value in script:
        rig.feed(lane, idle() if value == 0 else watermark(value))
    marks = [value for kind, value in rig.run() if kind == WATERMARK]
    assert marks == sorted(marks)
