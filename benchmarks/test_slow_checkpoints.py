"""How long checkpoints take while the sink is slow: each waits for what is in flight before its barrier.

The sink takes 2,000 records a second, either from the start or after a fifth of the time at 20,000, while 100,000 are offered. What is
noted is of the checkpoints that end while it is slow; `longest` is one that waits for what lay in windows of faster times.
"""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.paired import SCALE
from benchmarks.slow_sink.ends import Counted, Paced, as_item
from benchmarks.slow_sink.job import OFFERED, SETTINGS
from benchmarks.slow_sink.profiles import FULL, SLOW, Profile
from connectors.memory import generate
from engine import Dataflow, Job, count, max_
from engine.checkpoints import Checkpoints

SECONDS = max(2.0, 15 * SCALE)
INTERVAL = min(1.0, SECONDS / 8)
STEP = SECONDS / 5
LOOK_SECONDS = 0.01


class _Look(NamedTuple):
    """The job at one moment: of the last checkpoint, how many there were then, and what it took; what is in flight."""

    at: float
    made: int
    seconds: float
    records: int
    bytes: int


def _flow(pieces: tuple[tuple[float, float], ...], processes: int, folder: Path) -> Dataflow:
    flow = Dataflow("slow-checkpoints", settings=SETTINGS)
    numbers = flow.source(generate(int, rate=OFFERED, catch_up=False))
    counted = (
        numbers.map(as_item).key_by("key").aggregate(times=count(), number=max_("number"), emit="update", type=Counted)
    )
    if processes > 1:
        counted = counted.stage("load")
    counted.sink(Paced(Profile("slow", 10 * SECONDS, pieces, (pieces[-1][0], SECONDS)), folder))
    return flow


def _look(job: Job, began: float) -> _Look:
    metrics = job.metrics()
    assert metrics.checkpoints is not None
    outlets = [each for outlets in job.attempt.part.worker.outlets.values() for each in outlets]
    under_way = sum(each.bytes_sent - each.bytes_released for each in outlets)
    made = metrics.checkpoints
    return _Look(time.monotonic() - began, made.made, made.seconds, metrics.in_flight, under_way)


def _watch(job: Job) -> list[_Look]:
    """From the first record that is written, so long."""
    while not job.metrics().records_written:
        time.sleep(LOOK_SECONDS)
    began, looks = time.monotonic(), [_look(job, time.monotonic())]
    while looks[-1].at < SECONDS:
        time.sleep(LOOK_SECONDS)
        looks.append(_look(job, began))
    return looks


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("pieces", [((0.0, SLOW),), ((0.0, FULL), (STEP, SLOW))], ids=["from the start", "step"])
def test_checkpoints(
    benchmark: BenchmarkFixture, tmp_path: Path, pieces: tuple[tuple[float, float], ...], processes: int
) -> None:
    where = Checkpoints(into=str(tmp_path / "checkpoints"), interval=f"{INTERVAL:g}s")
    with _flow(pieces, processes, tmp_path).start(checkpoint=where) as job:
        looks = benchmark.pedantic(_watch, args=(job,), rounds=1)  # type: ignore[no-untyped-call]
        job.cancel()
        job.join()
        job._told = True
    slow = [look for look in looks if look.at >= pieces[-1][0]]
    taken = {look.made: look.seconds for look in slow if look.made > slow[0].made}
    assert taken
    first, *_ = seconds = list(taken.values())
    settled = slow[len(slow) // 2 :]
    benchmark.extra_info.update(
        checkpoints=len(seconds),
        first=round(first, 2),
        median=round(median(seconds), 2),
        longest=round(max(seconds), 2),
        records_in_flight=(max(look.records for look in slow), round(median(look.records for look in settled))),
        bytes_over_the_link=(max(look.bytes for look in slow), round(median(look.bytes for look in settled))),
    )
