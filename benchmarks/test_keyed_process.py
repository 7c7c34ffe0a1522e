"""Numbering the records of each key: a KeyedProcess beside a dict and a loop, and stateful_map beside the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.paired import FRAME, Batches, Tally, paired, scaled
from engine import Dataflow, KeyedProcess, KeyedStream, Stream, ValueState

RECORDS = scaled(1_000_000)
KEYS = 1000

Record = tuple[int, int]


class Returning(KeyedProcess[Record, Record]):
    """Gives a list."""

    count = ValueState(0)

    def on_record(self, record: Record) -> list[Record]:
        self.count = count = self.count + 1
        return [(record[0], count)]


class Yielding(Returning):
    """Is a generator."""

    def on_record(self, record: Record) -> Any:
        self.count = count = self.count + 1
        yield record[0], count


class Ageing(Returning):
    """Forgets what was not counted for an hour."""

    count = ValueState(0, ttl="1h")


def number(count: int | None, record: Record) -> tuple[int, Record]:
    count = (count or 0) + 1
    return count, (record[0], count)


WAYS: dict[str, Callable[[KeyedStream[Record]], Stream[Record]]] = {
    "process, list": lambda stream: stream.process(Returning),
    "process, yield": lambda stream: stream.process(Yielding),
    "process, ttl": lambda stream: stream.process(Ageing),
    "stateful_map": lambda stream: stream.stateful_map(number),
}


@pytest.mark.parametrize("way", WAYS)
def test_numbering(benchmark: BenchmarkFixture, way: str) -> None:
    batches = [[(n * 7919 % KEYS, n) for n in range(at, at + FRAME)] for at in range(0, RECORDS, FRAME)]

    def ours() -> None:
        flow = Dataflow("numbering")
        WAYS[way](flow.source(Batches(batches)).key_by(key=lambda record: record[0])).sink(Tally())
        flow.run(progress=False)

    def by_hand() -> None:
        counts: defaultdict[int, int] = defaultdict(int)
        total = 0
        for batch in batches:
            made = []
            for record in batch:
                key = record[0]
                counts[key] = count = counts[key] + 1
                made.append((key, count))
            total += len(made)

    paired(benchmark, ours, by_hand, RECORDS, rounds=3)
