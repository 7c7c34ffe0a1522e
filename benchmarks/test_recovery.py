"""How long a job stands still when a worker or all of it is killed, and how long it takes to come back with much state.

What counts is when records come to the sink again: by then the loss has been noticed, processes have been started anew,
and each has read what the checkpoint has of its state.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from statistics import median

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.paired import scaled
from benchmarks.recovery import counting, eventually, records_flow
from engine.checkpoints import Checkpoints
from engine.job import Job


def _one_more_checkpoint(where: Path) -> None:
    before = set(where.rglob("manifest*"))
    eventually(lambda: bool(set(where.rglob("manifest*")) - before))


def _note(benchmark: BenchmarkFixture) -> None:
    seconds = benchmark.stats.stats.data if benchmark.stats else []  # none where benchmarks only run, unmeasured
    if seconds:
        figures = {"least": min(seconds), "median": median(seconds), "most": max(seconds)}
        benchmark.extra_info.update({name: round(figure, 2) for name, figure in figures.items()})


@pytest.mark.timeout(120)
@pytest.mark.parametrize("processes", [2, 3])
def test_from_a_kill_to_records(benchmark: BenchmarkFixture, tmp_path: Path, processes: int) -> None:
    job = counting(1_000).start(processes=processes, checkpoint=Checkpoints(into=str(tmp_path), interval="200ms"))

    def ready() -> None:
        records_flow(job)
        _one_more_checkpoint(tmp_path)

    def kill() -> None:
        attempt = job.attempt
        assert attempt.crew is not None
        os.kill(attempt.crew._slots[1].pid, signal.SIGKILL)
        eventually(lambda: job.attempt is not attempt)
        records_flow(job)

    benchmark.pedantic(kill, setup=ready, rounds=5)  # type: ignore[no-untyped-call]
    _note(benchmark)
    job.cancel()
    job.join()


@pytest.mark.timeout(120)
def test_from_the_program_s_kill_to_records(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    where = tmp_path / "checkpoints"
    running: list[subprocess.Popen[bytes]] = []

    def run() -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, "-m", "benchmarks.recovery", str(where)]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment))
        output = running[-1].stdout
        assert output is not None
        assert output.readline() == b"records\n"

    def end() -> None:
        while running:
            with running.pop() as process, suppress(ProcessLookupError):
                process.kill()

    def ready() -> None:
        if not running:
            run()
        _one_more_checkpoint(where)

    def kill() -> None:
        end()
        run()

    try:
        benchmark.pedantic(kill, setup=ready, rounds=5)  # type: ignore[no-untyped-call]
    finally:
        end()
    _note(benchmark)


@pytest.mark.timeout(120)
def test_a_million_keys(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    keys = scaled(1_000_000)
    where = Checkpoints(into=str(tmp_path), interval="1h")
    with counting(keys).start(checkpoint=where) as job:
        eventually(lambda: job.metrics().records_written > keys)
        job.stop()
    jobs: list[Job] = []

    def recover() -> None:
        job = counting(keys).start(checkpoint=where)
        records_flow(job)
        jobs.append(job)

    def end() -> None:
        while jobs:
            jobs[-1].cancel()
            jobs.pop().join()

    benchmark.pedantic(recover, setup=end, rounds=3)  # type: ignore[no-untyped-call]
    end()
