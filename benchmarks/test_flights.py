"""The flights job against the same tables made by hand: csv, the same functions, sqlite3."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.flights_by_hand import run as by_hand_run
from benchmarks.paired import SCALE, paired
from examples.flights.job import build

MONTHS = max(1, min(12, round(12 * SCALE)))
TABLES = ("flights", "cancelled", "daily", "worst_routes")


def counts(database: Path) -> list[int]:
    """The rows of every table."""
    with sqlite3.connect(database) as db:
        found = [db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in TABLES]
    db.close()
    return found


def test_flights(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    ours, by_hand = tmp_path / "ours.db", tmp_path / "by-hand.db"

    def run() -> None:
        ours.unlink(missing_ok=True)
        build(ours, MONTHS).run()

    def run_by_hand() -> None:
        by_hand.unlink(missing_ok=True)
        by_hand_run(by_hand, MONTHS)

    run()
    paired(benchmark, run, run_by_hand, sum(counts(ours)[:2]), rounds=3)
    assert counts(ours) == counts(by_hand)
