"""The window's law against any sink that comes and goes, in virtual time, and beside laws that fail there."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cext.window import Window
from tests.cext.link_chain import Chain as LinkChain
from tests.cext.link_chain import Sink
from tests.cext.simulation import Chain, Steady
from tests.cext.window_twin import Greatest, LastPeriod, MeanAlone, Twin

TARGET = 200  # ms
HOP = 10  # ms: what each channel holds ready at the sink's best rate
WARM = 6000  # ms
FASTER = 200  # records a ms that the source offers: more than any sink takes


@dataclass(frozen=True)
class Cycle:
    """A sink that takes so many records a ms for so many ms, (ms, pace) after (ms, pace), and all over again."""

    pieces: tuple[tuple[int, int], ...]

    @property
    def ms(self) -> int:
        return sum(ms for ms, _ in self.pieces)

    @property
    def mean(self) -> float:
        return sum(ms * pace for ms, pace in self.pieces) / self.ms

    @property
    def best(self) -> int:
        return max(pace for _, pace in self.pieces)

    def pace(self, ms: float) -> int:
        """At that time."""
        at = ms % self.ms
        for length, pace in self.pieces:
            if at < length:
                return pace
            at -= length
        raise AssertionError("the pieces are shorter than their sum")

    def settled(self, channels: int, under_way: float = 0.0) -> float:
        """The most records that may be in flight on average."""
        ready = channels * (HOP * self.best + 16) + under_way
        return 1.3 * max(self.mean * TARGET, ready)


on = st.tuples(st.integers(100, 600), st.integers(1, 100))  # for a period at least: the best rate is that of whole ones
off = st.tuples(st.integers(20, 600), st.just(0))
cycles = st.lists(on | off, min_size=1, max_size=5).map(lambda pieces: Cycle(tuple(pieces)))
cycles = cycles.filter(lambda cycle: cycle.ms <= 1000 and cycle.mean >= 4)
"""None is longer than the best rate is remembered, or so slow that the first windows are not empty once it is warm."""

ON_OFF = Cycle(((500, 20), (500, 0)))
SELDOM = Cycle(((100, 100), (900, 0)))


def over_cycles(cycle: Cycle) -> int:
    """A time that is a whole number of cycles, some seconds at least, ms."""
    return cycle.ms * -(-3000 // cycle.ms)


def run(cycle: Cycle, channels: int, law: type[Window | Twin] = Window, offered: float = FASTER) -> tuple[float, float]:
    """The share of what the sink could have written that it wrote, and records in flight, once the law has settled."""
    sink = Steady(cycle.pace)
    chain = Chain(lambda _: offered, sink, channels, law=law).run(WARM)
    sink.wanted, before = 0, sum(chain.wrote)
    chain.run(WARM + over_cycles(cycle))
    return (sum(chain.wrote) - before) / sink.wanted, sum(chain.in_flight[WARM:]) / over_cycles(cycle)


@settings(max_examples=60)
@given(cycles, st.integers(1, 4))
def test_no_sink_is_short_of_records_and_no_more_wait_than_it_takes_in_the_target_delay(
    cycle: Cycle, channels: int
) -> None:
    """That no channel ever passes its limit is asserted inside."""
    busy, in_flight = run(cycle, channels)
    assert busy >= 0.98
    assert in_flight <= cycle.settled(channels)


@settings(max_examples=30)
@given(cycles, st.lists(st.none() | st.sampled_from([0.05, 0.3, 2.0, 5.0]), min_size=1, max_size=3))
def test_so_too_over_links(cycle: Cycle, ways: list[float | None]) -> None:
    """What a link has under way comes on top, at the sink's best rate: two round trips with what credit waits for."""
    end = WARM + over_cycles(cycle)
    chain = LinkChain(lambda _: FASTER, [Sink(cycle.pace)], ways).run(end)
    assert chain.write_rate(WARM, end) >= 0.98 * cycle.mean
    flight = [count for ms, count in chain.in_flight if ms >= WARM]
    under_way = 2 * cycle.best * sum(2 * (way or 0) for way in ways)
    assert sum(flight) / len(flight) <= cycle.settled(len(ways), under_way)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_on_and_off_in_turns(channels: int) -> None:
    busy, in_flight = run(ON_OFF, channels)
    assert busy >= 0.995
    assert in_flight <= 1.1 * ON_OFF.mean * TARGET


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_sink_that_can_seldom_work_is_busy_then(channels: int) -> None:
    busy, in_flight = run(SELDOM, channels)
    assert busy >= 0.995
    assert in_flight <= SELDOM.settled(channels)


def test_a_source_that_is_little_faster_than_such_a_sink_reads_while_it_is_off() -> None:
    assert run(ON_OFF, 2, offered=11)[0] >= 0.99


# Laws that fail: what is asserted above can be seen to fail.


def test_to_follow_the_last_period_starves_a_sink_that_comes_back() -> None:
    assert run(SELDOM, 3, LastPeriod)[0] < 0.5


def test_to_hold_a_sink_for_as_fast_as_at_its_best_doubles_what_waits() -> None:
    busy, in_flight = run(ON_OFF, 3, Greatest)
    assert busy >= 0.995
    assert in_flight >= 1.8 * ON_OFF.mean * TARGET


def test_the_mean_of_a_sink_that_was_out_of_records_is_too_little_for_it() -> None:
    assert run(ON_OFF, 2, MeanAlone, offered=11)[0] < 0.97
