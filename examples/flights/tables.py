"""The database that the job fills: made anew for each run, and shown at its end."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

TABLES = ("flights", "cancelled", "daily", "worst_routes")


def start_afresh(database: Path) -> None:
    """Remove what an earlier run left there; a file that holds anything else stays, and ValueError says so."""
    if database.exists():
        others = _tables_of(database) - set(TABLES)
        if others:
            raise ValueError(f"{database} holds other tables, {', '.join(sorted(others))}: name another file")
    for suffix in ("", "-wal", "-shm"):
        Path(f"{database}{suffix}").unlink(missing_ok=True)
    database.parent.mkdir(parents=True, exist_ok=True)


def _tables_of(database: Path) -> set[str]:
    try:
        with closing(sqlite3.connect(database)) as db:
            return {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error as error:
        raise ValueError(f"{database} is no SQLite database ({error}): name another file") from error


def report(database: Path) -> str:
    """How many rows each table has, why flights were cancelled, and the five worst routes."""
    with closing(sqlite3.connect(database)) as db:
        return "\n".join([*_sizes(db), *_worst(db), f"all of it is in {database}"])


def _sizes(db: sqlite3.Connection) -> Iterator[str]:
    for table in TABLES:
        ((rows,),) = db.execute(f"SELECT count(*) FROM {table}")
        yield f"{table:14} {rows:7,} rows"
        if table == "cancelled":
            reasons = db.execute("SELECT count(*), reason FROM cancelled GROUP BY reason ORDER BY 1 DESC")
            yield from (f"{'':14} {rows:7,} {reason}" for rows, reason in reasons)


def _worst(db: sqlite3.Connection) -> Iterator[str]:
    routes = db.execute("SELECT * FROM worst_routes ORDER BY mean_arrival_delay DESC LIMIT 5")
    yield "the worst routes, by their mean delay on arrival"
    for origin, dest, flights, delay in routes:
        yield f"  {origin} to {dest} {delay:6.1f} min {flights:6,} flights"
