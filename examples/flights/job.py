"""The job: months of flights in; arrivals, cancellations, delays by day and the worst routes out."""

from __future__ import annotations

from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

from connectors.files import csv_files
from connectors.sqlite import sqlite_table
from engine import Dataflow, Stream, count, distinct, max_, mean, top

from .records import Airline, Flight, Flown, Plane, Route
from .rows import enriched, has_arrived, is_busy, tailnum, with_reason
from .slow import Slowed

DATA = Path(__file__).parent / "data"

FLIGHT = ("scheduled", "carrier", "flight", "origin")
"""What tells one flight from all others."""

WORST = 20
"""How many routes the table `worst_routes` has."""

NULL = ("", "NA")
"""How the files write that something is not known."""


def build(database: Path, months: int = 12, sink_rate: float | None = None, data: Path = DATA) -> Dataflow:
    """The flow from the first `months` files of `data` to four tables of `database`.

    `sink_rate`: how many flights a second the table `flights` takes, or None for as many as it can.
    """
    flow = Dataflow("flights")
    files = [data / f"flights-2013-{month:02}.csv.gz" for month in range(1, months + 1)]
    table = partial(sqlite_table, database)
    flights_table = table("flights", key=FLIGHT)
    if sink_rate is not None:
        flights_table = Slowed(flights_table, sink_rate)

    flights = flow.source(csv_files(files, type=Flight, null=NULL), name="read flights")
    arrived, cancelled = flights.split(has_arrived, name="has arrived?")

    with_airline_and_plane(arrived, data).sink(flights_table, name="load flights")
    cancelled.map(with_reason, name="why").sink(table("cancelled", key=FLIGHT), name="load cancelled")
    by_day(flights).sink(table("daily", key=("carrier", "origin", "day")), name="load daily")
    worst_routes(arrived).sink(table("worst_routes", key=("origin", "dest")), name="load worst routes")
    return flow


def with_airline_and_plane(arrived: Stream[Flight], data: Path) -> Stream[Flown]:
    """Each flight with the name of its airline and, where the tail number is known, its plane."""
    airlines = csv_files(data / "airlines.csv.gz", type=Airline)
    planes = csv_files(data / "planes.csv.gz", type=Plane, null=NULL)
    pairs = arrived.lookup_join(airlines, on="carrier", table_key="carrier", name="its airline")
    return pairs.lookup_join(planes, on=tailnum, table_key="tailnum", into=enriched, name="its plane")


def by_day(flights: Stream[Flight]) -> Stream[Any]:
    """The delays of each carrier at each airport on each day; flights without a delay count as scheduled only."""
    return flights.key_by("carrier", "origin", day=Flight.date).aggregate(
        scheduled=count(),
        arrived=count("arr_delay"),
        mean_departure_delay=mean("dep_delay"),
        mean_arrival_delay=mean("arr_delay"),
        worst_arrival_delay=max_("arr_delay"),
        destinations=distinct("dest"),
        name="by day",
    )


def worst_routes(arrived: Stream[Flight]) -> Stream[Route]:
    """The routes whose flights arrive latest on average."""
    routes = arrived.key_by("origin", "dest").aggregate(
        type=Route, flights=count(), mean_arrival_delay=mean("arr_delay"), name="by route"
    )
    return (
        routes.filter(is_busy, name="busy routes")
        .key_by()
        .aggregate(routes=top(WORST, by="mean_arrival_delay"), name="the worst")
        .flat_map(attrgetter("routes"), type=Route, name="one by one")
    )
