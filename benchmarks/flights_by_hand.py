"""The job of examples/flights once more, by hand: the csv and sqlite3 modules, one loop, dicts, one thread."""

from __future__ import annotations

import csv
import gzip
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from examples.flights.job import DATA, WORST
from examples.flights.records import Airline, Cancelled, Flight, Flown, Plane, Route
from examples.flights.rows import enriched, has_arrived, is_busy, with_reason

BATCH = 1000
NULLS = frozenset({"", "NA"})

TABLES = """
CREATE TABLE flights (
    scheduled TEXT NOT NULL, carrier TEXT NOT NULL, flight INTEGER NOT NULL, origin TEXT NOT NULL, dest TEXT NOT NULL,
    departure_delay INTEGER, arrival_delay INTEGER, air_time INTEGER, distance INTEGER NOT NULL,
    airline TEXT, tailnum TEXT, manufacturer TEXT, model TEXT, seats INTEGER, built INTEGER,
    PRIMARY KEY (scheduled, carrier, flight, origin)) WITHOUT ROWID;
CREATE TABLE cancelled (
    scheduled TEXT NOT NULL, carrier TEXT NOT NULL, flight INTEGER NOT NULL, origin TEXT NOT NULL, dest TEXT NOT NULL,
    tailnum TEXT, reason TEXT NOT NULL,
    PRIMARY KEY (scheduled, carrier, flight, origin)) WITHOUT ROWID;
CREATE TABLE daily (
    carrier TEXT NOT NULL, origin TEXT NOT NULL, day TEXT NOT NULL, scheduled INTEGER NOT NULL,
    arrived INTEGER NOT NULL, mean_departure_delay REAL, mean_arrival_delay REAL, worst_arrival_delay INTEGER,
    destinations INTEGER NOT NULL,
    PRIMARY KEY (carrier, origin, day)) WITHOUT ROWID;
CREATE TABLE worst_routes (
    origin TEXT NOT NULL, dest TEXT NOT NULL, flights INTEGER NOT NULL, mean_arrival_delay REAL NOT NULL,
    PRIMARY KEY (origin, dest)) WITHOUT ROWID;
"""


@dataclass(slots=True)
class Delays:
    """Minutes of delay, added up."""

    count: int = 0
    total: int = 0
    worst: int | None = None

    def add(self, delay: int | None) -> None:
        if delay is not None:
            self.count += 1
            self.total += delay
            self.worst = delay if self.worst is None or delay > self.worst else self.worst

    def mean(self) -> float | None:
        return self.total / self.count if self.count else None


@dataclass(slots=True)
class Day:
    """One carrier's day at one airport."""

    scheduled: int = 0
    departures: Delays = field(default_factory=Delays)
    arrivals: Delays = field(default_factory=Delays)
    destinations: set[str] = field(default_factory=set)

    def add(self, flight: Flight) -> None:
        self.scheduled += 1
        self.departures.add(flight.dep_delay)
        self.arrivals.add(flight.arr_delay)
        self.destinations.add(flight.dest)


@dataclass(slots=True)
class Totals:
    """What is known only at the end."""

    days: dict[tuple[str, str, date], Day] = field(default_factory=dict)
    routes: dict[tuple[str, str], Delays] = field(default_factory=dict)


def run(database: Path, months: int = 12, data: Path = DATA) -> int:
    """Do what `examples.flights` does, into a `database` that is not there yet; return how many flights there were."""
    totals = Totals()
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.executescript(TABLES)
        read = _load_flights(db, totals, months, data)
        _insert(db, "daily", [_day_row(key, day) for key, day in totals.days.items()])
        _insert(db, "worst_routes", _worst(totals))
    return read


def _load_flights(db: sqlite3.Connection, totals: Totals, months: int, data: Path) -> int:
    airlines = {carrier: Airline(carrier, name) for carrier, name in _rows(data / "airlines.csv.gz")}
    planes = {plane.tailnum: plane for plane in _planes(data)}
    flown: list[tuple[Any, ...]] = []
    cancelled: list[tuple[Any, ...]] = []
    read = 0
    for path in sorted(data.glob("flights-*.csv.gz"))[:months]:
        for flight in _flights(path):
            read += 1
            _add(totals, flight)
            if has_arrived(flight):
                pair = flight, airlines.get(flight.carrier)
                flown.append(_row(enriched(pair, planes.get(flight.tailnum or ""))))
            else:
                cancelled.append(_row(with_reason(flight)))
            if len(flown) == BATCH:
                _insert(db, "flights", flown)
                flown = []
    _insert(db, "flights", flown)
    _insert(db, "cancelled", cancelled)
    return read


def _add(totals: Totals, flight: Flight) -> None:
    day = flight.carrier, flight.origin, flight.date()
    if day not in totals.days:
        totals.days[day] = Day()
    totals.days[day].add(flight)
    if has_arrived(flight):
        route = flight.origin, flight.dest
        if route not in totals.routes:
            totals.routes[route] = Delays()
        totals.routes[route].add(flight.arr_delay)


def _rows(path: Path) -> Iterator[list[str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        next(rows)
        yield from rows


def _int(text: str) -> int | None:
    return None if text in NULLS else int(text)


def _flights(path: Path) -> Iterator[Flight]:
    for row in _rows(path):
        year, month, day, dep_time, _, dep_delay, arr_time, _, arr_delay, *rest = row
        carrier, flight, tailnum, origin, dest, air_time, distance, hour, minute, _ = rest
        yield Flight(
            int(year),
            int(month),
            int(day),
            int(hour),
            int(minute),
            carrier,
            int(flight),
            None if tailnum in NULLS else tailnum,
            origin,
            dest,
            _int(dep_time),
            _int(dep_delay),
            _int(arr_time),
            _int(arr_delay),
            _int(air_time),
            int(distance),
        )


def _planes(data: Path) -> Iterator[Plane]:
    for tailnum, year, _, manufacturer, model, _, seats, *_ in _rows(data / "planes.csv.gz"):
        yield Plane(tailnum, _int(year), manufacturer, model, int(seats))


def _row(record: Flown | Cancelled) -> tuple[Any, ...]:
    scheduled, *rest = msgspec.structs.astuple(record)
    return scheduled.isoformat(), *rest


def _day_row(key: tuple[str, str, date], day: Day) -> tuple[Any, ...]:
    carrier, origin, when = key
    means = day.departures.mean(), day.arrivals.mean()
    counts = day.scheduled, day.arrivals.count
    return carrier, origin, when.isoformat(), *counts, *means, day.arrivals.worst, len(day.destinations)


def _worst(totals: Totals) -> list[tuple[Any, ...]]:
    routes = [Route(*route, each.count, each.total / each.count) for route, each in totals.routes.items()]
    busy = sorted(filter(is_busy, routes), key=lambda route: -route.mean_arrival_delay)
    return [msgspec.structs.astuple(route) for route in busy[:WORST]]


def _insert(db: sqlite3.Connection, table: str, rows: list[tuple[Any, ...]]) -> None:
    if rows:
        db.execute("BEGIN IMMEDIATE")
        db.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)
        db.execute("COMMIT")


def main() -> None:
    """Run it into the file that is the only argument, and print how long it took."""
    start = time.perf_counter()
    read = run(Path(sys.argv[1]))
    seconds = time.perf_counter() - start
    print(f"{read:,} flights in {seconds:.2f} s: {read / seconds:,.0f}/s")


if __name__ == "__main__":
    main()
