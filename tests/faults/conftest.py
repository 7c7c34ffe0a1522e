"""What every test here is under: no process, thread, socket or directory of any job may be left after it."""

from __future__ import annotations

import os
import secrets
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine import socket_folder
from tests.faults.far import SECONDS

if TYPE_CHECKING:
    from tests.faults.wire import Victim

RUNS = int(os.environ.get("HEADGATE_FAULT_RUNS", "5"))
"""How many runs a test makes that strikes at random moments; `make test-faults` makes many."""

SEED = int(os.environ.get("HEADGATE_FAULT_SEED", "1"))


STRUCK = "struck"
"""Of a test's report: what it did to processes that were alive, and how often."""


@pytest.fixture
def struck(record_property: Callable[[str, object], None]) -> Iterator[Counter[str]]:
    """What has struck: all of it is told at the end of the session."""
    counted = Counter[str]()
    yield counted
    record_property(STRUCK, dict(counted))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Those that failed are among the failures, so here is only on how much they stand."""
    reports = [
        each for group in terminalreporter.stats.values() for each in group if isinstance(each, pytest.TestReport)
    ]
    found = [dict(each.user_properties).get(STRUCK) for each in reports if each.when == "teardown"]
    total, runs = Counter[str](), 0
    for each in found:
        if isinstance(each, dict):
            total.update(each)
            runs += 1
    if total:
        said = ", ".join(f"{times} {what}" for what, times in sorted(total.items()))
        terminalreporter.write_line(f"struck in {runs} runs, seed {SEED}: {said}")


def eventually(condition: Callable[[], object], what: str, seconds: float = SECONDS) -> None:
    """Wait until `condition()`; fail with `what` if it does not come."""
    end, pause = time.monotonic() + seconds, threading.Event()
    while not condition():
        assert time.monotonic() < end, what
        pause.wait(0.005)


class Leftovers:
    """What is left of the jobs of a test, known by a mark in the environment and by the folder for temporary files."""

    def __init__(self, folder: Path) -> None:
        self.mark = f"HEADGATE_TEST_MARK={secrets.token_hex(8)}"
        self.folder = folder

    @property
    def processes(self) -> list[str]:
        return [f"{pid}: {_read(f'/proc/{pid}/cmdline')[:200]!r}" for pid in self._pids()]

    def _pids(self) -> Iterator[int]:
        for name in os.listdir("/proc"):
            if name.isdigit() and int(name) != os.getpid() and self.mark.encode() in _read(f"/proc/{name}/environ"):
                yield int(name)

    @property
    def files(self) -> list[str]:
        """They may be going while we look, which `os.walk` takes no offence at."""
        found = (
            os.path.join(folder, name) for folder, folders, names in os.walk(self.folder) for name in folders + names
        )
        return [path for path in found if "headgate-" in path]

    @property
    def all(self) -> list[str]:
        return [*self.processes, *self.files]

    def await_none(self, *, is_swept: bool = False) -> None:
        """`is_swept`: as it would be when the next job has begun."""
        if is_swept:
            socket_folder.sweep(str(self.folder))
        eventually(lambda: not self.all, "", 20) if self.all else None
        assert not self.all


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


@pytest.fixture(autouse=True)
def leftovers(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Leftovers]:
    before = set(threading.enumerate())
    left = Leftovers(tmp_path_factory.mktemp("t"))
    monkeypatch.setenv(*left.mark.split("=", 1))
    monkeypatch.setenv("TMPDIR", str(left.folder))
    monkeypatch.setattr(tempfile, "tempdir", str(left.folder))
    yield left
    assert not left.all, "a job that has ended leaves nothing"
    threads = [each.name for each in threading.enumerate() if each not in before and each.name.startswith("headgate")]
    assert not threads, f"threads left behind: {threads}"


@pytest.fixture(params=["", "127.0.0.1"], ids=["ipc", "tcp"])
def job(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Victim]:
    """One that is tampered with; then it must end as if nothing had been."""
    from tests.faults.wire import victim  # which waits with what is above

    with victim(tmp_path, request.param) as running:
        yield running
        running.goes_on()
        running.finish()
