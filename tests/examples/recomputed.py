"""The tables of examples/flights once more, by SQL alone, from the raw files as text."""

from __future__ import annotations

import csv
import gzip
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

SCHEDULED = "printf('%d-%02d-%02dT%02d:%02d:00', year, month, day, hour, minute)"
"""What `datetime.isoformat` makes of the columns, which are text."""

QUERIES = {
    "flights": f"""
        SELECT {SCHEDULED} AS scheduled, f.carrier, CAST(flight AS INTEGER) AS flight, origin, dest,
               CAST(dep_delay AS INTEGER), CAST(arr_delay AS INTEGER), CAST(air_time AS INTEGER),
               CAST(distance AS INTEGER), a.name, f.tailnum, manufacturer, model,
               CAST(seats AS INTEGER), CAST(built AS INTEGER)
        FROM flights f LEFT JOIN airlines a USING (carrier) LEFT JOIN planes p USING (tailnum)
        WHERE arr_delay IS NOT NULL
        ORDER BY scheduled, f.carrier, CAST(flight AS INTEGER), origin""",
    "cancelled": f"""
        SELECT {SCHEDULED} AS scheduled, carrier, CAST(flight AS INTEGER) AS flight, origin, dest, tailnum,
               CASE WHEN dep_time IS NULL THEN 'never departed'
                    WHEN arr_time IS NULL THEN 'departed, no arrival'
                    ELSE 'arrived, delay unknown' END
        FROM flights WHERE arr_delay IS NULL
        ORDER BY scheduled, carrier, CAST(flight AS INTEGER), origin""",
    "daily": """
        SELECT carrier, origin, printf('%d-%02d-%02d', year, month, day) AS day, count(*), count(arr_delay),
               avg(CAST(dep_delay AS REAL)), avg(CAST(arr_delay AS REAL)), max(CAST(arr_delay AS INTEGER)),
               count(DISTINCT dest)
        FROM flights GROUP BY 1, 2, 3 ORDER BY 1, 2, 3""",
    "worst_routes": """
        SELECT * FROM (
            SELECT origin, dest, count(*), avg(CAST(arr_delay AS REAL)) AS late
            FROM flights WHERE arr_delay IS NOT NULL GROUP BY 1, 2 HAVING count(*) >= 100
            ORDER BY late DESC LIMIT 20)
        ORDER BY origin, dest""",
}
"""Each table's rows, in the order of its key."""


def recomputed(data: Path, months: int) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of every table."""
    with closing(sqlite3.connect(":memory:")) as db:
        _load(db, "airlines", _rows(data / "airlines.csv.gz"))
        _load(db, "planes", _rows(data / "planes.csv.gz"))
        db.execute("ALTER TABLE planes RENAME COLUMN year TO built")
        db.execute("CREATE INDEX tails ON planes (tailnum)")
        for month in range(1, months + 1):
            _load(db, "flights", _rows(data / f"flights-2013-{month:02}.csv.gz"))
        return {table: db.execute(query).fetchall() for table, query in QUERIES.items()}


def _rows(path: Path) -> Iterator[list[str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        yield from csv.reader(file)


def _load(db: sqlite3.Connection, table: str, rows: Iterator[list[str]]) -> None:
    """All as text, but for what is not known."""
    header = next(rows)
    db.execute(f"CREATE TABLE IF NOT EXISTS {table} ({', '.join(f'{name} TEXT' for name in header)})")
    values = ", ".join(["nullif(?, 'NA')"] * len(header))
    db.executemany(f"INSERT INTO {table} VALUES ({values})", rows)
