"""Getters: a field, a function, several of them, or the record itself."""

from __future__ import annotations

import doctest
import sys
from collections import OrderedDict, namedtuple
from operator import itemgetter
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from cext import getter
from cext.getter import Getter

WHOLE, FIELD, SEVERAL, CALL = range(4)


class Flight(msgspec.Struct):
    carrier: str
    delay: float | None


Pair = namedtuple("Pair", "carrier delay")
RECORDS = [
    Flight("DL", 4.5),
    Pair("DL", 4.5),
    SimpleNamespace(carrier="DL", delay=4.5),
    {"carrier": "DL", "delay": 4.5},
    OrderedDict(carrier="DL", delay=4.5),
]


@pytest.mark.parametrize("record", RECORDS)
def test_a_field_of_any_kind_of_record(record: Any) -> None:
    assert Getter("carrier")(record) == "DL"
    assert Getter(("delay", "carrier"))(record) == (4.5, "DL")
    assert Getter(("carrier", type))(record) == ("DL", type(record))
    assert Getter(())(record) == ()
    assert Getter()(record) is record
    assert Getter(id)(record) == id(record)


@pytest.mark.parametrize("record", RECORDS)
@pytest.mark.parametrize("what", ["origin", ("carrier", "origin")])
def test_a_field_that_is_not_there(record: Any, what: Any) -> None:
    with pytest.raises(KeyError if isinstance(record, dict) else AttributeError, match="origin"):
        Getter(what)(record)


def test_what_a_function_raises_is_passed_on() -> None:
    for what in (itemgetter(7), (len, itemgetter(7))):
        with pytest.raises(IndexError):
            Getter(what)([1])


@pytest.mark.parametrize("what", [1, 1.5, b"carrier", ["carrier"], {"carrier"}])
def test_what_takes_nothing_out_is_refused(what: Any) -> None:
    with pytest.raises(TypeError, match="wanted a field's name, a function or a tuple of them"):
        Getter(what)


@pytest.mark.parametrize("what", [(1,), ("carrier", None), ("carrier", ("delay",)), (b"carrier",)])
def test_a_tuple_with_a_part_that_takes_nothing_out_is_refused(what: Any) -> None:
    with pytest.raises(TypeError, match="wanted a field's name, a function or a tuple of them"):
        Getter(what)


def test_a_getter_says_what_it_takes() -> None:
    for what, how in ((None, WHOLE), ("a", FIELD), (("a", id), SEVERAL), (id, CALL)):
        assert (Getter(what).how, Getter(what).what) == (how, what)


def test_taking_keeps_nothing() -> None:
    key = object()
    for what, record in (("key", {"key": key}), (("key",), {"key": key}), (itemgetter("key"), {"key": key})):
        get = Getter(what)
        before = sys.getrefcount(key)
        for _ in range(1000):
            get(record)
        assert sys.getrefcount(key) == before


def test_docstrings() -> None:
    assert doctest.testmod(getter).failed == 0


class Delayed(Flight):
    """Has a field that is in its base's slot and not read there."""


Delayed.delay = property(lambda self: 99.0)  # type: ignore[assignment]


class Watched:
    __slots__ = ("carrier", "delay")

    def __init__(self, carrier: str, delay: float) -> None:
        self.carrier, self.delay = carrier, delay

    def __getattribute__(self, name: str) -> Any:
        return f"watched {object.__getattribute__(self, name)}"


class Defaulting:
    __slots__ = ("carrier", "delay")

    def __getattr__(self, name: str) -> Any:
        return f"no {name}"


def test_records_of_one_type_after_the_other() -> None:
    """What is found once, in a slot or not, must not be looked for in another class's records."""
    records = [*RECORDS, Delayed("DL", 4.5), Watched("DL", 4.5), Defaulting(), Flight("UA", None)]
    for name in ("carrier", "delay"):
        get = Getter(name)
        for record in [each for one in records for other in records for each in (one, one, other, other)]:
            wanted = record[name] if isinstance(record, dict) else getattr(record, name)
            assert get(record) == wanted


def test_a_field_that_was_deleted_is_missed() -> None:
    get, flight = Getter("delay"), Flight("DL", 4.5)
    assert [get(flight), get(flight)] == [4.5, 4.5]
    del flight.delay
    with pytest.raises(AttributeError, match="delay"):
        get(flight)
