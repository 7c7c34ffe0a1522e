"""How long a job stands still when a worker of it is killed, and how long it takes to come back with much state.

What counts is when records come to the sink again: by then the loss has been noticed, workers are started anew, and
each has read what the checkpoint has of its state.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.paired import scaled
from connectors.memory import discard, generate
from engine import Dataflow
from engine.checkpoints import Checkpoints
from engine.job import Job


def _counting(keys: int) -> Dataflow:
    flow = Dataflow("recovery")
    numbers = flow.source(generate(int, count=10**9)).key_by(lambda number: number % keys)
    numbers.stateful_map(lambda state, number: ((state or 0) + 1, number)).sink(discard())
    return flow


def _await(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


@pytest.mark.timeout(120)
def test_from_a_kill_to_records(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    job = _counting(1_000).start(processes=2, checkpoint=Checkpoints(into=str(tmp_path), interval="200ms"))

    def ready() -> None:
        before = set(tmp_path.rglob("manifest*"))
        _await(lambda: job.metrics().records_written > 0)
        _await(lambda: bool(set(tmp_path.rglob("manifest*")) - before))

    def kill() -> None:
        attempt = job.attempt
        assert attempt.crew is not None
        os.kill(attempt.crew._slots[1].pid, signal.SIGKILL)
        _await(lambda: job.attempt is not attempt and job.metrics().records_written > 0)

    benchmark.pedantic(kill, setup=ready, rounds=5)  # type: ignore[no-untyped-call]
    job.cancel()
    job.join()


@pytest.mark.timeout(120)
def test_a_million_keys(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    keys = scaled(1_000_000)
    where = Checkpoints(into=str(tmp_path), interval="1h")
    with _counting(keys).start(checkpoint=where) as job:
        _await(lambda: job.metrics().records_written > keys)
        job.stop()
    jobs: list[Job] = []

    def recover() -> None:
        job = _counting(keys).start(checkpoint=where)
        _await(lambda: job.metrics().records_written > 0)
        jobs.append(job)

    def end() -> None:
        while jobs:
            jobs[-1].cancel()
            jobs.pop().join()

    benchmark.pedantic(recover, setup=end, rounds=3)  # type: ignore[no-untyped-call]
    end()
