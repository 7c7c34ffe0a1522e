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

from engine.codec import MSGPACK, PICKLE, Codec
from engine.errors import DecodeError
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


ROWS = [point(1, 2.0, ["x"]), point(2)]


@pytest.mark.parametrize("form", [PICKLE, MSGPACK])
def test_a_payload_that_is_cut_or_has_more_behind_it_is_refused(form: int) -> None:
    codec = Codec.of(Point if form == MSGPACK else None)
    made, payload = codec.encode(ROWS)
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
            rows = codec.decode(MSGPACK, payload)
        except DecodeError:
            return
        assert type(rows) is list


@given(st.data())
@settings(max_examples=500)
def test_a_payload_with_one_wrong_byte_is_refused_or_holds_records(data: st.DataObject) -> None:
    codec = Codec.of(Point)
    for form, payload in (codec.encode(ROWS), Codec.of(None).encode(ROWS)):
        wrong = bytearray(payload)
        wrong[data.draw(st.integers(0, len(wrong) - 1))] ^= data.draw(st.integers(1, 255))
        try:
            rows = codec.decode(form, wrong)
        except DecodeError:
            continue
        assert form == MSGPACK
        assert all(type(row) is Point for row in rows)


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
        codec.decode(MSGPACK, msgspec.msgpack.encode([True]))
    with pytest.raises(DecodeError, match="it holds dict, not a list"):
        codec.decode(PICKLE, pickled({}))
    with pytest.raises(DecodeError, match=r"wanted format 0 \(pickle\) or 1 \(msgpack\), got 7"):
        codec.decode(7, b"")
    with pytest.raises(DecodeError, match=r"records of \?: wanted format 0 \(pickle\), got 1"):
        Codec.of(None).decode(MSGPACK, b"\x90")


@pytest.mark.parametrize(
    "nested", [b"\x91" * 100_000, b"\xdd\xff\xff\xff\xff" * 100, b"\x82\xa5value\x01\xa4next" * 100_000]
)
def test_a_payload_that_is_deep_or_promises_much_is_refused(nested: bytes) -> None:
    for record_type in (Node, list[list[int]], Tree):
        with pytest.raises(DecodeError, match="cannot be read"):
            Codec.of(record_type).decode(MSGPACK, b"\x91" + nested)


def test_a_users_error_while_decoding_is_told() -> None:
    with pytest.raises(DecodeError, match="x is negative"):
        Codec.of(Checked).decode(MSGPACK, msgspec.msgpack.encode([{"x": -1}]))
