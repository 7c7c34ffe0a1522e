"""OperatorState as bytes: all that is kept comes back, as it was when it was handed over."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cext.operator_state import OperatorState
from engine.errors import CheckpointError
from engine.state_codec import freeze, thaw

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
anything = scalars | st.tuples(st.integers(), st.text()) | st.lists(st.integers())


class Sub(int):
    """Equal to an int, and not one."""


@given(st.dictionaries(st.text(), st.lists(st.lists(scalars) | st.lists(anything), min_size=1)), st.text(), anything)
def test_what_is_frozen_is_thawed(tables: dict[str, list[list[Any]]], name: str, value: Any) -> None:
    state = OperatorState({table: tuple(columns) for table, columns in tables.items()}, {name: value})
    assert repr(thaw(freeze(state)())) == repr(state)


def test_long_columns_are_whole() -> None:
    keys = list(range(100_000))
    state = OperatorState({"counts": (keys, [str(key) for key in keys])}, {})
    assert thaw(freeze(state)()) == state


@pytest.mark.parametrize("column", [[1, 2**80], ["\ud800"], [Sub(3)], [math.nan], [-(2**63), 2**64 - 1]])
def test_what_msgpack_does_not_know_comes_back_too(column: list[Any]) -> None:
    (back,) = thaw(freeze(OperatorState({"table": (column,)}, {}))()).tables["table"]
    assert repr(back) == repr(column)
    assert [type(item) for item in back] == [type(item) for item in column]


def test_what_changes_later_is_kept_as_it_was() -> None:
    basket = ["apple"]
    later = freeze(OperatorState({"baskets": ([1], [basket])}, {"seen": basket}))
    basket.append("pear")
    assert thaw(later()) == OperatorState({"baskets": ([1], [["apple"]])}, {"seen": ["apple"]})


def test_other_bytes_are_refused() -> None:
    whole = freeze(OperatorState({}, {}))()
    with pytest.raises(CheckpointError, match="wanted state, got 3 bytes"):
        thaw(b"abc")
    with pytest.raises(CheckpointError, match="format 1, got format 9"):
        thaw(whole.replace(b"headgate state \x01", b"headgate state \x09"))
