"""CSV: rows out of text by Python's own parser, block by block, with the line that each one began on."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from connectors.csv_rows import TextRows
from connectors.lines import BLOCK_BYTES, Lines, LinesReader
from connectors.record_types import RecordType
from engine.errors import ConnectorError
from engine.source import BadRecord

T = TypeVar("T")


@dataclass(frozen=True)
class Layout:
    """How a file is to be read. `header` is None where the first row of the file is the header."""

    record: RecordType
    dialect: dict[str, Any]
    header: tuple[str, ...] | None
    null: tuple[str, ...]
    max_record_bytes: int


def dialect(delimiter: str, quote: str) -> dict[str, Any]:
    """The parameters of Python's parser: strict, so that a stray quote is an error and not a guess."""
    quoting = {"quotechar": quote} if quote else {"quoting": csv.QUOTE_NONE}
    return {"delimiter": delimiter, "strict": True, **quoting}


class _Parsed(NamedTuple):
    """Rows that stand complete in a block: `text` is all of them and nothing more, `lines` how many lines."""

    rows: list[list[str]]
    text: str
    lines: int


class CsvReader(LinesReader[T]):
    """Reads one file.

    1. Take whole lines for slightly more than `limit` rows, by the mean length of the rows before, and parse
       up to `limit` rows of them. Where the block ends inside a quoted field, take what is before that row.
    2. If it is the first row of the block that is not complete, try again with twice as much, up to
       `max_record_bytes`.
    3. A row that cannot be parsed costs its first line, and parsing goes on at the next one: where a quote
       is missing, the parser takes rows for text up to the next quote, which may be far away.
    4. Convert all rows at once; if that fails, one by one, with a `BadRecord` in the place of each bad one.
    """

    def __init__(self, lines: Lines, layout: Layout) -> None:
        super().__init__(lines)
        self._layout = layout
        self._incomplete = 0  # bytes from here on that were too few for one row
        self._rows = None if layout.header is None else self._rows_under(layout.header)

    def begin(self) -> TextRows[T] | None:
        """Read the header, as far as it is there already; None until it is known."""
        while self._rows is None and self._have(1):
            parsed = self._parse(1)
            if isinstance(parsed, BadRecord):
                raise ConnectorError(f"the header cannot be parsed: {parsed.error}")
            if parsed is not None:
                self._take_header(parsed)
        if self._rows is None and self._lines.nothing() is None:
            raise ConnectorError(
                f"{self._lines.path}: no header line: the file is empty",
                hint="if files without a header are right, name the columns with header=[...]",
            )
        return self._rows

    def _take_header(self, parsed: _Parsed) -> None:
        if not _is_utf8(parsed.text):
            raise ConnectorError(f"{self._place()}: the header is not UTF-8", hint=_ENCODING_HINT)
        if parsed.rows[0]:
            self._rows = self._rows_under(parsed.rows[0])
        self._advance(parsed)

    def _rows_under(self, header: Sequence[str]) -> TextRows[T]:
        return TextRows(self._layout.record, header, self._layout.null, self._place())

    def read(self, limit: int) -> Sequence[T | BadRecord] | None:
        rows = self.begin()
        if rows is None:
            return ()
        while self._have(limit):
            parsed = self._parse(limit)
            if isinstance(parsed, BadRecord):
                return (parsed,)
            if parsed is not None:
                records = self._converted(parsed, rows)
                self._advance(parsed)
                if records:
                    return records
        return self._lines.nothing()

    def _have(self, limit: int) -> bool:
        return self._lines.have(self._want(limit), self._incomplete + 1)

    def _want(self, limit: int) -> int:
        likely = min(int(limit * self._mean * 17 / 16), BLOCK_BYTES)
        return max(1, min(max(likely, 2 * self._incomplete), self._layout.max_record_bytes))

    def _parse(self, limit: int) -> _Parsed | BadRecord | None:
        """The rows at the start of the lines; None if there must be more lines first, or now are none."""
        lines = self._lines
        block = lines.data[lines.start : lines.cut(self._want(limit), self._incomplete + 1)]
        text = block.decode("utf-8", "surrogateescape")
        source, reader = self._parser(text)
        rows: list[list[str]] = []
        end = 0
        try:
            for row in islice(reader, limit):
                rows.append(row)
                end = source.tell()
        except csv.Error as error:
            if not rows:
                return self._not_one_row(block, str(error))
        return _Parsed(rows, text[:end], text.count("\n", 0, end))

    def _parser(self, text: str) -> tuple[io.StringIO, Any]:
        source = io.StringIO(text, newline="\n")
        return source, csv.reader(source, **self._layout.dialect)

    def _not_one_row(self, block: bytes, why: str) -> BadRecord | None:
        """What `why` not even the first row can be parsed means: nothing yet, or that the first line is bad."""
        lines, limit = self._lines, self._layout.max_record_bytes
        if "field limit" in why and csv.field_size_limit() < limit:
            csv.field_size_limit(limit)  # of the whole process; raised only where a file needs it
            return None
        if "unexpected end" in why:
            is_last = lines.over and len(block) == lines.end - lines.start
            if is_last and lines.failure is not None:
                lines.advance(lines.end, 0)  # half a record
                return None
            if not is_last and len(block) < limit:
                self._incomplete = len(block)
                return None
            why = "a quote is opened and not closed" + ("" if is_last else f" within {limit} bytes")
        return self._bad_line(block[: block.index(b"\n")], why)

    def _bad_line(self, line: bytes, why: str) -> BadRecord:
        bad = BadRecord(line.rstrip(b"\r"), self._place(), why)
        self._lines.advance(self._lines.start + len(line) + 1, 1)
        self._incomplete = 0
        return bad

    def _advance(self, parsed: _Parsed) -> None:
        size = len(_encoded(parsed.text))
        self._mean = size / len(parsed.rows)
        self._incomplete = 0
        self._lines.advance(self._lines.start + size, parsed.lines)

    def _converted(self, parsed: _Parsed, rows: TextRows[T]) -> list[T | BadRecord]:
        found = [row for row in parsed.rows if row]  # without blank lines
        if set(map(len, found)) <= {rows.width} and _is_utf8(parsed.text):
            try:
                return rows.records(found)
            except Exception:  # a type's own checks may raise anything; each row by itself says which it is
                pass
        return self._one_by_one(parsed.text, rows)

    def _one_by_one(self, text: str, rows: TextRows[T]) -> list[T | BadRecord]:
        source, reader = self._parser(text)
        records = []
        start = lines = 0
        for row in reader:
            end = source.tell()
            if row:
                records.append(self._one(row, text[start:end], lines, rows))
            start, lines = end, reader.line_num
        return records

    def _one(self, row: list[str], text: str, lines: int, rows: TextRows[T]) -> T | BadRecord:
        hint = None
        if not _is_utf8(text):
            why, hint = "not UTF-8", _ENCODING_HINT
        elif len(row) != rows.width:
            why = f"{len(row)} fields instead of {rows.width}"
        else:
            try:
                return rows.record(row)
            except Exception as error:
                why = rows.misfit(row, error)
        return BadRecord(_encoded(text).rstrip(b"\r\n"), self._place(lines), why, hint=hint)

    def _place(self, lines: int = 0) -> str:
        return f"{self._lines.path}:{self._lines.line + lines}"


_ENCODING_HINT = "if the file is in another encoding, say so, as in encoding='latin-1'"


def _encoded(text: str) -> bytes:
    """The bytes that `text` was; those that are not UTF-8 are lone surrogates in it."""
    return text.encode("utf-8", "surrogateescape")


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
