"""A job whose result says what was lost, doubled or out of order; a program, so that it can be killed and run again."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from connectors.files import json_lines_file
from connectors.sqlite import sqlite_table
from engine import Dataflow, Reader, Settings, Source
from engine.checkpoints import Checkpoints
from tests.faults.timed import KEYS, Result, key_of, moment, results, wanted_results

PARTS = 3
SINKS = ("file", "sqlite", "postgres")
NO_SQLITE = "HEADGATE_TEST_NO_SQLITE"
"""Set where a process is to stop that others do not wait for: it may be in the middle of a transaction, and keep the
file locked."""


class Row(NamedTuple):
    """`nth`: of its part and key it is this one, from 1, as the job's state has it."""

    part: int
    number: int
    key: int
    nth: int


class Slow(Source[tuple[int, int]]):
    """0, 1, 2... below `count` in each part: a few at a time, until there is a file `hurry` in the folder."""

    type = tuple[int, int]
    name = "slow"
    resumable = True
    blocking = False

    def __init__(self, count: int, hurry: Path) -> None:
        self.count, self.hurry = count, hurry

    def partitions(self) -> Sequence[str]:
        return [str(part) for part in range(PARTS)]

    def open(self, partition: str) -> Reader[tuple[int, int]]:
        return _SlowReader(self, int(partition))


class _SlowReader(Reader[tuple[int, int]]):
    def __init__(self, source: Slow, part: int) -> None:
        self._source, self._part, self._at = source, part, 0
        self._is_turn = True

    def read(self, limit: int) -> list[tuple[int, int]] | None:
        if self._at == self._source.count:
            return None
        is_slow = not self._source.hurry.exists()
        if is_slow:
            self._is_turn = not self._is_turn
            if self._is_turn:
                return []  # so that it is asked again only after a while
        begin, self._at = self._at, min(self._at + min(limit, 5 if is_slow else 500), self._source.count)
        return [(self._part, number) for number in range(begin, self._at)]

    def poll_after(self) -> float:
        return 0.01

    def position(self) -> int:
        return self._at

    def seek(self, position: int) -> None:
        self._at = position


def count_up(state: int | None, record: tuple[int, int]) -> tuple[int, Row]:
    nth = (state or 0) + 1
    return nth, Row(*record, record[1] % KEYS, nth)


def wanted(count: int) -> list[Row]:
    return [Row(part, number, number % KEYS, number // KEYS + 1) for part in range(PARTS) for number in range(count)]


def wanted_of_time(count: int) -> list[Result]:
    return wanted_results(PARTS, count)


def counted(folder: Path, count: int, postgres: str = "") -> Dataflow:
    """Counted rows into a file, a SQLite table, and a PostgreSQL one where there is a server; what event time makes of
    them into another file."""
    flow = Dataflow("counted", settings=Settings(silence="1s"))
    records = flow.source(Slow(count, folder / "hurry")).event_time(moment)
    results(records).sink(json_lines_file(folder / "results.jsonl"), name="results")
    rows = records.key_by(key_of).stateful_map(count_up, type=Row)
    rows.sink(json_lines_file(folder / "out.jsonl"), name="file")
    if not os.environ.get(NO_SQLITE):
        rows.sink(sqlite_table(folder / "out.db", "t", timeout=20), name="sqlite")
    if postgres:
        from connectors.postgres import postgres_table

        rows.sink(postgres_table(postgres, "t"), name="postgres")
    return flow


def often(folder: Path, **others: Any) -> Checkpoints:
    """`HEADGATE_TEST_SCHEME=local://` has the same directory without its lock, as all are that a URL names."""
    into = f"{os.environ.get('HEADGATE_TEST_SCHEME', '')}{folder / 'kept'}"
    return Checkpoints(into=into, interval="20ms", restarts=20, **others)


# ----------------------------------------------------------------------------------------------- fault points


def _points() -> dict[str, tuple[Any, str]]:
    from connectors import claim, postgres_staging, sqlite_staging, staged_file
    from engine import attempt, checkpoint_store, checkpointer, keeper, saving

    writers = {
        "file": staged_file.StagedFile,
        "sqlite": sqlite_staging.StagedTableWriter,
        "postgres": postgres_staging.StagedTableWriter,
    }
    return {
        "begins": (checkpoint_store.Store, "begin"),
        "keeper takes": (keeper.Keeper, "_take"),
        "keeper writes": (keeper, "write_blob"),
        "keeper says": (checkpointer.Checkpointer, "say"),
        "manifest": (checkpoint_store.Pending, "commit"),
        "old ones go": (checkpoint_store.Store, "let_go_of_old_ones"),
        "tell": (attempt.Attempt, "_tell"),
        "store opens": (checkpoint_store.Store, "_open"),
        "resumes": (saving, "resume"),
        "restores": (saving, "restore"),
        "file claims": (claim.Claim, "__init__"),
        "file recovers": (staged_file.StagedFile, "_remove_leftovers"),
        "sqlite recovers": (sqlite_staging.StagedTableWriter, "_recover"),
        "postgres recovers": (postgres_staging.StagedTableWriter, "_recover"),
        **{f"{name} prepares": (cls, "prepare") for name, cls in writers.items()},
        **{f"{name} commits": (cls, "commit") for name, cls in writers.items()},
        **{f"{name} finishes": (cls, "finish") for name, cls in writers.items()},
    }


POINTS = [
    *("begins", "keeper takes", "keeper writes", "keeper says", "manifest", "old ones go", "tell"),
    *(f"{name} {does}" for name in SINKS for does in ("prepares", "commits", "finishes")),
]


RECOVERING = ["store opens", "resumes", "restores", "file claims", *(f"{name} recovers" for name in SINKS)]
"""What comes to these goes on from a checkpoint."""


def plant(point: str, when: str, nth: int, strike: Callable[[], None]) -> tuple[Any, str, Any]:
    """Strike "before" or "after" the `nth` call of what `point` names; gives what is to be undone."""
    owner, name = _points()[point]
    real, calls, lock = getattr(owner, name), 0, threading.Lock()

    def stepped(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        with lock:
            calls += 1
            is_now = calls == nth
        if is_now and when == "before":
            strike()
        result = real(*arguments, **options)
        if is_now and when == "after":
            strike()
        return result

    setattr(owner, name, stepped)
    return owner, name, real


_PR_SET_PDEATHSIG = 1


def _signal_itself_once(marker: Path, number: int, before: Path | None = None) -> None:
    """Only the first process that comes to it once `before` is there; then `marker` is, with its id."""
    if before is not None and not before.exists():
        return
    mine = marker.with_suffix(f".{os.getpid()}")
    mine.write_text(str(os.getpid()))
    with suppress(FileExistsError):
        os.link(mine, marker)
        signal.pthread_kill(threading.get_ident(), number)  # this very thread gets no further
        marker.with_suffix(".woken").touch()


def _plant_what_is_planned(planned: str) -> None:
    """One after the other, in whatever process of the job comes to it: "point;when;nth;marker;signal|..."."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, 0)  # who stops there is not woken by the end of what started it
    before = None
    for each in planned.split("|"):
        point, when, nth, marker, number = each.split(";")
        plant(point, when, int(nth), partial(_signal_itself_once, Path(marker), signal.Signals[number], before))
        before = Path(marker)


if _planned := os.environ.get("HEADGATE_TEST_STRIKES"):
    _plant_what_is_planned(_planned)


if __name__ == "__main__":
    from tests.faults import counted as module  # by the name under which workers import it

    _folder, _count, _processes, _postgres = sys.argv[1:]
    _flow = module.counted(Path(_folder), int(_count), _postgres)
    _result = _flow.run(processes=int(_processes), checkpoint=often(Path(_folder)))
    print(_result.state)
