"""Runners in several threads: who wakes whom, and that a thread with nothing to do does nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from cext.chain import Map
from cext.channel import Channel
from cext.frame import Frame, barrier, end
from cext.guard import Guard, Sideline
from cext.head import Head, Pass
from cext.port import Port
from cext.runner import Runner
from cext.sink import Sink
from cext.source import Source
from cext.task import Task
from cext.waker import Waker
from cext.window import Window

PATIENCE = 30  # seconds that only a lost wake-up takes


def channel_of(
    most: int = 64, frame: int = 16, producer: Waker | None = None, consumer: Waker | None = None
) -> Channel:
    return Channel(Window(0.1, most, frame), frame, producer, consumer)


def guard() -> Guard:
    return Guard("fail")


def unexpected(task: Task, error: BaseException) -> None:
    raise AssertionError(task.name) from error


class Reader:
    """Gives records as `script` says: a number of them, an error to raise, or nothing for some seconds."""

    def __init__(self, *script: int | float | BaseException, note: Callable[[], object] = lambda: None) -> None:
        self.script = list(script)
        self.note = note
        self.given = self.calls = 0
        self.pause: float | None = None

    def read(self, limit: int) -> list[int] | None:
        self.calls += 1
        self.note()
        if not self.script:
            return None
        wanted = self.script.pop(0)
        if isinstance(wanted, BaseException):
            raise wanted
        if isinstance(wanted, float):
            self.pause = wanted
            return []
        count = min(limit, wanted)
        if count < wanted:
            self.script.insert(0, wanted - count)
        self.given += count
        return list(range(self.given - count, self.given))

    def poll_after(self) -> float | None:
        return self.pause

    def close(self) -> None:
        pass


class Writer:
    def __init__(self, note: Callable[[], object] = lambda: None) -> None:
        self.note = note
        self.written: list[Any] = []
        self.end = ""

    def write(self, records: list[Any]) -> None:
        self.note()
        self.written += records

    def finish(self) -> None:
        self.end = "finished"

    def abort(self) -> None:
        self.end = "aborted"


def source(reader: Reader, out: Channel, name: str = "source") -> Task:
    head = Source(name, guard(), lambda _: reader, [""], False, type(None))
    return Task(name, head, [], [], [[Port("forward", [out])]])


def middle(lane: Channel, out: Channel, function: Callable[[Any], Any], name: str = "middle") -> Task:
    return Task(name, Pass(name, guard()), [lane], [Map(name, guard(), function)], [[Port("forward", [out])]])


def sink(writer: Writer, lane: Channel, name: str = "sink", batch: int = 0) -> Task:
    head = Sink(name, guard(), lambda: writer, lambda _: False, batch, 0)
    return Task(name, head, [lane], [], [])


class Counting(Head):
    """Passes frames on and counts how often it was asked for rows, which is at least once a step."""

    def __new__(cls, waker: Waker) -> Counting:
        return super().__new__(cls, "counting", Guard("fail"))

    def __init__(self, waker: Waker) -> None:
        self.waker = waker
        self.frame: Frame | None = None
        self.lane: Channel | None = None
        self.asked = self.settled = 0
        self.wake_at = -1
        self.late: list[int] = []

    def hungry(self) -> bool:
        return self.frame is None

    def accept(self, lane: Channel, frame: Frame, now: int) -> None:
        self.lane, self.frame = lane, frame

    def more(self, limit: int, now: int, side: Sideline) -> list[Any] | None:
        self.asked += 1
        if 0 <= self.wake_at <= now:
            self.late.append(now - self.wake_at)
            self.wake_at = -1
        return None if self.frame is None else self.frame.rows

    def settle(self) -> None:
        if self.frame is not None and self.lane is not None:
            self.lane.give_back(self.frame.records)
            self.settled += self.frame.records
            self.frame = None
            self.waker.notify()

    def drained(self) -> bool:
        return self.frame is None

    def deadline(self) -> int:
        return self.wake_at


def in_thread(runner: Runner) -> threading.Thread:
    thread = threading.Thread(target=runner.run, daemon=True)
    thread.start()
    return thread


def wait_until(waker: Waker, ready: Callable[[], bool]) -> None:
    """Wait on `waker` until `ready`; a wake-up that came between the look and the wait costs 2 ms."""
    until = time.monotonic() + PATIENCE
    while not ready():
        assert time.monotonic() < until, "it never came"
        waker.wait(0.002)


def join(*threads: threading.Thread) -> None:
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


# In one thread.


def test_what_is_downstream_leaves_before_more_comes_in() -> None:
    events: list[str] = []

    def noted(number: int) -> int:
        events.append("map")
        return number

    first, second = channel_of(64, 4), channel_of(64, 4)
    reader = Reader(40, note=lambda: events.append("read"))
    writer = Writer(lambda: events.append("write"))
    tasks = [sink(writer, second, batch=4), middle(first, second, noted), source(reader, first)]
    runner = Runner(tasks, Waker(), unexpected)
    runner.run()
    assert writer.written == list(range(40))
    assert writer.end == "finished"
    assert runner.tasks == []
    assert max(first.most_in_flight, second.most_in_flight) <= 8  # a frame, and the next one while that goes on
    written = 0
    for at, event in enumerate(events):
        written += 4 * (event == "write")
        read = 4 * events[: at + 1].count("read")
        assert read - written <= 16


def test_the_list_of_tasks_is_not_the_callers() -> None:
    out = channel_of()
    tasks = [source(Reader(1), out)]
    runner = Runner(tasks, Waker(), unexpected)
    tasks.clear()
    runner.run()
    assert out.counters[0] == 1


# Several threads.


@pytest.mark.parametrize(("most", "frame", "records"), [(1, 1, 1_500), (5, 2, 10_000), (256, 64, 200_000)])
def test_a_source_and_a_sink_in_threads_of_their_own_and_the_rest_here(most: int, frame: int, records: int) -> None:
    mine, reading, writing = Waker(), Waker(), Waker()
    first, second = channel_of(most, frame, reading, mine), channel_of(most, frame, mine, writing)
    writer = Writer()
    threads = [
        in_thread(Runner([source(Reader(records), first)], reading, unexpected)),
        in_thread(Runner([sink(writer, second)], writing, unexpected)),
    ]
    Runner([middle(first, second, lambda n: -n)], mine, unexpected).run()
    join(*threads)
    assert writer.written == [-n for n in range(records)]
    assert writer.end == "finished"
    for channel in (first, second):
        channel.validate()
        assert channel.in_flight == 0
        assert channel.most_in_flight <= most


# Nothing to do.


def test_a_runner_wakes_for_what_comes_in_and_does_nothing_between() -> None:
    mine, peer = Waker(), Waker()
    lane, out = channel_of(64, 1, peer, mine), channel_of(256, 64)
    head = Counting(peer)
    task = Task("counting", head, [lane], [], [[Port("forward", [out])]])
    thread = in_thread(Runner([task], mine, unexpected))
    rounds = 60

    def settled(times: int) -> bool:
        return head.settled == times

    for number in range(rounds):
        lane.push_rows([number])
        wait_until(peer, partial(settled, number + 1))
    assert head.asked <= 10 * rounds + 10
    assert lane.push(end())
    join(thread)
    assert [row for frame in iter(out.pop, None) for row in frame.rows] == list(range(rounds))


def test_a_runner_wakes_for_a_deadline_and_not_before() -> None:
    head = Counting(Waker())
    waker, lane = Waker(), channel_of()
    task = Task("counting", head, [lane], [], [[Port("forward", [channel_of()])]])
    head.wake_at = wake_at = time.monotonic_ns() + 20_000_000
    original = head.more

    def stop_when_late(limit: int, now: int, side: Sideline) -> list[Any] | None:
        rows = original(limit, now, side)
        if head.late:
            task.cancel()
            if not lane.frames:
                lane.push(end())
        return rows

    head.more = stop_when_late  # type: ignore[method-assign]
    Runner([task], waker, unexpected).run()
    assert time.monotonic_ns() >= wake_at
    assert head.asked <= 6
    assert len(head.late) == 1


def test_a_reader_with_nothing_to_give_is_asked_when_it_wants_to_be() -> None:
    pauses = 8
    reader, out = Reader(*[0.004] * pauses, 3), channel_of()
    start = time.monotonic()
    Runner([source(reader, out)], Waker(), unexpected).run()
    assert time.monotonic() - start >= 0.004 * pauses
    assert reader.calls == pauses + 2
    assert out.counters[0] == 3


def test_a_source_without_credit_is_not_asked_and_its_thread_stands_still() -> None:
    """A second task in the thread counts its rounds; it is one that has nothing to do."""
    mine, peer = Waker(), Waker()
    out, quiet = channel_of(3, 1, mine, peer), channel_of(4, 1, peer, mine)
    reader, idler = Reader(10**9), Counting(peer)
    blocked = source(reader, out)
    other = Task("idler", idler, [quiet], [], [[Port("forward", [channel_of()])]])
    thread = in_thread(Runner([other, blocked], mine, unexpected))
    gives = 60
    for number in range(gives):
        wait_until(peer, lambda: out.in_flight == 3)
        assert reader.calls == number + 3
        frame = out.pop()
        assert frame is not None
        assert frame.rows == [number]
        out.give_back(1)
    wait_until(peer, lambda: out.in_flight == 3)
    assert idler.asked <= 10 * (gives + 3)
    for task in (blocked, other):
        task.cancel()
    assert quiet.push(end())

    def ended() -> bool:
        while (frame := out.pop()) is not None:
            out.give_back(frame.records)
            if frame.kind == 3:
                return True
        return False

    wait_until(peer, ended)
    join(thread)
    assert reader.calls <= gives + 6


# Others.


def native_only(marks: int) -> list[Task]:
    """Three tasks that have marks to pass on and no function of Python's to call."""
    lanes = [channel_of(marks, 1) for _ in range(4)]
    for number in range(marks):
        assert lanes[0].push(barrier(number))
    assert lanes[0].push(end()) or lanes[0].pop() is not None
    lanes[0].push(end())
    return [
        Task(f"native {i}", Pass("", guard()), [lanes[i]], [], [[Port("forward", [lanes[i + 1]])]])
        for i in reversed(range(3))
    ]


def test_other_threads_run_while_native_work_goes_on() -> None:
    count = 0
    stop = threading.Event()
    running = threading.Event()

    def work() -> None:
        nonlocal count
        while not stop.is_set():
            count += 1
            running.set()

    tasks = native_only(120_000)
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        assert running.wait(PATIENCE)
        before = count
        Runner(tasks, Waker(), unexpected).run()
        during = count - before
    finally:
        stop.set()
        thread.join(PATIENCE)
    assert during > 1_000
