"""CSV: rows out of text by Python's own parser, block by block, with the line that each one began on."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, TypeVar

from connectors.csv_table import Row, RowType, Table
from connectors.lines import BLOCK_BYTES, Lines
from engine.errors import ConnectorError
from engine.source import BadRecord, Reader

T = TypeVar("T")


@dataclass(frozen=True)
class Layout:
    """How a file is to be read. `header` is None where the first row of the file is the header."""

    row_type: RowType
    dialect: dict[str, Any]
    header: tuple[str, ...] | None
    null: tuple[str, ...]
    max_record_bytes: int


def dialect(delimiter: str, quote: str) -> dict[str, Any]:
    """The parameters of Python's parser: strict, so that a stray quote is an error and not a guess."""
    quoting = {"quotechar": quote} if quote else {"quoting": csv.QUOTE_NONE}
    return {"delimiter": delimiter, "strict": True, **quoting}


@dataclass
class _Parsed:
    """Rows that stand complete in a block: `text` is all of them and nothing more, `lines` how many lines."""

    rows: list[Row]
    text: str
    lines: int
    is_utf8: bool


class CsvReader(Reader[T], Generic[T]):
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
        self._lines = lines
        self._layout = layout
        self._mean = 128.0
        self._incomplete = 0  # bytes from here on that were too few for one row
        self._table: Table[T] | None = None
        if layout.header is not None:
            self._table = self._table_of(layout.header)

    def begin(self) -> bool:
        """Read the header, as far as it is there already; True once it is known."""
        while self._table is None and self._have(1):
            parsed = self._parse(1)
            if isinstance(parsed, BadRecord):
                raise ConnectorError(f"the header cannot be parsed: {parsed.error}")
            if parsed is not None:
                self._take_header(parsed)
        if self._table is None and self._lines.nothing() is None:
            raise ConnectorError(
                f"{self._lines.path}: no header line: the file is empty",
                hint="if files without a header are right, name the columns with header=[...]",
            )
        return self._table is not None

    def _take_header(self, parsed: _Parsed) -> None:
        if not _is_utf8(parsed.text):
            raise ConnectorError(f"{self._place()}: the header is not UTF-8", hint=_ENCODING_HINT)
        if parsed.rows[0]:
            self._table = self._table_of(tuple(parsed.rows[0]))
        self._advance(parsed)

    def _table_of(self, header: tuple[str, ...]) -> Table[T]:
        return Table(self._layout.row_type, header, self._layout.null, self._place())

    def read(self, limit: int) -> Sequence[T | BadRecord] | None:
        if not self.begin():
            return ()
        while self._have(limit):
            parsed = self._parse(limit)
            if isinstance(parsed, BadRecord):
                return (parsed,)
            records = [] if parsed is None else self._convert(parsed)
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
        text, is_utf8 = _decode(block)
        source = io.StringIO(text, newline="\n")
        reader = csv.reader(source, **self._layout.dialect)
        rows: list[Row] = []
        end = 0
        try:
            for row in islice(reader, limit):
                rows.append(row)
                end = source.tell()
        except csv.Error as error:
            if not rows:
                return self._not_one_row(block, error)
            return _Parsed(rows, text[:end], text.count("\n", 0, end), is_utf8)
        return _Parsed(rows, text[:end], reader.line_num, is_utf8)

    def _not_one_row(self, block: bytes, error: csv.Error) -> BadRecord | None:
        """What `error` on the very first row means: nothing yet, or that the first line is bad."""
        lines, limit = self._lines, self._layout.max_record_bytes
        reason = str(error)
        if "field limit" in reason and csv.field_size_limit() < limit:
            csv.field_size_limit(limit)  # of the whole process; raised only where a file needs it
            return None
        if "unexpected end" in reason:
            is_last = lines.over and len(block) == lines.end - lines.start
            if is_last and lines.failure is not None:
                lines.advance(lines.end, 0)  # half a record
                return None
            if not is_last and len(block) < limit:
                self._incomplete = len(block)
                return None
            reason = "a quote is opened and not closed" + ("" if is_last else f" within {limit} bytes")
        return self._bad_line(block[: block.index(b"\n")], reason)

    def _bad_line(self, line: bytes, reason: str) -> BadRecord:
        bad = BadRecord(line.rstrip(b"\r"), self._place(), reason)
        self._lines.advance(self._lines.start + len(line) + 1, 1)
        self._incomplete = 0
        return bad

    def _advance(self, parsed: _Parsed) -> None:
        size = len(parsed.text) if parsed.text.isascii() else len(_encode(parsed.text))
        self._mean = size / len(parsed.rows)
        self._incomplete = 0
        self._lines.advance(self._lines.start + size, parsed.lines)

    def _convert(self, parsed: _Parsed) -> list[T | BadRecord]:
        records = self._all_at_once(parsed.rows) if parsed.is_utf8 or _is_utf8(parsed.text) else None
        if records is None:
            records = self._one_by_one(parsed.text)
        self._advance(parsed)
        return records

    def _all_at_once(self, rows: list[Row]) -> list[T | BadRecord] | None:
        table = self._known_table
        widths = set(map(len, rows))
        if 0 in widths:  # blank lines
            rows = [row for row in rows if row]
        if widths - {0, table.width}:
            return None
        try:
            return [*table.records(rows)]
        except MemoryError:
            raise
        except Exception:  # a type's own __post_init__ may raise anything, and may again, row by row
            return None

    def _one_by_one(self, text: str) -> list[T | BadRecord]:
        source = io.StringIO(text, newline="\n")
        reader = csv.reader(source, **self._layout.dialect)
        records = []
        start = lines = 0
        for row in reader:
            end = source.tell()
            if row:
                records.append(self._one(row, text[start:end], lines))
            start, lines = end, reader.line_num
        return records

    def _one(self, row: Row, text: str, lines: int) -> T | BadRecord:
        table = self._known_table
        hint = None
        if not _is_utf8(text):
            reason, hint = "not UTF-8", _ENCODING_HINT
        elif len(row) != table.width:
            reason = f"{len(row)} fields instead of {table.width}"
        else:
            try:
                return table.record(row)
            except MemoryError:
                raise
            except Exception as error:
                reason = table.reason(row, error)
        return BadRecord(_encode(text).rstrip(b"\r\n"), self._place(lines), reason, hint=hint)

    @property
    def _known_table(self) -> Table[T]:
        assert self._table is not None
        return self._table

    def _place(self, lines: int = 0) -> str:
        return f"{self._lines.path}:{self._lines.line + lines}"

    def poll_after(self) -> float | None:
        return self._lines.poll_after

    def close(self) -> None:
        self._lines.close()


_ENCODING_HINT = "if the file is in another encoding, say so, as in encoding='latin-1'"


def _decode(block: bytes) -> tuple[str, bool]:
    """`block` as text, and whether it is UTF-8; bytes that are not become lone surrogates."""
    try:
        return block.decode(), True
    except UnicodeDecodeError:
        return block.decode("utf-8", "surrogateescape"), False


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
