"""The codec: every record arrives equal to what was sent, in type too, and what is malformed is an error."""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
import typing
from decimal import Decimal
from typing import Any
from uuid import UUID, SafeUUID

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.codec import PICKLE, Codec
from engine.errors import EncodeError
from engine.packing import COLUMNS, ROWS
from tests.engine.codec_records import (
    FLAT,
    Access,
    Age,
    Aged,
    Box,
    Checked,
    Circle,
    Colour,
    Entries,
    Frozen,
    Hiding,
    HidingStruct,
    Keyed,
    Level,
    Linked,
    Listed,
    Loose,
    Mode,
    Node,
    NotNegative,
    Odd,
    Omitting,
    OmittingTheTime,
    Pair,
    Point,
    Prepared,
    Reduced,
    Square,
    SubNode,
    SubPair,
    SubPoint,
    Text,
    Tree,
    Unset,
    Word,
    point,
    same,
)
from tests.engine.codec_values import SCALARS, types

random = settings(
    max_examples=max(400, settings().max_examples),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def crossed(codec: Codec, rows: list[Any]) -> tuple[int, list[Any]]:
    """The form in which `rows` crossed, and what they became."""
    form, payload = codec.encode(rows)
    return form, Codec.decode(codec, form, payload)


def check(record_type: Any, rows: list[Any], wanted: set[int] | None = None) -> None:
    codec = Codec.of(record_type)
    form, came = crossed(codec, rows)
    assert same(rows, came), (record_type, rows, came, form)
    assert wanted is None or form in wanted, codec.pickled_because
    assert codec.fallbacks == (form == PICKLE and codec.pickled_because is None)


@given(st.data())
@random
def test_records_of_their_type_arrive_as_they_were_sent(data: st.DataObject) -> None:
    record_type, values = data.draw(types(lies=False))
    check(record_type, data.draw(st.lists(values, max_size=4)))


@given(st.data())
@random
def test_records_that_lie_about_their_type_arrive_as_they_were_sent(data: st.DataObject) -> None:
    record_type, values = data.draw(types(lies=True))
    check(record_type, data.draw(st.lists(values, max_size=4)))


@given(st.data(), st.sampled_from(list(itertools.combinations(SCALARS, 2))))
@random
def test_unions_of_two_arrive_as_they_were_sent(data: st.DataObject, pair: Any) -> None:
    (one, ones), (other, others) = pair
    check(typing.Union[one, other], data.draw(st.lists(ones | others, max_size=4)))  # noqa: UP007 - `None | None` is none


WHEN = dt.datetime(2013, 1, 1, 5, 15)
TRUE_TO_TYPE: list[tuple[Any, list[Any]]] = [
    (int, [0, -(2**63), 2**64 - 1]),
    (float, [0.0, -0.0, float("inf"), float("-inf"), float("nan")]),
    (str, ["", "weir", "\U0001f30a", "x" * 70_000]),
    (dt.datetime, [WHEN, WHEN.replace(tzinfo=dt.UTC), dt.datetime.min, dt.datetime.max.replace(tzinfo=dt.UTC)]),
    (dt.time, [WHEN.time(), WHEN.time().replace(tzinfo=dt.UTC)]),
    (dt.timedelta, [dt.timedelta.min, dt.timedelta.max, dt.timedelta(-1, 1, 1)]),
    (Decimal, [Decimal("1.10"), Decimal("sNaN12"), Decimal("-0E+20")]),
    (UUID, [UUID(int=0), UUID(int=2**128 - 1)]),
    (int | float | None, [1, 1.0, None]),
    (list[bytes | None], [[b"x", None], []]),
    (dict[int, set[str]], [{1: {"x"}, 2: set()}]),
    (dict[tuple[int, str], frozenset[float]], [{(1, "x"): frozenset([1.5])}]),
    (tuple[bytearray, bool], [(bytearray(b"x"), True)]),
    (tuple[()], [()]),
    (Colour, [*Colour]),
    (Level, [*Level]),
    (Word, [*Word]),
    (Access, [Access.READ]),
    (typing.Literal["a", 1, None], ["a", 1, None]),
    (Pair, [Pair(1), Pair(2, "x")]),
    (Node, [Node(1, Node(2, Node(3)))]),
    (Tree, [Tree(Tree(), Tree(Tree()))]),
    (Box[int], [Box(1)]),
    (Omitting, [Omitting(), Omitting(1, -0.0, ["x"], "y")]),
    (Checked, [Checked(1)]),
    (Circle | Square, [Circle(1.0), Square(2.0)]),
    (Unset, [Unset(1)]),
    (Keyed, [{"x": 1}, {"note": "x", "x": 1}]),
    (Point, [point(1), point(1, 2.0, ["x"], -0.0)]),
    (Frozen, [Frozen(1), Frozen(1, WHEN)]),
    (typing.Sequence[int], [[1, 2]]),
    (typing.Annotated[int, msgspec.Meta(title="a title")], [1]),
    *[(flat, [flat(id_number=1), flat(id_number=2, price=1.5, name="x", tags=["y"])]) for flat in FLAT],
]


@pytest.mark.parametrize(("record_type", "rows"), TRUE_TO_TYPE, ids=lambda value: "")
def test_what_is_true_to_its_type_goes_as_msgpack(record_type: Any, rows: list[Any]) -> None:
    check(record_type, rows, {ROWS, COLUMNS})


def with_extra(record: Any) -> Any:
    record.extra = 1
    return record


def without_x(record: Any) -> Any:
    del record.x
    return record


def chain(length: int) -> Node:
    node = Node(0)
    for value in range(length - 1):
        node = Node(value, node)
    return node


def doubling(levels: int) -> Tree:
    """Few objects, which are reached in 2 ** levels ways."""
    tree = Tree()
    for _ in range(levels):
        tree = Tree(tree, tree)
    return tree


NOT_UTC = dt.timezone(dt.timedelta(hours=2))
LIES: list[tuple[Any, Any]] = [
    (int, True),
    (int, 2**64),
    (int, -(2**63) - 1),
    (int, Level.LOW),
    (bool, 1),
    (float, 1),
    (str, Text("x")),
    (str, Word.WEIR),
    (str, "\ud800"),
    (bytes, bytearray(b"x")),
    (bytearray, b"x"),
    (dt.datetime, WHEN.replace(tzinfo=NOT_UTC)),
    (dt.datetime, WHEN.replace(fold=1)),
    (dt.datetime, WHEN.date()),
    (dt.date, WHEN),
    (dt.time, WHEN.time().replace(tzinfo=NOT_UTC)),
    (dt.time, WHEN.time().replace(fold=1)),
    (UUID, UUID(int=0, is_safe=SafeUUID.safe)),
    (UUID, UUID(int=True)),
    (list[int], (1,)),
    (tuple[int, ...], [1]),
    (tuple[int, ...], Pair(1)),
    (tuple[int, int], (1, 2, 3)),
    (set[int], frozenset([1])),
    (dict[str, int], Entries(x=1)),
    (dict[str, int], {1: 1}),
    (typing.Literal["a", 1], True),
    (typing.Literal["a", 1], Text("a")),
    (typing.Sequence[int], (1,)),
    (Access, Access.READ | Access.WRITE),
    (Mode, Mode(64)),
    (Pair, (1, "x")),
    (Pair, SubPair(1)),
    (Node, SubNode(1)),
    (Node, Node(1, SubNode(2))),
    (Node, Node("one")),  # type: ignore[arg-type]
    (Node, None),
    (Circle, Square(1.0)),
    (Unset, Unset()),
    (Keyed, {"x": 1, "more": 2}),
    (Keyed, {"note": "x"}),
    (Keyed, {Text("x"): 1}),
    (Point, with_extra(point(1))),
    (Point, Point(1)),  # `norm` is the class's, not its own
    (Point, SubPoint(1)),
    (Frozen, Frozen("x")),  # type: ignore[arg-type]
    (Node, chain(101)),
    (Tree, doubling(40)),
]


@pytest.mark.parametrize(("record_type", "record"), LIES, ids=lambda value: "")
def test_a_record_that_is_not_what_its_type_says_sends_the_frame_as_a_pickle(record_type: Any, record: Any) -> None:
    codec = Codec.of(record_type)
    form, came = crossed(codec, [record])
    assert codec.pickled_because is None
    assert (form, codec.fallbacks) == (PICKLE, 1)
    if not isinstance(record, Tree):  # `same` would walk it in 2 ** 40 ways
        assert same([record], came), came


def test_a_record_that_holds_itself_crosses_or_is_named() -> None:
    itself = Linked()
    itself.next = itself
    codec = Codec.of(Linked)
    form, (came,) = crossed(codec, [itself])
    assert (form, codec.fallbacks) == (PICKLE, 1)
    assert came.next is came
    node = Node(1)
    node.next = node
    with pytest.raises(EncodeError, match="record 0 of the frame, a Node"):  # a Struct's pickle cannot hold itself
        Codec.of(Node).encode([node])


def test_a_record_without_one_of_its_fields_is_not_given_one() -> None:
    codec = Codec.of(Point)
    codec_of_slots = Codec.of(Frozen)
    form, (came,) = crossed(codec, [without_x(Point(1))])
    assert form == PICKLE
    assert not hasattr(came, "x")
    with pytest.raises(EncodeError, match=r"record 1 of the frame, a Frozen, cannot be pickled.*x"):
        codec_of_slots.encode([Frozen(1), object.__new__(Frozen)])


UNSURE: list[tuple[Any, Any, str]] = [
    (None, 1, "the type of the records is not known"),
    (Any, 1, "Any may not arrive as it was sent"),
    (list, [(1,)], "Any may not arrive as it was sent"),
    (Box, Box((1,)), "Box.content: Any"),
    (list[dict[str, Any]], [{"x": (1,)}], "Any"),
    (object, 1, "object may not arrive"),
    (complex, 1j, "complex may not arrive"),
    (msgspec.Raw, msgspec.Raw(b"1"), "Raw may not"),
    (msgspec.msgpack.Ext, msgspec.msgpack.Ext(1, b"x"), "Ext may not"),
    (typing.Annotated[int, msgspec.Meta(ge=0)], -1, "a constraint of msgspec.Meta"),
    (list[typing.Annotated[str, msgspec.Meta(max_length=1)]], ["xx"], "a constraint of msgspec.Meta"),
    (Odd, Odd.PAIR, "must contain either all str or all int"),
    (Listed, Listed(1), "Listed has a __getattribute__ of its own"),
    (Hiding, Hiding(1), "Hiding holds more than its fields, in Hidden"),
    (HidingStruct, HidingStruct(1), "HidingStruct holds more than its fields, in Hidden"),
    (SubPair, SubPair(1), "SubPair may hold attributes"),
    (Loose, Loose(1), "Loose may hold attributes"),
    (OmittingTheTime, OmittingTheTime(), "another process may have another 'created'"),
    (Prepared, Prepared(1), "Prepared has a __post_init__"),
    (Reduced, Reduced(1), "Reduced has a __reduce__ of its own"),
    (dict[str, "Missing"], {}, "Missing"),  # type: ignore[name-defined]  # noqa: F821
    (int | Level, Level.LOW, "int"),
]


@pytest.mark.parametrize(("record_type", "record", "why"), UNSURE, ids=lambda value: "")
def test_a_type_that_does_not_tell_all_goes_as_a_pickle_and_says_why(record_type: Any, record: Any, why: str) -> None:
    codec = Codec.of(record_type)
    assert why in str(codec.pickled_because)
    form, came = crossed(codec, [record])
    assert (form, codec.fallbacks) == (PICKLE, 0)
    assert came == [record]


@pytest.mark.parametrize("constrained", [NotNegative, Age, Box[NotNegative], Aged, list[Aged], Box[Aged] | None])
def test_a_constraint_is_seen_before_msgspec_is_asked(constrained: Any) -> None:
    """msgspec 0.22 crashes on a union of a fixed tuple and a constrained number."""
    for record_type in (constrained, tuple[tuple[int, str] | constrained, int]):
        assert "a constraint of msgspec.Meta" in str(Codec.of(record_type).pickled_because)


def test_every_frame_is_judged_by_itself() -> None:
    codec = Codec.of(float)
    formats = [codec.encode(rows)[0] for rows in ([1.0], [1.0, 2], [3.0], [])]
    assert formats == [ROWS, PICKLE, ROWS, ROWS]
    assert codec.fallbacks == 1


class Stubborn:
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __reduce__(self) -> Any:
        raise self.error


@pytest.mark.parametrize("record_type", [None, int])
def test_a_record_that_cannot_be_pickled_is_named(record_type: Any) -> None:
    bad = memoryview(b"x")
    with pytest.raises(
        EncodeError, match=r"record 2 of the frame, a memoryview, cannot be pickled: .*\n  hint: send"
    ) as told:
        Codec.of(record_type).encode([1, 2, bad, Stubborn(ValueError())])
    assert (told.value.index, told.value.record) == (2, bad)
    assert isinstance(told.value.__cause__, TypeError)


def test_what_only_a_whole_frame_cannot_do_is_told_as_it_came() -> None:
    class Counting:
        times = 0

        def __reduce__(self) -> Any:
            self.times += 1
            if self.times == 1:
                raise RuntimeError("once only")
            return int, ()

    with pytest.raises(
        EncodeError, match="the frame of 1 records cannot be pickled, though each of them can: once only"
    ):
        Codec.of(None).encode([Counting()])


@pytest.mark.parametrize("length", [100, 101, 150])
def test_deep_records_cross(length: int) -> None:
    codec = Codec.of(Node)
    form, (came,) = crossed(codec, [chain(length)])
    assert form == (COLUMNS if length <= 100 else PICKLE)
    assert came == chain(length)


def test_a_record_too_deep_for_a_pickle_is_named() -> None:
    with pytest.raises(EncodeError, match="record 0 of the frame, a Node, cannot be pickled: maximum recursion depth"):
        Codec.of(Node).encode([chain(100_000)])


@dataclasses.dataclass
class Measured:
    """Computes a field: what stands in its instances is not what is seen."""

    x: int


Measured.x = property(lambda self: 1, lambda self, value: None)  # type: ignore[assignment]


def test_a_dataclass_that_computes_a_field_goes_as_a_pickle() -> None:
    assert "Measured computes a field" in str(Codec.of(Measured).pickled_because)
