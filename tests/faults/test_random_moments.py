"""Workers killed or stopped at random moments: what a sink promised stays true, and the job ends clearly."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path

import pytest

from connectors.memory import generate
from connectors.sqlite import sqlite_table
from engine import Dataflow, JobCancelled, Settings, WorkerLost
from tests.faults.conftest import RUNS, SEED
from tests.faults.test_killed_workers import pids

pytestmark = pytest.mark.timeout(80)

RECORDS = 30_000


def row(i: int) -> dict[str, int]:
    return {"number": i, "square": i * i}


def keyed(flow: Dataflow, database: Path) -> None:
    stream = flow.source(generate(int, count=RECORDS)).map(row).stage("load", processes=2)
    stream.key_by(lambda each: each["number"] % 11).map(lambda each: each).sink(
        sqlite_table(database, "squares", batch=100)
    )


def numbers(database: Path) -> list[int]:
    if not database.exists():
        return []
    with closing(sqlite3.connect(database)) as db, suppress(sqlite3.OperationalError):  # there is no table yet
        rows = db.execute("SELECT number, square FROM squares").fetchall()
        assert all(square == number * number for number, square in rows)
        return sorted(number for number, _ in rows)
    return []


@pytest.mark.parametrize("run", range(RUNS))
def test_nothing_is_doubled_and_nothing_lost_of_what_was_promised(
    tmp_path: Path, run: int, struck: Counter[str]
) -> None:
    dice = random.Random(f"{SEED} {run}")
    what = ("kill", "pause", "stop", "cancel")[run % 4]
    moment, worker = dice.uniform(0.0, 1.0), dice.randrange(1, 4)
    said = f"seed {SEED}, run {run}: {what} worker {worker} after {moment:.3f} s"
    flow = Dataflow("random", settings=Settings(max_window=500))
    keyed(flow, tmp_path / "out.db")
    state, result = "", None
    with suppress(WorkerLost, JobCancelled), flow.start() as job:
        ended = job.join(moment)
        pid = pids(job).get(worker)
        if what in {"kill", "pause"} and pid is not None and not ended:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL if what == "kill" else signal.SIGSTOP)
                struck["workers killed" if what == "kill" else "workers stopped"] += 1
            if what == "pause":
                job.join(0.3)
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
        elif what == "stop":
            job.stop()
        elif what == "cancel":
            job.cancel()
        result = job.wait(40)
    state, written = job.state, numbers(tmp_path / "out.db")
    expected = {"kill": {"finished", "failed"}, "pause": {"finished"}, "stop": {"finished", "stopped"}}
    assert state in expected.get(what, {"finished", "cancelled"}), said
    assert len(set(written)) == len(written), said
    if result is not None:
        assert written == list(range(result.records_read)), said
        assert result.records_written == len(written), said
        assert result.in_flight == result.dropped == 0, said
    assert job.metrics().most_in_flight <= job.plan.bound, said
