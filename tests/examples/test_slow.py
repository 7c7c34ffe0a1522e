"""The slowed sink of the flights example, by a clock that only its sleeps and the test move."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.memory import collect
from engine import GraphError, Sink, SinkContext, Writer
from examples.flights.slow import BATCH_SECONDS, Slowed


class Clock:
    """Time that passes when somebody sleeps; a sleep takes `late` seconds more than it should."""

    def __init__(self, late: float = 0.0) -> None:
        self.now, self.late = 1000.0, late

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds + self.late


class Recorder(Sink[int], Writer[int]):
    """Notes every call; refuses types that are not int."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def check(self, type: Any) -> None:
        if type is not int:
            raise GraphError("only ints")

    def open(self, context: SinkContext) -> Writer[int]:
        self.calls.append(context)
        return self

    def write(self, records: list[int]) -> None:
        self.calls.append(records)

    def finish(self) -> None:
        self.calls.append("finish")

    def abort(self) -> None:
        self.calls.append("abort")


def slowed(rate: float, clock: Clock) -> tuple[Writer[int], int, list[int]]:
    """A writer, how many records it takes at once, and the list that it writes to."""
    written: list[int] = []
    sink = Slowed(collect(written), rate, clock.time, clock.sleep)
    return sink.open(SinkContext("sink")), sink.batch_records, written


@pytest.mark.parametrize("late", [0.0, 0.001, 0.01])
@pytest.mark.parametrize("rate", [7, 2000, 100_000])
def test_the_rate_holds_on_average_even_if_sleeps_take_too_long(rate: int, late: float) -> None:
    clock = Clock(late)
    writer, batch, written = slowed(rate, clock)
    start = clock.now
    for _ in range(500):
        writer.write([0] * batch)
    assert len(written) / (clock.now - start) == pytest.approx(rate, rel=0.01)


def test_it_does_not_burst_after_it_had_nothing_to_do() -> None:
    clock = Clock()
    writer, batch, written = slowed(2000, clock)
    writer.write([0] * batch)
    clock.now += 60
    start, before = clock.now, len(written)
    for _ in range(50):
        writer.write([0] * batch)
    most = 2000 * (clock.now - start) + 2000 * BATCH_SECONDS
    assert len(written) - before <= most + 1e-6


def test_a_small_write_takes_its_share_of_time() -> None:
    clock = Clock()
    writer, batch, _ = slowed(100, clock)
    assert batch == 2
    writer.write([0] * batch)
    start = clock.now
    writer.write([0])
    assert clock.now - start == pytest.approx(0.01)


@pytest.mark.parametrize(("rate", "batch"), [(1, 1), (50, 1), (2000, 40), (100_000, 2000)])
def test_a_batch_is_what_it_writes_in_a_fiftieth_of_a_second(rate: float, batch: int) -> None:
    assert Slowed(collect([]), rate).batch_records == batch


def test_everything_else_is_the_sinks() -> None:
    clock, recorder = Clock(), Recorder()
    sink = Slowed(recorder, 10, clock.time, clock.sleep)
    assert sink.name == "sink at 10/s"
    sink.check(int)
    with pytest.raises(GraphError, match="only ints"):
        sink.check(str)
    context = SinkContext("there", int)
    for end in ("finish", "abort"):
        writer = sink.open(context)
        writer.write([1, 2])
        getattr(writer, end)()
    assert recorder.calls == [context, [1, 2], "finish", context, [1, 2], "abort"]
