"""How the records of a frame cross a process link: msgpack where that loses nothing, else pickle."""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Callable
from typing import Any, NoReturn

from engine.errors import DecodeError, EncodeError
from engine.packing import Packing, packing_of
from engine.shapes import Unsure
from engine.types import name_of

PICKLE = 0  # a format, as it stands in a message's header; a Packing has others
CRC = 4  # bytes of a checksum behind a pickle


class Codec:
    """Encodes frames of records of one type; both ends of a link make theirs of the same type.

    The law: every record arrives equal to what was sent, and of the same types, at every depth, or `encode` raises.
    msgpack, made and read by the type, is smaller and faster, but says 1 and 1.0, a class and its subclass, or two time
    zones the same way. So a frame goes as msgpack only if the type allows for it and each record is exactly what
    the type says; else the whole frame goes as a pickle. (As ever, what a class leaves out of its pickles is gone, and
    a Struct's `__post_init__` runs again on arrival. Two references to one object may arrive as two objects.)

    `pickled_because` says why no frame of this type goes as msgpack, or is None. `fallbacks` counts frames that went as
    a pickle although the type allows for msgpack: their records are not what the stream's type says, or
    beyond msgpack, as an int of more than 64 bits, or a time zone other than `timezone.utc`.

    Unpickling runs whatever code the sender chose: decode only what came over an authenticated link.

    >>> codec = Codec.of(tuple[str, float])
    >>> codec.decode(*codec.encode([("weir", 1.5)])), codec.fallbacks
    ([('weir', 1.5)], 0)
    >>> codec.decode(*codec.encode([("dam", 2)])), codec.fallbacks  # 2 is no float
    ([('dam', 2)], 1)
    """

    def __init__(self, record_type: Any, packing: Packing | None, pickled_because: str | None) -> None:
        self.pickled_because = pickled_because
        self.fallbacks = 0
        self._name = name_of(record_type)
        self._packing = packing
        self._readers: dict[int, tuple[str, Callable[[Any], list[Any]]]] = {PICKLE: ("pickle", _unpickled)}
        if packing is not None:
            self._readers[packing.format] = packing.name, packing.unpack

    @classmethod
    def of(cls, record_type: Any) -> Codec:
        """The codec of a stream of `record_type`; None is unknown."""
        if record_type is None:
            return cls(None, None, "the type of the records is not known")
        try:
            return cls(record_type, packing_of(record_type), None)
        except Unsure as unsure:
            return cls(record_type, None, str(unsure))

    def encode(self, rows: list[Any]) -> tuple[int, bytes]:
        """The format and the payload of a frame; `EncodeError` names the record that cannot be pickled."""
        if self._packing is not None:
            try:
                packed = self._packing.pack(rows)
            except Exception:  # half a surrogate pair in a str, say; pickle takes it, or says why not
                packed = None
            if packed is not None:
                return self._packing.format, packed
            self.fallbacks += 1
        return PICKLE, _pickled(rows)

    def decode(self, format: int, payload: Any) -> list[Any]:
        """The records of a payload: bytes, or any other contiguous buffer. `DecodeError` where it is not whole.

        How many they are is the caller's to check.
        """
        if format not in self._readers:
            wanted = " or ".join(f"{known} ({name})" for known, (name, _) in self._readers.items())
            raise DecodeError(f"records of {self._name}: wanted format {wanted}, got {format!r}")
        name, read = self._readers[format]
        try:
            return read(payload)
        except Exception as error:  # whatever a class's own code raises, too
            size = memoryview(payload).nbytes
            raise DecodeError(
                f"records of {self._name}: a {name} of {size:,} bytes cannot be read: {type(error).__name__}: {error}"
            ) from error


def _unpickled(payload: Any) -> list[Any]:
    """The checksum comes first: the unpickler takes no offence at bytes behind its end, and much at random ones."""
    view = memoryview(payload).cast("B")
    if zlib.crc32(view[:-CRC]) != int.from_bytes(view[-CRC:]):
        raise ValueError("its checksum is wrong")
    rows = pickle.loads(view[:-CRC])
    if type(rows) is not list:
        raise TypeError(f"it holds {type(rows).__name__}, not a list")
    return rows


def _pickled(rows: list[Any]) -> bytes:
    try:
        pickled = pickle.dumps(rows, protocol=5)
    except Exception as error:
        _blame(rows, error)
    return pickled + zlib.crc32(pickled).to_bytes(CRC)


def _blame(rows: list[Any], error: Exception) -> NoReturn:
    for index, record in enumerate(rows):
        try:
            pickle.dumps(record, protocol=5)
        except Exception as cause:
            raise EncodeError(
                f"record {index} of the frame, a {type(record).__qualname__}, cannot be pickled: {cause}",
                hint="send plain data to other processes: no open files, locks, generators, lambdas or local classes",
                index=index,
                record=record,
            ) from cause
    raise EncodeError(
        f"the frame of {len(rows):,} records cannot be pickled, though each of them can: {error}"
    ) from error
