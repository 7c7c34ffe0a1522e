"""What takes the place of a lost worker: its loss is noticed without waiting, and the next ones start at once."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from connectors.memory import discard, generate
from engine import Checkpoints, Dataflow, JobCancelled, WorkerLost, crew, restarts
from engine.job import Job
from engine.placement import LocalPlacement
from tests.faults.conftest import eventually
from tests.faults.test_killed_workers import pids

pytestmark = pytest.mark.timeout(80)


def started(folder: Path, limit: int = 1) -> Job:
    """A job over two workers without an end, once records flow."""
    flow = Dataflow("endless")
    flow.source(generate(int, count=10**12)).key_by(lambda number: number % 7).map(abs).sink(discard())
    job = flow.start(processes=2, checkpoint=Checkpoints(into=str(folder), interval="1h", restarts=limit))
    eventually(lambda: job.metrics().records_written > 0, "nothing was written")
    return job


def prepared(job: Job) -> list[int]:
    """The processes that wait for the next attempt, once they do."""
    eventually(lambda: job.attempt.successors is not None, "nothing was prepared")
    placement = job.attempt.successors
    assert isinstance(placement, LocalPlacement)
    return [slot.pid for slot in placement._slots]


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_a_loss_is_known_by_the_ends_of_process_and_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "_LAST_WORDS_SECONDS", 1000.0)
    with started(tmp_path, limit=0) as job:
        os.kill(pids(job)[2], signal.SIGKILL)
        with pytest.raises(WorkerLost, match="worker-2 ended: killed by SIGKILL"):
            job.wait(30)


def test_the_next_attempt_runs_in_the_processes_that_were_prepared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restarts, "FIRST_SECONDS", 1.0)
    with started(tmp_path) as job:
        first = job.attempt
        os.kill(pids(job)[1], signal.SIGKILL)
        waiting = prepared(job)
        eventually(lambda: job.attempt is not first and job.metrics().records_written > 0, "it was not started anew")
        assert sorted(pids(job).values()) == sorted(waiting)
        job.stop()
        assert job.wait(30).checkpoints.restarts == 1  # type: ignore[union-attr]
    assert not any(map(is_there, waiting))


def test_one_that_is_lost_before_its_turn_has_a_successor_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restarts, "FIRST_SECONDS", 1.0)
    with started(tmp_path) as job:
        first = job.attempt
        os.kill(pids(job)[1], signal.SIGKILL)
        waiting = prepared(job)
        os.kill(waiting[0], signal.SIGKILL)
        eventually(lambda: job.attempt is not first and job.metrics().records_written > 0, "it was not started anew")
        assert waiting[0] not in pids(job).values()
        job.stop()
        job.wait(30)


def test_none_is_left_of_a_job_that_is_not_started_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restarts, "FIRST_SECONDS", 1000.0)
    job = started(tmp_path)
    os.kill(pids(job)[1], signal.SIGKILL)
    waiting = prepared(job)
    assert all(map(is_there, waiting))
    job.cancel()
    with pytest.raises((WorkerLost, JobCancelled)):
        job.wait(30)
    assert not any(map(is_there, waiting))
