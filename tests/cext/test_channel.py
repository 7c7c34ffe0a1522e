"""Channels: every step beside a twin in Python, two real threads, and nothing kept alive by what lies inside."""

from __future__ import annotations

import copy
import gc
import pickle
import random
import sys
import threading
import weakref
from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cext.channel import Channel
from cext.frame import Frame, barrier, data, end, watermark
from cext.guard import Guard
from cext.head import Pass
from cext.port import Port
from cext.runner import Runner
from cext.task import Task
from cext.waker import Waker
from cext.window import Window

DATA = 0
LONG_AGO = 1  # a window that began then is adapted at the first look


class Thing:
    pass


def open_channel(most: int = 64, frame: int = 16, *, now: int = 0, **wakers: Waker) -> Channel:
    return Channel(Window(0.1, most, 2 * frame, now=now), frame, **wakers)


def adapt(channel: Channel) -> None:
    """Have a consumer look at its lane that cannot take anything, since its own output is full."""
    full = open_channel(1, 1)
    full.push_rows([None])
    consumer = Task("consumer", Pass("consumer", Guard("fail")), [channel], [], [[Port("forward", [full])]])
    assert consumer.run_until_idle() == 0


class Twin:
    """What a channel is: a queue and four counters."""

    def __init__(self, most: int, frame: int, window: int) -> None:
        self.queue: deque[tuple[int, list[int], int, int]] = deque()  # (kind, rows, value, born)
        self.slots = 2
        while self.slots < most:
            self.slots *= 2
        self.pushed = self.taken = self.released = self.most_in_flight = self.frames = 0
        self.limit = self.window = window
        self.frame = frame

    def left(self) -> int:
        """One slot stays free, so that a mark can follow whatever waits to be sent."""
        return self.limit - self.pushed if self.slots - len(self.queue) >= 2 else 0

    def credit(self) -> int:
        """Nobody makes small frames of small credit."""
        cut = self.frame if self.window >= 2 * self.frame else max(1, min(self.frame, self.window // 4))
        return self.left() if 4 * (self.limit - self.pushed) >= cut else 0

    def push(self, kind: int, rows: list[int], value: int, born: int) -> bool:
        if len(self.queue) == self.slots:
            return False
        self.queue.append((kind, rows, value, born))
        self.frames += 1
        self.pushed += len(rows)
        self.most_in_flight = max(self.most_in_flight, self.pushed - self.released)
        return True

    def release(self, records: int) -> None:
        self.released += records
        self.limit = max(self.limit, self.released + self.window)


class ChannelMachine(RuleBasedStateMachine):
    """A producer and a consumer that do whatever they may, and now and then what they may not."""

    @initialize(most=st.integers(1, 40), frame=st.integers(1, 12))
    def begin(self, most: int, frame: int) -> None:
        self.channel = open_channel(most, frame, now=LONG_AGO)
        self.twin = Twin(most, frame, self.channel.law.size)
        self.next = 0

    def rows(self, count: int) -> list[int]:
        self.next += count
        return list(range(self.next - count, self.next))

    @rule(share=st.floats(0, 1), born=st.integers(-5, 5))
    def push_rows(self, share: float, born: int) -> None:
        left = self.twin.left()
        if left:
            rows = self.rows(max(1, int(share * left)))
            self.channel.push_rows(rows, born)
            assert self.twin.push(DATA, rows, 0, born)

    @rule(more=st.integers(1, 3))
    def push_more_than_credit(self, more: int) -> None:
        with pytest.raises(ValueError, match="do not fit into credit"):
            self.channel.push_rows([None] * (self.twin.left() + more))

    @rule()
    def push_nothing(self) -> None:
        with pytest.raises(ValueError, match="0 records"):
            self.channel.push_rows([])

    @rule(mark=st.sampled_from([watermark, barrier, end]), value=st.integers(0, 1))
    def push_mark(self, mark: Any, value: int) -> None:
        frame = mark(value)
        assert self.channel.push(frame) == self.twin.push(frame.kind, [], value, 0)

    @rule()
    def fill_with_marks(self) -> None:
        while self.twin.push(1, [], 7, 0):
            assert self.channel.push(watermark(7))
        assert not self.channel.push(watermark(7))
        assert self.channel.available() == 0

    @rule()
    def pop(self) -> None:
        frame = self.channel.pop()
        if not self.twin.queue:
            assert frame is None
            return
        assert frame is not None
        assert (frame.kind, frame.rows, frame.value, frame.born) == self.twin.queue.popleft()
        self.twin.taken += frame.records

    @precondition(lambda self: self.twin.taken > self.twin.released)
    @rule(share=st.floats(0, 1))
    def give_back(self, share: float) -> None:
        records = round(share * (self.twin.taken - self.twin.released))
        self.channel.give_back(records)
        self.twin.release(records)

    @rule(more=st.integers(1, 3))
    def give_back_what_is_not_taken(self, more: int) -> None:
        for records in (-more, self.twin.taken - self.twin.released + more):
            with pytest.raises(ValueError, match="records given back"):
                self.channel.give_back(records)

    @rule()
    def adapt(self) -> None:
        adapt(self.channel)
        self.twin.window = self.channel.law.size
        assert self.twin.window <= self.channel.bound
        self.twin.release(0)

    @invariant()
    def the_same(self) -> None:
        if not hasattr(self, "twin"):
            return
        twin, channel = self.twin, self.channel
        channel.validate()
        assert channel.counters == (twin.pushed, twin.released, twin.limit, twin.window)
        assert channel.available() == twin.credit()
        assert channel.in_flight == twin.pushed - twin.released <= channel.bound
        assert channel.most_in_flight == twin.most_in_flight <= channel.bound
        assert channel.frames == twin.frames


ChannelMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestChannelBesideItsTwin = ChannelMachine.TestCase


# Credit.


def test_credit_comes_back_when_a_fate_is_final_and_not_when_a_frame_is_taken() -> None:
    channel = open_channel(4, 1)
    channel.push_rows([1, 2, 3, 4])
    assert channel.available() == 0
    assert channel.pop() is not None
    assert (channel.available(), channel.in_flight) == (0, 4)
    channel.give_back(3)
    assert (channel.available(), channel.in_flight) == (3, 1)


def test_a_window_that_shrinks_takes_no_credit_back_but_gives_none_until_it_is_met() -> None:
    channel = open_channel(1024, 256, now=LONG_AGO)
    channel.push_rows(list(range(700)))
    channel.pop()
    adapt(channel)  # nothing was released for long, so the consumer is slow: the window is the least there is
    pushed, released, limit, window = channel.counters
    assert (pushed, released, limit, window) == (700, 0, 1024, 16)
    assert channel.available() == 324
    channel.push_rows([0] * 324)
    channel.pop()
    channel.give_back(1008)
    assert channel.counters[2] == 1024
    channel.give_back(1)
    assert channel.counters[2] == 1025
    channel.give_back(15)
    assert channel.available() == 16
    channel.validate()


def test_the_first_period_begins_at_the_first_look() -> None:
    """A channel is made before its job runs, so nothing may be concluded from how long ago that was."""
    channel = open_channel(1024, 256)
    adapt(channel)
    assert channel.counters == (0, 0, 1024, 1024)


def test_a_ring_full_of_marks_gives_no_credit_until_one_is_taken() -> None:
    channel = open_channel(4, 1)
    while channel.push(watermark(1)):
        pass
    assert channel.frames == 4
    assert channel.available() == 0
    channel.pop()
    assert channel.available() == 0  # the last slot is for a mark
    channel.pop()
    assert channel.available() == 4
    channel.push_rows([1])
    assert channel.push(end())


@pytest.mark.parametrize("most", range(1, 18))
def test_a_window_of_frames_of_one_record_fits_but_for_a_slot(most: int) -> None:
    channel = open_channel(most, 1)
    pushed = 0
    while channel.available():
        channel.push_rows([pushed])
        pushed += 1
    assert pushed >= max(1, most - 1)
    assert channel.push(end())


def test_marks_keep_their_place_between_records() -> None:
    channel = open_channel()
    for i in range(5):
        channel.push_rows([i])
        assert channel.push(barrier(i))
    popped = list(iter(channel.pop, None))
    assert [frame.rows[0] if frame.records else frame.value for frame in popped] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_records_go_through_their_own_door() -> None:
    channel = open_channel()
    with pytest.raises(ValueError, match="push\\(\\) is for marks"):
        channel.push(data([1]))
    for wrong in (channel.push, channel.push_rows):
        with pytest.raises(TypeError):
            wrong(None)  # type: ignore[arg-type]
    assert channel.counters[0] == channel.frames == 0


@pytest.mark.parametrize("frame", [0, -1])
def test_a_frame_of_no_records_is_refused(frame: int) -> None:
    with pytest.raises(ValueError, match="at least 1 record"):
        Channel(Window(0.1, 8, 8), frame)


def test_a_channel_without_memory_says_so() -> None:
    with pytest.raises(MemoryError, match="no memory for a channel of"):
        Channel(Window(0.1, 1 << 62, 16))


def test_a_channel_cannot_be_half_built_copied_or_changed() -> None:
    build: Any = Channel
    for arguments in ((), (None,), (64,)):
        with pytest.raises(TypeError):
            build.__new__(build, *arguments)
    channel: Any = open_channel()
    for how in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            how(channel)
    for name in ("law", "most_in_flight", "frames", "counters", "in_flight", "bound", "frame_records"):
        with pytest.raises(AttributeError):
            setattr(channel, name, 1)


# Frames that wait for more records.


def trickle(channel: Channel, records: list[Any], linger: int) -> Task:
    """A task that passes on frames of one record each."""
    lane = open_channel(256, 128)
    for record in records:
        lane.push_rows([record])
    return Task("trickle", Pass("pass", Guard("fail")), [lane], [], [[Port("forward", [channel])]], linger=linger)


def frames_of(channel: Channel) -> list[Frame]:
    return list(iter(channel.pop, None))


def test_few_records_wait_in_the_open_frame_and_count_as_in_flight() -> None:
    channel = open_channel(64, 16)  # a quarter of the window makes a frame
    task = trickle(channel, list(range(1, 100)), linger=10**15)
    for pushed in range(1, 16):
        assert task.run_until_idle(1) == 1
        assert (channel.in_flight, channel.frames) == (pushed, 0)
    assert task.run_until_idle(1) == 1
    assert [frame.rows for frame in frames_of(channel)] == [list(range(1, 17))]


def test_an_open_frame_leaves_when_its_linger_is_over() -> None:
    channel = open_channel(64, 16)
    assert trickle(channel, list(range(1, 100)), linger=0).run_until_idle(5) == 5
    assert [frame.records for frame in frames_of(channel)] == [1] * 5


def test_an_open_frame_leaves_when_nothing_follows() -> None:
    channel = open_channel(64, 16)
    trickle(channel, [1, 2, 3], linger=10**15).run_until_idle()
    assert [frame.rows for frame in frames_of(channel)] == [[1, 2, 3]]


def test_an_open_frame_leaves_before_a_mark() -> None:
    channel = open_channel(64, 16)
    task = trickle(channel, [1, 2, 3], linger=10**15)
    task.input_channels[0].push(end())
    task.run_until_idle()
    assert [(frame.rows, frame.value) for frame in frames_of(channel)] == [([1, 2, 3], 0), ([], 1)]


def test_an_open_frame_is_as_old_as_its_oldest_record() -> None:
    channel, lane = open_channel(64, 16), open_channel(64, 1)
    for born in (7, 3, 5):
        lane.push_rows([born], born)
    ports = [[Port("forward", [channel])]]
    Task("task", Pass("pass", Guard("fail")), [lane], [], ports, linger=10**15).run_until_idle()
    assert [(frame.rows, frame.born) for frame in frames_of(channel)] == [([7, 3, 5], 3)]


# What lies inside is let go of.


def test_what_lies_in_a_channel_is_freed_with_it() -> None:
    thing = Thing()
    references = sys.getrefcount(thing)
    channel = open_channel()
    for _ in range(5):
        channel.push_rows([thing, thing])
        channel.push(watermark(1))
    assert sys.getrefcount(thing) == references + 10
    del channel
    assert sys.getrefcount(thing) == references


def test_what_lies_in_an_open_frame_is_freed_with_the_channel() -> None:
    thing = Thing()
    gone = weakref.ref(thing)
    channel = open_channel()
    task = trickle(channel, [thing, *range(1, 9)], linger=10**15)
    task.run_until_idle(3)
    assert (channel.frames, channel.in_flight) == (0, 3)
    del thing, task
    gc.collect()
    assert gone() is not None
    del channel
    gc.collect()
    assert gone() is None


def test_records_that_pass_through_are_not_kept() -> None:
    channel = open_channel(8, 2)
    thing = Thing()
    references = sys.getrefcount(thing)
    for _ in range(10_000):
        channel.push_rows([thing] * 3)
        frame = channel.pop()
        assert frame is not None
        channel.give_back(frame.records)
    del frame
    assert sys.getrefcount(thing) == references
    channel.validate()


def test_a_channel_lets_go_of_its_wakers_and_its_law() -> None:
    producer, consumer, law = Waker(), Waker(), Window(0.1, 8, 8)
    before = [sys.getrefcount(each) for each in (producer, consumer, law)]
    channel = Channel(law, 8, producer, consumer)
    del channel
    assert [sys.getrefcount(each) for each in (producer, consumer, law)] == before


# Two threads.


@pytest.fixture
def _busy_switching() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_busy_switching")
@pytest.mark.parametrize(("most", "frame", "records"), [(1, 1, 2_000), (7, 3, 30_000), (1024, 256, 300_000)])
def test_between_two_threads_nothing_is_lost_doubled_or_overtaken(most: int, frame: int, records: int) -> None:
    """Frames of any size with marks between them; each mark says how many records went before it."""
    producer, consumer = Waker(), Waker()
    channel = open_channel(most, frame, producer=producer, consumer=consumer)
    dice = random.Random(most)

    def produce() -> None:
        pushed = 0
        while pushed < records:
            credit = channel.available()
            if credit == 0:
                producer.wait(0.001)
                continue
            rows = list(range(pushed, min(records, pushed + dice.randint(1, credit))))
            channel.push_rows(rows)
            pushed += len(rows)
            if dice.random() < 0.3:
                channel.push(watermark(pushed))
        while not channel.push(end()):
            producer.wait(0.001)

    thread = threading.Thread(target=produce, daemon=True)
    thread.start()
    seen = taken = 0
    while True:
        frame_taken = channel.pop()
        if frame_taken is None:
            channel.give_back(taken)
            taken = 0
            consumer.wait(0.001)
        elif frame_taken.records:
            assert frame_taken.rows == list(range(seen, seen + frame_taken.records))
            seen += frame_taken.records
            taken += frame_taken.records
            if dice.random() < 0.5:
                channel.give_back(taken)
                taken = 0
        elif frame_taken.kind == 1:
            assert frame_taken.value == seen
        else:
            break
    thread.join(30)
    channel.give_back(taken)
    channel.validate()
    assert channel.counters[:2] == (records, records)
    assert seen == records
    assert channel.most_in_flight <= most


def test_a_producer_that_waits_for_a_slot_is_woken_when_a_mark_leaves() -> None:
    """Marks cost no credit, so taking one is all the news that a full ring's producer will ever get."""
    producer, consumer, last = Waker(), Waker(), 20
    lane = open_channel(64, 16)
    for time in range(last):
        lane.push(watermark(time))
    lane.push(end())
    channel = open_channel(2, 1, producer=producer, consumer=consumer)
    task = Task("marks", Pass("marks", Guard("fail")), [lane], [], [[Port("forward", [channel])]])
    thread = threading.Thread(target=Runner([task], producer, lambda *_: None).run, daemon=True)
    thread.start()
    seen: list[tuple[int, int]] = []
    for _ in range(1000):
        frame = channel.pop()
        if frame is None:
            consumer.wait(0.005)  # long enough for the producer to park; only a lost wake-up takes all of them
            continue
        seen.append((frame.kind, frame.value))
        if len(seen) == last + 1:
            break
    assert seen == [*((1, time) for time in range(last)), (3, 1)]
    thread.join(30)
    assert not thread.is_alive()


@given(st.integers(1, 64), st.lists(st.integers(1, 20), max_size=60))
def test_most_in_flight_is_what_the_producer_saw(most: int, sizes: list[int]) -> None:
    channel = open_channel(most, 4)
    greatest = 0
    for size in sizes:
        if channel.available() == 0:
            while (frame := channel.pop()) is not None:
                channel.give_back(frame.records)
        size = min(size, channel.available())
        channel.push_rows([0] * size)
        greatest = max(greatest, channel.in_flight)
        assert channel.most_in_flight == greatest <= channel.bound == most
