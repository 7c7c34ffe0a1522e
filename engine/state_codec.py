"""How the state of an operator becomes bytes: as it was at the barrier, most of it while the task is at work again.

What is alike is taken apart, a Struct into its fields and a tuple into its places, until there are columns of scalars.
Those cannot change, so they are made bytes later, without the interpreter's lock. What may change is pickled at once.

A blob is a head, the bytes of all columns, chunk by chunk, an index of them, and the length of that.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import msgspec

from cext.operator_state import OperatorState
from cext.packed import packed, packed_integers
from cext.plain import CHANGING, plainness
from cext.transpose import fields_of, made_of_fields, places_of
from engine.errors import CheckpointError
from engine.state_pickling import Nameless, dumps, loads

VERSION = 2
_HEAD = b"headgate state "
_LENGTH = 8  # bytes of a length

_CHUNK = 1 << 17
"""Items that are packed at once, without the lock; to come by it again takes as long as another thread may keep it."""
_PICKLED_CHUNK = 2_048
"""Items that are pickled at once, holding the lock: about a millisecond's worth."""
_DEEPEST = 8  # tuples and Structs in each other that are taken apart

_encode = msgspec.msgpack.Encoder().encode
_decode_chunk = msgspec.msgpack.Decoder(list[Any]).decode


class _Chunk(msgspec.Struct, array_like=True, frozen=True):
    """Some items of a column: msgpack, or else a pickle."""

    bytes: int
    is_pickled: bool


class _Whole(msgspec.Struct, array_like=True, tag=True, frozen=True):
    """A column as it is."""

    chunks: list[_Chunk]


class _Apart(msgspec.Struct, array_like=True, tag=True, frozen=True):
    """A column of tuples; with `struct`, a pickle of a class and of the names of its fields, one of Structs."""

    parts: list[_Column]
    struct: bytes = b""


_Column: TypeAlias = _Whole | _Apart


class _Form(msgspec.Struct, array_like=True, frozen=True):
    """An OperatorState as a blob's index has it; the columns' bytes stand in the blob in the same order."""

    tables: dict[str, list[_Column]]
    lists: dict[str, _Column]
    """Those of what belongs to no key."""
    single: _Column
    """The rest of that."""


_Making: TypeAlias = Callable[[], Generator[bytes, None, _Column]]
"""Gives the bytes of a column, and returns what the index says of them."""

_decode_form = msgspec.msgpack.Decoder(_Form).decode


def freeze(state: OperatorState) -> Callable[[], Iterator[bytes]]:
    """What makes `state` bytes, in any thread and at any time: objects that may change are pickled now.

    >>> later = freeze(OperatorState({"counts": (["weir", "dam"], [1, 2])}, {"watermark": 7}))
    >>> thaw(b"".join(later()))
    OperatorState(tables={'counts': (['weir', 'dam'], [1, 2])}, single={'watermark': 7})
    """
    tables = {name: [_frozen(column) for column in columns] for name, columns in state.tables.items()}
    lists = {name: _frozen(list(value)) for name, value in state.single.items() if type(value) is list}
    single = _frozen([{name: value for name, value in state.single.items() if name not in lists}])

    def encode() -> Iterator[bytes]:
        yield _HEAD + bytes([VERSION])
        made = {}
        for name, columns in tables.items():
            made[name] = yield from _each(columns)
        made_lists = yield from _each(lists.values())
        index = _encode(_Form(made, dict(zip(lists, made_lists, strict=True)), (yield from single())))
        yield index + len(index).to_bytes(_LENGTH)

    return encode


def thaw(blob: bytes, classes: Mapping[Nameless, Any] | None = None) -> OperatorState:
    """The OperatorState that a blob was made of; CheckpointError where it cannot be one.

    `classes`: those of records that stand in no module, by what they are known by.
    """
    head, version = blob[: len(_HEAD)], blob[len(_HEAD) :][:1]
    if head != _HEAD or not version:
        raise CheckpointError(f"wanted state, got {len(blob):,} bytes that begin with {blob[:20]!r}")
    if version[0] != VERSION:
        raise CheckpointError(
            f"wanted state in format {VERSION}, got format {version[0]}",
            hint="restore it with the release that wrote it",
        )
    view = memoryview(blob)
    end = len(view) - _LENGTH
    form = _decode_form(view[end - int.from_bytes(view[end:]) : end])
    reading = _Reading(view, classes or {})
    tables = {name: tuple(map(reading.column, columns)) for name, columns in form.tables.items()}
    lists = {name: reading.column(column) for name, column in form.lists.items()}
    return OperatorState(tables, {**reading.column(form.single)[0], **lists})


class _Reading:
    """Reads the columns of a blob, one behind the other."""

    def __init__(self, blob: memoryview, classes: Mapping[Nameless, Any]) -> None:
        self._blob, self._classes, self._at = blob, classes, len(_HEAD) + 1

    def column(self, form: _Column) -> list[Any]:
        if isinstance(form, _Apart):
            return self._together(form, tuple(self.column(part) for part in form.parts))
        return [item for chunk in form.chunks for item in self._items(chunk)]

    def _items(self, chunk: _Chunk) -> list[Any]:
        self._at += chunk.bytes
        data = self._blob[self._at - chunk.bytes : self._at]
        return loads(data, self._classes) if chunk.is_pickled else _decode_chunk(data)

    def _together(self, form: _Apart, columns: tuple[list[Any], ...]) -> list[Any]:
        if not form.struct:
            return list(zip(*columns, strict=True))
        make, names = loads(form.struct, self._classes)  # the class, or what makes records of it as it is now
        return made_of_fields(make, names, columns)


def _each(columns: Iterable[_Making]) -> Generator[bytes, None, list[_Column]]:
    made = []
    for column in columns:
        made.append((yield from column()))
    return made


def _frozen(column: list[Any] | array[int], depth: int = _DEEPEST) -> _Making:
    if isinstance(column, array):
        return lambda: _chunks(_integer_packs(column))
    if column and depth and (apart := _taken_apart(column, depth)) is not None:
        return apart
    if plainness(column) == CHANGING:
        pickles = list(_pickles(column))
        return lambda: _chunks(pickles)
    return lambda: _chunks(_packs(column))


def _taken_apart(column: list[Any], depth: int) -> _Making | None:
    """The same in parts, where all of it is tuples of one length, or Structs of one class."""
    cls = type(column[0])
    struct = b""
    if cls is tuple:
        columns = places_of(column)
    elif _is_only_fields(cls):
        columns = fields_of(cls, column)
        struct = dumps([cls, cls.__struct_fields__])
    else:
        return None
    if columns is None:
        return None
    parts = [_frozen(each, depth - 1) for each in columns]

    def make() -> Generator[bytes, None, _Column]:
        return _Apart((yield from _each(parts)), struct)

    return make


def _is_only_fields(cls: type) -> bool:
    """Whether pickle would make its instances of their fields, too, and of nothing else."""
    return (
        type(cls) is type(msgspec.Struct)
        and bool(cls.__struct_fields__)
        and cls.__reduce__ is msgspec.Struct.__reduce__
        and cls.__reduce_ex__ is object.__reduce_ex__
    )


def _chunks(made: Iterable[tuple[bytes, bool]]) -> Generator[bytes, None, _Column]:
    chunks = []
    for data, is_pickled in made:
        yield data
        chunks.append(_Chunk(len(data), is_pickled))
    return _Whole(chunks)


def _packs(column: list[Any]) -> Iterator[tuple[bytes, bool]]:
    """`column` in chunks, each with whether it is a pickle: of what is no scalar, or too large for msgpack."""
    for at in range(0, len(column), _CHUNK):
        end = min(at + _CHUNK, len(column))
        data = packed(column, at, end)
        if data is None:
            yield from _pickles(column[at:end])
        else:
            yield data, False


def _pickles(column: list[Any]) -> Iterator[tuple[bytes, bool]]:
    for at in range(0, len(column), _PICKLED_CHUNK):
        yield dumps(column[at : at + _PICKLED_CHUNK]), True


def _integer_packs(column: array[int]) -> Iterator[tuple[bytes, bool]]:
    for at in range(0, len(column), _CHUNK):
        yield packed_integers(column[at : at + _CHUNK]), False
