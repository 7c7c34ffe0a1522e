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
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.connectors.conftest import postgres, running_postgres  # noqa: F401 - fixtures
from tests.faults import counted
from tests.faults.conftest import RUNS, SEED, Leftovers, eventually
from tests.faults.counted import POINTS, RECOVERING, Row
from tests.faults.timed import Result

if TYPE_CHECKING:
    from tests.connectors.postgres_server import PostgresServer

ROOT = Path(__file__).parents[2]
STRIKES = 3 if RUNS <= 5 else 12
"""How many there are in a run."""

COUNT = 10_000
"""Records of each part: more than are read while a run is struck at, as they come slowly until then."""

pytestmark = pytest.mark.timeout(60 + 12 * STRIKES)


def check(folder: Path, count: int, server: PostgresServer, has_sqlite: bool = True) -> None:
    """Every sink has each row once, those of a key in order, each result is there once, and nothing waits any more."""
    wanted = counted.wanted(count)
    files = [[Row(*line) for line in lines] for lines in _lines(folder, "out")]
    in_order, waiting = files, []
    if has_sqlite:
        with closing(sqlite3.connect(folder / "out.db")) as db:
            rows = [Row(*row) for row in db.execute("SELECT part, number, key, nth FROM t ORDER BY rowid")]
            waiting = db.execute("SELECT name FROM sqlite_master WHERE name LIKE 'headgate_staged%'").fetchall()
        check_same("rows in SQLite", rows, wanted)
        in_order = [*files, rows]
    in_postgres = [Row(*row) for row in server.sql("SELECT part, number, key, nth FROM t ORDER BY part, number")]
    results = [Result(*line) for lines in _lines(folder, "results") for line in lines]
    check_same("rows in files", list(chain(*files)), wanted)
    check_same("rows in PostgreSQL", in_postgres, wanted)
    check_same("results in files", results, counted.wanted_of_time(count))
    for found in in_order:
        by_key = defaultdict(list)
        for row in found:
            by_key[row.part, row.key].append(row.nth)
        assert all(nths == sorted(nths) for nths in by_key.values()), "out of order"
    waiting += server.sql("SELECT relname FROM pg_class WHERE relname LIKE 'headgate_staged%'")
    waiting += [path.name for path in folder.glob(".*") if path.name.startswith((".out", ".results"))]
    assert not waiting


def _lines(folder: Path, name: str) -> list[list[Any]]:
    """Of each file that is called so, whatever its number."""
    return [list(map(json.loads, path.read_text().splitlines())) for path in folder.glob(f"{name}*.jsonl")]


def check_same(what: str, found: list[Any], wanted: list[Any]) -> None:
    """What is lost and what is doubled is told apart."""
    have, want = Counter(found), Counter(wanted)
    lost, doubled = sorted((want - have).elements()), sorted((have - want).elements())
    told = f"{what}: {len(lost)} lost {lost[:5]}, {len(doubled)} doubled or wrong {doubled[:5]}"
    assert not lost, told
    assert not doubled, told


class Lives:
    """A program that is run again whenever it has been killed."""

    def __init__(self, folder: Path, count: int, server: PostgresServer, **env: str) -> None:
        self.folder, self.count, self.server, self.env = folder, count, server, env
        self.log = folder / f"log of {id(self)}"

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

    def signal(self, pid: int, number: signal.Signals) -> bool:
        """Whether there was a process to get it: neither an ended one nor none."""
        with suppress(ProcessLookupError, FileNotFoundError):
            is_alive = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
            os.kill(pid, number)
            return is_alive
        return False

    def await_checkpoint(self) -> None:
        """Until one more has been made than there are now, or the job is over."""
        before = self._latest
        eventually(lambda: self._latest > before or self.is_over, f"no checkpoint: {self.log.read_text()[-5000:]}")

    @property
    def _latest(self) -> str:
        """Folders are called by number and epoch; either only grows."""
        return max((path.parent.name for path in self.folder.glob("kept/*/*/manifest.json")), default="")

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


KILLS, STOPS = ("kill", "stop and kill"), ("stop and kill", "pause", "silence")


def strike(running: Lives, dice: random.Random, processes: list[int], struck: Counter[str]) -> str:
    """Once, at some moment; says what it was. Most are such at which the job has got on since the one before."""
    if dice.random() < 0.8:
        running.await_checkpoint()
        threading.Event().wait(dice.uniform(0, 0.2))
    else:
        threading.Event().wait(dice.uniform(0.1, 1.2))
    workers = running.workers
    is_worker = bool(workers) and dice.random() < 0.7
    pid = dice.choice(workers) if is_worker else running.child.pid
    what = dice.choice(["kill", "kill", "kill", *STOPS])
    who = "workers" if is_worker else "parents"
    if what in STOPS:
        struck[f"{who} stopped"] += running.signal(pid, signal.SIGSTOP)
        threading.Event().wait(1.5 if what == "silence" else dice.uniform(0, 0.4))
    if what in KILLS:
        struck[f"{who} killed"] += running.signal(pid, signal.SIGKILL)
    else:
        running.signal(pid, signal.SIGCONT)
    if what in KILLS and not is_worker:
        running.child.wait()
        running.start(dice.choice(processes))
    return f"{what} {f'worker {workers.index(pid) + 1}' if is_worker else 'parent'}"


@pytest.mark.parametrize("run", range(max(2, RUNS // 5)))
def test_processes_that_are_killed_and_stopped_at_random_moments(
    run: int,
    tmp_path: Path,
    postgres: PostgresServer,  # noqa: F811
    leftovers: Leftovers,
    struck: Counter[str],
) -> None:
    dice, said = random.Random(f"{SEED} {run} goes on"), list[str]()
    processes = [[2], [1], [3], [1, 2, 3]][run % 4]
    with lives(tmp_path, COUNT, postgres) as running:
        running.start(dice.choice(processes))
        for _ in range(STRIKES):
            if not running.is_over:
                said.append(strike(running, dice, processes, struck))
        try:
            running.end()
            check(tmp_path, COUNT, postgres)
            leftovers.await_none(is_swept=True)
        except AssertionError as error:
            error.add_note(f"seed {SEED}, run {run}, {processes} processes: {', '.join(said)}")
            raise


MANY = pytest.mark.skipif(RUNS <= 5, reason="takes a minute or more: of `make test-faults`")


@MANY
@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("point", POINTS)
def test_a_process_that_is_killed_between_two_steps(
    point: str,
    when: str,
    processes: int,
    tmp_path: Path,
    postgres: PostgresServer,  # noqa: F811
    struck: Counter[str],
) -> None:
    strikes = f"{point};{when};{1 if point.endswith('finishes') else 3};{tmp_path}/died;SIGKILL"
    with lives(tmp_path, 2_000, postgres, HEADGATE_TEST_STRIKES=strikes) as running:
        if point.endswith("finishes"):
            (tmp_path / "hurry").touch()
        running.start(processes)
        await_death(running, "died", processes, struck)
        running.end()
    check(tmp_path, 2_000, postgres)


@MANY
@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("point", RECOVERING)
def test_a_process_that_is_killed_while_it_recovers(
    point: str,
    when: str,
    processes: int,
    tmp_path: Path,
    postgres: PostgresServer,  # noqa: F811
    struck: Counter[str],
) -> None:
    """From a death right before the last of what a checkpoint has was committed."""
    nth = 1 if processes == 1 or point not in {"store opens", "resumes"} else 2  # in the parent, which lives on
    strikes = f"postgres commits;before;3;{tmp_path}/died;SIGKILL|{point};{when};{nth};{tmp_path}/again;SIGKILL"
    with lives(tmp_path, 2_000, postgres, HEADGATE_TEST_STRIKES=strikes) as running:
        running.start(processes)
        for marker in ("died", "again"):
            await_death(running, marker, processes, struck)
        running.end()
    check(tmp_path, 2_000, postgres)


def await_death(running: Lives, marker: str, processes: int, struck: Counter[str]) -> None:
    """Until a process has died at its fault point; the program is run again if it was that."""
    died = running.folder / marker
    eventually(lambda: died.exists() and died.read_text(), f"nothing came to it: {running.log.read_text()}")
    struck["killed between two steps"] += 1
    if int(died.read_text()) == running.child.pid:
        assert running.child.wait(20) == -signal.SIGKILL
        running.start(processes)


FAILURES = [f"{when} {point}" for point in POINTS if not point.endswith("finishes") for when in ("before", "after")]


@pytest.mark.parametrize("moment", FAILURES[1::3] if RUNS <= 5 else FAILURES)
def test_a_failure_between_two_steps(
    moment: str,
    tmp_path: Path,
    postgres: PostgresServer,  # noqa: F811
) -> None:
    """Which here ends an attempt or a checkpoint, not the process; the job goes on, or what is run next does."""

    def fail() -> None:
        raise RuntimeError("planned")

    when, _, point = moment.partition(" ")
    (tmp_path / "hurry").touch()
    owner, name, real = counted.plant(point, when, 2, fail)
    try:
        result = counted.counted(tmp_path, 600, postgres.conninfo()).run(checkpoint=counted.often(tmp_path))
    finally:
        setattr(owner, name, real)
    assert result.state == "finished"
    check(tmp_path, 600, postgres)
