"""Payloads of a codec: any buffer is read, and what is cut, random or of another kind is an error, never a crash."""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import zmq
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.codec import PICKLE, Codec
from engine.errors import DecodeError
from engine.packing import COLUMNS, ROWS
from tests.engine.codec_records import Checked, Circle, Node, Point, Square, Tree, point

BUFFERS: list[Callable[[bytes], Any]] = [
    bytes,
    bytearray,
    memoryview,
    zmq.Frame,
    lambda payload: zmq.Frame(payload).buffer,
]


@pytest.mark.parametrize("record_type", [None, str])
@pytest.mark.parametrize("buffer", BUFFERS)
def test_any_buffer_is_read(record_type: Any, buffer: Callable[[bytes], Any]) -> None:
    codec = Codec.of(record_type)
    form, payload = codec.encode(["weir"])
    assert codec.decode(form, buffer(payload)) == ["weir"]


class Reading(msgspec.Struct):
    station: str
    level: float | None


POINTS = [point(1, 2.0, ["x"]), point(2)]
READINGS = [Reading("weir", 2.5), Reading("dam", None)]


@pytest.mark.parametrize(("record_type", "form"), [(None, PICKLE), (Point, ROWS), (Reading, COLUMNS)])
def test_a_payload_that_is_cut_or_has_more_behind_it_is_refused(record_type: Any, form: int) -> None:
    codec = Codec.of(record_type)
    made, payload = codec.encode(READINGS if record_type is Reading else POINTS)
    assert made == form
    wrong = [payload[:size] for size in range(len(payload))] + [payload + b"\0", payload + payload, payload + b"."]
    for each in wrong:
        with pytest.raises(DecodeError, match="cannot be read"):
            codec.decode(form, each)


@given(st.binary(max_size=64), st.sampled_from([Point, None, list[int], dict[str, Node], Circle | Square, Node]))
@settings(max_examples=1000)
def test_random_bytes_are_refused_or_are_records(payload: bytes, record_type: Any) -> None:
    codec = Codec.of(record_type)
    with pytest.raises(DecodeError, match="cannot be read"):
        codec.decode(PICKLE, payload)
    if record_type:
        try:
            rows = codec.decode(COLUMNS if record_type is Node else ROWS, payload)
        except DecodeError:
            return
        assert type(rows) is list


@given(st.data())
@settings(max_examples=500)
def test_a_payload_with_one_wrong_byte_is_refused_or_holds_records(data: st.DataObject) -> None:
    for codec, rows in ((Codec.of(Point), POINTS), (Codec.of(Reading), READINGS), (Codec.of(None), POINTS)):
        form, payload = codec.encode(rows)
        wrong = bytearray(payload)
        wrong[data.draw(st.integers(0, len(wrong) - 1))] ^= data.draw(st.integers(1, 255))
        try:
            came = codec.decode(form, wrong)
        except DecodeError:
            continue
        assert form != PICKLE
        assert all(type(row) is type(rows[0]) for row in came)


def pickled(value: Any) -> bytes:
    payload = pickle.dumps(value, protocol=5)
    return payload + zlib.crc32(payload).to_bytes(4)


class Gone:
    pass


def test_records_that_cannot_be_made_here_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    payload = pickled([Gone()])
    monkeypatch.delattr(f"{__name__}.Gone")
    with pytest.raises(DecodeError, match=r"records of \?: a pickle of \d+ bytes cannot be read: Attr.*Gone"):
        Codec.of(None).decode(PICKLE, payload)


def test_a_payload_of_another_kind_is_refused() -> None:
    codec = Codec.of(int)
    with pytest.raises(DecodeError, match=r"records of int: a msgpack of 2 bytes cannot be read: Val.*`int`"):
        codec.decode(ROWS, msgspec.msgpack.encode([True]))
    with pytest.raises(DecodeError, match="it holds dict, not a list"):
        codec.decode(PICKLE, pickled({}))
    with pytest.raises(DecodeError, match=r"wanted format 0 \(pickle\) or 1 \(msgpack\), got 7"):
        codec.decode(7, b"")
    with pytest.raises(DecodeError, match=r"records of \?: wanted format 0 \(pickle\), got 1"):
        Codec.of(None).decode(ROWS, b"\x90")


@pytest.mark.parametrize(
    "nested", [b"\x91" * 100_000, b"\xdd\xff\xff\xff\xff" * 100, b"\x82\xa5value\x01\xa4next" * 100_000]
)
def test_a_payload_that_is_deep_or_promises_much_is_refused(nested: bytes) -> None:
    for record_type in (Node, list[list[int]], Tree):
        with pytest.raises(DecodeError, match="cannot be read"):
            Codec.of(record_type).decode(COLUMNS if record_type in (Node, Tree) else ROWS, b"\x91" + nested)


def test_a_users_error_while_decoding_is_told() -> None:
    with pytest.raises(DecodeError, match="x is negative"):
        Codec.of(Checked).decode(COLUMNS, msgspec.msgpack.encode([[-1]]))


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ([["weir"]], "of length 2, got 1"),
        ([["weir"], [1.5, 2.5]], "wanted columns of 1 values, got one of 2"),
        ([["weir"], ["high"]], "Expected `float | null`, got `str`"),
        ([["weir"], [None], [1]], "of length 2, got 3"),
    ],
)
def test_columns_that_are_not_those_of_a_struct_are_refused(columns: Any, why: str) -> None:
    with pytest.raises(DecodeError, match=rf"records of .*Reading: a msgpack by columns of \d+ bytes .*({why})"):
        Codec.of(Reading).decode(COLUMNS, msgspec.msgpack.encode(columns))
