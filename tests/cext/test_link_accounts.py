"""The time that a codec takes is busy time of the task that it works for, whatever that task waits for meanwhile."""

from __future__ import annotations

import time
from typing import Any

import pytest

from cext.channel import Channel
from cext.frame import end
from cext.guard import Guard
from cext.head import Pass
from cext.inlet import Inlet
from cext.link import Peer
from cext.outlet import Outlet
from cext.port import Port
from cext.task import Task
from cext.window import Window

MS = 1_000_000
EPOCH = 7
STATES = ("busy", "idle", "backpressured")


def spin(ms: int) -> None:
    until = time.monotonic_ns() + ms * MS
    while time.monotonic_ns() < until:
        pass


class Slow:
    """A codec of small numbers that takes 20 ms for each frame, and fails at 13."""

    def encode(self, rows: list[int]) -> tuple[int, bytes]:
        spin(20)
        if 13 in rows:
            raise ValueError("13")
        return 1, bytes(rows)

    def decode(self, format: int, payload: Any) -> list[int]:
        spin(20)
        if 14 in bytes(payload):
            raise ValueError("14")
        return list(bytes(payload))


def channel(most: int = 64) -> Channel:
    return Channel(Window(0.1, most, most), most)


def task(lane: Channel, out: Channel) -> Task:
    return Task("task", Pass("pass", Guard("fail")), [lane], [], [[Port("forward", [out])]], linger=0)


class Pair:
    """A task in one process that feeds one in another."""

    def __init__(self, most: int = 64) -> None:
        self.lane, self.out, self.inn, self.end = channel(), channel(most), channel(most), channel()
        self.giver, self.taker = task(self.lane, self.out), task(self.inn, self.end)
        self.outlet = Outlet(0, self.out, Slow(), 1, EPOCH, unsent=lambda error: False)
        self.inlet = Inlet(0, self.inn, Slow(), lambda error: None)
        self.outlet.task, self.inlet.task = self.giver, self.taker
        self.here, self.there = Peer(1, 2, EPOCH, [self.outlet], []), Peer(2, 1, EPOCH, [], [self.inlet])

    def step(self) -> None:
        self.giver.run_until_idle()
        self.taker.run_until_idle()

    def carry(self) -> None:
        """All that is to be sent."""
        now = time.monotonic_ns()
        while (message := self.here.next(now)) is not None:
            assert self.there.receive(message.header, message.payload, now)


def shares(task: Task) -> dict[str, float]:
    counters = task.counters()
    return {state: counters[state] for state in STATES}


def grown(before: dict[str, float], task: Task) -> dict[str, float]:
    return {state: seconds - before[state] for state, seconds in shares(task).items()}


def test_it_is_busy_time_and_all_times_add_up_to_the_wall_time() -> None:
    pair = Pair()
    earliest = time.monotonic()
    pair.step()
    latest = time.monotonic()
    before = shares(pair.giver), shares(pair.taker)
    for i in range(3):
        pair.lane.push_rows([i])
        pair.step()
        pair.carry()
        spin(10)
    for each, was in zip((pair.giver, pair.taker), before, strict=True):
        begin = time.monotonic()
        whole = sum(shares(each).values())
        assert begin - latest - 1e-6 <= whole <= time.monotonic() - earliest + 1e-6
        since = grown(was, each)
        assert since["busy"] >= 0.060
        assert since["idle"] >= 0.030


def test_the_wait_that_it_falls_into_goes_on() -> None:
    """A producer without credit stays back-pressured, and is not so while its records are encoded."""
    pair = Pair(most=2)
    pair.lane.push_rows([1, 2])
    pair.giver.run_until_idle()
    spin(20)
    before = shares(pair.giver)
    assert before["backpressured"] >= 0.020
    pair.carry()
    spin(10)
    since = grown(before, pair.giver)
    assert since["busy"] >= 0.020
    assert since["backpressured"] >= 0.010
    assert since["idle"] == 0.0


@pytest.mark.parametrize("number", [13, 14])
def test_what_comes_to_nothing_took_its_time_too(number: int) -> None:
    pair = Pair()
    pair.step()
    pair.lane.push_rows([number])
    pair.step()
    before = shares(pair.giver), shares(pair.taker)
    pair.carry()
    assert grown(before[number - 13], (pair.giver, pair.taker)[number - 13])["busy"] >= 0.020


def test_its_time_begins_with_the_first_work_and_what_is_sent_after_its_end_counts() -> None:
    pair = Pair()
    pair.lane.push_rows([1])
    pair.lane.push(end())
    pair.giver.run_until_idle()
    assert pair.giver.done
    before = shares(pair.giver)
    assert set(shares(pair.taker).values()) == {0.0}
    pair.carry()
    spin(10)
    since = grown(before, pair.giver)
    assert since["busy"] >= 0.020
    assert since["idle"] == since["backpressured"] == 0.0
    assert shares(pair.taker)["busy"] >= 0.020


def test_without_a_task_nobody_is_charged() -> None:
    """As where the task has a thread of its own, which alone keeps its accounts."""
    pair = Pair()
    pair.outlet.task = pair.inlet.task = None
    pair.lane.push_rows([1])
    pair.giver.run_until_idle()
    before = shares(pair.giver)
    pair.carry()
    assert grown(before, pair.giver)["busy"] == 0.0
    assert set(shares(pair.taker).values()) == {0.0}
