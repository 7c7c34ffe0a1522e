"""Jobs with checkpoints that are stopped: as "stopped" they have shown all of the last one, else an error says why."""

from __future__ import annotations

import gc
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from connectors.files import json_lines_file
from engine import CheckpointError, Checkpoints, ConnectorError, Dataflow, coordinator
from engine.checkpoint_manifest import Manifest
from engine.checkpoint_store import Pending
from engine.job import Job
from engine.last_checkpoint import MOST_TRIES
from tests.engine import saved
from tests.engine.saved import Numbers, Shown
from tests.engine.test_checkpoints import COUNT, PARTS, WANTED, by_key, counting
from tests.engine.test_slow_stores import LONG, Hanging, hurry

__all__ = ["hurry"]

COMMIT = saved._ShowingWriter.commit


def fill_the_disk(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """For so many checkpoints."""
    left, real = iter(range(times)), Pending.commit

    def commit(pending: Pending) -> Manifest:
        for _ in left:
            raise OSError(28, "No space left on device")
        return real(pending)

    monkeypatch.setattr(Pending, "commit", commit)
    monkeypatch.setattr(coordinator, "WANTED_AGAIN_SECONDS", 0.001)


def started(directory: Path, sink: Shown, **others: Any) -> Job:
    """A job without end, whose first checkpoint is that of its stop."""
    numbers = Numbers(COUNT, PARTS, until=COUNT // 2)
    job = counting(sink, None, numbers).start(checkpoint=Checkpoints(into=str(directory), interval="1h", **others))
    while not job.metrics().records_read:
        job.join(0.001)
    return job


def test_a_commit_that_fails_fails_the_job_and_the_next_run_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*arguments: Any) -> None:
        raise ConnectionError("planted: the table is locked")

    sink = Shown()
    with monkeypatch.context() as patched:
        patched.setattr(saved._ShowingWriter, "commit", locked)
        job = started(tmp_path, sink)
        job.stop()
        with pytest.raises(ConnectorError, match="planted: the table is locked") as failed:
            job.wait(LONG)
    assert job.state == "failed"
    assert sink.rows == []
    (note,) = failed.value.__notes__
    assert note == "checkpoint 1 lasts: the next run shows what of it is not to be seen yet"
    counting(sink).run(checkpoint=str(tmp_path))
    assert Counter(sink.rows) == WANTED


@pytest.mark.usefixtures("hurry")
def test_a_commit_is_waited_for_however_long_it_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = Hanging(COMMIT)
    monkeypatch.setattr(saved._ShowingWriter, "commit", lambda *arguments: commit(*arguments))  # noqa: PLW0108
    sink = Shown()
    with started(tmp_path, sink) as job:
        job.stop()
        assert commit.came.wait(LONG)
        assert not job.join(0.5), "after which a cancelled one is left"
        commit.answer.set()
        assert job.wait(LONG).state == "stopped"
    assert sink.rows
    counting(sink).run(checkpoint=str(tmp_path))
    assert Counter(sink.rows) == WANTED


def test_what_another_process_writes_is_seen_too(tmp_path: Path) -> None:
    """Whose sources may end before it hears that the last checkpoint is complete."""
    flow, out = Dataflow("across"), tmp_path / "out.jsonl"
    flow.source(Numbers(COUNT, 2, until=COUNT // 2)).key_by(by_key).map(by_key, type=int).sink(json_lines_file(out))
    with flow.start(processes=2, checkpoint=Checkpoints(into=str(tmp_path / "state"), interval="1h")) as job:
        while job.metrics().records_written < COUNT:
            job.join(0.01)
        job.stop()
        assert job.wait(LONG).state == "stopped"
    rows = Counter(json.loads(line) for path in tmp_path.glob("out*.jsonl") for line in path.read_text().splitlines())
    assert rows == Counter({key: 2 * len(range(key, COUNT // 2, 7)) for key in range(7)})


@pytest.mark.parametrize("savepoint", [None, "move"])
def test_a_last_checkpoint_that_is_given_up_is_made_again(
    savepoint: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = Shown()
    with started(tmp_path, sink) as job:
        fill_the_disk(monkeypatch, MOST_TRIES - 1)
        job.stop(savepoint=savepoint)
        result = job.wait(LONG)
    assert result.checkpoints is not None
    assert (result.state, result.checkpoints.given_up, result.checkpoints.savepoint) == ("stopped", 4, savepoint)
    assert sink.rows
    counting(sink).run(checkpoint=str(tmp_path))
    assert Counter(sink.rows) == WANTED


@pytest.mark.parametrize(("savepoint", "which"), [(None, "its last checkpoint"), ("move", "the savepoint 'move'")])
def test_one_that_cannot_be_made_ends_the_job_with_an_error_and_nothing_is_lost(
    savepoint: str | None, which: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = Shown()
    job = started(tmp_path, sink)
    with monkeypatch.context() as patched:
        fill_the_disk(patched, 10**9)
        job.stop(savepoint=savepoint)
        with pytest.raises(CheckpointError, match=f"{which} could not be made: OSError.*\n  hint: the next run"):
            job.wait(LONG)
    assert job.state == "failed"
    counting(sink).run(checkpoint=str(tmp_path))
    assert Counter(sink.rows) == WANTED


def test_an_attempt_that_is_never_started_leaves_nothing_open() -> None:
    """As when the job is stopped while its next one is made."""
    gc.collect()
    before = os.listdir("/proc/self/fd")
    job = Job(counting(Shown()), 2)
    assert os.listdir("/proc/self/fd") != before
    del job
    gc.collect()
    assert os.listdir("/proc/self/fd") == before


def test_who_stops_a_job_whose_last_checkpoint_lasts_changes_nothing(tmp_path: Path) -> None:
    sink = Shown()
    job = counting(sink).start(checkpoint=str(tmp_path))
    while not job._is_complete:
        job.join(0.001)
    job.stop()
    assert job.wait(LONG).state == "finished"
