"""Wakers: a parked thread is always woken, one that is awake never, and a time-out is one."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from cext.channel import Channel
from cext.guard import Guard
from cext.port import Port
from cext.runner import Runner
from cext.sink import Sink
from cext.source import Source
from cext.task import Task
from cext.waker import Waker
from cext.window import Window

TURNS = 20_000


class Counter:
    """Reads 0, 1, 2, ... one record a call."""

    def __init__(self, count: int) -> None:
        self.numbers: Iterator[int] = iter(range(count))

    def read(self, limit: int) -> list[int] | None:
        number = next(self.numbers, None)
        return None if number is None else [number]

    def close(self) -> None:
        pass


class Gather:
    def __init__(self) -> None:
        self.rows: list[Any] = []

    def write(self, rows: list[Any]) -> None:
        self.rows += rows

    def finish(self) -> None:
        pass

    abort = finish


@pytest.mark.parametrize(("most", "frame"), [(1, 1), (2, 1), (3, 2)])
def test_no_wake_up_is_lost_between_two_threads(most: int, frame: int) -> None:
    """With credit for so few records each side parks for the other at every turn; one lost wake-up would hang both."""
    producer, consumer = Waker(), Waker()
    channel = Channel(Window(0.1, most, 2 * frame), frame, producer, consumer)
    guard, gathered = Guard("fail"), Gather()
    source = Source("source", guard, lambda _: Counter(TURNS), [""], False, type(None))
    tasks = {
        producer: Task("source", source, [], [], [[Port("forward", [channel])]]),
        consumer: Task("sink", Sink("sink", guard, lambda: gathered, lambda _: False), [channel], [], []),
    }
    failures: list[BaseException] = []
    threads = [
        threading.Thread(target=Runner([task], waker, lambda _, error: failures.append(error)).run, daemon=True)
        for waker, task in tasks.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
    assert not any(thread.is_alive() for thread in threads), f"stuck after {len(gathered.rows)} records"
    assert not failures
    assert gathered.rows == list(range(TURNS))
    assert channel.most_in_flight <= most


def test_a_notice_to_a_waker_that_is_awake_does_nothing() -> None:
    waker = Waker()
    for _ in range(3):
        waker.notify()
    before = time.monotonic()
    waker.wait(0.05)
    assert time.monotonic() - before >= 0.05


def test_whose_wait_has_timed_out_is_awake() -> None:
    waker = Waker()
    for _ in range(3):
        waker.wait(0.001)
        waker.notify()
        before = time.monotonic()
        waker.wait(0.02)
        assert time.monotonic() - before >= 0.02


def test_waiting_ends_after_its_time() -> None:
    waker = Waker()
    for seconds in (0, 1e-9, 0.001, 0.02):
        before = time.monotonic()
        waker.wait(seconds)
        assert time.monotonic() - before >= seconds


def test_a_parked_thread_is_woken() -> None:
    waker = Waker()
    for _ in range(20):
        thread = threading.Thread(target=waker.wait, daemon=True)
        thread.start()
        while thread.is_alive():  # it may not have parked yet, so once might be too soon
            waker.notify()
        thread.join()


def test_many_threads_may_wake_one() -> None:
    waker, stop = Waker(), threading.Event()

    def notify() -> None:
        while not stop.is_set():
            waker.notify()

    threads = [threading.Thread(target=notify, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(30):
        waker.wait()
    stop.set()
    for thread in threads:
        thread.join()


def test_a_signal_ends_a_wait_and_its_handler_runs() -> None:
    waker = Waker()
    seen: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: seen.append(number))
    main = threading.main_thread().ident
    assert main is not None
    done = threading.Event()

    def interrupt() -> None:
        while not done.is_set():
            signal.pthread_kill(main, signal.SIGUSR1)

    thread = threading.Thread(target=interrupt, daemon=True)
    try:
        thread.start()
        waker.wait()
        done.set()
        thread.join()
    finally:
        done.set()
        signal.signal(signal.SIGUSR1, before)
    assert set(seen) == {signal.SIGUSR1}


def test_a_waker_closes_what_it_opened() -> None:
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    wakers = [Waker() for _ in range(50)]
    assert len(os.listdir("/proc/self/fd")) == before + 50
    del wakers
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_waker_cannot_be_copied() -> None:
    waker = Waker()
    for how in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            how(waker)
