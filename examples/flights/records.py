"""The records of the job: rows as the files hold them, then rows as the tables want them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

import msgspec


class Flight(msgspec.Struct, frozen=True):
    """A row of flights-2013-*.csv.gz. Delays are in minutes, early ones below zero; times are local."""

    year: int
    month: int
    day: int
    hour: int
    minute: int
    carrier: str
    flight: int
    tailnum: str | None
    origin: str
    dest: str
    dep_time: int | None
    dep_delay: int | None
    arr_time: int | None
    arr_delay: int | None
    air_time: int | None
    distance: int

    def date(self) -> date:
        """The day on which it was to leave."""
        return date(self.year, self.month, self.day)

    def scheduled(self) -> datetime:
        """The minute in which it was to leave."""
        return datetime(self.year, self.month, self.day, self.hour, self.minute)


class Airline(msgspec.Struct, frozen=True):
    """A row of airlines.csv.gz."""

    carrier: str
    name: str


class Plane(msgspec.Struct, frozen=True):
    """A row of planes.csv.gz."""

    tailnum: str
    year: int | None
    manufacturer: str | None
    model: str | None
    seats: int | None


Reason = Literal["never departed", "departed, no arrival", "arrived, delay unknown"]
"""What is known of a flight that did not arrive as planned. Those that took off were diverted, mostly."""


class Cancelled(msgspec.Struct, frozen=True):
    """A row of the table `cancelled`: a flight that did not arrive as planned."""

    scheduled: datetime
    carrier: str
    flight: int
    origin: str
    dest: str
    tailnum: str | None
    reason: Reason


class Flown(msgspec.Struct, frozen=True):
    """A row of the table `flights`: a flight that arrived, with its airline and what is known of its plane."""

    scheduled: datetime
    carrier: str
    flight: int
    origin: str
    dest: str
    departure_delay: int | None
    arrival_delay: int | None
    air_time: int | None
    distance: int
    airline: str | None
    tailnum: str | None
    manufacturer: str | None
    model: str | None
    seats: int | None
    built: int | None


class Route(msgspec.Struct, frozen=True):
    """A row of the table `worst_routes`: how late a route's flights arrive."""

    origin: str
    dest: str
    flights: int
    mean_arrival_delay: float
