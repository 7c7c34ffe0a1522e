"""What checkpoints cost a job with much state: its throughput with one a second, against none.

The state is 100 MB: as the process holds it (counts of a million numbers) or as it is written (a million lines of 100
characters). Every record has another key than the one before, so each is a look into memory that the cache has not.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.paired import paired_figures, scaled
from connectors.memory import discard, generate
from engine import Dataflow, KeyedStream, Stream, count
from engine.checkpoints import Checkpoints

KEYS = scaled(1_000_000)
RECORDS = 6 * KEYS
"""That are timed, once each key has its state: several seconds' worth."""


def _counts(numbers: KeyedStream[int]) -> Stream[Any]:
    return numbers.aggregate(count=count(), emit="update")


def _lines(numbers: KeyedStream[int]) -> Stream[Any]:
    return numbers.stateful_map(lambda line, number: (line or str(number).rjust(100), number))


def _seconds(operator: Callable[[KeyedStream[int]], Stream[Any]], into: Path | None) -> tuple[float, str]:
    """How long the records take, and what the job says of its checkpoints."""
    flow = Dataflow("state")
    numbers = flow.source(generate(int, count=10**12)).key_by(lambda number: number * 7919 % KEYS)
    operator(numbers).sink(discard())
    job = flow.start(checkpoint=None if into is None else Checkpoints(into=str(into), interval="1s"))
    _until(lambda: job.metrics().records_written >= 1.1 * KEYS)
    begun, before = time.perf_counter(), job.metrics().records_written
    _until(lambda: job.metrics().records_written >= before + RECORDS)
    seconds, last = time.perf_counter() - begun, job.metrics()
    job.cancel()
    job.join()
    return seconds * RECORDS / (last.records_written - before), str(last.checkpoints)


def _until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.01)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("operator", [_counts, _lines], ids=["counts", "lines"])
def test_a_checkpoint_a_second(
    benchmark: BenchmarkFixture, operator: Callable[[KeyedStream[int]], Stream[Any]], tmp_path: Path
) -> None:
    folders = (tmp_path / str(number) for number in itertools.count())
    said: list[str] = []

    def with_checkpoints() -> float:
        seconds, checkpoints = _seconds(operator, next(folders))
        said.append(checkpoints)
        return seconds

    paired_figures(benchmark, with_checkpoints, lambda: _seconds(operator, None)[0], RECORDS, rounds=9)
    benchmark.extra_info["checkpoints"] = said[1:]
