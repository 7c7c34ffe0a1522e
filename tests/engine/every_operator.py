"""A flow with every operator and aggregate, most of them given as lambdas, to see whether all survive something."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from typing import Any

import msgspec

from connectors.memory import collect, from_iterable, generate
from engine import (
    Dataflow,
    KeyedProcess,
    ListState,
    Settings,
    SideOutput,
    Tagged,
    Timer,
    Tumbling,
    custom,
    distinct,
    max_,
    mean,
    min_,
    sum_,
    top,
)
from engine import collect as collected
from engine import count as counted


class Trip(msgspec.Struct):
    carrier: str
    delay: int


def scaled(factor: int, trip: Trip) -> Trip:
    return Trip(trip.carrier, trip.delay * factor)


class Adder:
    """A callable object with a state."""

    def __init__(self, amount: int) -> None:
        self.amount = amount

    def __call__(self, trip: Trip) -> Trip:
        return Trip(trip.carrier, trip.delay + self.amount)


class Lasting(KeyedProcess[Trip, int]):
    """State, a timer and a side output."""

    delays = ListState[int](ttl=1000)
    first = SideOutput(Trip)

    def __init__(self, size: int) -> None:
        self.size = size

    def on_record(self, trip: Trip) -> Iterator[Tagged]:
        if not self.delays:
            yield self.first(trip)
        self.delays.append(trip.delay)
        self.event_timers.after(self.size)

    def on_timer(self, timer: Timer) -> list[int]:
        return [sum(self.delays[-self.size :])]


async def later(trip: Trip) -> Trip:
    return trip


def build(outputs: dict[str, list[Any]]) -> Dataflow:
    """The flow; what its sinks got stands in `outputs` by their names."""

    def out(name: str) -> Any:
        return collect(outputs.setdefault(name, []))

    names = ["UA", "AA", "DL"]
    flow = Dataflow("every", settings=Settings(max_window=100), on_error="dead-letter")
    numbers = flow.source(generate(lambda i: i, count=40, type=int))
    trips = numbers.map(lambda i: Trip(names[i % 3], i), type=Trip).map(partial(scaled, 2)).map(Adder(1))
    trips = trips.filter(lambda t: t.delay > 3).of_type(Trip).inspect(lambda t: None).map_async(later, concurrency=3)
    trips.flat_map(lambda t: [t.carrier] * (t.delay % 3)).sink(out("flat"), name="flat")
    trips.map_batch(lambda ts: [t.delay for t in ts], size=7).sink(out("batch"), name="batch")
    table = from_iterable([Trip("UA", 5), Trip("DL", 9)], type=Trip)
    joined = trips.lookup_join(table, on="carrier", table_key=lambda t: t.carrier, into=lambda t, m: (t, m))
    joined.sink(out("joined"), name="joined")
    trips.lookup_join({"UA": 1}, on=lambda t: t.carrier, how="inner").sink(out("inner"), name="inner")
    timed = trips.event_time(lambda t: t.delay, out_of_order=1000).key_by("carrier")
    timed.join(timed, window=Tumbling(20), into=lambda a, b: (a, b)).sink(out("windowed"), name="windowed")
    timed.deduplicate(within=9).sink(out("once"), name="once")
    timed.interval_join(timed, lower=-4, upper=4).sink(out("close"), name="close")
    odd, even = trips.split(lambda t: t.delay % 4 == 1)
    odd.union(even).map(lambda t: 100 // (t.delay - 11)).sink(out("union"), name="union")
    keyed = trips.key_by("carrier", parity=lambda t: t.delay % 4)
    keyed.aggregate(
        count=counted(),
        some=counted("delay"),
        sum=sum_(lambda t: Decimal(t.delay)),
        min=min_("delay"),
        max=max_("delay"),
        mean=mean("delay"),
        distinct=distinct("delay"),
        top=top(2, by="delay"),
        all=collected("delay"),
        custom=custom(list, lambda state, delay: [*state, delay], tuple, value="delay"),
    ).sink(out("aggregates"), name="aggregates")
    keyed.aggregate(last=top(1, by="delay", value="carrier"), emit="update").sink(out("running"), name="running")
    trips.key_by("carrier").reduce(lambda a, b: Trip(a.carrier, a.delay + b.delay)).sink(out("reduced"), name="reduced")
    trips.key_by("carrier").fold(int, lambda s, t: s + t.delay, emit="update").sink(out("folded"), name="folded")
    trips.key_by("carrier").stateful_map(lambda s, t: (t, (s, t))).sink(out("state"), name="state")
    lasting = timed.process(lambda: Lasting(3), in_order=True)
    lasting.sink(out("lasting"), name="lasting")
    lasting.side(Lasting.first).sink(out("first"), name="first")
    timed.stateful_map(lambda s, t: (t, (s, t)), ttl=10).sink(out("ageing"), name="ageing")
    trips.key_by("carrier", parallelism=2).fold(int, lambda s, t: s + 1).sink(out("two"), name="two")
    flow.dead_letters.sink(out("letters"), name="letters")
    return flow
