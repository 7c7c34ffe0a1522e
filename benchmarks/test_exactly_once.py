"""Sinks that deliver exactly once, against the same without checkpoints: rows reach their place by way of another.

A checkpoint comes about once a second. Nothing else runs, so this is what it costs where the sink sets the pace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.paired import paired, scaled
from connectors.files import csv_file, json_lines_file
from connectors.sqlite import sqlite_table
from engine import Sink, SinkContext
from engine.sink import Recovery

FRAME = 1000


class Bid(msgspec.Struct):
    auction: int
    bidder: int
    price: float
    channel: str
    time: int


_sinks: dict[str, tuple[Callable[[Path], Sink[Any]], int, int]] = {
    "json lines": (json_lines_file, 1_000_000, 1_000_000),
    "csv.gz": (lambda path: csv_file(path.with_suffix(".csv.gz")), 60_000, 20_000),
    "insert": (lambda path: sqlite_table(path, "bids"), 300_000, 150_000),
    "upsert": (lambda path: sqlite_table(path, "bids", key="auction"), 300_000, 150_000),
    "insert, unique": (lambda path: sqlite_table(path, "bids", key="auction", mode="insert"), 200_000, 70_000),
}
"""A sink, how many records, and how many it takes in about a second."""


@pytest.mark.parametrize("name", list(_sinks))
def test_exactly_once(benchmark: BenchmarkFixture, name: str, tmp_path: Path) -> None:
    make, records, in_a_second = _sinks[name]
    count = scaled(records)
    bids = [Bid(i, i % 89, i * 0.25, f"channel-{i % 7}", 1_700_000_000 + i) for i in range(count)]
    batches = [bids[at : at + FRAME] for at in range(0, count, FRAME)]
    paths = (tmp_path / f"{number}" for number in range(1_000))

    def plain() -> None:
        _write(make(next(paths)), batches, None, count)

    def with_checkpoints() -> None:
        _write(make(next(paths)), batches, Recovery("job", 1), min(in_a_second, count // 3))

    def tidied(work: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            for path in _files(tmp_path):
                path.unlink()
            work()

        return run

    paired(benchmark, tidied(with_checkpoints), tidied(plain), count, rounds=3)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in list(folder.iterdir()) if path.is_file())


def _write(sink: Sink[Any], batches: list[list[Bid]], recovery: Recovery | None, in_a_checkpoint: int) -> None:
    writer = sink.open(SinkContext("sink", Bid, recovery=recovery))
    since = checkpoint = 0
    for batch in batches:
        writer.write(batch)
        since += len(batch)
        if recovery is not None and (since >= in_a_checkpoint or batch is batches[-1]):
            since, checkpoint = 0, checkpoint + 1
            writer.commit(writer.prepare(checkpoint))
    writer.finish()
