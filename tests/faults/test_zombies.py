"""Processes that stand still, are taken for dead and wake up behind their successors: they do no harm."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engine.slot import LocalSlot
from tests.connectors.conftest import postgres, running_postgres  # noqa: F401 - fixtures
from tests.faults import counted
from tests.faults.conftest import RUNS, eventually
from tests.faults.test_jobs_go_on import check, lives
from tests.faults.test_killed_workers import is_stopped
from tests.faults.test_what_a_job_stands_on import await_checkpoints

if TYPE_CHECKING:
    from tests.connectors.postgres_server import PostgresServer

pytestmark = pytest.mark.timeout(80)

COUNT = 3_000
SIZE = 1 if RUNS <= 5 else 4


def stopping(folder: Path, point: str) -> str:
    """Have whoever comes to it for the third time stop there, until somebody wakes it."""
    return f"{point};before;3;{folder}/stopped;SIGSTOP"


def await_stopped(folder: Path) -> int:
    marker = folder / "stopped"
    eventually(lambda: marker.exists() and marker.read_text(), "nobody came to it")
    eventually(lambda: is_stopped(int(marker.read_text())), "it was not stopped")
    return int(marker.read_text())


def wake(folder: Path, pid: int) -> None:
    """So that it goes on with what it was about to do."""
    assert not (folder / "stopped.woken").exists()
    os.kill(pid, signal.SIGCONT)
    eventually((folder / "stopped.woken").exists, "it did not go on")


@pytest.mark.parametrize("point", ["postgres commits", "manifest", "sqlite commits", "file commits"][:SIZE])
def test_a_program_that_wakes_up_behind_its_successor(
    point: str,
    tmp_path: Path,
    postgres: PostgresServer,  # noqa: F811
) -> None:
    """Where checkpoints have no lock; it ends, and does not take the job back."""
    has_sqlite = point.startswith("sqlite")
    places = {"HEADGATE_TEST_SCHEME": "local://", counted.NO_SQLITE: "" if has_sqlite else "1"}
    with (
        lives(tmp_path, COUNT, postgres, HEADGATE_TEST_STRIKES=stopping(tmp_path, point), **places) as first,
        lives(tmp_path, COUNT, postgres, **places) as second,
    ):
        first.start(1)
        pid = await_stopped(tmp_path)
        assert pid == first.child.pid
        second.start(1)
        second.await_checkpoint()
        wake(tmp_path, pid)
        second.await_checkpoint()
        assert first.child.wait(40) == 1
        said = first.log.read_text()
        assert "was taken over by job 'counted', process" in said or "has taken over from epoch" in said
        second.end()
    check(tmp_path, COUNT, postgres, has_sqlite)


@pytest.mark.parametrize("point", ["sqlite commits", "postgres prepares", "postgres commits", "file commits"][:SIZE])
def test_a_worker_out_of_reach_that_wakes_up_behind_its_successor(
    point: str,
    tmp_path: Path,
    postgres: PostgresServer,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    has_sqlite = point.startswith("sqlite")
    monkeypatch.setenv("HEADGATE_TEST_STRIKES", stopping(tmp_path, point))
    monkeypatch.setenv(counted.NO_SQLITE, "" if has_sqlite else "1")
    lost = out_of_reach(tmp_path, monkeypatch)
    flow = counted.counted(tmp_path, COUNT, postgres.conninfo())
    try:
        with flow.start(processes=2, checkpoint=counted.often(tmp_path)) as job:
            pid = await_stopped(tmp_path)
            eventually(lambda: job._restarts.count, "nobody missed it")
            await_checkpoints(tmp_path)
            wake(tmp_path, pid)
            await_checkpoints(tmp_path)
            (tmp_path / "hurry").touch()
            assert job.wait(40).state == "finished"
            assert lost, "it was killed"
    finally:
        monkeypatch.undo()
        for slot in lost:
            slot.kill()
            slot.wait()
            slot.close()
    for begun in tmp_path.glob(".*-1-*.partial"):  # by one that was killed at last: the next life would remove it
        begun.unlink()
    check(tmp_path, COUNT, postgres, has_sqlite)


def out_of_reach(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[LocalSlot]:
    """Whoever has stopped cannot be killed, and counts as gone once the job wants to; it comes into the list then."""
    lost: list[LocalSlot] = []

    def unless_lost(real: Callable[..., Any], answer: Any) -> Callable[..., Any]:
        return lambda slot, *arguments: answer if slot in lost else real(slot, *arguments)

    real_kill = LocalSlot.kill

    def kill(slot: LocalSlot) -> None:
        stopped = folder / "stopped"
        if slot not in lost and stopped.exists() and int(stopped.read_text()) == slot.pid:
            lost.append(slot)
        elif slot not in lost:
            real_kill(slot)

    for name, answer in {"alive": False, "wait": True, "close": None, "exit_text": "out of reach"}.items():
        monkeypatch.setattr(LocalSlot, name, unless_lost(getattr(LocalSlot, name), answer))
    monkeypatch.setattr(LocalSlot, "kill", kill)
    return lost
