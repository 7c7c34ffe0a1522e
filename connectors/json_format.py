"""JSON lines: a block of lines is decoded at once, and line by line only where something is wrong in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from connectors.file_writer import FileWriter
from connectors.lines import BLOCK_BYTES, Lines, LinesReader
from connectors.rows import reason
from engine.errors import GraphError
from engine.source import BadRecord

T = TypeVar("T")

_BLANK = b" \t\r\n"


def check_decodable(type: Any) -> None:
    """Raise `GraphError` unless `msgspec` can make a `type` out of JSON."""
    try:
        known = msgspec.inspect.type_info(type)
    except (TypeError, NameError) as error:
        raise GraphError(f"JSON lines cannot be read as {type!r}: {error}") from error
    if isinstance(known, msgspec.inspect.CustomType) and type is not object:
        raise GraphError(
            f"JSON lines cannot be read as {type!r}, a class that msgspec does not know how to build",
            hint="make it a msgspec.Struct or a dataclass, or leave type out and map the plain dicts",
        )


class JsonLinesReader(LinesReader[T]):
    """Reads one file.

    1. Take as many whole lines as give nearly `limit` records, by the mean length of the lines before.
    2. Put a comma before every newline and brackets around it all, and decode that as one list: so two values
       on a line, a value over two lines or a blank line is an error, where decoding the lines as a mere
       sequence of values would let one make up for another. What the commas added is the number of lines.
       (A line with a comma of its own, `1,2`, can still make up for a list that is broken over two lines.)
    3. If that fails, or gives another number of records, decode line by line, and put a `BadRecord` in the
       place of each bad line.
    """

    def __init__(self, lines: Lines, type: Any) -> None:
        super().__init__(lines)
        self._decode_list = msgspec.json.Decoder(list[type]).decode
        self._decode = msgspec.json.Decoder(type).decode

    def read(self, limit: int) -> Sequence[T | BadRecord] | None:
        lines = self._lines
        want = min(int(limit * self._mean * 15 / 16), BLOCK_BYTES)
        while lines.have(want):
            records = self._take(lines.cut(want), limit)
            if records:
                return records
        return lines.nothing()

    def _take(self, cut: int, limit: int) -> Sequence[T | BadRecord]:
        lines = self._lines
        listed, count = self._as_list(cut)
        if count > limit:
            cut = lines.start + len(b"\n".join(lines.data[lines.start : cut].split(b"\n", limit)[:-1])) + 1
            listed, count = self._as_list(cut)
        records = self._all_at_once(listed, count)
        if records is None:
            records = self._one_by_one(lines.data[lines.start : cut])
        self._mean = (cut - lines.start) / count
        lines.advance(cut, count)
        return records

    def _as_list(self, cut: int) -> tuple[bytes, int]:
        """The lines up to `cut` as one JSON list, and how many they are."""
        block = b"".join((b"[", memoryview(self._lines.data)[self._lines.start : cut - 1], b"]"))
        listed = block.replace(b"\n", b",\n")
        return listed, len(listed) - len(block) + 1

    def _all_at_once(self, listed: bytes, count: int) -> list[T | BadRecord] | None:
        try:
            if not listed.isascii():
                listed.decode()  # a byte that is not UTF-8 would pass in a field that the type leaves out
            records: list[T | BadRecord] = self._decode_list(listed)
        except Exception:  # a type's own __post_init__ may raise anything; and may again, line by line
            return None
        return records if len(records) == count else None

    def _one_by_one(self, block: bytes) -> list[T | BadRecord]:
        lines = enumerate(block.split(b"\n")[:-1], self._lines.line)
        return [self._one(line, number) for number, line in lines if line.strip(_BLANK)]

    def _one(self, line: bytes, number: int) -> T | BadRecord:
        try:
            line.decode()
            record: T = self._decode(line)
        except Exception as error:
            return BadRecord(line.rstrip(b"\r"), f"{self._lines.path}:{number}", reason(error))
        return record


class JsonLinesWriter(FileWriter):
    """Writes a line a record."""

    form = "JSON"

    encode = staticmethod(msgspec.json.Encoder().encode_lines)
