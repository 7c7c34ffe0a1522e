"""What a write costs: found from writes of two sizes, through jitter, stalls and changes; then at work in a chain."""

from __future__ import annotations

import doctest
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cext import cost
from cext.cost import Cost
from tests.cext.simulation import Chain, Costly, steps

US = 1000
MS = 1_000_000


def learn(law: Cost, there: int, writes: int, took: Callable[[int], float]) -> list[int]:
    """Let `writes` writes be made of `there` waiting records each; what they took."""
    sizes = []
    for _ in range(writes):
        sizes.append(law.take(max(there, law.batch)))
        law.note(sizes[-1], int(took(sizes[-1])))
    return sizes


@pytest.mark.parametrize("each", [2 * US, 10 * US, 500 * US])
@pytest.mark.parametrize("fixed", [0, MS, 10 * MS, 500 * MS])
def test_a_good_batch_is_as_dear_as_the_write_itself(fixed: int, each: int) -> None:
    law = Cost(4096)
    learn(law, 1000, 50, lambda rows: fixed + each * rows)
    assert law.fixed == pytest.approx(fixed, abs=1)
    assert law.each == pytest.approx(each)
    assert law.batch == pytest.approx(min(4096, fixed / each), abs=1)


def test_when_only_the_write_costs_a_batch_is_as_large_as_may_be() -> None:
    law = Cost(4096)
    learn(law, 10, 40, lambda rows: 100 * MS)
    assert law.batch == 4096


def test_half_writes_are_frequent_while_there_is_much_to_learn() -> None:
    law = Cost(4096)
    sizes = learn(law, 1000, 23, lambda rows: 10 * US * rows)
    assert [i + 1 for i, rows in enumerate(sizes) if rows == 500] == [2, 4, 6, 14, 22]
    assert {*sizes} == {500, 1000}


def test_nothing_is_concluded_from_less_than_three_pairs() -> None:
    law = Cost(4096)
    learn(law, 100, 5, lambda rows: MS)
    assert law.batch == 0
    learn(law, 100, 1, lambda rows: MS)
    assert law.batch == 400  # and no more than four times what has been tried


@pytest.mark.parametrize("there", [1, 2, 3])
def test_few_records_are_not_halved(there: int) -> None:
    law = Cost(4096)
    assert learn(law, there, 30, lambda rows: MS) == [there] * 30
    assert law.batch == 0


def test_what_is_no_half_of_the_write_before_it_is_not_compared() -> None:
    law = Cost(4096)
    for power in range(2, 30):  # half of what there is is what there was
        assert law.take(2**power) == 2**power
        law.note(2**power, MS)
    assert law.batch == 0


def test_a_stall_now_and_then_does_not_count() -> None:
    law = Cost(4096)
    dice = random.Random(0)
    learn(law, 1000, 2000, lambda rows: 10 * MS + 20 * US * rows + (3000 * MS if dice.random() < 0.05 else 0))
    assert law.batch == pytest.approx(500, abs=100)


@pytest.mark.parametrize("seed", range(5))
def test_jitter_does_not_ratchet_a_batch_up(seed: int) -> None:
    law = Cost(4096)
    dice = random.Random(seed)
    sizes = learn(law, 100, 4000, lambda rows: 500 * US * rows * dice.uniform(0.5, 1.5))
    assert sum(sizes) / len(sizes) < 120
    assert sum(rows > 200 for rows in sizes) < 0.02 * len(sizes)


def test_a_changed_world_is_learned_anew() -> None:
    law = Cost(4096)
    learn(law, 1000, 40, lambda rows: 10 * MS)
    assert law.batch == 4096
    learn(law, 1000, 2, lambda rows: 500 * US * rows)
    assert law.batch == 0  # after two writes that did not fit
    sizes = learn(law, 1000, 20, lambda rows: 500 * US * rows)
    assert max(sizes) == 1000
    assert law.batch == 0
    learn(law, 1000, 40, lambda rows: 500 * MS)
    assert law.batch == 4096


@given(
    st.integers(0, 10_000),
    st.lists(st.tuples(st.integers(1, 10_000), st.integers(-5, 10**12)), max_size=100),
)
def test_whatever_writes_take_a_batch_stays_within_bounds(most: int, writes: list[tuple[int, int]]) -> None:
    law = Cost(most)
    for there, took in writes:
        rows = law.take(there)
        assert rows == there or (there >= 4 and rows == there // 2)
        law.note(rows, took)
        assert 0 <= law.batch <= most
        assert law.fixed >= 0
        assert law.each >= 0


def test_docstrings() -> None:
    assert doctest.testmod(cost).failed == 0


# At work: 100,000 records/s offered, two channels, 8,192 records each at most, so batches of at most 4,096.


def settled(sink: Costly, seconds: int = 30) -> Chain:
    return Chain(lambda _: 100, sink, channels=2).run(seconds * 1000)


@pytest.mark.parametrize(
    ("fixed", "each", "rate"),
    [
        (10, 0, 100_000),  # all that is offered
        (100, 0, 38_000),  # of 40,960: every eighth write is a half one
        (500, 0, 7_600),  # of 8,192
        (10, 0.01, 46_000),  # of 50,000 at a batch of 1,000
        (100, 0.01, 27_000),  # of 29,058
        (500, 0.01, 7_000),  # of 7,572
        (10, 0.1, 5_500),  # a quarter of the window is more than the batch here
        (100, 0.1, 4_700),  # of 5,000 at a batch of 1,000
        (500, 0.1, 4_200),  # of 4,503
    ],
)
def test_a_write_that_costs_does_not_spiral_down(fixed: float, each: float, rate: float) -> None:
    chain = settled(Costly(lambda _: fixed, lambda _: each))
    assert chain.write_rate(20_000, 30_000) >= rate


@pytest.mark.parametrize(("each", "in_flight"), [(0.5, 400), (0.05, 4000)])
def test_records_that_cost_are_written_in_small_steps(each: float, in_flight: int) -> None:
    sink = Costly(lambda _: 0, lambda _: each)
    chain = settled(sink)
    assert chain.write_rate(10_000, 30_000) >= 0.98 * 1000 / each
    assert max(chain.in_flight[15_000:]) <= 1.3 * in_flight
    assert max(rows for ms, rows in sink.writes if ms > 15_000) <= 0.26 * chain.edges[-1].law.size + 512
    assert chain.read_rate(15_000, 30_000) <= 1.02 * 1000 / each


@pytest.mark.parametrize("seed", range(4))
def test_jitter_does_not_open_the_window(seed: int) -> None:
    chain = settled(Costly(lambda _: 0, lambda _: 0.5, jitter=0.5, seed=seed), 60)
    assert sum(chain.in_flight[20_000:]) / 40_000 <= 600
    assert chain.write_rate(20_000, 60_000) >= 1900


@pytest.mark.parametrize("fixed", [1, 10, 100, 500])
def test_from_a_write_that_costs_to_records_that_do_and_back(fixed: float) -> None:
    sink = Costly(steps((0, fixed), (20_000, 0), (50_000, fixed)), steps((0, 0), (20_000, 0.5), (50_000, 0)))
    chain = settled(sink, 80)
    before, after = chain.write_rate(15_000, 20_000), chain.write_rate(75_000, 80_000)
    assert before >= min(95_000, 0.85 * 4096 / fixed * 1000)
    assert after >= 0.9 * before
    assert max(chain.in_flight[35_000:50_000]) <= 600
    assert chain.write_rate(35_000, 50_000) >= 1900
