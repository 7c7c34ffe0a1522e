"""OperatorState as bytes: all that is kept comes back, as it was when it was handed over."""

from __future__ import annotations

import math
from array import array
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cext.operator_state import OperatorState
from engine.errors import CheckpointError
from engine.state_codec import freeze, thaw
from engine.state_pickling import nameless_in

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
anything = scalars | st.tuples(st.integers(), st.text()) | st.lists(st.integers())


class Flow(msgspec.Struct, frozen=True):
    at: str
    level: float | None = None


class Reading(msgspec.Struct, kw_only=True):
    flow: Flow
    seen: list[int]


class Checked(msgspec.Struct):
    """Says itself how it is pickled."""

    level: int

    def __reduce__(self) -> Any:
        return Checked, (self.level + 1,)


flows = st.builds(Flow, st.text(), st.none() | st.floats(allow_nan=False))
readings = st.builds(Reading, flow=flows, seen=st.lists(st.integers()))
alike = st.sampled_from([flows, readings, st.tuples(st.text(), readings), st.tuples(flows), st.tuples(st.just(()))])


def written(state: OperatorState) -> bytes:
    return b"".join(freeze(state)())


class Sub(int):
    """Equal to an int, and not one."""


columns = st.one_of(*(st.lists(each, max_size=5) for each in (scalars, anything)), alike.flatmap(st.lists))


@given(st.dictionaries(st.text(), st.lists(columns, min_size=1, max_size=3), max_size=2), st.text(), anything)
def test_what_is_frozen_is_thawed(tables: dict[str, list[list[Any]]], name: str, value: Any) -> None:
    state = OperatorState({table: tuple(columns) for table, columns in tables.items()}, {name: value})
    assert repr(thaw(written(state))) == repr(state)


def test_long_columns_are_whole() -> None:
    keys = list(range(100_000))
    state = OperatorState({"counts": (keys, [str(key) for key in keys])}, {})
    assert thaw(written(state)) == state


@pytest.mark.parametrize("column", [[1, 2**80], ["\ud800"], [Sub(3)], [math.nan], [-(2**63), 2**64 - 1]])
def test_what_msgpack_does_not_know_comes_back_too(column: list[Any]) -> None:
    (back,) = thaw(written(OperatorState({"table": (column,)}, {}))).tables["table"]
    assert repr(back) == repr(column)
    assert [type(item) for item in back] == [type(item) for item in column]


def test_what_changes_later_is_kept_as_it_was() -> None:
    basket = ["apple"]
    later = freeze(OperatorState({"baskets": ([1], [basket])}, {"seen": basket}))
    basket.append("pear")
    assert thaw(b"".join(later())) == OperatorState({"baskets": ([1], [["apple"]])}, {"seen": ["apple"]})


def test_what_changes_inside_a_record_is_kept_as_it_was() -> None:
    reading = Reading(flow=Flow("weir"), seen=[1])
    later = freeze(OperatorState({"readings": ([1], [("a", reading)])}, {}))
    reading.seen.append(2)
    reading.flow = Flow("dam")
    ((_, back),) = thaw(b"".join(later())).tables["readings"][1]
    assert back == Reading(flow=Flow("weir"), seen=[1])


def test_a_record_that_says_itself_how_it_is_pickled() -> None:
    state = OperatorState({"table": ([1], [Checked(1)])}, {})
    assert thaw(written(state)).tables["table"][1] == [Checked(2)]


def test_a_class_that_the_graph_has_anew() -> None:
    def total() -> type:
        return msgspec.defstruct("Total", ["key", "n"], module=__name__)

    before, now = total(), total()
    blob = written(OperatorState({"totals": ([1], [before("weir", 1)])}, {}))
    back: Any = thaw(blob, nameless_in([now])).tables["totals"][1][0]
    assert back.__class__ is now
    assert back == now("weir", 1)
    with pytest.raises(CheckpointError, match="'Total' with the fields key, n"):
        thaw(blob)


def test_fields_are_found_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    blob = written(OperatorState({"flows": ([1], [Flow("weir", 1.5)])}, {}))

    def renewed(*fields: Any) -> None:
        made = msgspec.defstruct("Flow", fields, module=__name__)
        monkeypatch.setitem(globals(), "Flow", made)

    renewed(("level", float | None), ("at", str), ("width", int, 3))
    (back,) = thaw(blob).tables["flows"][1]
    assert (back.at, back.level, back.width) == ("weir", 1.5, 3)
    renewed(("at", str), ("width", int))
    with pytest.raises(CheckpointError, match=r"Flow\.width is new, and has no default"):
        thaw(blob)


def test_integers_that_are_no_objects() -> None:
    numbers = array("q", range(-200_000, 200_000))
    (back,) = thaw(written(OperatorState({"counts": (numbers,)}, {}))).tables["counts"]
    assert back == list(numbers)


def test_other_bytes_are_refused() -> None:
    whole = written(OperatorState({}, {}))
    with pytest.raises(CheckpointError, match="wanted state, got 3 bytes"):
        thaw(b"abc")
    with pytest.raises(CheckpointError, match="format 2, got format 9"):
        thaw(whole.replace(b"headgate state \x02", b"headgate state \x09"))
