"""A program with operators that keep state, of which tests make other versions: they change its text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from msgspec.structs import astuple

from engine import (
    Dataflow,
    KeyedProcess,
    ListState,
    Session,
    Stream,
    Timer,
    Tumbling,
    ValueState,
    count,
    sum_,
)
from tests.engine.saved import Numbers, Shown


class Reading(msgspec.Struct):
    weir: int
    at: int
    level: int
    unit: str = "cm"


def reading(number: int) -> Reading:
    """One a hundredth of a second, with a pause now and then."""
    return Reading(number % 5, 10 * number + number // 60 * 500, number)


class Watch(KeyedProcess[Reading, Any]):
    """Counts, and tells at the end of each second in which there was something."""

    seen = ValueState[int](0)
    last = ListState[Reading](ttl="5s")

    def on_record(self, record: Reading) -> None:
        self.seen += 1
        self.last = [*self.last, record][-2:]
        self.event_timers.at((self.time // 1000 + 1) * 1000)

    def on_timer(self, timer: Timer) -> Iterator[Any]:
        yield self.key, timer.time, self.seen, [each.level for each in self.last]


def numbered(state: int | None, record: Reading) -> tuple[int, Any]:
    state = (state or 0) + 1
    return state, (record.weir, state)


def latest(state: Reading | None, record: Reading) -> tuple[Reading, Any]:
    return record, (state and state.level, record.level)


def untyped(state: Any, record: Any) -> Any:
    return record, (state and state.level, record.level)


def levels(pair: tuple[Reading, Reading]) -> tuple[int, int]:
    return pair[0].level, pair[1].level


def by_parity(reading: Reading) -> int:
    return reading.level % 2


def build(source: Numbers, sinks: Callable[[str], Shown], begin: int = 0) -> Dataflow:
    flow = Dataflow("weirs")
    numbers = flow.source(source, name="numbers").filter(lambda number: number >= begin, name="later")
    readings = numbers.map(reading).event_time("at")
    weirs = readings.key_by("weir")
    streams: dict[str, Stream[Any]] = {
        "tumbling": weirs.window(Tumbling("1s")).aggregate(n=count(), sum=sum_("level"), name="tumbling").map(astuple),
        "session": weirs.window(Session("300ms")).aggregate(n=count(), name="session").map(astuple),
        "join": weirs.interval_join(readings.key_by(by_parity), lower="-50ms", upper="20ms", name="join").map(levels),
        "process": weirs.process(Watch, in_order=True, name="process"),
        "number": weirs.stateful_map(numbered, name="number"),
        "latest": weirs.stateful_map(latest, name="latest"),
        "untyped": weirs.stateful_map(untyped, name="untyped"),
        "once": weirs.deduplicate(within="200ms", name="once").map(lambda reading: reading.level),
    }
    for name, stream in streams.items():
        stream.sink(sinks(name), name=f"{name} sink")
    return flow
