"""Shapes: what fits exactly, at every depth, and that nothing of a user's runs meanwhile."""

from __future__ import annotations

import dataclasses
import datetime as dt
import doctest
import enum
import gc
import sys
import types
from collections import OrderedDict
from decimal import Decimal
from types import NoneType
from typing import Any, NamedTuple

import msgspec
import pytest

from cext import conform
from cext.conform import WIDE, Fixed, Items, Literals, Mapping, Members, Named, Shape, Slots


class Pair(NamedTuple):
    left: int
    right: int


class SubInt(int):
    pass


class Letter(enum.Enum):
    A = "a"
    B = "b"


class Record(msgspec.Struct):
    x: int
    y: Any = None


@dataclasses.dataclass(slots=True)
class Slotted:
    x: int


@dataclasses.dataclass
class Open:
    x: int


def filled(compound: Any, *shapes: Shape, **named: Shape) -> Any:
    compound.fill({**{str(place): shape for place, shape in enumerate(shapes)}, **named})
    return compound


INT, TEXT = Shape(int), Shape(str)
WHEN = dt.datetime(2013, 1, 1, 5, 15)
PLUS_ONE = dt.timezone(dt.timedelta(hours=1))
SHAPES: list[tuple[Shape, list[Any], list[Any]]] = [
    (Shape(), [], [None, 1, "x", object()]),
    (Shape(NoneType), [None], [False, 0, ...]),
    (Shape(bool), [True, False], [1, 0, None]),
    (INT, [0, -(2**63), 2**63, 2**64 - 1], [True, SubInt(1), 1.0, 2**64, -(2**63) - 1, 10**100, -(10**100)]),
    (Shape(WIDE), [2**64, -(10**100)], [1]),
    (Shape(int, WIDE), [1, 2**64], [True]),
    (Shape(float), [1.0, float("nan")], [1, Decimal(1)]),
    (TEXT, ["", "x"], [b"", None]),
    (Shape(bytes), [b"x"], [bytearray(b"x"), memoryview(b"x")]),
    (Shape(bytearray), [bytearray(b"x")], [b"x"]),
    (Shape(Decimal), [Decimal("sNaN")], [1]),
    (Shape(dt.date), [WHEN.date()], [WHEN]),
    (Shape(dt.timedelta), [dt.timedelta.min], [WHEN]),
    (
        Shape(dt.datetime),
        [WHEN, WHEN.replace(tzinfo=dt.UTC)],
        [WHEN.date(), WHEN.replace(fold=1), WHEN.replace(tzinfo=PLUS_ONE)],
    ),
    (
        Shape(dt.time),
        [WHEN.time(), WHEN.time().replace(tzinfo=dt.UTC)],
        [WHEN, WHEN.time().replace(fold=1), WHEN.time().replace(tzinfo=PLUS_ONE)],
    ),
    (Shape(int, str, NoneType), [1, "x", None], [True, 1.0]),
    (Shape(Items(list, INT)), [[], [1, 2]], [[1, "x"], (1,), [True]]),
    (Shape(Items(tuple, INT)), [(), (1, 2)], [(1, "x"), [1], Pair(1, 2)]),
    (Shape(Items(set, INT)), [set(), {1, 2}], [{1, "x"}, frozenset()]),
    (Shape(Items(frozenset, INT)), [frozenset([1])], [frozenset(["x"]), set()]),
    (Shape(Mapping(dict, TEXT, INT)), [{}, {"x": 1}], [{1: 1}, {"x": "x"}, OrderedDict(x=1)]),
    (Shape(filled(Fixed(tuple), INT, TEXT)), [(1, "x")], [(1,), (1, "x", 1), ("x", 1), ()]),
    (Shape(filled(Fixed(Pair), INT, INT)), [Pair(1, 2)], [(1, 2), tuple.__new__(Pair, (1,)), Pair(1, "x")]),  # type: ignore[arg-type]
    (Shape(Fixed(tuple), Slots(Record), Named(dict)), [], [(), Record(1), {}]),  # not filled yet
    (Shape(Literals(str, ["a"]), Literals(int, [1])), ["a", 1], ["b", 2, True, 1.0, None]),
    (Shape(Members(Letter, (Letter.A,))), [Letter.A], [Letter.B, "a"]),
    (Shape(filled(Slots(Record), x=INT)), [Record(1), Record(1, "x")], [Record("x"), Slotted(1)]),  # type: ignore[arg-type]
    (Shape(filled(Slots(Slotted), x=INT)), [Slotted(1)], [object.__new__(Slotted), Record(1)]),
    (Shape(filled(Named(Open), x=INT)), [Open(1)], [object.__new__(Open), Open("x")]),  # type: ignore[arg-type]
    (Shape(filled(Named(dict), x=INT)), [{"x": 1}], [{}, {"x": "x"}, {"x": 1, "y": 1}, {"y": 1}, {1: 1}]),
    (
        Shape(filled(Named(dict, optional=["y"]), x=INT, y=INT)),
        [{"x": 1}, {"y": 1, "x": 1}],
        [{"y": 1}, {"x": 1, "y": "x"}],
    ),
]


@pytest.mark.parametrize(("shape", "fitting", "others"), SHAPES)
def test_what_fits(shape: Shape, fitting: list[Any], others: list[Any]) -> None:
    assert shape.misfit(fitting) == -1
    for other in others:
        assert shape.misfit([*fitting, other, other]) == len(fitting), other
        within = Shape(Items(list, shape))
        assert within.misfit([fitting, [*fitting, other]]) == 1


def test_an_instance_with_another_dict_does_not_fit() -> None:
    shape = Shape(filled(Named(Open), x=INT))
    more, other = Open(1), Open(1)
    more.y = 1  # type: ignore[attr-defined]
    other.__dict__ = OrderedDict(x=1)
    assert shape.misfit([Open(1), more]) == 1
    assert shape.misfit([Open(1), other]) == 1
    assert Shape(filled(Named(Record), x=INT)).misfit([Record(1)]) == 0  # it has no dict at all


def nested(levels: int) -> Any:
    value: Any = None
    for _ in range(levels):
        value = (value,)
    return value


def recursive() -> Shape:
    holder = Fixed(tuple)
    shape = Shape(NoneType, holder)
    holder.fill({"0": shape})
    return shape


def test_what_is_nested_deeper_than_100_levels_does_not_fit() -> None:
    shape = recursive()
    assert shape.misfit([nested(100), nested(100)]) == -1
    assert shape.misfit([nested(100), nested(101)]) == 1
    assert shape.misfit([nested(100_000)]) == 0


def test_what_holds_itself_does_not_fit() -> None:
    items = filled(Named(Open), x=Shape())
    items.fill({"x": Shape(items)})
    itself = Open(1)
    itself.x = itself  # type: ignore[assignment]
    assert Shape(items).misfit([itself]) == 0


def test_a_value_that_is_reached_in_very_many_ways_does_not_fit() -> None:
    pair = Fixed(tuple)
    shape = Shape(NoneType, pair)
    pair.fill({"0": shape, "1": shape})
    value = None
    for _ in range(60):
        value = (value, value)  # type: ignore[assignment]
    assert shape.misfit([value]) == 0


class Spy:
    """Notes whatever is asked of it."""

    asked: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        Spy.asked.append(name)
        return object.__getattribute__(self, name)

    def __hash__(self) -> int:
        Spy.asked.append("hash")
        return hash("x")

    def __eq__(self, other: object) -> bool:
        Spy.asked.append("eq")
        return True


def test_nothing_of_a_users_runs() -> None:
    spied = {Spy(): 1}
    spies: list[Any] = [Spy(), [Spy()], {"x": Spy()}, spied, {Spy()}, (Spy(),), Record(Spy()), Open(Spy())]  # type: ignore[arg-type]
    Spy.asked.clear()
    shapes = [shape for shape, _, _ in SHAPES] + [Shape(filled(Named(dict), x=INT), filled(Named(Spy), x=INT))]
    for shape in shapes:
        for spy in spies:
            assert shape.misfit([spy]) == 0
    assert Spy.asked == []


@pytest.mark.parametrize("enabled", [True, False])
def test_garbage_is_not_collected_meanwhile_and_as_before_afterwards(enabled: bool) -> None:
    class Dropped:
        def __del__(self) -> None:
            collected.append(1)

    collected: list[int] = []
    rows = [Open(number) for number in range(2000)]
    shape = Shape(filled(Named(Open), x=INT))
    thresholds, was_enabled = gc.get_threshold(), gc.isenabled()
    gc.disable()
    garbage = Dropped()
    garbage.itself = garbage  # type: ignore[attr-defined]
    del garbage
    try:
        gc.set_threshold(1)
        if enabled:
            gc.enable()
        misfit = shape.misfit(rows)  # makes, and tracks, the `__dict__` of each row
        then, still_enabled = len(collected), gc.isenabled()
    finally:
        gc.set_threshold(*thresholds)
        (gc.enable if was_enabled else gc.disable)()
    gc.collect()
    assert (misfit, then, still_enabled, collected) == (-1, 0, enabled, [1])


def test_checking_keeps_nothing_alive() -> None:
    rows = [Open(10**9 + number) for number in range(10)]
    values = [vars(row) for row in rows]
    counts = [sys.getrefcount(value) for value in values]
    shape = Shape(filled(Named(Open), x=INT))
    for _ in range(5):
        assert shape.misfit(rows) == -1
    assert [sys.getrefcount(value) for value in values] == counts


ANY: Any = conform  # what is refused here would be by mypy, too


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (lambda: ANY.Shape(complex), KeyError),
        (lambda: ANY.Shape("int"), KeyError),
        (lambda: ANY.Items(dict, INT), TypeError),
        (lambda: ANY.Items(list, int), TypeError),
        (lambda: ANY.Items(list, None), TypeError),
        (lambda: ANY.Mapping(OrderedDict, INT, INT), TypeError),
        (lambda: ANY.Compound("int"), TypeError),
        (lambda: ANY.Fixed(list), TypeError),
        (lambda: ANY.Fixed(tuple).fill({"0": int}), TypeError),
        (lambda: ANY.Members(Letter, None), TypeError),
        (lambda: ANY.Literals(float, [1.0]), TypeError),
        (lambda: ANY.Literals(str, [1]), TypeError),
        (lambda: ANY.Literals(int, [True]), TypeError),
        (lambda: filled(Slots(Record), z=INT), TypeError),
        (lambda: filled(Slots(Open), x=INT), TypeError),
        (lambda: filled(Slots(types.SimpleNamespace), __dict__=INT), TypeError),
        (lambda: ANY.Slots(types.MethodType).fill({"__func__": INT}), TypeError),
        (lambda: filled(Slots(OSError), errno=INT, filename=INT, __traceback__=INT), TypeError),
        (lambda: ANY.Named(dict).fill({"x": int}), TypeError),
        (lambda: ANY.Slot(1, "x", INT), (TypeError, AttributeError)),
        (lambda: ANY.Slot(Record, None, INT), TypeError),
    ],
)
def test_what_makes_no_sense_is_refused(make: Any, wanted: Any) -> None:
    with pytest.raises(wanted):
        make()


def test_a_slot_of_another_class_is_refused() -> None:
    class Borrowing:
        x = vars(Record)["x"]

    with pytest.raises(TypeError, match="keeps nothing behind"):
        filled(Slots(Borrowing), x=INT)


def test_the_examples() -> None:
    assert doctest.testmod(conform).failed == 0
