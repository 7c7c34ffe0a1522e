"""The window's law over links and local channels in a row, against every kind of slow sink, in virtual time."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.cext.link_chain import MOST, Chain, Knee, Sink

FULL = 100.0  # records a ms that the source offers
TARGET = 200  # ms
NEAR = 0.3  # ms, one way

rows = pytest.mark.parametrize("ways", [[None, NEAR, NEAR], [None, NEAR, NEAR, NEAR]], ids=["2 links", "3 links"])


def steps(*plan: tuple[float, float]) -> Callable[[float], float]:
    """The last pace in `plan`, (from ms, records a ms), that has begun."""
    return lambda ms: next(pace for begin, pace in reversed(plan) if begin <= ms)


def offer(ms: float) -> float:
    return FULL


@rows
def test_a_steady_sink(ways: list[float | None]) -> None:
    chain = Chain(offer, [Sink(lambda ms: 50)], ways).run(4000)
    assert chain.write_rate(500, 4000) >= 0.98 * 50
    assert chain.greatest_read_rate(1000, 4000) <= 1.1 * 50
    assert chain.most_in_flight(2000, 4000) <= 1.3 * 50 * TARGET


@rows
def test_a_sink_that_slows_down_twice_and_recovers(ways: list[float | None]) -> None:
    chain = Chain(offer, [Sink(steps((0, FULL), (2000, 20), (6000, 2), (12_000, FULL)))], ways).run(14_000)
    for begin, end, pace in ((2000, 6000, 20), (6000, 12_000, 2)):
        assert chain.greatest_read_rate(begin + 500, end) <= 1.1 * pace
        assert chain.write_rate(begin, end) >= 0.98 * pace
        assert chain.most_in_flight(end - 2000, end) <= 1.3 * pace * TARGET
    assert chain.read_rate(12_500, 13_000) >= 0.9 * FULL
    assert chain.write_rate(12_500, 13_000) >= 0.9 * FULL


@rows
def test_a_sink_that_slows_down_bit_by_bit_and_comes_back(ways: list[float | None]) -> None:
    """The windows stand open while it is as fast as the source, and fill in the first second: 1.1 holds after that."""

    def pace(ms: float) -> float:
        return min(FULL, max(5.0, FULL - max(0.0, ms - 1000) * 0.024, 5 + (ms - 7000) * 0.024))

    chain = Chain(offer, [Sink(pace)], ways).run(12_000)
    wanted = {begin: sum(pace(begin + ms) for ms in range(500)) / 500 for begin in range(2250, 6500, 50)}
    assert all(chain.read_rate(begin, begin + 500) <= 1.1 * pace for begin, pace in wanted.items())
    assert chain.write_rate(1000, 11_000) >= 0.98 * sum(pace(ms) for ms in range(1000, 11_000)) / 10_000
    assert chain.most_in_flight(6500, 7000) <= 1.3 * 5 * TARGET
    assert chain.read_rate(11_000, 11_500) >= 0.9 * FULL


@rows
def test_a_sink_that_stalls_for_a_minute(ways: list[float | None]) -> None:
    chain = Chain(offer, [Sink(lambda ms: 0 if 2000 <= ms < 62_000 else 50)], ways)
    chain.run(3000).run(61_990, 5.0).run(64_000)
    assert chain.read_rate(2500, 61_900) * (61_900 - 2500) <= 256  # what credit was left when it began
    assert chain.write_rate(62_500, 63_000) >= 0.9 * 50
    assert chain.read_rate(62_500, 63_000) >= 0.9 * 50
    assert chain.most_in_flight(0, 64_000) <= len(ways) * MOST


@rows
def test_a_jittery_sink(ways: list[float | None]) -> None:
    """Its rate is that of its best 100 ms, as the law has it: for these it must have records too."""
    dice = random.Random(1)
    paces = [dice.choice([0, 0, 0, 5, 10, 50, 100, 200]) for _ in range(8001)]
    chain = Chain(lambda ms: 200, [Sink(lambda ms: paces[int(ms)])], ways).run(8000)
    best = max(sum(paces[at : at + 100]) / 100 for at in range(1000, 7900))
    assert chain.write_rate(1000, 8000) >= 0.98 * sum(paces[1000:8000]) / 7000
    assert chain.most_in_flight(3000, 8000) <= 1.3 * best * TARGET


@rows
def test_a_sink_that_is_on_and_off_every_half_second(ways: list[float | None]) -> None:
    chain = Chain(offer, [Sink(lambda ms: 50 if ms // 500 % 2 == 0 else 0)], ways).run(8000)
    assert chain.write_rate(1000, 8000) >= 0.98 * 25
    assert chain.most_in_flight(4000, 8000) <= 1.3 * 25 * TARGET


@rows
def test_one_of_three_sinks_that_is_slow(ways: list[float | None]) -> None:
    sinks = [Sink(lambda ms: 50), Sink(lambda ms: 50), Sink(steps((0, 50), (2000, 2)))]
    chain = Chain(lambda ms: 150, sinks, ways).run(2000)
    before = [sink.wrote for sink in sinks]
    chain.run(8000)
    for sink, wrote, pace in zip(sinks, before, (50, 50, 2), strict=True):
        assert sink.wrote - wrote >= 0.98 * 6000 * pace
    assert chain.greatest_read_rate(2500, 8000) <= 1.1 * 102
    assert chain.most_in_flight(6000, 8000) <= 1.3 * 102 * TARGET


@rows
def test_a_sink_with_a_shallow_knee_keeps_its_batches_whole(ways: list[float | None]) -> None:
    sink = Knee()
    chain = Chain(offer, [sink], ways).run(1000)
    busy, wrote = sink.busy, sink.wrote
    chain.run(6000)
    assert sink.busy - busy >= 0.98 * 5000
    assert sink.wrote - wrote >= 0.98 * 5000 * 500 / 15
    assert chain.most_in_flight(3000, 6000) <= 1.3 * (500 / 15 * TARGET + 500)


@pytest.mark.parametrize(
    ("pace", "ways"),
    [(2, [None, 50.0]), (20, [None, 50.0]), (50, [None, 50.0]), (50, [50.0, 50.0]), (30, [None, 25, 25])],
)
def test_a_long_way_keeps_its_throughput_whatever_the_target_delay(pace: float, ways: list[float | None]) -> None:
    """A share of 30 ms over links of 50 and 100 ms there and back: windows hold what is under way, and little more."""
    chain = Chain(offer, [Sink(lambda ms: pace)], ways, target=0.03 * len(ways)).run(8000)
    assert chain.write_rate(1500, 8000) >= 0.98 * pace
    way = 2 * sum(filter(None, ways))
    assert chain.most_in_flight(5000, 8000) <= 1.3 * pace * (way + 30)
    assert chain.greatest_read_rate(5000, 8000) <= 1.1 * pace


@pytest.mark.parametrize(
    ("pace", "ways", "capped"),
    [(60, [None, 50.0], 0), (30, [None, 50.0], 0), (80, [None, 100.0], 1)],
)
def test_a_window_says_when_it_may_not_be_as_large_as_a_long_way_needs(
    pace: float, ways: list[float | None], capped: int
) -> None:
    """At most 8,192 records a round trip of 100 or 200 ms: more than the first sinks take, and less than the last."""
    chain = Chain(lambda ms: 2 * FULL, [Sink(lambda ms: pace)], ways).run(2000)
    laws = [hop[0].inn.law for hop in chain.hops]
    before = [law.capped for law in laws]
    chain.run(6000)
    local, link = ((law.capped - already) / 4e9 for law, already in zip(laws, before, strict=True))
    assert local == 0
    assert abs(link - capped) <= 0.1


def test_a_long_way_and_a_sink_that_is_on_and_off() -> None:
    chain = Chain(offer, [Sink(lambda ms: 20 if ms % 1000 < 700 else 0)], [None, 50.0], target=0.06).run(6000)
    assert chain.write_rate(2000, 6000) >= 0.95 * 0.7 * 20
