"""Scalars as msgpack: what a decoder reads is what was packed, and what cannot be packed is told from what can."""

from __future__ import annotations

import sys
from array import array
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cext.packed import packed, packed_integers

INT64 = st.integers(-(2**63), 2**63 - 1)
EDGES = [0, 127, 128, -32, -33, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**63 - 1, -(2**63)]
TEXTS = ["", "é" * 15, "é" * 16, "a" * 31, "a" * 32, *"\x7f\x80\u07ff\u0800\uffff\U00010000\U0010ffff"]
text = st.text(st.characters(exclude_categories=["Cs"]))
scalars = st.none() | st.booleans() | INT64 | st.floats() | text | st.binary()

decode = msgspec.msgpack.Decoder(list[Any]).decode


class Name(str):
    """Equal to a str, and not one."""


@given(st.lists(scalars), st.data())
@example(EDGES + TEXTS + [b"", b"x" * 70_000, None, True, False, -0.0, float("inf")], None)
def test_a_decoder_reads_what_was_packed(items: list[Any], data: st.DataObject | None) -> None:
    begin = 0 if data is None else data.draw(st.integers(0, len(items)))
    end = len(items) if data is None else data.draw(st.integers(begin, len(items)))
    made = packed(items, begin, end)
    assert made is not None
    assert repr(decode(made)) == repr(items[begin:end])  # 1, 1.0 and True, and NaN too


@given(st.lists(INT64))
@example(EDGES)
def test_numbers_that_are_no_objects(numbers: list[int]) -> None:
    assert packed_integers(array("q", numbers)) == packed(numbers, 0, len(numbers))


@pytest.mark.parametrize("item", [2**63, -(2**63) - 1, "\ud800", Name("weir"), [1], (1,), object()])
def test_what_cannot_be_packed(item: Any) -> None:
    items = [1, *["weir"] * 40, item]
    assert packed(items, 0, 42) is None
    assert packed(items, 0, 41) is not None


@pytest.mark.parametrize(("begin", "end"), [(-1, 2), (1, 4), (2, 1)])
def test_a_part_that_is_none(begin: int, end: int) -> None:
    with pytest.raises(IndexError, match="wanted a part of 3 items"):
        packed([1, 2, 3], begin, end)


def test_no_reference_is_lost_or_left() -> None:
    item = object.__repr__(object())  # a str of its own
    items = [item] * 100
    before = sys.getrefcount(item)
    packed(items, 0, 100)
    assert sys.getrefcount(item) == before
