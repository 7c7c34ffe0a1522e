"""Structs become columns and Structs again; what is not exactly of its type has no columns."""

from __future__ import annotations

import gc
from typing import Any, Generic, TypeVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cext.transpose import Transpose, fields_of, made_of_fields, places_of
from engine.codec import Codec
from engine.packing import COLUMNS, ROWS
from engine.shapes import shape_of

T = TypeVar("T")


class Reading(msgspec.Struct):
    station: str
    level: float | None
    tags: list[int] = []


class Named(msgspec.Struct, kw_only=True):
    station: str
    level: float = 0.0


class Half(Named):
    height: int


class Tree(msgspec.Struct, frozen=True, array_like=True, tag="a tree"):
    left: Tree | None = None
    right: Tree | None = None


class Box(msgspec.Struct, Generic[T]):
    held: T


class IntBox(Box[int]):
    pass


class Meta(type(msgspec.Struct)):  # type: ignore[misc]
    pass


class Odd(msgspec.Struct, metaclass=Meta):
    x: int


class Empty(msgspec.Struct):
    pass


def transpose(record_type: Any = Reading) -> Transpose:
    places = record_type.__match_args__
    return Transpose(record_type, shape_of(record_type), len(places), record_type.__struct_fields__[len(places) :])


readings = st.builds(Reading, st.text(), st.none() | st.floats(allow_nan=False), st.lists(st.integers(-9, 9)))


@given(st.lists(readings))
def test_columns_are_what_zip_gives_and_rows_come_back(rows: list[Reading]) -> None:
    columns = transpose().columns(rows)
    assert columns == [[getattr(row, name) for row in rows] for name in Reading.__struct_fields__]
    assert transpose().rows(tuple(columns)) == rows


@given(st.lists(readings, min_size=1), st.data())
def test_one_wrong_field_and_there_are_no_columns(rows: list[Reading], data: st.DataObject) -> None:
    row = data.draw(st.sampled_from(rows))
    name, value = data.draw(st.sampled_from([("station", 1), ("level", 1), ("tags", (1,)), ("tags", [True])]))
    setattr(row, name, value)
    assert transpose().columns(rows) is None
    delattr(row, name)
    assert transpose().columns(rows) is None


def test_another_type_has_no_columns() -> None:
    class More(Reading):
        pass

    assert transpose().columns([Reading("weir", 1.0), More("weir", 1.0)]) is None


@pytest.mark.parametrize(
    ("record_type", "rows", "form"),
    [
        (Named, [Named(station="weir", level=2.0), Named(station="dam")], COLUMNS),
        (Half, [Half(3, station="weir"), Half(4, station="dam", level=1.0)], COLUMNS),
        (Tree, [Tree(Tree(), Tree(Tree())), Tree()], COLUMNS),
        (Box[int], [Box(1), Box(2)], ROWS),
        (IntBox, [IntBox(1)], ROWS),
        (Odd, [Odd(1)], ROWS),
        (Empty, [Empty(), Empty()], ROWS),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_which_structs_cross_as_columns(record_type: Any, rows: list[Any], form: int) -> None:
    codec = Codec.of(record_type)
    made, payload = codec.encode(rows)
    assert made == form
    assert codec.decode(made, payload) == rows


def test_no_record_is_no_column_short() -> None:
    assert transpose().columns([]) == [[], [], []]
    assert transpose().rows(([], [], [])) == []


def test_columns_that_do_not_make_records_are_refused() -> None:
    with pytest.raises(ValueError, match="wanted 3 columns, got 1"):
        transpose().rows((["weir"],))
    with pytest.raises(ValueError, match="wanted columns of 1 values, got one of 2"):
        transpose().rows((["weir"], [1.0, 2.0], [[]]))
    with pytest.raises(TypeError, match="list"):
        transpose().rows((["weir"], (1.0,), [[]]))  # type: ignore[arg-type]
    assert gc.isenabled()


def test_only_a_struct_of_those_fields_is_transposed() -> None:
    with pytest.raises(TypeError, match="wanted the shape of one Struct"):
        Transpose(Reading, shape_of(int), 3, ())
    with pytest.raises(TypeError, match=r"wanted the fields of .*Reading.*, got 1 without a name and \('level',\)"):
        Transpose(Reading, shape_of(Reading), 1, ("level",))


halves, whole = st.builds(Half, height=st.integers(), station=st.text()), st.builds(Named, station=st.text())


@given(st.lists(halves | whole, max_size=5))
def test_fields_whatever_they_hold_and_records_of_them(rows: list[Any]) -> None:
    for cls in (Half, Named):
        columns = fields_of(cls, rows)
        if any(type(row) is not cls for row in rows):
            assert columns is None
        else:
            assert columns is not None
            assert made_of_fields(cls, cls.__struct_fields__, tuple(columns)) == rows


def test_a_record_without_a_field_has_no_columns() -> None:
    rows = [Reading("weir", 1.0), Reading("dam", 2.0)]
    del rows[1].level
    assert fields_of(Reading, rows) is None


@pytest.mark.parametrize(("names", "columns"), [((), ()), (("station",), ()), (("station",), (["a"], [1.0]))])
def test_fields_without_columns(names: tuple[str, ...], columns: tuple[list[Any], ...]) -> None:
    with pytest.raises(TypeError, match="wanted the fields of a Struct"):
        made_of_fields(Reading, names, columns)


@given(st.lists(st.tuples(st.integers(), st.text()) | st.tuples() | st.tuples(st.none()) | st.none(), max_size=4))
def test_places_are_what_zip_gives(rows: list[Any]) -> None:
    alike = bool(rows) and all(row and len(row) == len(rows[0] or ()) for row in rows)
    assert places_of(rows) == ([list(column) for column in zip(*rows, strict=True)] if alike else None)
