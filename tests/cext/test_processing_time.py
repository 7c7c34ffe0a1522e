"""Processing time: the system's clock, one that is moved by hand, and loops that are woken when it is."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from cext.channel import Channel
from cext.frame import Frame, end
from cext.guard import Guard, Sideline
from cext.head import Head
from cext.port import Port
from cext.processing_time import Clock, ManualClock
from cext.runner import Runner
from cext.task import Task
from cext.waker import Waker
from cext.window import Window

SECONDS = 30  # for another thread to do its part, unless it is stuck


class Alarm(Head):
    """Gives one row once its clock has come to `at`, and tells each time that it has looked."""

    def __init__(self, name: str, guard: Guard, at: int) -> None:
        self.at = at
        self.given = self.ended = False
        self.looked = threading.Semaphore(0)

    def hungry(self) -> bool:
        return True

    def more(self, limit: int, now: int, side: Sideline) -> list[Any] | None:
        self.looked.release()
        if self.given or self.clock.read() < self.at:
            return None
        self.given = True
        return [self.clock.read()]

    def drained(self) -> bool:
        return True


def test_the_systems_clock_is_the_systems() -> None:
    before = time.time_ns() // 10**6
    assert before <= Clock().read() <= time.time_ns() // 10**6


def test_a_clock_that_is_moved_by_hand_stands_still() -> None:
    clock = ManualClock(5)
    assert clock.read() == 5
    clock.move(5)
    clock.move(1 << 60)
    assert clock.read() == 1 << 60
    assert ManualClock(-7).read() == -7
    with pytest.raises(ValueError, match="the clock stands at 5 ms and does not go back to 4 ms"):
        ManualClock(5).move(4)


def test_whoever_moves_a_clock_wakes_the_loops_that_are_attached() -> None:
    clock, wakers = ManualClock(), [Waker(), Waker()]
    for waker in wakers:
        clock.attach(waker)
    clock.detach(wakers[1])
    woken = [threading.Event(), threading.Event()]

    def wait(number: int) -> None:
        wakers[number].wait()
        woken[number].set()

    threads = [threading.Thread(target=wait, args=(number,), daemon=True) for number in range(2)]
    for thread in threads:
        thread.start()
    while not woken[0].is_set():  # it may not have parked yet
        clock.move(clock.read() + 1)
    assert not woken[1].is_set()
    wakers[1].notify()
    while not woken[1].wait(0.01):
        wakers[1].notify()
    for thread in threads:
        thread.join(SECONDS)


def test_a_parked_loop_finds_that_its_clock_was_moved() -> None:
    lane, out = Channel(Window(0.1, 8, 8), 4), Channel(Window(0.1, 8, 8), 4)
    clock, waker = ManualClock(100), Waker()
    head = Alarm("alarm", Guard("fail"), 110)
    head.clock = clock
    task = Task("alarm", head, [lane], [], [[Port("forward", [out])]])
    failures: list[Any] = []
    runner = Runner([task], waker, lambda *each: failures.append(each), clock=clock)
    thread = threading.Thread(target=runner.run, daemon=True)
    thread.start()
    for moment in (105, 109, 110):
        assert head.looked.acquire(timeout=SECONDS)
        assert not head.given
        clock.move(moment)
    frame: Frame | None = None
    while frame is None or not frame.records:
        assert thread.is_alive()
        frame = out.pop()
    assert frame.rows == [110]
    lane.push(end())
    waker.notify()
    thread.join(SECONDS)
    assert not thread.is_alive()
    assert not failures
