"""The window's law: step by step beside a twin in Python, then at work in a chain of channels in virtual time."""

from __future__ import annotations

import copy
import doctest
import pickle
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cext import window
from cext.window import Window
from tests.cext.simulation import MS, PERIOD, Batchy, Chain, Steady, steps
from tests.cext.window_twin import Twin

# The law beside its twin.

periods = st.lists(
    st.tuples(
        st.integers(1, 10**10),
        st.integers(0, 10**6) | st.sampled_from([0, 0, 2_000]),
        st.booleans(),
        st.booleans(),
        st.just(0) | st.integers(0, 10**9) | st.integers(0, 2**63),
        st.just(0) | st.integers(0, 5000),
    ),
    max_size=40,
)


@given(
    st.floats(1e-4, 10),
    st.integers(1, 10**6),
    st.integers(1, 4096),
    st.integers(0, 5000),
    st.integers(0, 2**60),
    periods,
)
def test_the_law_is_that_of_its_twin(
    share: float, most: int, frame: int, batch: int, start: int, steps: list[tuple[int, int, bool, bool, int, int]]
) -> None:
    law, twin = Window(share, most, frame, batch, start), Twin(share, most, frame, batch, start)
    now, released = start, 0
    assert (law.size, law.floor, law.most, law.frame) == (twin.size, twin.floor, most, frame)
    for passed, more, starved, blocked, round_trip, wanted in steps:
        now, released = now + passed, released + more
        law.travels(round_trip)
        twin.round_trip = round_trip
        law.want(wanted)
        twin.want(wanted)
        assert law.update(now, released, starved, blocked) == twin.update(now, released, starved, blocked)
        assert law.size == twin.size
        assert law.floor <= law.size <= law.most


def settle(law: Window, rate: int, seconds: float, *, starved: bool, blocked: bool, start: int = 0) -> int:
    """Run `law` at a steady rate; the time then, in ms."""
    for ms in range(start + PERIOD, start + int(seconds * 1000) + 1, PERIOD):
        law.update(ms * MS, (ms - start) * rate // 1000, starved, blocked)
    return start + int(seconds * 1000)


def test_a_slow_consumer_gets_what_it_takes_in_its_share() -> None:
    law = Window(0.05, 8192, 1024)
    settle(law, 2_000, 2, starved=False, blocked=True)
    assert law.size == 100


def test_the_way_down_is_half_way_each_period() -> None:
    law = Window(0.1, 8192, 4096)
    sizes = [law.update(tick * PERIOD * MS, 100 * tick, False, True) for tick in range(1, 8)]
    assert sizes == [4146, 2123, 1111, 605, 352, 226, 163]  # towards 1,000/s x 0.1 s


def test_a_producer_that_is_the_slow_side_leaves_twice_the_share_but_no_less_than_a_frame() -> None:
    for rate, size in ((100, 1024), (5_000, 1024), (10_240, 1024), (20_000, 2_000), (10**9, 8192)):
        law = Window(0.05, 8192, 1024)
        settle(law, rate, 1, starved=True, blocked=False)
        assert law.size == size


def test_who_is_short_at_both_ends_gets_twice_as_much_each_period() -> None:
    law = Window(0.001, 8192, 16)
    sizes = [law.update(tick * PERIOD * MS, 0, True, True) for tick in range(1, 10)]
    assert sizes == [64, 128, 256, 512, 1024, 2048, 4096, 8192, 8192]


def test_a_consumer_that_was_out_of_records_is_rated_by_the_best_of_the_last_ten_periods() -> None:
    law = Window(0.1, 8192, 1024)
    ms = settle(law, 20_000, 1, starved=True, blocked=False)
    sizes = [law.update((ms + tick * PERIOD) * MS, 20_000, False, True) for tick in range(1, 13)]
    assert sizes[:9] == [2000 + 2000 // 2**tick for tick in range(1, 10)]  # a stall of 0.9 s
    assert sizes[9:] == [1001, 500, 250]


def test_a_consumer_that_is_never_out_of_records_is_rated_by_the_mean_of_twenty_periods() -> None:
    law = Window(0.1, 8192, 1024)
    for tick in range(1, 41):  # 20,000/s and nothing, in turns of half a second
        law.update(tick * PERIOD * MS, 2_000 * (5 * (tick // 10) + min(5, tick % 10)), False, True)
        if tick == 19:
            assert law.size > 1950  # 2 s are not over
    assert abs(law.size - 1000) <= 1


def test_however_seldom_a_consumer_works_it_gets_what_it_takes_in_a_hop() -> None:
    law = Window(0.1, 8192, 1024)
    for tick in range(1, 41):  # 20,000/s, one period in twenty
        law.update(tick * PERIOD * MS, 2_000 * (tick // 20), False, True)
    assert law.size == 200  # 20,000/s x 10 ms; its mean asks for 100
    assert law.update(4_100 * MS, 4_000, True, True) == 400  # out of records: it gets more at once


def test_a_long_period_counts_as_all_that_it_lasted() -> None:
    """A consumer that was back-pressured for seconds must not wake with the window and the rate of before."""
    law = Window(0.1, 8192, 1024)
    ms = settle(law, 80_000, 1, starved=True, blocked=True)
    assert law.size == 8192
    law.update((ms + 4_000) * MS, 80_000 + 4_000, False, True)  # 1,000/s for four seconds
    assert law.size == 100  # twenty times half-way from 8,192


def test_a_batching_consumer_keeps_room_for_two_batches() -> None:
    law = Window(0.05, 8192, 1024, batch=1000)
    settle(law, 10, 3, starved=False, blocked=True)
    assert law.size == law.floor == 2000


def test_a_consumer_may_learn_what_it_likes_and_learn_better() -> None:
    law = Window(0.05, 8192, 1024, batch=10)
    settle(law, 10, 3, starved=False, blocked=True)
    assert law.size == law.floor == 20
    law.want(1000)
    assert law.size == law.floor == 2000  # at once
    law.want(10**6)
    assert law.size == law.floor == 8192
    law.want(0)
    assert (law.floor, law.size) == (20, 8192)  # the way down is the law's
    assert law.update(10**10, 30, False, True) < 8192


@pytest.mark.parametrize(("starved", "blocked"), [(False, True), (True, False)])
def test_a_window_holds_what_is_under_way_on_a_long_link(starved: bool, blocked: bool) -> None:
    law = Window(0.01, 8192, 64)
    law.travels(100 * MS)
    settle(law, 20_000, 2, starved=starved, blocked=blocked)
    assert law.size == 2700  # 20,000/s x (1.25 x 100 ms + 10 ms)
    law.travels(0)
    law.update(2_100 * MS, 42_000, starved, blocked)
    assert law.size <= 1450


def test_a_window_counts_for_how_long_it_has_been_too_small_for_a_long_way() -> None:
    law = Window(0.1, 2048, 1024)
    counted = []
    for tick, (starved, blocked, round_trip) in enumerate(
        [
            (True, True, 9),  # too short a way to be to blame
            (True, True, 11),
            (False, True, 11),  # the consumer is the slow side
            (True, False, 11),  # the producer is, and the window stays as large as may be
            (True, True, 11),
        ],
        1,
    ):
        law.travels(round_trip * MS)
        law.update(tick * PERIOD * MS, 10_000 * tick, starved, blocked)
        counted.append(law.capped // MS)
    assert counted == [0, 100, 100, 100, 200]


def test_the_most_comes_before_what_is_under_way() -> None:
    law = Window(0.01, 1000, 64)
    law.travels(2**63)
    settle(law, 20_000, 2, starved=False, blocked=True)
    assert law.size == 1000


def test_the_most_comes_before_the_floor() -> None:
    law = Window(0.05, 10, 1024, batch=1000)
    assert (law.floor, law.size) == (10, 10)
    for starved, blocked in ((False, True), (True, True), (True, False), (False, False)):
        assert law.update(PERIOD * MS, 0, starved, blocked) == 10


@pytest.mark.parametrize(
    "wrong",
    [(0, 1, 1, 0), (-1, 1, 1, 0), (float("nan"), 1, 1, 0), (1, 0, 1, 0), (1, 1, 0, 0), (1, 1, 1, -1)],
)
def test_a_window_that_makes_no_sense_is_refused(wrong: tuple[float, int, int, int]) -> None:
    with pytest.raises(ValueError, match="wanted share > 0"):
        Window(*wrong)


def test_a_window_is_no_setting() -> None:
    law: Any = Window(0.1, 8192, 1024)
    for name in ("size", "most", "floor", "frame"):
        with pytest.raises(AttributeError):
            setattr(law, name, 1)
    for how in (copy.copy, pickle.dumps):
        with pytest.raises(TypeError):
            how(law)


def test_docstrings() -> None:
    assert doctest.testmod(window).failed == 0


# The law at work, in a chain of channels.


def test_a_sink_that_slows_down_twice_and_recovers() -> None:
    """100,000/s offered; the sink falls to 20,000/s, to 2,000/s, and recovers."""
    sink = Steady(steps((0, 100), (2000, 20), (6000, 2), (12_000, 100)))
    chain = Chain(lambda _: 100, sink).run(14_000)
    assert chain.write_rate(500, 2000) == 100_000
    assert chain.read_rate(2500, 2600) <= 20_000  # half a second after the fall
    assert 0.95 * 4000 <= chain.in_flight[3999] <= 1.04 * 4000  # two seconds after it: 200 ms x 20,000/s
    assert max(chain.in_flight[4100:6000]) <= 1.02 * 4000
    assert 0.95 * 400 <= chain.in_flight[11_999] <= 1.02 * 400
    assert max(chain.in_flight[9000:12_000]) <= 1.02 * 400  # one second of memory, and two to write the 4,000
    assert chain.write_rate(2000, 6000) == 20_000  # while it was slow it was never short
    assert chain.write_rate(6000, 12_000) == 2_000
    assert chain.write_rate(12_500, 14_000) == 100_000  # within half a second of its release


def test_a_modest_stream_before_a_sink_that_slows_down() -> None:
    """10,000/s offered, and a sink that falls to 2,000/s."""
    chain = Chain(lambda _: 10, Steady(steps((0, 100), (2000, 2), (6000, 100)))).run(8000)
    assert max(chain.in_flight) <= 3500
    assert 0.95 * 400 <= chain.in_flight[4000] <= 1.02 * 400
    assert chain.read_rate(2500, 4000) <= 2_000
    assert chain.write_rate(2000, 6000) == 2_000
    assert chain.read_rate(6000, 6500) >= 9_900


def test_a_fast_stream_may_fill_every_window_before_it_is_throttled_but_no_more() -> None:
    """From 100,000/s to 2,000/s at once: the windows stand open, and what is in them must leave at 2,000/s."""
    chain = Chain(lambda _: 100, Steady(steps((0, 100), (2000, 2)))).run(22_000)
    assert max(chain.in_flight) <= 4 * 8192
    assert chain.read_rate(2500, 3000) == 0
    assert chain.in_flight[21_999] <= 1.02 * 400


@pytest.mark.parametrize("pace", [2, 20, 100])
@pytest.mark.parametrize("half", [37, 100, 500])
def test_a_sink_that_is_on_and_off_is_never_short_while_it_is_on(pace: int, half: int) -> None:
    sink = Steady(lambda ms: pace if ms // half % 2 == 0 else 0)
    chain = Chain(lambda _: 200, sink).run(1000)
    sink.wanted, before = 0, sum(chain.wrote)
    chain.run(6000)
    assert sum(chain.wrote) - before >= 0.995 * sink.wanted


@pytest.mark.parametrize("seed", range(3))
def test_a_jittery_sink_is_never_short(seed: int) -> None:
    dice = random.Random(seed)
    paces = [dice.choice([0, 0, 0, 5, 10, 50, 100, 200]) for _ in range(6000)]
    sink = Steady(lambda ms: paces[ms])
    chain = Chain(lambda _: 200, sink).run(1000)
    sink.wanted, before = 0, sum(chain.wrote)
    chain.run(6000)
    assert sum(chain.wrote) - before >= 0.995 * sink.wanted


@pytest.mark.parametrize(("batch", "busy"), [(100, 10), (1000, 50), (1000, 200), (4000, 100), (500, 250)])
def test_a_sink_that_writes_batches_gets_whole_ones(batch: int, busy: int) -> None:
    sink = Batchy(batch, busy)
    chain = Chain(lambda _: 200, sink, most=max(8192, 2 * batch)).run(2000)
    sink.wanted, before = 0, sum(chain.wrote)
    chain.run(10_000)
    assert sum(chain.wrote) - before == sink.wanted
    assert all(wrote in {0, batch} for wrote in chain.wrote[2000:])


@given(
    st.integers(1, 6),
    st.integers(1, 5000),
    st.lists(st.tuples(st.integers(1, 400), st.integers(0, 120), st.integers(0, 120)), min_size=1, max_size=8),
)
def test_whatever_happens_the_bound_holds(channels: int, most: int, plan: list[tuple[int, int, int]]) -> None:
    """Each part of `plan` is (ms, offered, taken); that no channel passes its limit or `most` is asserted inside."""
    ends = [sum(part[0] for part in plan[: i + 1]) for i in range(len(plan))]

    def at(ms: int) -> tuple[int, int, int]:
        return next(part for end, part in zip(ends, plan, strict=True) if ms < end)

    chain = Chain(lambda ms: at(ms)[1], Steady(lambda ms: at(ms)[2]), channels, most=most).run(ends[-1])
    assert max(chain.in_flight) <= channels * most
