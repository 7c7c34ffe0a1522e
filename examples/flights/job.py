"""The job: months of flights in; arrivals, cancellations, daily delays and the worst routes out."""

from __future__ import annotations

from pathlib import Path

from connectors.files import csv_files
from connectors.sqlite import sqlite_table
from engine import Dataflow, Sink, count, distinct, max_, mean, top

from .records import Airline, Airport, Cancelled, Flight, Flown, Plane, Reason, Route, WorstRoute
from .slow import Slowed

DATA = Path(__file__).parent / "data"
HOW_MANY_WORST = 20
FEWEST_FLIGHTS = 100
"""How many arrivals a route must have to be among the worst: one bad day must not be enough."""


def build(database: Path, months: int = 12, sink_rate: float | None = None, data: Path = DATA) -> Dataflow:
    """The flow from the first `months` files of `data` to four tables of `database`."""
    key = ("scheduled", "carrier", "flight", "origin")
    table: Sink[Flown] = sqlite_table(database, "flights", key=key)
    if sink_rate is not None:
        table = Slowed(table, sink_rate)

    flow = Dataflow("flights")
    files = sorted(data.glob("flights-*.csv.gz"))[:months]
    flights = flow.source(csv_files(files, type=Flight, null=("", "NA")), name="read flights")
    arrived, cancelled = flights.split(has_arrived)

    (cancelled.map(with_reason)
        .sink(sqlite_table(database, "cancelled", key=key), name="load cancelled"))

    (arrived.lookup_join(csv_files(data / "airlines.csv.gz", type=Airline), on="carrier", table_key="carrier")
        .lookup_join(csv_files(data / "planes.csv.gz", type=Plane, null=("", "NA")),
                     on=tailnum, table_key="tailnum", into=enriched)
        .sink(table, name="load flights"))

    (flights.key_by("carrier", "origin", day=Flight.date)
        .aggregate(
            scheduled=count(),
            arrived=count("arr_delay"),
            mean_departure_delay=mean("dep_delay"),
            mean_arrival_delay=mean("arr_delay"),
            worst_arrival_delay=max_("arr_delay"),
            destinations=distinct("dest"),
        )
        .sink(sqlite_table(database, "daily", key=("carrier", "origin", "day")), name="load daily"))

    (arrived.key_by("origin", "dest")
        .aggregate(type=Route, flights=count(), mean_arrival_delay=mean("arr_delay"))
        .filter(lambda route: route.flights >= FEWEST_FLIGHTS)
        .key_by().aggregate(routes=top(HOW_MANY_WORST, by="mean_arrival_delay"))
        .flat_map(lambda worst: worst.routes, type=Route)
        .lookup_join(csv_files(data / "airports.csv.gz", type=Airport), on="dest", table_key="faa", into=with_airport)
        .sink(sqlite_table(database, "worst_routes", key=("origin", "dest")), name="load worst routes"))
    return flow


def has_arrived(flight: Flight) -> bool:
    return flight.arr_delay is not None


def with_reason(flight: Flight) -> Cancelled:
    reason: Reason = "no arrival delay"
    if flight.dep_time is None:
        reason = "never departed"
    elif flight.arr_time is None:
        reason = "no arrival"
    return Cancelled(flight.scheduled(), flight.carrier, flight.flight, flight.origin, flight.dest, flight.tailnum, reason)


def tailnum(pair: tuple[Flight, Airline]) -> str | None:
    return pair[0].tailnum


def enriched(pair: tuple[Flight, Airline], plane: Plane | None) -> Flown:
    flight, airline = pair
    return Flown(
        flight.scheduled(), flight.carrier, flight.flight, flight.origin, flight.dest,
        flight.dep_delay, flight.arr_delay, flight.air_time, flight.distance, airline.name, flight.tailnum,
        plane and plane.manufacturer, plane and plane.model, plane and plane.seats, plane and plane.year)


def with_airport(route: Route, airport: Airport | None) -> WorstRoute:
    return WorstRoute(route.origin, route.dest, airport and airport.name, route.flights, route.mean_arrival_delay)
