"""The native aggregates beside naive ones, value by value; None is no value."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cext.column import Column
from cext.columns import Collect, Count, Custom, Distinct, Greatest, Least, Mean, Sum, Top
from cext.getter import Getter
from cext.groups import Groups

NAN = float("nan")


def aggregate(column: Column, values: list[Any]) -> Any:
    """`values`, all of one key, through one column."""
    groups = Groups(Getter(lambda _: None), [column], lambda _, got: got[0])
    result = None
    for value in values:
        result = groups.update(value)
    assert repr(list(groups)) == repr([result])  # NaN equals nothing
    return result


def least(values: list[Any], choose: Callable[[list[Any]], Any]) -> Any:
    present = [value for value in values if value is not None]
    if not present:
        return None
    return NAN if any(math.isnan(value) for value in present) else choose(present)


def present(values: list[Any]) -> list[Any]:
    return [value for value in values if value is not None]


def mean(values: list[Any]) -> Any:
    return sum(present(values)) / len(present(values)) if present(values) else None


Make = Callable[[Getter], Column]
SIMPLE: dict[str, tuple[Make, Callable[[list[Any]], Any]]] = {
    "count all": (lambda _: Count(Getter()), len),
    "count": (Count, lambda values: len(present(values))),
    "sum": (Sum, lambda values: sum(present(values)) if present(values) else None),
    "mean": (Mean, mean),
    "min": (Least, lambda values: least(values, min)),
    "max": (Greatest, lambda values: least(values, max)),
    "collect": (Collect, present),
    "distinct": (Distinct, lambda values: len(set(present(values)))),
    "custom": (lambda value: Custom(value, tuple, lambda state, value: (*state, value), list), list),
}
itself = Getter(lambda value: value)  # a function, for a count of whole records counts every one
exact = st.one_of(st.none(), st.integers(-20, 20), st.fractions(-5, 5, max_denominator=9))


@pytest.mark.parametrize("name", SIMPLE)
@given(values=st.lists(exact, min_size=1, max_size=30))
def test_any_values(name: str, values: list[Any]) -> None:
    make, naive = SIMPLE[name]
    assert aggregate(make(itself), values) == naive(values)


@pytest.mark.parametrize("name", SIMPLE)
def test_no_value_at_all(name: str) -> None:
    empty = {"count": 0, "distinct": 0, "collect": [], "custom": [None, None], "count all": 2}
    assert aggregate(SIMPLE[name][0](itself), [None, None]) == empty.get(name)


@pytest.mark.parametrize("name", ["min", "max"])
@given(values=st.lists(st.one_of(st.none(), st.integers(), st.floats(), st.just(NAN)), min_size=1, max_size=12))
def test_one_nan_makes_an_extreme_nan_whenever_it_comes(name: str, values: list[Any]) -> None:
    make, naive = SIMPLE[name]
    found, wanted = aggregate(make(itself), values), naive(values)
    assert found == wanted or (math.isnan(found) and math.isnan(wanted))


def test_sums_and_means_take_what_can_be_added() -> None:
    assert aggregate(Sum(Getter()), [Decimal("0.1")] * 3) == Decimal("0.3")
    assert aggregate(Sum(Getter()), [2**62, 2**62, 2**62]) == 3 * 2**62
    for bools in ([True], [False], [None, True, None], [True, True]):
        total = aggregate(Sum(Getter()), bools)
        assert (type(total), total) == (int, bools.count(True))
    assert aggregate(Mean(Getter()), [Fraction(1, 3), Fraction(1, 6)]) == Fraction(1, 4)
    assert math.isnan(aggregate(Sum(Getter()), [1, NAN, 2]))
    assert aggregate(Mean(Getter()), [1, 2]) == 1.5


@pytest.mark.parametrize("column", [Sum, Mean])
@pytest.mark.parametrize("value", ["12", b"12"])
def test_text_is_no_number(column: type[Sum | Mean], value: Any) -> None:
    with pytest.raises(TypeError, match="wanted a number to"):
        aggregate(column(Getter()), [value])


@pytest.mark.parametrize("column", [Least, Greatest])
def test_values_without_an_order_are_refused(column: type[Least | Greatest]) -> None:
    groups = Groups(Getter(lambda _: 0), [column(Getter())], lambda _, got: got[0])
    groups.update(3)
    for wrong in ("text", 1j, [1]):
        with pytest.raises(TypeError):
            groups.update(wrong)
    assert list(groups) == [3]


def test_what_cannot_be_hashed_is_not_distinct() -> None:
    groups = Groups(Getter(lambda _: 0), [Distinct(Getter())], lambda _, got: got[0])
    with pytest.raises(TypeError, match="unhashable"):
        groups.update([1])
    assert len(groups) == 0
    groups.update(1)
    with pytest.raises(TypeError, match="unhashable"):
        groups.update([1])
    assert list(groups) == [1]


# Top.

ranked = st.tuples(st.one_of(st.none(), st.integers(0, 5), st.just(NAN), st.floats(0, 5)), st.integers(0, 10**6))


@given(st.lists(ranked, min_size=1, max_size=30), st.integers(1, 6), st.booleans())
def test_top_is_the_head_of_a_stable_sort(values: list[Any], most: int, smallest: bool) -> None:
    column = Top(Getter(), most, Getter(lambda value: value[0]), Getter(lambda value: value[1]), smallest)
    sortable = [value for value in values if value[0] is not None and value[0] == value[0]]
    wanted = sorted(sortable, key=lambda value: value[0] if smallest else -value[0])
    assert aggregate(column, values) == [value[1] for value in wanted[:most]]


def test_top_keeps_at_least_one() -> None:
    for most in (0, -3):
        with pytest.raises(ValueError, match="keeps at least 1"):
            Top(Getter(), most, Getter(), Getter())


def test_top_says_what_it_was_made_of() -> None:
    by, pick = Getter("rank"), Getter("name")
    column = Top(Getter(), 3, by, pick, True)
    assert (column.most, column.by, column.pick, column.smallest) == (3, by, pick, True)


def test_a_result_is_no_part_of_the_state() -> None:
    for make in (lambda: Collect(Getter()), lambda: Top(Getter(), 3, Getter(), Getter())):
        groups = Groups(Getter(lambda _: 0), [make()], lambda _, got: got[0])
        groups.update(1).clear()
        assert list(groups) == [[1]]


# Custom.


def test_a_custom_state_begins_anew_for_each_key_and_may_be_none() -> None:
    def step(state: Any, value: int) -> Any:
        return None if value == 0 else (value if state is None else state + value)

    groups = Groups(Getter(lambda row: row[0]), [Custom(Getter(lambda row: row[1]), lambda: None, step)], tuple_of)
    assert [groups.update(row) for row in [("a", 2), ("b", 5), ("a", 0), ("a", 4)]] == [
        ("a", 2),
        ("b", 5),
        ("a", None),
        ("a", 4),
    ]


def tuple_of(key: Any, results: list[Any]) -> tuple[Any, ...]:
    return (key, *results)


def test_a_custom_step_is_given_nones_too() -> None:
    assert aggregate(Custom(Getter(), list, lambda state, value: [*state, value]), [None, 1, None]) == [None, 1, None]


@pytest.mark.parametrize("fault", ["create", "step", "finish"])
def test_what_a_custom_function_raises_is_passed_on(fault: str) -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError(fault)

    functions: dict[str, Any] = {"create": list, "step": lambda state, value: state, "finish": list} | {fault: fail}
    with pytest.raises(RuntimeError, match=fault):
        aggregate(Custom(Getter(), **functions), [1])


# The base, and references.


def test_the_base_does_nothing() -> None:
    with pytest.raises(NotImplementedError):
        aggregate(Column(Getter()), [1])


def test_a_column_can_be_made_by_keyword() -> None:
    column = Custom(value=Getter(), create=int, step=lambda state, value: state + value, finish=str)
    assert aggregate(column, [1, 2]) == "3"
    assert aggregate(Top(value=Getter(), most=1, by=Getter(), pick=Getter(), smallest=True), [2, 1, 3]) == [1]


@pytest.mark.parametrize("name", SIMPLE)
def test_no_reference_is_gained_or_lost(name: str) -> None:
    groups = Groups(Getter(lambda row: row[0]), [SIMPLE[name][0](Getter(lambda row: row[1]))], tuple_of)
    values = [float(f"{i}.25") for i in range(5)]
    rows = [(key, value) for key in range(7) for value in values]
    before = [sys.getrefcount(value) for value in values]
    for _ in range(50 if name in {"collect", "custom"} else 300):
        for row in rows:
            groups.update(row)
    del groups
    assert [sys.getrefcount(value) for value in values] == before
