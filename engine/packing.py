"""Packing: frames of records of a known type as msgpack, made and read by the type."""

from __future__ import annotations

import typing
from collections.abc import Callable
from typing import Any, Protocol, cast

import msgspec

from cext.conform import Shape
from cext.transpose import Transpose
from engine.shapes import shape_of

ROWS, COLUMNS = 1, 2  # formats, as they stand in a message's header

_ALL_FIT = -1

_encode = msgspec.msgpack.Encoder().encode


class Packing(Protocol):
    """One way to pack. `format` and `name` are the same at both ends of a link."""

    format: int
    name: str

    def pack(self, rows: list[Any]) -> bytes | None:
        """The frame of `rows`; None if one of them is not exactly what the type says."""

    def unpack(self, payload: Any) -> list[Any]:
        """The records of a frame; whatever msgspec raises for one that is not whole."""


def packing_of(record_type: Any) -> Packing:
    """How records of `record_type` are packed; `Unsure` where they may not arrive as they were sent."""
    shape = shape_of(record_type)
    return _Columns(record_type, shape) if _has_columns(record_type) else _Rows(record_type, shape)


class _Rows:
    """One record after the other."""

    format, name = ROWS, "msgpack"

    def __init__(self, record_type: Any, shape: Shape) -> None:
        self._misfit = shape.misfit
        self.unpack: Callable[[Any], list[Any]] = msgspec.msgpack.Decoder(list[record_type]).decode

    def pack(self, rows: list[Any]) -> bytes | None:
        return _encode(rows) if self._misfit(rows) == _ALL_FIT else None


class _Columns:
    """A list for each field of a Struct, which takes half the time and half the bytes."""

    format, name = COLUMNS, "msgpack by columns"

    def __init__(self, record_type: type[msgspec.Struct], shape: Shape) -> None:
        fields, places = record_type.__struct_fields__, record_type.__match_args__
        hints = typing.get_type_hints(record_type, include_extras=True)
        columns = tuple(list[hints[name]] for name in fields)  # type: ignore[valid-type]
        self._transpose = Transpose(record_type, shape, len(places), fields[len(places) :])
        self._decode = cast(Callable[[Any], tuple[list[Any], ...]], msgspec.msgpack.Decoder(tuple[columns]).decode)  # type: ignore[valid-type]

    def pack(self, rows: list[Any]) -> bytes | None:
        columns = self._transpose.columns(rows)
        return None if columns is None else _encode(columns)

    def unpack(self, payload: Any) -> list[Any]:
        return self._transpose.rows(self._decode(payload))


def _has_columns(record_type: Any) -> bool:
    """Whether it is a Struct of which each field's type stands in the class, and that is made as Structs are."""
    if type(record_type) is not type(msgspec.Struct) or issubclass(record_type, typing.Generic):
        return False
    return bool(record_type.__struct_fields__)
