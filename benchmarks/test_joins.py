"""Joins beside loops by hand that keep as much: two inputs of small records, in event time."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.paired import FRAME, Batches, Tally, paired, scaled
from engine import Dataflow, KeyedStream, Tumbling

RECORDS = scaled(200_000)
"""Of each input, one a millisecond."""
KEYS = 1000


class Left(msgspec.Struct, frozen=True):
    key: int
    at: int


class Right(msgspec.Struct, frozen=True):
    key: int
    at: int


def batches(kind: type[Any], step: int) -> list[list[Any]]:
    rows = [kind(number * step % KEYS, number) for number in range(RECORDS)]
    return [rows[start : start + FRAME] for start in range(0, RECORDS, FRAME)]


LEFT, RIGHT = batches(Left, 7919), batches(Right, 104_729)


def both() -> Iterator[tuple[list[Any], list[Any]]]:
    return zip(LEFT, RIGHT, strict=True)


def total(left: Left, right: Right) -> int:
    return left.at + right.at


def joining(join: Callable[[KeyedStream[Left], KeyedStream[Right]], Any]) -> Callable[[], int]:
    def run() -> int:
        flow, tally = Dataflow("join"), Tally()
        left = flow.source(Batches(LEFT)).event_time("at").key_by("key")
        right = flow.source(Batches(RIGHT)).event_time("at").key_by("key")
        join(left, right).sink(tally)
        flow.run(progress=False)
        return tally.records

    return run


def window_by_hand() -> int:
    """Windows of 10 s; batches are in order, so a window is over when one begins in the next."""
    pairs = 0
    window = 0
    mine: dict[int, list[Left]] = defaultdict(list)
    others: dict[int, list[Right]] = defaultdict(list)

    def give() -> int:
        made = [total(a, b) for key, rows in mine.items() for a in rows for b in others.get(key, ())]
        mine.clear()
        others.clear()
        return len(made)

    for left, right in both():
        for a, b in zip(left, right, strict=True):
            if a.at // 10_000 != window:
                window = a.at // 10_000
                pairs += give()
            mine[a.key].append(a)
            others[b.key].append(b)
    return pairs + give()


def interval_by_hand() -> int:
    """From 5 s before to 5 s after, each key's last records in a deque."""
    made: list[int] = []
    pairs = 0
    mine: dict[int, deque[Left]] = defaultdict(deque)
    others: dict[int, deque[Right]] = defaultdict(deque)
    for left, right in both():
        for a, b in zip(left, right, strict=True):
            old = others[a.key]
            while old and old[0].at < a.at - 5000:
                old.popleft()
            made += [total(a, each) for each in old]
            mine[a.key].append(a)
            old_mine = mine[b.key]
            while old_mine and old_mine[0].at < b.at - 5000:
                old_mine.popleft()
            made += [total(each, b) for each in old_mine]
            others[b.key].append(b)
        pairs += len(made)
        made.clear()
    return pairs


def as_of_by_hand() -> int:
    """Both are in order, so the latest right record of a key is the one that it is joined with."""
    made: list[int] = []
    pairs = 0
    latest: dict[int, Right] = {}
    for left, right in both():
        for a, b in zip(left, right, strict=True):
            latest[b.key] = b
            match = latest.get(a.key)
            if match is not None:
                made.append(total(a, match))
        pairs += len(made)
        made.clear()
    return pairs


JOINS: dict[str, tuple[Callable[[Any, Any], Any], Callable[[], int]]] = {
    "window": (lambda left, right: left.join(right, window=Tumbling("10s"), into=total), window_by_hand),
    "interval": (
        lambda left, right: left.interval_join(right, lower="-5s", upper="5s", into=total),
        interval_by_hand,
    ),
    "as-of": (lambda left, right: left.asof_join(right, into=total), as_of_by_hand),
}


@pytest.mark.parametrize("name", JOINS)
def test_joins(benchmark: BenchmarkFixture, name: str) -> None:
    join, by_hand = JOINS[name]
    ours = joining(join)
    assert ours() == by_hand()
    benchmark.extra_info["pairs"] = by_hand()
    paired(benchmark, ours, by_hand, 2 * RECORDS, rounds=3)
