"""The latency histogram against sorted lists."""

from __future__ import annotations

import doctest
import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cext import histogram
from cext.histogram import Histogram

INT64_MAX = 2**63 - 1

# Of every magnitude: uniform integers would nearly all be huge.
durations = st.one_of(
    st.integers(0, 100), st.integers(0, 62).flatmap(lambda bits: st.integers(2**bits, 2 ** (bits + 1) - 1))
)
lists = st.lists(durations, min_size=1, max_size=200)
percents = st.one_of(st.floats(0, 100), st.sampled_from([0, 1, 50, 90, 99, 99.9, 100]))


def histogram_of(values: list[int]) -> Histogram:
    made = Histogram()
    for value in values:
        made.record(value)
    return made


def state(of: Histogram) -> tuple[object, ...]:
    return of.count, of.minimum, of.maximum, pytest.approx(of.mean), of.snapshot()


@given(lists, percents)
def test_percentile_is_never_too_small_and_at_most_a_32nd_too_large(values: list[int], p: float) -> None:
    exact = sorted(values)[max(math.ceil(p * len(values) / 100), 1) - 1]
    assert exact <= histogram_of(values).percentile(p) <= min(exact + exact // 32, max(values))


@given(lists)
def test_count_extremes_and_mean(values: list[int]) -> None:
    made = histogram_of(values)
    assert (made.count, made.minimum, made.maximum) == (len(values), min(values), max(values))
    assert made.mean == pytest.approx(sum(values) / len(values))


@given(lists, lists)
def test_merge_equals_adding_all(some: list[int], others: list[int]) -> None:
    merged = histogram_of(some)
    merged.merge(histogram_of(others))
    assert state(merged) == state(histogram_of(some + others))


@given(durations, st.integers(0, 20))
def test_times_equals_repeating(value: int, times: int) -> None:
    at_once = Histogram()
    at_once.record(value, times)
    assert state(at_once) == state(histogram_of([value] * times))


@given(lists, percents)
def test_restored_snapshot_has_the_same_percentiles(values: list[int], p: float) -> None:
    made, restored = histogram_of(values), histogram_of([5, 6, 7])
    restored.restore(made.snapshot())
    assert (restored.count, restored.maximum) == (made.count, made.maximum)
    assert restored.percentile(p) == made.percentile(p)
    assert restored.snapshot() == made.snapshot()
    assert made.minimum * 31 / 32 <= restored.minimum <= max(made.minimum, made.maximum)
    assert made.mean * 31 / 32 <= restored.mean * (1 + 1e-9) <= made.mean * 33 / 32


def test_a_merged_snapshot_is_merged_as_it_was() -> None:
    made, received = histogram_of([10, 1_000, 2_000_000]), Histogram()
    received.restore(histogram_of([20, 3_000_000]).snapshot())
    made.merge(received)
    assert (made.count, made.minimum, made.maximum) == (5, 10, 3_000_000)


def test_empty() -> None:
    made = Histogram()
    assert state(made) == (0, 0, 0, 0.0, [])
    assert made.percentile(99) == 0
    made.merge(Histogram())
    made.restore([])
    assert state(made) == (0, 0, 0, 0.0, [])


def test_clear_forgets_everything() -> None:
    made = histogram_of([1, 2, 3_000])
    made.clear()
    assert state(made) == state(Histogram())
    made.record(7)
    assert state(made) == state(histogram_of([7]))


def test_negative_durations_count_as_zero() -> None:
    made = histogram_of([-1, -(2**63)])
    assert (made.count, made.minimum, made.maximum, made.percentile(100)) == (2, 0, 0, 0)


def test_whole_range() -> None:
    made = histogram_of([0, INT64_MAX, INT64_MAX])
    assert (made.percentile(0), made.percentile(50), made.maximum) == (0, INT64_MAX, INT64_MAX)
    assert made.mean == pytest.approx(2 * INT64_MAX / 3)


def test_every_small_value_and_every_power_of_two_has_its_own_bucket() -> None:
    values = [*range(64), *(2**bits for bits in range(6, 63))]
    assert histogram_of(values).snapshot() == [(value, 1) for value in values]


@pytest.mark.parametrize("p", [-0.1, 100.1, math.nan, math.inf])
def test_percentile_outside_of_0_to_100(p: float) -> None:
    with pytest.raises(ValueError, match=f"a percentile lies between 0 and 100, not {p}"):
        Histogram().percentile(p)


def test_what_does_not_fit() -> None:
    with pytest.raises(OverflowError):
        Histogram().record(2**63)
    with pytest.raises(OverflowError):
        Histogram().record(1, -1)
    with pytest.raises(TypeError, match="other"):
        Histogram().merge(None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(Histogram())


def test_docstrings() -> None:
    result = doctest.testmod(histogram)
    assert result.attempted
    assert not result.failed
