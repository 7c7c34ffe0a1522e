"""The functions that the job calls, each with one record."""

from __future__ import annotations

from .records import Airline, Cancelled, Flight, Flown, Plane, Reason, Route

FEWEST_FLIGHTS = 100
"""How many arrivals a route must have to be among the worst: a single bad day is not enough."""

UNKNOWN_PLANE = Plane(tailnum="", year=None, manufacturer=None, model=None, seats=None)


def has_arrived(flight: Flight) -> bool:
    """Whether it arrived where it was to, and it is known how late."""
    return flight.arr_delay is not None


def with_reason(flight: Flight) -> Cancelled:
    """A flight that has not arrived, and what is known of that."""
    return Cancelled(
        scheduled=flight.scheduled(),
        carrier=flight.carrier,
        flight=flight.flight,
        origin=flight.origin,
        dest=flight.dest,
        tailnum=flight.tailnum,
        reason=_reason(flight),
    )


def _reason(flight: Flight) -> Reason:
    if flight.dep_time is None:
        return "never departed"
    return "departed, no arrival" if flight.arr_time is None else "arrived, delay unknown"


def tailnum(pair: tuple[Flight, Airline | None]) -> str | None:
    """What the plane of a flight and its airline is found by."""
    return pair[0].tailnum


def enriched(pair: tuple[Flight, Airline | None], plane: Plane | None) -> Flown:
    """A flight as it is loaded: many a tail number belongs to no known plane."""
    flight, airline = pair
    plane = plane or UNKNOWN_PLANE
    return Flown(
        scheduled=flight.scheduled(),
        carrier=flight.carrier,
        flight=flight.flight,
        origin=flight.origin,
        dest=flight.dest,
        departure_delay=flight.dep_delay,
        arrival_delay=flight.arr_delay,
        air_time=flight.air_time,
        distance=flight.distance,
        airline=airline.name if airline else None,
        tailnum=flight.tailnum,
        manufacturer=plane.manufacturer,
        model=plane.model,
        seats=plane.seats,
        built=plane.year,
    )


def is_busy(route: Route) -> bool:
    """Whether its mean says more than one bad day does."""
    return route.flights >= FEWEST_FLIGHTS
