"""How the state of an operator becomes bytes: quickly where it holds scalars, and always as it was at the barrier."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from cext.operator_state import OperatorState
from cext.plain import FIXED, SCALAR, plainness
from engine.errors import CheckpointError
from engine.state_pickling import Nameless, dumps, loads

VERSION = 1
_HEAD = b"headgate state "

_CHUNK = 16_384
"""Items that are encoded at once, holding the interpreter's lock: about a millisecond's worth."""
_PICKLED_CHUNK = 2_048

_encode = msgspec.msgpack.Encoder().encode
_decode_chunk = msgspec.msgpack.Decoder(list[Any]).decode


class _Column(msgspec.Struct, array_like=True, frozen=True):
    """One list, in pieces: msgpack, or else pickles."""

    is_pickled: bool
    chunks: list[bytes]


class _Form(msgspec.Struct, array_like=True, frozen=True):
    """An OperatorState as a blob has it."""

    tables: dict[str, list[_Column]]
    lists: dict[str, _Column]
    """Those of what belongs to no key."""
    single: _Column
    """The rest of that."""


_decode_form = msgspec.msgpack.Decoder(_Form).decode


def freeze(state: OperatorState) -> Callable[[], bytes]:
    """What makes `state` bytes, in any thread and at any time: objects that may change are pickled now.

    >>> later = freeze(OperatorState({"counts": (["weir", "dam"], [1, 2])}, {"watermark": 7}))
    >>> thaw(later())
    OperatorState(tables={'counts': (['weir', 'dam'], [1, 2])}, single={'watermark': 7})
    """
    tables = {name: [_frozen(column) for column in columns] for name, columns in state.tables.items()}
    lists = {name: _frozen(list(value)) for name, value in state.single.items() if type(value) is list}
    single = _frozen([{name: value for name, value in state.single.items() if name not in lists}])

    def encode() -> bytes:
        made = {name: [column() for column in columns] for name, columns in tables.items()}
        made_lists = {name: column() for name, column in lists.items()}
        return _HEAD + bytes([VERSION]) + _encode(_Form(made, made_lists, single()))

    return encode


def thaw(blob: bytes, classes: Mapping[Nameless, Any] | None = None) -> OperatorState:
    """The OperatorState that a blob was made of; CheckpointError where it cannot be one.

    `classes`: those of records that stand in no module, by what they are known by.
    """
    known = classes or {}
    head, version, body = blob[: len(_HEAD)], blob[len(_HEAD) :][:1], memoryview(blob)[len(_HEAD) + 1 :]
    if head != _HEAD or not version:
        raise CheckpointError(f"wanted state, got {len(blob):,} bytes that begin with {blob[:20]!r}")
    if version[0] != VERSION:
        raise CheckpointError(
            f"wanted state in format {VERSION}, got format {version[0]}",
            hint="restore it with the release that wrote it",
        )
    form = _decode_form(body)
    tables = {name: tuple(_thawed(column, known) for column in columns) for name, columns in form.tables.items()}
    lists = {name: _thawed(column, known) for name, column in form.lists.items()}
    return OperatorState(tables, {**_thawed(form.single, known)[0], **lists})


def _frozen(column: list[Any]) -> Callable[[], _Column]:
    how = plainness(column)
    if how == SCALAR:
        return lambda: _packed(column)
    if how == FIXED:
        return lambda: _pickled(column)
    pickled = _pickled(column)
    return lambda: pickled


def _packed(column: list[Any]) -> _Column:
    try:
        return _Column(False, [_encode(column[at : at + _CHUNK]) for at in range(0, len(column), _CHUNK)])
    except (OverflowError, UnicodeEncodeError):  # an int of more than 64 bits, half a surrogate pair
        return _pickled(column)


def _pickled(column: list[Any]) -> _Column:
    starts = range(0, len(column), _PICKLED_CHUNK)
    return _Column(True, [dumps(column[at : at + _PICKLED_CHUNK]) for at in starts])


def _thawed(column: _Column, classes: Mapping[Nameless, Any]) -> list[Any]:
    if column.is_pickled:
        return [item for chunk in column.chunks for item in loads(chunk, classes)]
    return [item for chunk in column.chunks for item in _decode_chunk(chunk)]
