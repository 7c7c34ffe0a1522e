"""Whatever happens to a job that makes checkpoints: each row once, in order, and nothing is left behind."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.connectors.conftest import postgres, running_postgres  # noqa: F401 - fixtures
from tests.faults import counted
from tests.faults.conftest import RUNS, SEED, Leftovers, eventually
from tests.faults.counted import POINTS, Row

if TYPE_CHECKING:
    from tests.connectors.postgres_server import PostgresServer

ROOT = Path(__file__).parents[2]
STRIKES = 3 if RUNS <= 5 else 12
"""How many there are in a run."""

pytestmark = pytest.mark.timeout(60 + 12 * STRIKES)


def check(folder: Path, count: int, server: PostgresServer) -> None:
    """Every sink has each row once, those of a key in order, and nothing waits any more."""
    wanted = counted.wanted(count)
    files = [list(map(_row, path.read_text().splitlines())) for path in folder.glob("out*.jsonl")]
    with closing(sqlite3.connect(folder / "out.db")) as db:
        rows = [Row(*row) for row in db.execute("SELECT part, number, key, nth FROM t ORDER BY rowid")]
        waiting = db.execute("SELECT name FROM sqlite_master WHERE name LIKE 'headgate_staged%'").fetchall()
    assert sorted(chain(*files)) == sorted(rows) == wanted
    for found in (*files, rows):
        by_key = defaultdict(list)
        for row in found:
            by_key[row.part, row.key].append(row.nth)
        assert all(nths == sorted(nths) for nths in by_key.values()), "out of order"
    assert [Row(*row) for row in server.sql("SELECT part, number, key, nth FROM t ORDER BY part, number")] == wanted
    waiting += server.sql("SELECT relname FROM pg_class WHERE relname LIKE 'headgate_staged%'")
    waiting += [path.name for path in folder.glob(".out*")]
    assert not waiting


def _row(line: str) -> Row:
    return Row(*json.loads(line))


class Lives:
    """A program that is run again whenever it has been killed."""

    def __init__(self, folder: Path, count: int, server: PostgresServer, **env: str) -> None:
        self.folder, self.count, self.server, self.env = folder, count, server, env
        self.log = folder / "log"

    def start(self, processes: int) -> None:
        command = [sys.executable, "-m", "tests.faults.counted", str(self.folder), str(self.count), str(processes)]
        paths = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(ROOT)]))
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(
                [*command, self.server.conninfo()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": paths, **self.env},
            )

    @property
    def workers(self) -> list[int]:
        """In the order in which they were started; each is a child of the thread that started it."""
        children: list[int] = []
        for listed in Path(f"/proc/{self.child.pid}/task").glob("*/children"):
            with suppress(OSError):
                children += map(int, listed.read_text().split())
        return sorted(children)

    @property
    def is_over(self) -> bool:
        return self.child.poll() is not None

    def end(self) -> None:
        (self.folder / "hurry").touch()
        assert self.child.wait(60) == 0, self.log.read_text()[-5000:]

    def kill(self) -> None:
        for pid in [*self.workers, self.child.pid]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.child.wait()


@contextmanager
def lives(folder: Path, count: int, server: PostgresServer, **env: str) -> Iterator[Lives]:
    running = Lives(folder, count, server, **env)
    try:
        yield running
    finally:
        running.kill()


def strike(running: Lives, dice: random.Random, processes: list[int], said: list[str]) -> None:
    """Once, at some moment."""
    threading.Event().wait(dice.uniform(0.1, 1.2))
    workers = running.workers
    what = dice.choice(["kill", "kill", "pause", "stop and kill", "silence"] if workers else ["parent"])
    what = "parent" if dice.random() < 0.25 else what
    pid = running.child.pid if what == "parent" else dice.choice(workers)
    said.append(f"{what} {'' if what == 'parent' else workers.index(pid) + 1}")
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL if what in {"kill", "parent"} else signal.SIGSTOP)
        if what in {"pause", "stop and kill", "silence"}:
            threading.Event().wait(1.5 if what == "silence" else dice.uniform(0, 0.4))
            os.kill(pid, signal.SIGCONT if what != "stop and kill" else signal.SIGKILL)
    if what == "parent":
        running.child.wait()
        running.start(dice.choice(processes))


@pytest.mark.parametrize("run", range(max(2, RUNS // 5)))
def test_processes_that_are_killed_and_stopped_at_random_moments(
    run: int,
    tmp_path: Path,
    postgres: PostgresServer,  # noqa: F811
    leftovers: Leftovers,
) -> None:
    dice, said = random.Random(f"{SEED} {run} goes on"), list[str]()
    processes = [[2], [1], [3], [1, 2, 3]][run % 4]
    with lives(tmp_path, 30_000, postgres) as running:
        running.start(dice.choice(processes))
        for _ in range(STRIKES):
            if not running.is_over:
                strike(running, dice, processes, said)
        try:
            running.end()
            check(tmp_path, 30_000, postgres)
        except AssertionError as error:
            error.add_note(f"seed {SEED}, run {run}, {processes} processes: {', '.join(said)}")
            raise
    leftovers.await_none()


@pytest.mark.skipif(RUNS <= 5, reason="takes a minute or more: of `make test-faults`")
@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("point", POINTS)
def test_a_process_that_is_killed_between_two_steps(
    point: str,
    when: str,
    processes: int,
    tmp_path: Path,
    postgres: PostgresServer,  # noqa: F811
) -> None:
    dies = f"{point};{when};{1 if point.endswith('finishes') else 3};{tmp_path}/died"
    with lives(tmp_path, 2_000, postgres, HEADGATE_TEST_DIES=dies) as running:
        if point.endswith("finishes"):
            (tmp_path / "hurry").touch()
        running.start(processes)
        died = tmp_path / "died"
        eventually(lambda: died.exists() and died.read_text(), f"nothing came to it: {running.log.read_text()}")
        if int(died.read_text()) == running.child.pid:
            running.child.wait()
            running.start(processes)
        running.end()
        check(tmp_path, 2_000, postgres)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("point", [point for point in POINTS if not point.endswith("finishes")])
def test_a_failure_between_two_steps(
    point: str,
    when: str,
    tmp_path: Path,
    postgres: PostgresServer,  # noqa: F811
) -> None:
    """Which here ends an attempt or a checkpoint, not the process; the job goes on, or what is run next does."""

    def fail() -> None:
        raise RuntimeError("planned")

    (tmp_path / "hurry").touch()
    owner, name, real = counted.plant(point, when, 2, fail)
    try:
        result = counted.counted(tmp_path, 600, postgres.conninfo()).run(checkpoint=counted.often(tmp_path))
    finally:
        setattr(owner, name, real)
    assert result.state == "finished"
    check(tmp_path, 600, postgres)
