"""Either: how the records of a stream of two types cross a process link."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Any

import msgspec

from cext.merging import count_of
from engine.codec import Codec
from engine.errors import DecodeError, EncodeError

ONE, RUNS = 64, 128  # in a message's header: a flag for records of the one class, and the format of runs of either


@dataclass(frozen=True)
class Either:
    """The type of a stream whose records are of class `one`, or else, whatever they are, no instances of it."""

    one: type[Any]
    other: Any


class EitherCodec:
    """Encodes frames of records of either type, as a rule all of the same; in turns, each run of the same is encoded.

    >>> codec = codec_of(Either(int, str))
    >>> codec.decode(*codec.encode([1, 2])), codec.decode(*codec.encode(["weir", 3, "dam"]))
    ([1, 2], ['weir', 3, 'dam'])
    """

    def __init__(self, record_type: Either) -> None:
        self._one = record_type.one
        self._codecs = Codec.of(record_type.one), Codec.of(record_type.other)
        self._decode = msgspec.msgpack.Decoder(list[tuple[int, bytes]]).decode

    @property
    def pickled_because(self) -> str | None:
        """Why some of its records go as pickles, or None."""
        return next((each.pickled_because for each in self._codecs if each.pickled_because), None)

    @property
    def fallbacks(self) -> int:
        """How many frames of either type went as pickles although the type allows for msgpack."""
        return sum(each.fallbacks for each in self._codecs)

    def encode(self, rows: list[Any]) -> tuple[int, bytes]:
        """The format and the payload of a frame; `EncodeError` names the record that cannot be pickled."""
        found = count_of(rows, self._one)
        if found in {0, len(rows)}:
            return self._run(found > 0, rows, 0)
        runs, at = [], 0
        for is_one, group in groupby(rows, lambda row: type(row) is self._one):
            run = list(group)
            runs.append(self._run(is_one, run, at))
            at += len(run)
        return RUNS, msgspec.msgpack.encode(runs)

    def _run(self, is_one: bool, run: list[Any], at: int) -> tuple[int, bytes]:
        try:
            coding, payload = self._codecs[not is_one].encode(run)
        except EncodeError as error:
            if error.index >= 0:
                error.index += at
            raise
        return coding | ONE * is_one, payload

    def decode(self, format: int, payload: Any) -> list[Any]:
        """The records of a payload; `DecodeError` where it is not whole."""
        if format != RUNS:
            return self._codecs[not format & ONE].decode(format & ~ONE, payload)
        try:
            runs = self._decode(payload)
        except msgspec.MsgspecError as error:
            raise DecodeError(f"runs of records: {error}") from error
        return [row for run in runs for row in self.decode(*run)]


def codec_of(record_type: Any) -> Codec | EitherCodec:
    """The codec of a stream of that type; None is unknown."""
    return EitherCodec(record_type) if isinstance(record_type, Either) else Codec.of(record_type)
