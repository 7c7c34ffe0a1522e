"""Groups: every key for itself, and a record that is refused by any column leaves no trace in the others."""

from __future__ import annotations

import doctest
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cext import groups as module
from cext.column import Column
from cext.columns import Collect, Count, Custom, Distinct, Greatest, Least, Mean, Sum, Top
from cext.getter import Getter
from cext.groups import Groups

KEY, VALUE = Getter(lambda row: row[0]), Getter(lambda row: row[1])


def refuse(state: int, value: Any) -> int:
    """Counts, but for what it refuses."""
    if value == "refused":
        raise ValueError(value)
    return state + 1


def present(values: list[Any]) -> list[Any]:
    return [value for value in values if value is not None]


COLUMNS: dict[str, tuple[Callable[[], Column], Callable[[list[Any]], Any]]] = {
    "refuse": (lambda: Custom(VALUE, int, refuse), len),
    "count": (lambda: Count(Getter()), len),
    "count values": (lambda: Count(VALUE), lambda values: len(present(values))),
    "sum": (
        lambda: Sum(Getter(lambda row: len(row[1]) if isinstance(row[1], str) else row[1])),
        lambda values: sum(present(values)) if present(values) else None,
    ),
    "mean": (
        lambda: Mean(Getter(lambda row: 1 if isinstance(row[1], str) else row[1])),
        lambda values: sum(present(values)) / len(present(values)) if present(values) else None,
    ),
    "min": (
        lambda: Least(Getter(lambda row: -99 if isinstance(row[1], str) else row[1])),
        lambda values: min(present(values), default=None),
    ),
    "max": (
        lambda: Greatest(Getter(lambda row: 99 if isinstance(row[1], str) else row[1])),
        lambda values: max(present(values), default=None),
    ),
    "collect": (lambda: Collect(VALUE), present),
    "distinct": (lambda: Distinct(VALUE), lambda values: len(set(present(values)))),
    "top": (
        lambda: Top(Getter(), 2, Getter(lambda row: 99 if isinstance(row[1], str) else row[1]), VALUE),
        lambda values: sorted(present(values), reverse=True)[:2],
    ),
    "custom": (lambda: Custom(VALUE, tuple, lambda state, value: (*state, value)), tuple),
}
rows = st.lists(st.tuples(st.integers(0, 5), st.one_of(st.none(), st.integers(-9, 9), st.just("refused"))), max_size=60)


@given(rows, st.permutations(sorted(COLUMNS)))
def test_a_refused_record_leaves_no_trace(given: list[tuple[int, Any]], order: list[str]) -> None:
    """Most columns would take it; the one that does not stands before, between or behind them."""
    groups = Groups(
        KEY, [COLUMNS[name][0]() for name in order], lambda key, got: (key, dict(zip(order, got, strict=True)))
    )
    taken: dict[int, list[Any]] = {}
    for key, value in given:
        if isinstance(value, str):
            with pytest.raises(ValueError, match="refused"):
                groups.update((key, value))
        else:
            taken.setdefault(key, []).append(value)
            wanted = {name: COLUMNS[name][1](taken[key]) for name in order}
            assert groups.update((key, value)) == (key, wanted)
        assert len(groups) == len(taken)
    assert list(groups) == [(key, {name: COLUMNS[name][1](values) for name in order}) for key, values in taken.items()]


def counting() -> Groups:
    return Groups(KEY, [Count(Getter()), Collect(VALUE), Custom(VALUE, int, refuse)], lambda key, got: (key, *got))


def test_the_slot_of_a_key_that_was_refused_at_once_is_clean_for_the_next() -> None:
    groups = counting()
    for attempt in range(100):
        with pytest.raises(ValueError, match="refused"):
            groups.update((attempt, "refused"))
        assert len(groups) == 0
    assert groups.update(("a", 5)) == ("a", 1, [5], 1)
    with pytest.raises(ValueError, match="refused"):
        groups.update(("b", "refused"))
    assert groups.update(("c", 6)) == ("c", 1, [6], 1)
    assert groups.update(("b", 7)) == ("b", 1, [7], 1)
    assert list(groups) == [("a", 1, [5], 1), ("c", 1, [6], 1), ("b", 1, [7], 1)]


def test_many_keys() -> None:
    groups = counting()
    for turn in range(3):
        for key in range(5000):
            assert groups.update((key, turn))[:2] == (key, turn + 1)
    assert len(groups) == 5000
    assert [record[0] for record in groups] == list(range(5000))


@pytest.mark.parametrize("key", [None, (), "", 0, float("inf"), frozenset([1])])
def test_any_hashable_key(key: Any) -> None:
    groups = counting()
    groups.update((key, 1))
    assert groups.update((key, 2)) == (key, 2, [1, 2], 2)


@pytest.mark.parametrize("key", [[], {}, ([],), object(), 1j])
def test_what_could_not_be_spread_cannot_be_a_key(key: Any) -> None:
    groups = counting()
    with pytest.raises(TypeError, match=r"of type .*, cannot be a key: keys are None, bool, int"):
        groups.update((key, 1))
    with pytest.raises(ValueError, match="NaN cannot be a key"):
        groups.update((float("nan"), 1))
    assert (len(groups), list(groups)) == (0, [])


class Key(str):
    """Whose comparison fails."""

    __slots__ = ()

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparison")


def test_a_key_that_cannot_be_compared_is_refused() -> None:
    groups = counting()
    groups.update((Key(), 1))
    with pytest.raises(RuntimeError, match="no comparison"):
        groups.update((Key(), 2))
    assert len(groups) == 1


def test_the_key_is_taken_once_for_each_record() -> None:
    taken: list[int] = []

    def key(row: int) -> int:
        taken.append(row)
        return len(taken)

    groups = Groups(Getter(key), [Count(Getter())], lambda key, got: (key, got[0]))
    assert [groups.update(row) for row in (7, 8, 9)] == [(1, 1), (2, 1), (3, 1)]
    assert taken == [7, 8, 9]


def test_without_columns_there_are_still_keys() -> None:
    groups = Groups(Getter(), [], lambda key, got: (key, got))
    assert [groups.update(row) for row in "aba"] == [("a", []), ("b", []), ("a", [])]
    assert list(groups) == [("a", []), ("b", [])]


def test_a_record_whose_result_cannot_be_made_leaves_no_trace_either() -> None:
    def make(key: str, got: list[Any]) -> Any:
        if got[0] == 2 or key == "b":
            raise RuntimeError("make")
        return key, got

    columns = [Count(Getter()), Collect(VALUE), Sum(VALUE), Distinct(VALUE), Least(VALUE)]
    groups = Groups(KEY, columns, make)
    assert groups.update(("a", 5)) == ("a", [1, [5], 5, 1, 5])
    for row in (("a", 3), ("b", 1), ("a", 3)):
        with pytest.raises(RuntimeError, match="make"):
            groups.update(row)
    assert list(groups) == [("a", [1, [5], 5, 1, 5])]
    assert groups.update(("c", 2)) == ("c", [1, [2], 2, 1, 2])


def test_what_make_raises_at_the_end_is_passed_on() -> None:
    made: list[Any] = []

    def make(key: Any, got: list[Any]) -> Any:
        made.append(key)
        if len(made) > 1:
            raise RuntimeError("make")

    groups = Groups(Getter(), [Count(Getter())], make)
    groups.update(1)
    with pytest.raises(RuntimeError, match="make"):
        list(groups)


def test_groups_let_go_of_what_they_held() -> None:
    key, value = ("key", 1.5), float("2.25")
    row = (key, value)
    before = [sys.getrefcount(each) for each in (key, value, row)]
    groups = counting()
    for _ in range(1000):
        groups.update(row)
    for _ in range(1000):
        with pytest.raises(ValueError, match="refused"):
            groups.update((key, "refused"))
    del groups
    assert [sys.getrefcount(each) for each in (key, value, row)] == before


def test_docstrings() -> None:
    assert doctest.testmod(module).failed == 0
