"""What event time makes of the counted records: windows, sessions, a join, timers, and what each must give."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from typing import Any, NamedTuple

from engine import KeyedProcess, Session, Stream, Timer, Tumbling, ValueState, count

Record = tuple[int, int]
"""A part, and a number of it."""

KEYS = 7
BLOCK, PAUSE = 50, 40
"""So many records come a millisecond apart; then nothing comes for so many milliseconds."""

WINDOW, NEAR = 70, 20


class Result(NamedTuple):
    """`value` is of the key at the moment `at`, as `kind` has it."""

    kind: str
    part: int
    key: int
    at: int
    value: int


def key_of(record: Record) -> Record:
    return record[0], record[1] % KEYS


def moment(record: Record) -> int:
    return record[1] + record[1] // BLOCK * PAUSE


def is_left(record: Record) -> bool:
    return record[1] // KEYS % 5 == 0


def is_right(record: Record) -> bool:
    return record[1] // KEYS % 2 == 0


def _tumbling(window: Any) -> Result:
    part, key = window.key
    return Result("tumbling", part, key, window.window_start, window.n)


def _session(window: Any) -> Result:
    part, key = window.key
    return Result("session", part, key, window.window_start, window.n)


def _pair(left: Record, right: Record) -> Result:
    return Result("pair", *key_of(left), moment(left), right[1])


class Blocks(KeyedProcess[Record, Result]):
    """How many records a key has had, at a moment behind each block in which it had some."""

    seen = ValueState[int](0)

    def on_record(self, record: Record) -> None:
        self.seen += 1
        self.event_timers.at(moment(record) // (BLOCK + PAUSE) * (BLOCK + PAUSE) + BLOCK + 5)

    def on_timer(self, timer: Timer) -> Iterator[Result]:
        part, key = self.key
        yield Result("block", part, key, timer.time, self.seen)


def results(records: Stream[Record]) -> Stream[Result]:
    """Of all kinds, of records that have event time."""
    keyed = records.key_by(key_of)
    lefts, rights = records.filter(is_left).key_by(key_of), records.filter(is_right).key_by(key_of)
    return (keyed.window(Tumbling(WINDOW)).aggregate(n=count(), name="tumbling").map(_tumbling, type=Result)).union(
        keyed.window(Session(NEAR)).aggregate(n=count(), name="sessions").map(_session, type=Result),
        lefts.interval_join(rights, lower=-5, upper=NEAR, into=_pair, type=Result, name="pairs"),
        keyed.process(Blocks, in_order=True, name="blocks"),
    )


def wanted_results(parts: int, count: int) -> list[Result]:
    """All of them, sorted, by the plainest means."""
    return sorted(
        each for part in range(parts) for key in range(KEYS) for each in _of_key(part, key, range(key, count, KEYS))
    )


def _of_key(part: int, key: int, numbers: range) -> Iterator[Result]:
    at = {number: moment((part, number)) for number in numbers}
    for start, n in Counter(each // WINDOW * WINDOW for each in at.values()).items():
        yield Result("tumbling", part, key, start, n)
    seen = 0
    for block, group in groupby(numbers, lambda number: number // BLOCK):
        of_block = list(group)
        seen += len(of_block)
        yield Result("session", part, key, at[of_block[0]], len(of_block))
        yield Result("block", part, key, block * (BLOCK + PAUSE) + BLOCK + 5, seen)
    for left in filter(lambda number: is_left((part, number)), numbers):
        near = range(left, min(left + NEAR + 1, numbers.stop), KEYS)
        for right in near:
            if is_right((part, right)) and at[right] - at[left] <= NEAR:
                yield Result("pair", part, key, at[left], right)
