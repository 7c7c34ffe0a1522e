"""What a type checker knows of a flow; test_typing.py has mypy check every line of this file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeGuard, assert_type

import msgspec
from typing_extensions import TypeIs

from engine import (
    Aggregate,
    BadRecord,
    Bounds,
    CheckpointMetrics,
    Checkpoints,
    Dataflow,
    DeadLetter,
    Global,
    Job,
    JobMetrics,
    JobResult,
    KeyedProcess,
    KeyedStream,
    ListState,
    MapState,
    OperatorMetrics,
    ProcessResults,
    Ranked,
    Reader,
    Settings,
    SideOutput,
    Sink,
    SinkContext,
    Source,
    Stream,
    Tagged,
    Timer,
    Trigger,
    Tumbling,
    ValueState,
    WindowedResults,
    WindowedStream,
    WindowResult,
    Writer,
    count,
    mean,
)
from engine.testing import ManualClock


class Trip(msgspec.Struct):
    city: str
    fare: float


class Total(msgspec.Struct):
    city: str
    trips: int


class Trips(Source[Trip], Reader[Trip]):
    def open(self, partition: str) -> Reader[Trip]:
        return self

    def read(self, limit: int) -> Sequence[Trip | BadRecord] | None:
        return None


class TripSink(Sink[Trip], Writer[Trip]):
    def open(self, context: SinkContext) -> Writer[Trip]:
        return self

    def write(self, records: list[Trip]) -> None:
        assert_type(records, list[Trip])


class AnySink(Sink[object], Writer[object]):
    def open(self, context: SinkContext) -> Writer[object]:
        return self


class IntSink(Sink[int], Writer[int]):
    def open(self, context: SinkContext) -> Writer[int]:
        return self


def fare(trip: Trip) -> float:
    return trip.fare


def words(trip: Trip) -> Iterator[str]:
    yield trip.city


def fares(trips: list[Trip]) -> list[float]:
    return [trip.fare for trip in trips]


def medians(key: str, bounds: Bounds, trips: list[Trip]) -> Iterator[float]:
    yield sorted(trip.fare for trip in trips)[len(trips) // 2]


async def later(trip: Trip) -> bytes:
    return trip.city.encode()


def advance(state: int | None, trip: Trip) -> tuple[int, str]:
    return (state or 0) + 1, trip.city


def describe(trip: Trip, country: str | None) -> str:
    return f"{trip.city}, {country}"


class Taxi(Trip):
    tip: float


def is_taxi(trip: Trip) -> TypeIs[Taxi]:
    return isinstance(trip, Taxi)


def has_tip(trip: Trip) -> TypeGuard[Taxi]:
    return isinstance(trip, Taxi) and trip.tip > 0


def describe_known(trip: Trip, country: str) -> str:
    return f"{trip.city}, {country}"


def share(trip: Trip, total: Total) -> float:
    return trip.fare / total.trips


flow = Dataflow("typing", settings=Settings(target_delay="100ms"), on_error="skip")
trips = flow.source(Trips(), name="in")
assert_type(trips, Stream[Trip])

# One record to at most one.
assert_type(trips.map(fare), Stream[float])
assert_type(trips.map(lambda trip: trip.city), Stream[str])
assert_type(trips.map(int, type=int), Stream[int])  # type: ignore[arg-type]
assert_type(trips.filter(lambda trip: trip.fare > 1), Stream[Trip])
assert_type(trips.filter(bool), Stream[Trip])
assert_type(trips.filter(is_taxi), Stream[Taxi])
assert_type(trips.filter(has_tip, name="tipped"), Stream[Taxi])
assert_type(trips.filter(has_tip).map(lambda taxi: taxi.tip), Stream[float])
assert_type(trips.of_type(Taxi), Stream[Taxi])
assert_type(trips.inspect(print), Stream[Trip])
trips.filter(lambda trip: trip.fair)  # type: ignore[arg-type]  # which is how mypy speaks of the first overload
trips.map(lambda trip: trip.town)  # type: ignore[attr-defined]
countries = {"Delft": "NL"}
assert_type(trips.lookup_join(countries, on="city"), Stream[tuple[Trip, str | None]])
assert_type(trips.lookup_join(countries, on="city", how="left"), Stream[tuple[Trip, str | None]])
assert_type(trips.lookup_join(countries, on="city", how="inner"), Stream[tuple[Trip, str]])
assert_type(trips.lookup_join(Trips(), on="city", table_key="city", how="inner"), Stream[tuple[Trip, Trip]])
assert_type(trips.lookup_join(countries, on="city", into=describe), Stream[str])
assert_type(trips.lookup_join(countries, on="city", into=describe, how="inner"), Stream[str])
assert_type(trips.lookup_join(countries, on="city", into=describe_known, how="inner"), Stream[str])
trips.lookup_join(countries, on="city", into=describe_known)  # type: ignore[arg-type]
trips.lookup_join({}, on="city", how="outer")  # type: ignore[call-overload]

assert_type(trips.event_time("at", out_of_order="5s", idle_after=100, zone="UTC"), Stream[Trip])
assert_type(trips.event_time(lambda trip: int(trip.fare)), Stream[Trip])
trips.event_time(fare)  # type: ignore[arg-type]

# Any number.
assert_type(trips.flat_map(words), Stream[str])
assert_type(trips.flat_map(lambda trip: [trip, trip]), Stream[Trip])
assert_type(trips.map_batch(fares, size=10), Stream[float])
assert_type(trips.map_async(later, timeout="1s"), Stream[bytes])
trips.map_async(fare)  # type: ignore[arg-type]
trips.flat_map(fare)  # type: ignore[arg-type]

# Ways apart and together.
dear, cheap = trips.split(lambda trip: trip.fare > 50)
assert_type(dear, Stream[Trip])
assert_type(trips.split(bool, bool), tuple[Stream[Trip], ...])
assert_type(trips.split(is_taxi), tuple[Stream[Taxi], Stream[Trip]])
assert_type(trips.split(has_tip, on_error="skip"), tuple[Stream[Taxi], Stream[Trip]])
assert_type(dear.union(cheap), Stream[Trip])
dear.union(trips.map(fare))  # type: ignore[arg-type]
assert_type(trips.rebalance(2), Stream[Trip])
assert_type(trips.broadcast(2), Stream[Trip])

# Keyed.
by_city = trips.key_by("city", dear=lambda trip: trip.fare > 50, town="city", parallelism=2)
assert_type(by_city, KeyedStream[Trip])
assert_type(by_city.map(fare), Stream[float])
assert_type(by_city.aggregate(trips=count(), mean=mean("fare")), Stream[Any])
assert_type(by_city.aggregate(trips=count(), type=Total), Stream[Total])
assert_type(by_city.reduce(lambda one, two: two), Stream[tuple[Any, Trip]])
assert_type(by_city.fold(float, lambda total, trip: total + trip.fare), Stream[tuple[Any, float]])
assert_type(by_city.stateful_map(advance), Stream[str])
windows = by_city.window(Tumbling("10s"), allowed_lateness="1m")
assert_type(windows, WindowedStream[Trip])
assert_type(windows.aggregate(trips=count()), WindowedResults[Any, Trip])
assert_type(windows.aggregate(trips=count(), type=Total), WindowedResults[Total, Trip])
assert_type(windows.aggregate(trips=count(), type=Total).late, Stream[Trip])
assert_type(windows.aggregate(trips=count(), type=Total).filter(bool), Stream[Total])
assert_type(windows.reduce(lambda one, two: two), WindowedResults[WindowResult[Trip], Trip])
assert_type(windows.fold(float, lambda total, trip: total + trip.fare), WindowedResults[WindowResult[float], Trip])
assert_type(windows.process(medians), WindowedResults[float, Trip])
by_city.window("10s")  # type: ignore[arg-type]

# Joins.
totals = windows.aggregate(trips=count(), type=Total).key_by("city")
tens = Tumbling("10s")
assert_type(by_city.join(totals, window=tens), WindowedResults[tuple[Trip, Total], Trip | Total])
assert_type(by_city.join(totals, window=tens, how="left"), WindowedResults[tuple[Trip, Total | None], Trip | Total])
assert_type(by_city.join(totals, window=tens, how="right"), WindowedResults[tuple[Trip | None, Total], Trip | Total])
assert_type(
    by_city.join(totals, window=tens, how="full"), WindowedResults[tuple[Trip | None, Total | None], Trip | Total]
)
assert_type(by_city.join(totals, window=tens, into=share), WindowedResults[float, Trip | Total])
assert_type(by_city.join(totals, window=tens, into=lambda trip, total: total.trips).map(str), Stream[str])
assert_type(by_city.join(totals, window=tens).late, Stream[Trip | Total])
by_city.join(totals, window=tens, how="left", into=share)  # type: ignore[call-overload]
by_city.join(trips, window=tens)  # type: ignore[call-overload]
by_city.join(totals, window="10s")  # type: ignore[call-overload]
assert_type(by_city.interval_join(totals, lower="-5s", upper="10s"), WindowedResults[tuple[Trip, Total], Trip | Total])
assert_type(by_city.interval_join(totals, lower=-5, upper=10, into=share), WindowedResults[float, Trip | Total])
assert_type(by_city.deduplicate(within="1h"), WindowedResults[Trip, Trip])
assert_type(trips.distinct("city"), WindowedResults[Trip, Trip])
assert_type(trips.distinct(lambda trip: trip.city, within="1h").late, Stream[Trip])
assert_type(windows.distinct("fare"), WindowedResults[Trip, Trip])
assert_type(by_city.top(3, by="fare"), Stream[Ranked[Trip]])
assert_type(by_city.top(3, by=fare, emit="update").map(lambda row: row.record), Stream[Trip])
assert_type(windows.top(3, by="fare", smallest=True), WindowedResults[Ranked[Trip], Trip])
by_city.top(3)  # type: ignore[call-arg]
trips.top(3, by="fare")  # type: ignore[attr-defined]

# The clock, and windows without an end.
assert_type(trips.processing_time(), Stream[Trip])
assert_type(Trigger(records=3) | Trigger(when=bool), Trigger)
assert_type(by_city.window(Global(Trigger(processing_time="1s"), purge=True)), WindowedStream[Trip])
Trigger(3)  # type: ignore[call-arg]
Global("10s")  # type: ignore[arg-type]
by_city.interval_join(totals, lower="-5s")  # type: ignore[call-overload]


class Fares(KeyedProcess[Trip, Total]):
    count = ValueState(0, ttl="1h")
    last = ValueState[Trip | None](None)
    seen = ValueState[set[str]](factory=set)
    trips = ListState[Trip]()
    sums = MapState[str, float](ttl="1h", renewed_by="read")
    odd = SideOutput(Trip)

    def on_record(self, trip: Trip) -> Iterator[Total | Tagged]:
        assert_type(self.count, int)
        assert_type(self.last, Trip | None)
        assert_type(self.seen, set[str])
        assert_type(self.trips[0], Trip)
        assert_type(self.trips[:2], list[Trip])
        assert_type(self.sums.get("a"), float | None)
        self.count += 1
        self.last = trip
        self.trips = [trip]
        self.sums = {"a": 1.0}
        del self.count, self.trips
        self.count = "one"  # type: ignore[assignment]
        self.trips.append(3)  # type: ignore[arg-type]
        self.sums[3] = 1.0  # type: ignore[index]
        assert_type(self.event_timers.after("10s"), int)
        assert_type((self.time, self.now, self.watermark), tuple[int, int, int])
        yield self.odd(trip)
        yield self.odd(3)  # type: ignore[arg-type]
        yield trip  # type: ignore[misc]

    def on_timer(self, timer: Timer) -> list[Total]:
        assert_type(timer.time, int)
        return []


totalled = by_city.process(Fares)
assert_type(totalled, ProcessResults[Total, Trip])
assert_type(totalled.side(Fares.odd), Stream[Trip])
assert_type(by_city.process(Fares, in_order=True).late, Stream[Trip])
totals.process(Fares)  # type: ignore[arg-type]
assert_type(by_city.stateful_map(lambda state, trip: (trip.fare, trip.city), ttl="1h"), Stream[str])

assert_type(count(), Aggregate)
by_city.aggregate(trips=count)  # type: ignore[call-overload]
by_city.reduce(lambda one, two: 3)  # type: ignore[arg-type,return-value]
trips.aggregate(n=count())  # type: ignore[attr-defined]

# Ends.
assert_type(flow.dead_letters, Stream[DeadLetter])
trips.sink(TripSink())
trips.sink(AnySink())
trips.sink(IntSink())  # type: ignore[arg-type]
trips.map(fare, on_error="ignore")  # type: ignore[arg-type]


def runs() -> None:
    assert_type(flow.run(progress=False), JobMetrics)
    assert_type(flow.start(), Job)
    assert_type(flow.run(clock=ManualClock()), JobMetrics)
    with flow.start() as job:
        assert_type(job, Job)
        assert_type(job.metrics(), JobMetrics)
        assert_type(job.metrics()["in"], OperatorMetrics)
        assert_type(job.metrics().operators, tuple[OperatorMetrics, ...])
        result: JobResult = job.wait(1.5)
        assert_type(result.state == "finished", bool)
    assert_type(flow.run(checkpoint="state").checkpoints, CheckpointMetrics | None)
    wanted = Checkpoints(into="state", interval="1m", start_from="before-the-move", drop=("totals",))
    assert_type(flow.start(checkpoint=wanted), Job)
    flow.run(checkpoint=True)  # type: ignore[arg-type]
    Checkpoints("state")  # type: ignore[call-arg]
    job.stop(savepoint="before-the-move")
    assert_type(flow.explain(checkpoint=True), str)
    for _ in trips:  # type: ignore[attr-defined]
        pass
