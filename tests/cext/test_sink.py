"""Sinks: batches, their linger in virtual time, refusals and outages, and credit that waits for the write."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cext.channel import Channel
from cext.frame import Frame, barrier, end, watermark
from cext.guard import Guard, Sideline
from cext.port import Port
from cext.sink import Sink
from cext.task import Task
from cext.window import Window

MODES = ["fail", "skip", "dead-letter"]
LINGER = 1_000_000


class RefusedError(Exception):
    """A record is to blame."""


class Writer:
    """Writes to lists; refuses what is in `bad`, raises `outage` once it has written `fuse` records."""

    def __init__(self) -> None:
        self.tries: list[list[Any]] = []
        self.rows: list[Any] = []
        self.calls: list[str] = ["open"]
        self.bad: set[Any] = set()
        self.outage: BaseException | None = None
        self.fuse = 0
        self.watch: Any = lambda: None

    def write(self, rows: list[Any]) -> None:
        assert self.calls == ["open"], "write after the end"
        assert type(rows) is list
        assert rows
        self.tries.append(list(rows))
        self.watch()
        if set(rows) & self.bad:
            raise RefusedError(sorted(set(rows) & self.bad))
        if self.outage is not None and len(self.rows) + len(rows) > self.fuse:
            raise self.outage
        self.rows += rows

    def finish(self) -> None:
        self.calls.append("finish")

    def abort(self) -> None:
        self.calls.append("abort")


class Rig:
    """A sink that is driven call by call, at the times that the test says."""

    def __init__(self, batch: int = 0, mode: str = "fail", most: int = 4096) -> None:
        self.writers: list[Writer] = []
        self.writer = Writer()
        self.guard = Guard(mode, None, lambda record, error: (record, error))
        self.sink = Sink("sink", self.guard, self.open, self.is_refusal, batch, LINGER)
        self.lane = Channel(Window(0.1, most, 1024, batch), 1024)
        self.side = Sideline()

    def open(self) -> Writer:
        self.writers.append(self.writer)
        return self.writer

    @staticmethod
    def is_refusal(error: BaseException) -> bool:
        return isinstance(error, RefusedError)

    def accept(self, *rows: Any, now: int = 0, born: int = 0, lane: Channel | None = None) -> None:
        lane = lane or self.lane
        lane.push_rows(list(rows), born)
        frame = lane.pop()
        assert frame is not None
        self.sink.accept(lane, frame, now)

    def more(self, now: int = 0, limit: int = 1 << 30) -> list[Any] | None:
        return self.sink.more(limit, now, self.side)

    def task(self, dead: Channel | None = None, frame_records: int = 1024, linger: int = LINGER) -> Task:
        letters = [] if dead is None else [Port("forward", [dead])]
        return Task("sink", self.sink, [self.lane], [], [], letters, None, frame_records, linger)


# Batches.


def test_without_a_batch_size_it_writes_what_there_is() -> None:
    rig = Rig()
    assert rig.more() is None
    rig.accept(1, 2, 3)
    assert rig.more() == []
    assert rig.writer.tries == [[1, 2, 3]]
    assert rig.more() is None
    assert (rig.sink.hungry(), rig.sink.drained()) == (True, True)


def test_a_batch_is_gathered_from_frames() -> None:
    rig = Rig(batch=5)
    for start in (0, 2):
        rig.accept(start, start + 1)
        assert (rig.more(), rig.sink.hungry(), rig.sink.drained()) == (None, True, False)
    rig.accept(4, 5, 6)
    assert not rig.sink.hungry()
    assert rig.more() == []
    assert rig.writer.tries == [[0, 1, 2, 3, 4]]
    assert rig.more() is None
    assert rig.lane.in_flight == 2


@given(st.integers(1, 9), st.lists(st.integers(1, 25), max_size=12))
def test_batches_cut_any_frames_and_lose_nothing(batch: int, frames: list[int]) -> None:
    rig = Rig(batch)
    position = 0
    for size in frames:
        rig.accept(*range(position, position + size))
        position += size
        while rig.more() is not None:
            assert len(rig.writer.tries[-1]) == batch
    rig.sink.hurry = True
    while rig.more() is not None:
        pass
    assert rig.writer.rows == list(range(position))
    assert rig.lane.in_flight == 0
    assert rig.sink.written == rig.sink.records_in == position


def test_a_batch_that_is_not_full_is_written_once_nothing_has_come_for_linger() -> None:
    rig = Rig(batch=5)
    assert rig.sink.deadline() == -1
    rig.accept(1, now=1000)
    assert rig.sink.deadline() == 1000 + LINGER
    rig.accept(2, now=5000)
    assert rig.sink.deadline() == 5000 + LINGER
    assert rig.more(now=5000 + LINGER - 1) is None
    assert rig.more(now=5000 + LINGER) == []
    assert rig.writer.rows == [1, 2]
    assert rig.sink.deadline() == -1


def test_a_mark_behind_it_hurries_a_batch() -> None:
    rig = Rig(batch=100)
    rig.accept(1)
    assert rig.more() is None
    rig.sink.hurry = True
    assert rig.more() == []
    assert rig.writer.rows == [1]


@pytest.mark.parametrize("mark", [barrier(3), end(), end(False)])
def test_in_a_task_a_mark_passes_once_the_batch_before_it_is_written(mark: Frame) -> None:
    rig = Rig(batch=100)
    rig.lane.push_rows([1, 2])
    rig.lane.push(mark)
    rig.task().run_until_idle()
    assert rig.writer.rows == [1, 2]
    assert rig.lane.in_flight == 0
    assert rig.writer.calls[1:] == ([] if mark.kind == 2 else ["finish" if mark.value else "abort"])


def test_a_watermark_does_not_break_a_batch() -> None:
    rig = Rig(batch=4)
    task = rig.task(linger=1)
    for i in range(4):
        rig.lane.push_rows([i])
        rig.lane.push(watermark(i))
    rig.lane.push_rows([4])
    task.run_until_idle()
    assert rig.writer.tries[0] == [0, 1, 2, 3]


def test_in_a_task_a_batch_may_be_larger_than_a_frame() -> None:
    rig = Rig(batch=5000, most=10_000)
    for start in range(0, 10_000, 1000):
        rig.lane.push_rows(list(range(start, start + 1000)))
    rig.lane.push(end())
    rig.task(frame_records=1024).run_until_idle()
    assert [len(rows) for rows in rig.writer.tries] == [5000, 5000]


def test_in_a_task_a_batch_larger_than_a_frame_may_send_letters() -> None:
    rig = Rig(batch=50, mode="dead-letter")
    rig.writer.bad = set(range(0, 100, 3))
    dead = Channel(Window(0.1, 64, 32), 16)
    for start in range(0, 100, 10):
        rig.lane.push_rows(list(range(start, start + 10)))
    rig.lane.push(end())
    task = rig.task(dead)
    letters: list[Any] = []
    for _ in range(1000):
        task.run_until_idle(1)
        for frame in iter(dead.pop, None):
            letters.extend(record for record, _ in frame.rows)
            dead.give_back(frame.records)
    assert task.done
    assert letters == sorted(rig.writer.bad)
    assert rig.writer.rows == [row for row in range(100) if row % 3]
    assert dead.most_in_flight <= 64
    assert max(map(len, rig.writer.tries)) == 50


@pytest.mark.parametrize("pushed", [1, 100, 1000])
def test_without_a_batch_size_a_write_gets_what_waits_up_to_a_frame(pushed: int) -> None:
    rig = Rig()
    for start in range(0, 2000, pushed):
        rig.lane.push_rows(list(range(start, start + pushed)))
    rig.lane.push(end())
    rig.task().run_until_idle()
    assert [len(rows) for rows in rig.writer.tries] == [1024, 488, 488]  # the second write is a half one, see Cost
    assert rig.writer.rows == list(range(2000))


class Rated:
    """A rig whose writes take virtual time, and whose lane is kept as full as its credit lets it be."""

    def __init__(self, fixed: int, each: int) -> None:
        self.rig, self.now, self.pushed = Rig(), 0, 0
        self.rig.writer.watch = self.pass_time
        self.fixed, self.each = fixed, each
        sink = Sink("sink", self.rig.guard, self.rig.open, self.rig.is_refusal, 0, LINGER, lambda: self.now)
        self.rig.sink = sink

    def pass_time(self) -> None:
        self.now += self.fixed + self.each * len(self.rig.writer.tries[-1])

    def run(self, writes: int, most: int = 1 << 30) -> list[int]:
        """The sizes of so many writes, with up to `most` records in sight."""
        task, tries = self.rig.task(), self.rig.writer.tries
        before = len(tries)
        while len(tries) < before + writes:
            for _ in range(min(most - self.rig.lane.in_flight, self.rig.lane.available()) // 8):
                self.rig.lane.push_rows(list(range(self.pushed, self.pushed + 8)))
                self.pushed += 8
            task.run_until_idle(1)
        return [len(rows) for rows in tries[before:]]


def test_a_write_that_costs_more_than_its_rows_gets_as_many_as_wait() -> None:
    rated = Rated(fixed=100_000_000, each=0)
    sizes = rated.run(30, most=1000)
    assert all(rows >= 992 or 496 <= rows <= 500 for rows in sizes[10:])  # all that wait, or half of them
    assert rated.rig.sink.cost.batch == 2048  # half of what its lane may ever hold
    assert rated.rig.writer.rows == list(range(sum(sizes)))


def test_rows_that_cost_more_than_their_write_go_a_frame_at_a_time() -> None:
    rated = Rated(fixed=0, each=500_000)
    assert max(rated.run(30)) <= 1024
    assert rated.rig.sink.cost.batch == 0


def test_a_window_makes_room_for_the_batches_that_a_sink_has_learned() -> None:
    rated = Rated(fixed=100_000_000, each=0)
    rated.run(20)
    lane, task = rated.rig.lane, rated.rig.task()
    assert rated.rig.sink.cost.batch == 2048
    while lane.law.floor != 4096:  # at the end of the lane's period, by the task's own clock
        task.run_until_idle(1)
    assert lane.law.size == 4096


@pytest.mark.parametrize("mode", ["skip", "dead-letter"])
def test_a_write_that_was_refused_says_nothing_about_cost(mode: str) -> None:
    rig = Rig(mode=mode)
    for start in range(0, 400, 8):
        rig.writer.bad = {start}
        rig.accept(*range(start, start + 8))
        while rig.more() is not None:
            pass
    assert rig.sink.cost.batch == rig.sink.cost.fixed == 0


# Credit.


def test_credit_goes_back_when_the_write_has_returned() -> None:
    rig = Rig(batch=3)
    seen: list[int] = []
    rig.writer.watch = lambda: seen.append(rig.lane.in_flight)
    for start in (0, 2):
        rig.accept(start, start + 1)
        assert rig.lane.in_flight == start + 2
        rig.more()
    assert (seen, rig.lane.in_flight) == ([4], 1)


def test_credit_goes_back_to_the_lane_that_it_came_from_the_oldest_first() -> None:
    rig = Rig(batch=4)
    lanes = [Channel(Window(0.1, 64, 32), 16) for _ in range(3)]
    for i, lane in enumerate([lanes[0], lanes[1], lanes[0], lanes[2]]):
        rig.accept(2 * i, 2 * i + 1, lane=lane)
    rig.more()
    assert [lane.in_flight for lane in lanes] == [2, 0, 2]
    rig.more()
    assert [lane.in_flight for lane in lanes] == [0, 0, 0]
    assert rig.writer.tries == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_delays_are_counted_for_each_record_from_its_birth() -> None:
    rig = Rig(batch=3)
    rig.accept(1, 2, born=1)
    rig.accept(3, 4, born=2**62)  # not yet born: a clock's whim counts as no delay
    rig.more()
    latency = rig.sink.latency
    assert (latency.count, latency.minimum) == (3, 0)
    assert latency.maximum > 0
    rig.sink.hurry = True
    rig.more()
    assert latency.count == 4


# Refusals and outages.


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("bad", [(0,), (4,), (7,), (0, 4, 7), tuple(range(8))])
@pytest.mark.parametrize("batch", [0, 4, 100])
def test_a_refused_record_is_found_by_trying_each_alone(mode: str, bad: tuple[int, ...], batch: int) -> None:
    rig = Rig(batch, mode)
    rig.writer.bad = set(bad)
    rig.accept(*range(8))
    rig.sink.hurry = True
    while rig.side.failure is None and rig.more() is not None:
        pass
    if mode == "fail":
        assert isinstance(rig.side.failure, RefusedError)
        assert all(row < min(bad) for row in rig.writer.rows)
        return
    assert rig.writer.rows == [row for row in range(8) if row not in bad]
    assert [record for record, _ in rig.side.letters] == (list(bad) if mode == "dead-letter" else [])
    assert (rig.guard.skipped, rig.guard.lettered) == (len(bad) * (mode == "skip"), len(bad) * (mode == "dead-letter"))
    assert rig.sink.written == 8 - len(bad)
    assert rig.lane.in_flight == 0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("outage", [OSError("down"), KeyboardInterrupt(), SystemExit()])
def test_an_outage_is_no_records_fault(mode: str, outage: BaseException) -> None:
    rig = Rig(4, mode)
    rig.writer.outage, rig.writer.fuse = outage, 4
    rig.accept(*range(8))
    rig.more()
    assert rig.side.failure is None
    rig.more()
    assert rig.side.failure is outage
    assert rig.writer.tries == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert (rig.guard.skipped, rig.side.letters) == (0, [])


@pytest.mark.parametrize("mode", ["skip", "dead-letter"])
def test_an_outage_while_records_are_tried_alone_ends_it(mode: str) -> None:
    rig = Rig(0, mode)
    rig.writer.bad, rig.writer.outage, rig.writer.fuse = {1}, OSError("down"), 2
    rig.accept(*range(5))
    rig.more()
    assert rig.writer.tries == [[0, 1, 2, 3, 4], [0], [1], [2], [3]]
    assert rig.side.failure is rig.writer.outage
    assert rig.writer.rows == [0, 2]


def test_a_refusal_that_is_no_exception_ends_it_at_once() -> None:
    rig = Rig(0, "skip")
    rig.writer.outage = KeyboardInterrupt()
    rig.sink = Sink("sink", rig.guard, rig.open, lambda _: True)
    rig.accept(1, 2)
    rig.more()
    assert rig.side.failure is rig.writer.outage
    assert len(rig.writer.tries) == 1


@pytest.mark.parametrize("mode", MODES)
def test_records_that_are_lost_with_a_failure_do_not_keep_their_credit(mode: str) -> None:
    rig = Rig(4, mode)
    rig.writer.outage = OSError("down")
    for start in range(0, 12, 3):
        rig.lane.push_rows(list(range(start, start + 3)))
    rig.lane.push(end())
    task = rig.task()
    task.run_until_idle()
    assert task.done
    assert task.failure is rig.writer.outage
    assert (rig.lane.in_flight, rig.writer.calls) == (0, ["open", "abort"])


# A writer's life.


@pytest.mark.parametrize("whole", [True, False])
def test_a_writer_is_opened_once_and_ended_once(whole: bool) -> None:
    rig = Rig()
    for i in range(5):
        rig.lane.push_rows([i])
    rig.lane.push(end(whole))
    task = rig.task()
    task.run_until_idle()
    assert task.done
    assert rig.writers == [rig.writer]
    assert rig.writer.calls == ["open", "finish" if whole else "abort"]


def test_an_empty_stream_is_a_result_too() -> None:
    rig = Rig()
    rig.lane.push(end())
    rig.task().run_until_idle()
    assert (rig.writer.calls, rig.writer.tries) == (["open", "finish"], [])


def test_what_never_began_is_not_opened_to_be_aborted() -> None:
    rig = Rig()
    rig.lane.push_rows([1])
    rig.lane.push(end(False))
    task = rig.task()
    task.cancel()
    task.run_until_idle()
    assert task.done
    assert rig.writers == []
    assert rig.lane.in_flight == 0


class BrokenWriter(Writer):
    def __init__(self, broken: str) -> None:
        super().__init__()
        self.broken = broken

    def __getattribute__(self, name: str) -> Any:
        if name in {"finish", "abort"} and name == super().__getattribute__("broken"):
            self.calls.append(name)
            raise OSError(name)
        return super().__getattribute__(name)


@pytest.mark.parametrize("broken", ["open", "finish", "abort"])
def test_a_writer_that_cannot_be_opened_or_ended_fails_the_task_once(broken: str) -> None:
    described: list[tuple[Any, BaseException]] = []

    def describe(record: Any, error: BaseException) -> BaseException:
        described.append((record, error))
        return RuntimeError(str(error))

    rig = Rig()
    writer = BrokenWriter(broken)
    opened: list[int] = []

    def open_writer() -> Writer:
        opened.append(1)
        if broken == "open":
            raise OSError("open")
        return writer

    rig.sink = Sink("sink", Guard("skip", describe), open_writer, rig.is_refusal)
    rig.lane.push_rows([1])
    rig.lane.push(end(broken != "abort"))
    task = rig.task()
    task.run_until_idle()
    assert task.done
    assert (str(task.failure), [str(error) for _, error in described]) == (broken, [broken])
    assert opened == [1]
    assert writer.calls == (["open"] if broken == "open" else ["open", broken])
    assert rig.lane.in_flight == 0


@given(
    st.integers(0, 7),
    st.sampled_from(MODES),
    st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=9), max_size=6),
    st.sets(st.integers(0, 30), max_size=4),
    st.none() | st.integers(0, 30),
    st.integers(0, 25),
    st.booleans(),
)
@settings(deadline=None)
def test_whatever_happens_credit_comes_back_and_the_writer_is_ended_once(
    batch: int,
    mode: str,
    frames: list[list[int]],
    bad: set[int],
    fuse: int | None,
    cancelled_after: int,
    whole: bool,
) -> None:
    rig = Rig(batch, mode)
    rig.writer.bad = bad
    if fuse is not None:
        rig.writer.outage, rig.writer.fuse = OSError("down"), fuse
    dead = Channel(Window(0.1, 64, 32), 16)
    for frame in frames:
        rig.lane.push_rows(frame)
    rig.lane.push(end(whole))
    task = rig.task(dead, linger=0)
    for step in range(200):
        if step == cancelled_after:
            task.cancel()
        task.run_until_idle(1)
        rig.lane.validate()
        dead.validate()
        for taken in iter(dead.pop, None):
            dead.give_back(taken.records)
    assert task.done
    assert rig.lane.in_flight == 0
    assert len(rig.writers) <= 1
    assert rig.writer.calls[1:] in ([], ["finish"], ["abort"])
    if rig.writer.calls[1:] == ["finish"]:
        assert whole
        assert task.failure is None
        assert rig.writer.rows == [row for frame in frames for row in frame if row not in bad]
    whole_stream = [row for frame in frames for row in frame]
    position = iter(whole_stream)
    assert all(row in position for row in rig.writer.rows), "written out of order, or twice"


def test_what_is_dropped_is_counted_and_released() -> None:
    rig = Rig(batch=10)
    rig.accept(1, 2, 3)
    rig.accept(4)
    assert rig.sink.discard() == 4
    assert (rig.lane.in_flight, rig.sink.drained(), rig.writer.tries) == (0, True, [])
    assert rig.sink.discard() == 0


class SlowToShow(Writer):
    """Its commits go on until `over`; or cannot be done."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[Any] = []
        self.over = False
        self.error: BaseException | None = None

    def prepare(self, checkpoint: int) -> int:
        self.said.append(("prepare", checkpoint))
        return checkpoint

    def commit(self, prepared: int) -> bool:
        self.said.append(("commit", prepared))
        return True

    def settle(self, *, wait: bool) -> bool:
        if self.error is not None:
            raise self.error
        self.said += [("wait",)] if wait else []
        return wait or self.over


def _showing() -> tuple[Rig, SlowToShow, Task]:
    rig, writer = Rig(), SlowToShow()
    rig.writer = writer
    rig.sink.prepares = True
    rig.sink.shown = lambda checkpoint: writer.said.append(("shown", checkpoint))
    task = rig.task()
    task.checkpointed = lambda *_: None
    return rig, writer, task


def _prepared(rig: Rig, task: Task, checkpoint: int) -> None:
    rig.lane.push_rows([checkpoint])
    rig.lane.push(barrier(checkpoint))
    task.run_until_idle()


def test_what_is_under_way_is_waited_for_where_there_is_nothing_else_to_do() -> None:
    rig, writer, task = _showing()
    _prepared(rig, task, 1)
    rig.sink.complete(1)
    task.run_until_idle()
    assert writer.said == [("prepare", 1), ("commit", 1), ("wait",), ("shown", 1)]


@pytest.mark.parametrize("over", [True, False])
def test_what_is_under_way_is_over_before_more_is_prepared_and_told_as_soon_as_it_is(over: bool) -> None:
    rig, writer, task = _showing()
    _prepared(rig, task, 1)
    rig.sink.complete(1)
    writer.said.clear()
    rig.lane.push_rows([2])
    task.run_until_idle(1)
    assert writer.said == [("commit", 1)]
    rig.lane.push_rows([3])
    writer.over = over
    task.run_until_idle(1)
    assert writer.said[1:] == ([("shown", 1)] if over else [])
    rig.lane.push(barrier(2))
    rig.lane.push_rows([4])
    task.run_until_idle()
    assert writer.said[1:] == ([("shown", 1)] if over else [("wait",), ("shown", 1)]) + [("prepare", 2)]
    assert writer.rows == [1, 2, 3, 4]


def test_a_commit_that_fails_behind_its_call_fails_the_task_and_is_never_told() -> None:
    rig, writer, task = _showing()
    _prepared(rig, task, 1)
    rig.sink.complete(1)
    rig.lane.push_rows([2])
    task.run_until_idle(1)
    writer.error = RefusedError("behind")
    rig.lane.push_rows([3])
    rig.lane.push(end(True))
    task.run_until_idle()
    assert task.done
    assert task.failure is not None
    assert ("shown", 1) not in writer.said
    assert writer.calls == ["open", "abort"]
