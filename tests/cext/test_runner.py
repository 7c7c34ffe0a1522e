"""Runners: sinks first, parked when nothing moves, awake when something does, and each failure told once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from cext.chain import Map
from cext.channel import Channel
from cext.frame import Frame, end
from cext.guard import Guard, Sideline
from cext.head import Head, Pass
from cext.port import Port
from cext.runner import Runner
from cext.sink import Sink
from cext.source import Source
from cext.task import Task
from cext.waker import Waker
from cext.window import Window

SECONDS = 30  # for another thread to do its part, unless it is stuck


def channel(most: int = 64, frame: int = 16, **wakers: Waker) -> Channel:
    return Channel(Window(0.1, most, 2 * frame), frame, **wakers)


def never_fails(task: Task, error: BaseException) -> None:
    raise AssertionError(f"{task.name} failed") from error


def started(runner: Runner) -> threading.Thread:
    thread = threading.Thread(target=runner.run, daemon=True)
    thread.start()
    return thread


def joined(thread: threading.Thread) -> bool:
    thread.join(SECONDS)
    return not thread.is_alive()


class Gather:
    def __init__(self) -> None:
        self.rows: list[Any] = []
        self.written = threading.Event()
        self.ended = ""

    def write(self, rows: list[Any]) -> None:
        self.rows += rows
        self.written.set()

    def finish(self) -> None:
        self.ended = "finished"

    def abort(self) -> None:
        self.ended = "aborted"


class Reader:
    """Gives its records, with as many reads that give nothing before each as `lulls` says."""

    def __init__(self, records: list[Any], lulls: int = 0, hint: float | None = None) -> None:
        self.script = [item for record in records for item in [None] * lulls + [record]]
        self.hint = hint
        self.asked = 0

    def read(self, limit: int) -> list[Any] | None:
        self.asked += 1
        if not self.script:
            return None
        item = self.script.pop(0)
        return [] if item is None else [item]

    def poll_after(self) -> float | None:
        return self.hint

    def close(self) -> None:
        pass


def source_task(reader: Any, out: Channel, name: str = "source") -> Task:
    source = Source(name, Guard("fail"), lambda _: reader, [""], False, type(None))
    return Task(name, source, [], [], [[Port("forward", [out])]])


def sink_task(lane: Channel, writer: Any, batch: int = 0, linger: int = 1_000_000) -> Task:
    return Task("sink", Sink("sink", Guard("fail"), lambda: writer, lambda _: False, batch, linger), [lane], [], [])


def map_task(name: str, lane: Channel, out: Channel, function: Callable[[Any], Any]) -> Task:
    chain = [Map(name, Guard("fail"), function)]
    return Task(name, Pass(name, Guard("fail")), [lane], chain, [[Port("forward", [out])]])


def test_it_runs_until_every_task_is_done() -> None:
    edges, writer = [channel(), channel()], Gather()
    tasks = [
        sink_task(edges[1], writer),
        map_task("double", edges[0], edges[1], lambda row: 2 * row),
        source_task(Reader(list(range(100))), edges[0]),
    ]
    runner = Runner(tasks, Waker(), never_fails)
    assert runner.tasks == tasks
    runner.run()
    assert (writer.rows, writer.ended) == ([2 * i for i in range(100)], "finished")
    assert runner.tasks == []
    assert all(task.done for task in tasks)
    runner.run()


def test_without_tasks_there_is_nothing_to_do() -> None:
    Runner([], Waker(), never_fails).run()


def test_tasks_are_stepped_in_the_order_given_so_that_what_is_downstream_leaves_first() -> None:
    """A task does not get its next record before those behind it have had the last one, unless a step takes so long
    that others have their turn; so it does not in one of many runs, wherever else the machine was meanwhile."""
    assert ["a1", "b1", "c1", "a2", "b2", "c2", "a3", "b3", "c3"] in [order_of_steps() for _ in range(50)]


def order_of_steps() -> list[str]:
    order: list[str] = []

    def noted(name: str) -> Callable[[Any], Any]:
        def note(row: Any) -> Any:
            order.append(f"{name}{row}")
            return row

        return note

    lanes, writer = [channel(3, 1) for _ in range(4)], Gather()
    for row in (1, 2, 3):
        lanes[0].push_rows([row])
    lanes[0].push(end())
    tasks = [map_task(name, lanes[i], lanes[i + 1], noted(name)) for i, name in enumerate("abc")]
    Runner([sink_task(lanes[3], writer), *reversed(tasks)], Waker(), never_fails).run()
    assert writer.rows == [1, 2, 3]
    return order


def test_a_task_that_waits_does_not_keep_its_thread_busy() -> None:
    """Ten lulls of 1, 2, 4, 8 and then 16 ms: the reader is asked once after each, and not in between."""
    out, writer = channel(), Gather()
    reader = Reader([1], lulls=10)
    stepped: list[int] = []

    counting = CountingHead("counting", Guard("fail"), stepped)
    middle = channel()
    tasks = [
        sink_task(middle, writer),
        Task("counting", counting, [out], [], [[Port("forward", [middle])]]),
        source_task(reader, out),
    ]
    before = time.monotonic()
    Runner(tasks, Waker(), never_fails).run()
    assert time.monotonic() - before >= 0.111
    assert writer.rows == [1]
    assert reader.asked == 12
    assert len(stepped) < 300


class CountingHead(Head):
    """Passes records on, and counts how often it is asked whether it wants any."""

    def __init__(self, name: str, guard: Guard, asked: list[int]) -> None:
        self.asked = asked
        self.rows: list[Any] | None = None
        self.lane: Channel | None = None
        self.ready = True

    def hungry(self) -> bool:
        self.asked.append(1)
        return self.rows is None

    def accept(self, lane: Channel, frame: Frame, now: int) -> None:
        self.lane, self.rows = lane, frame.rows

    def more(self, limit: int, now: int, side: Sideline) -> list[Any] | None:
        if self.rows is None or self.lane is None or not self.ready:
            return None
        rows, self.rows = self.rows, None
        self.lane.give_back(len(rows))
        return rows

    def drained(self) -> bool:
        return self.rows is None


def test_a_parked_thread_sees_what_was_made_ready_before_it_was_woken() -> None:
    lane, out, waker = channel(), channel(), Waker()
    head = CountingHead("head", Guard("fail"), [])
    head.ready = False
    task = Task("task", head, [lane], [], [[Port("forward", [out])]])
    lane.push_rows([1])
    lane.push(end())
    thread = started(Runner([task], waker, never_fails))
    while len(head.asked) < 2:
        pass  # until it has looked in vain
    head.ready = True
    waker.notify()
    assert joined(thread)
    assert [frame.rows for frame in iter(out.pop, None)] == [[1], []]


def test_what_comes_in_behind_its_back_is_seen_before_it_parks() -> None:
    """The first task has been looked at in vain; a record comes for it while the second one is looked at."""
    waker, peer = Waker(), Waker()
    lanes = [channel(producer=peer, consumer=waker) for _ in range(2)]
    outs = [channel(), channel()]
    lanes[1].push(end())

    class Behind(CountingHead):
        def hungry(self) -> bool:
            self.asked.append(1)
            if len(self.asked) == 1:
                lanes[0].push_rows([1])
                lanes[0].push(end())
            return len(self.asked) > 1

    heads: list[Head] = [Pass("pass", Guard("fail")), Behind("behind", Guard("fail"), [])]
    tasks = [
        Task("task", head, [lane], [], [[Port("forward", [out])]])
        for head, lane, out in zip(heads, lanes, outs, strict=True)
    ]
    assert joined(started(Runner(tasks, waker, never_fails)))
    assert [frame.rows for frame in iter(outs[0].pop, None)] == [[1], []]


def test_an_unfinished_batch_is_written_though_nothing_wakes_its_thread() -> None:
    waker, writer = Waker(), Gather()
    lane = channel(consumer=waker)
    lane.push_rows([1, 2])
    thread = started(Runner([sink_task(lane, writer, batch=30)], waker, never_fails))
    assert writer.written.wait(SECONDS)
    assert writer.rows == [1, 2]
    lane.push(end())
    assert joined(thread)
    assert writer.ended == "finished"


def test_a_thread_that_waits_for_credit_is_woken_by_it() -> None:
    waker = Waker()
    out = channel(4, 1, producer=waker)
    thread = started(Runner([source_task(Reader(list(range(200))), out)], waker, never_fails))
    got: list[int] = []
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and not (thread.is_alive() is False and out.in_flight == 0):
        frame = out.pop()
        if frame is not None:
            got.extend(frame.rows)
            out.give_back(frame.records)
    assert joined(thread)
    assert got == list(range(200))


def test_a_cancelled_task_ends_when_its_thread_is_woken() -> None:
    waker, writer = Waker(), Gather()
    lane = channel(consumer=waker)
    task = sink_task(lane, writer)
    thread = started(Runner([task], waker, never_fails))
    lane.push_rows([1])
    assert writer.written.wait(SECONDS)
    task.cancel()
    waker.notify()
    lane.push(end())
    assert joined(thread)
    assert (task.done, writer.ended) == (True, "aborted")


# Failures.


def failing(row: Any) -> Any:
    raise ValueError(row)


def test_each_failure_is_told_once_in_the_runners_thread() -> None:
    told: list[tuple[str, str, threading.Thread]] = []
    lanes, outs = [channel(), channel(), channel()], [channel(), channel(), channel()]
    tasks = [map_task(f"task {i}", lanes[i], outs[i], failing if i != 1 else str) for i in range(3)]
    for i, lane in enumerate(lanes):
        lane.push_rows([i])
        lane.push_rows([i])
        lane.push(end())
    runner = Runner(
        tasks, Waker(), lambda task, error: told.append((task.name, str(error), threading.current_thread()))
    )
    runner.run()
    here = threading.current_thread()
    assert told == [("task 0", "0", here), ("task 2", "2", here)]
    assert [[frame.value for frame in iter(out.pop, None)][-1] for out in outs] == [0, 1, 0]
    assert [task.failure for task in tasks] == [None] * 3


def test_a_failure_is_told_at_once_though_the_task_is_not_done() -> None:
    waker = Waker()
    lane, out = channel(consumer=waker), channel()
    told = threading.Event()
    task = map_task("task", lane, out, failing)
    lane.push_rows([1])
    thread = started(Runner([task], waker, lambda *_: told.set()))
    assert told.wait(SECONDS)
    assert not task.done
    lane.push(end())
    assert joined(thread)


def test_what_is_raised_by_who_is_told_ends_the_run() -> None:
    lane, out, told = channel(), channel(), []

    def tell(task: Task, error: BaseException) -> None:
        told.append(error)
        raise RuntimeError("told")

    lane.push_rows([1])
    lane.push(end())
    runner = Runner([map_task("task", lane, out, failing)], Waker(), tell)
    with pytest.raises(RuntimeError, match="told"):
        runner.run()
    assert [str(error) for error in told] == ["1"]


def test_a_failure_cuts_what_is_downstream_and_lets_what_is_upstream_run_on() -> None:
    first, second, writer, told = channel(4, 1), channel(4, 1), Gather(), []
    reader = Reader(list(range(50)))

    def at_seven(row: int) -> int:
        return row if row != 7 else failing(row)

    tasks = [sink_task(second, writer), map_task("map", first, second, at_seven), source_task(reader, first)]
    Runner(tasks, Waker(), lambda task, error: told.append(task)).run()
    assert told == [tasks[1]]
    assert (writer.rows, writer.ended) == (list(range(7)), "aborted")
    assert reader.script == []
    assert tasks[1].dropped == 43
    assert (first.in_flight, second.in_flight) == (0, 0)


def test_a_runner_is_made_whole() -> None:
    build: Any = Runner
    wrong: list[tuple[Any, ...]] = [(None, Waker(), print), ([], None, print), ([],)]
    for arguments in wrong:
        with pytest.raises(TypeError):
            build(*arguments)
