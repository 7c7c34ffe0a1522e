"""Types at random, and values of them that hold to their type or lie about it, for the codec's tests."""

from __future__ import annotations

import datetime as dt
import typing
from collections import OrderedDict
from decimal import Decimal
from functools import cache
from types import NoneType
from typing import Any
from uuid import UUID, SafeUUID
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import strategies as st

from tests.engine.codec_records import (
    FLAT,
    Access,
    Bool,
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
    Loose,
    Mode,
    Node,
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
)

Typed = tuple[Any, st.SearchStrategy[Any]]

ZONES = [
    None,
    dt.UTC,
    dt.timezone(dt.timedelta(hours=5, minutes=30)),
    dt.timezone(dt.timedelta(0), "zero"),
    ZoneInfo("UTC"),
    ZoneInfo("Europe/Paris"),
]
zones = st.sampled_from(ZONES)
folds = st.sampled_from([0, 0, 0, 1])
datetimes = st.builds(lambda d, z, f: d.replace(tzinfo=z, fold=f), st.datetimes(), zones, folds)
times = st.builds(lambda t, z, f: t.replace(tzinfo=z, fold=f), st.times(), zones, folds)
uuids = st.builds(lambda n, safe: UUID(int=n, is_safe=safe), st.integers(0, 2**128 - 1), st.sampled_from([*SafeUUID]))
texts = st.text(st.characters(codec=None), max_size=8)
decimals = st.one_of(
    st.decimals(),
    st.sampled_from(["NaN123", "-NaN", "sNaN", "-sNaN9", "-Infinity", "1E+999999", "-0.00", "1e-999999", "0E+7"]).map(
        Decimal
    ),
)
whole = st.one_of(st.integers(-(2**66), 2**66), st.sampled_from([-(2**63) - 1, -(2**63), 2**63, 2**64 - 1, 2**64]))

SCALARS: list[Typed] = [
    (NoneType, st.none()),
    (bool, st.booleans()),
    (int, whole),
    (float, st.floats()),
    (str, texts),
    (bytes, st.binary(max_size=8)),
    (dt.datetime, datetimes),
    (dt.date, st.dates()),
    (dt.time, times),
    (dt.timedelta, st.timedeltas()),
    (Decimal, decimals),
    (UUID, uuids),
    (Colour, st.sampled_from(Colour)),
    (Level, st.sampled_from(Level)),
    (Word, st.sampled_from(Word)),
    (Odd, st.sampled_from(Odd)),
    (Access, st.sampled_from([*Access, Access(0), Access.READ | Access.WRITE])),
    (Mode, st.sampled_from([*Mode, Mode(0), Mode.READ | Mode.WRITE, Mode(64)])),
    (typing.Literal["a", 1, None], st.sampled_from(["a", 1, None])),
    (typing.Annotated[int, msgspec.Meta(ge=0)], st.integers(0, 9)),
    (typing.Annotated[int, msgspec.Meta(title="a title")], whole),
]
WITHOUT_HASH: list[Typed] = [
    (bytearray, st.builds(bytearray, st.binary(max_size=4))),
    (Any, st.one_of(st.integers(), st.tuples(st.integers()))),
]

nodes = st.recursive(
    st.builds(Node, whole), lambda inner: st.builds(Node, st.integers(), st.none() | inner), max_leaves=5
)
trees = st.recursive(st.builds(Tree), lambda inner: st.builds(Tree, inner, inner), max_leaves=5)
LIES: st.SearchStrategy[Any] = st.one_of(
    *[values for _, values in SCALARS + WITHOUT_HASH],
    nodes,
    st.builds(Bool, st.integers(-3, 3)),
    st.builds(Text, texts),
    st.sampled_from(
        [1, 1.0, True, -0.0, 0, "", b"", (), frozenset(), "red", "1", "Circle", "nan", msgspec.UNSET, int, ...]
    ),
    st.builds(lambda: [1]) | st.builds(lambda: {"x": 1}) | st.builds(lambda: {1}) | st.builds(lambda: Entries(x=1)),
    st.builds(lambda: OrderedDict(x=1)),
    st.builds(SubNode, st.integers()) | st.builds(SubPoint, st.integers()) | st.builds(SubPair, st.integers()),
)


def _field(values: st.SearchStrategy[Any], lies: bool) -> st.SearchStrategy[Any]:
    return st.one_of(values, values, values, LIES) if lies else values


@cache
def records(lies: bool) -> list[Typed]:
    """Records of every kind; with `lies`, of fields that their types may not allow."""

    def of(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return _field(values, lies)

    number, text = of(st.integers(-9, 9)), of(texts)
    names = of(st.lists(st.text(max_size=3), max_size=2))
    flat = [(each, st.builds(each, id_number=number, price=of(st.floats()), name=text, tags=names)) for each in FLAT]
    return [
        *flat,
        (Pair, st.builds(Pair, number, text)),
        (Node, nodes),
        (Tree, trees),
        (Box[int], st.builds(Box, number)),
        (Omitting, st.builds(Omitting, number | of(st.just(0)), of(st.floats()), names, st.none() | text)),
        (OmittingTheTime, st.builds(OmittingTheTime, of(st.just(17.25)))),
        (Checked, st.builds(Checked, st.integers(0, 9))),
        (Circle | Square, st.builds(Circle, of(st.floats())) | st.builds(Square, of(st.floats()))),
        (Unset, st.builds(Unset, number | st.just(msgspec.UNSET))),
        (Keyed, st.fixed_dictionaries({"x": number}, optional={"note": text, **({"more": number} if lies else {})})),
        (Point, st.builds(point, number, of(st.floats()), names, of(st.floats()))),
        (Frozen, st.builds(Frozen, number, st.none() | of(datetimes))),
        (Prepared, st.builds(Prepared, st.integers())),
        (Reduced, st.builds(Reduced, number)),
        (Hiding, st.builds(_hiding, st.just(Hiding), number)),
        (HidingStruct, st.builds(_hiding, st.just(HidingStruct), number)),
        (Loose, st.builds(Loose, number)),
    ]


def _hiding(cls: Any, x: Any) -> Any:
    made = cls(x)
    if cls is Hiding:
        made.hidden = x
    return made


def hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


@st.composite
def types(draw: st.DrawFn, lies: bool, levels: int = 3) -> Typed:
    """A type, and a strategy of values for it, some of which lie."""
    values: Any
    item: Any
    key: Any
    kind = draw(st.integers(0, 10 if levels else 1))
    if kind <= 1:
        found, values = draw(st.sampled_from([*SCALARS, *WITHOUT_HASH] if kind else records(lies)))
        return found, _field(values, lies)
    item, items = draw(types(lies, levels - 1))
    key, keys = draw(st.sampled_from(SCALARS))
    keys = _field(keys, lies).filter(hashable)
    match kind:
        case 2 | 3:
            found, values = list[item], st.lists(items, max_size=3)
        case 4:
            found, values = tuple[item, ...], st.lists(items, max_size=3).map(tuple)
        case 5:
            found, values = tuple[item, key], st.tuples(items, keys)
        case 6:
            found, values = set[key], st.lists(keys, max_size=3).map(set)
        case 7:
            found, values = frozenset[key], st.lists(keys, max_size=3).map(frozenset)
        case 8:
            found, values = dict[key, item], st.lists(st.tuples(keys, items), max_size=3).map(dict)
        case 9:
            found, values = Box[item], st.builds(Box, items)
        case _:
            found, values = typing.Union[item, key], items | keys  # noqa: UP007 - `None | None` is none
    return found, _field(values, lies)
