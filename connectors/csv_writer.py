"""Records as rows of CSV: which columns there are, and the text in them."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from types import NoneType
from typing import Any
from uuid import UUID

from connectors.csv_table import no_rows
from connectors.json_format import unencodable
from connectors.output_file import OutputFile
from connectors.records import NESTED, Field, RecordType, record_type, row_encoder, value_types
from engine.errors import ConnectorError
from engine.sink import Writer

_AS_THEY_ARE = frozenset({int, float, str, datetime, date, time, timedelta, Decimal, UUID, NESTED})
"""What `row_encoder` and Python's csv module together write as it should be."""


def row_columns(type: Any) -> tuple[str, ...] | None:  # noqa: A002
    """The columns for `type`, or None where only the records show them; `GraphError` if it has none."""
    if type in {Any, object, None}:
        return None
    record = record_type(type)
    if record is None or record.kind == "tuple":
        raise no_rows(type)
    return None if record.kind == "dict" else _columns(record)


def _columns(record: RecordType) -> tuple[str, ...]:
    return tuple(field.column for field in record.fields)


class CsvWriter(Writer[Any]):
    """Writes one file, a row a record."""

    def __init__(self, file: OutputFile, type: Any, *, header: bool, delimiter: str, null: str) -> None:  # noqa: A002
        self._file = file
        self._type = type
        self._delimiter = delimiter
        self._null = null
        self._columns = row_columns(type)
        self._needs_header = header
        self._rows: dict[type, Callable[[Any], Sequence[Any]]] = {}
        self._written = 0

    def write(self, records: list[Any]) -> None:
        if not records:
            return
        try:
            data = self._encode(records)
        except Exception as error:
            failure = self._unencodable(records, error)
            if not self._written:  # then these records have named no columns either
                self._columns = row_columns(self._type)
                self._rows.clear()
            raise failure from error
        self._put(data)
        self._written += len(records)

    def _encode(self, records: list[Any]) -> bytes:
        if self._columns is None:
            self._columns = self._columns_of(records[0])
        rows = self._rows
        for kind in set(map(type, records)) - rows.keys():
            rows[kind] = self._row_of(kind)
        return self._text([rows[type(record)](record) for record in records]).encode()

    def _text(self, rows: Sequence[Sequence[Any]]) -> str:
        text = self._quoted(rows, csv.QUOTE_MINIMAL)
        # Python before 3.13 leaves a lone carriage return without quotes, and no reader takes that as text.
        return self._quoted(rows, csv.QUOTE_ALL) if "\r" in text else text

    def _quoted(self, rows: Sequence[Sequence[Any]], quoting: Any) -> str:
        out = io.StringIO(newline="")
        csv.writer(out, delimiter=self._delimiter, lineterminator="\n", quoting=quoting).writerows(rows)
        return out.getvalue()

    def _columns_of(self, record: Any) -> tuple[str, ...]:
        return tuple(record) if isinstance(record, dict) else _columns(self._record_type(type(record)))

    def _row_of(self, kind: type) -> Callable[[Any], Sequence[Any]]:
        """What makes a row of a record of class `kind`."""
        record = self._record_type(kind)
        columns = _columns(record)
        if columns != self._columns:
            raise TypeError(f"its fields are {', '.join(columns)}, the columns are {', '.join(self._columns or ())}")
        encode = row_encoder(record, record.fields)
        as_they_are = _AS_THEY_ARE if self._null else _AS_THEY_ARE | {NoneType}
        if all(value_types(field.type) <= as_they_are for field in record.fields):
            return encode
        return lambda record: [self._cell(value) for value in encode(record)]

    def _record_type(self, kind: type) -> RecordType:
        if not issubclass(kind, dict):
            found = record_type(kind)
            if found is None or found.kind == "tuple":
                raise TypeError("it has no named fields")
            return found
        known = record_type(self._type) if self._type not in {Any, object, None} else None
        if known is not None and known.kind == "typeddict":
            return known
        # A key may be missing, which is null; one that is no column would be lost, and is an error.
        fields = tuple(Field(name, name, Any, required=False) for name in self._columns or ())
        return RecordType(dict, "dict", fields)

    def _cell(self, value: Any) -> Any:
        if value is None:
            return self._null
        if value is True or value is False:
            return "true" if value else "false"
        return base64.b64encode(value).decode() if isinstance(value, bytes) else value

    def _put(self, data: bytes) -> None:
        """The header goes with the first rows, so that it too is there wholly or not at all."""
        if self._needs_header and self._columns is not None:
            data = self._text([self._columns]).encode() + data
        self._file.write(data)
        self._needs_header = False

    def _unencodable(self, records: list[Any], error: Exception) -> ConnectorError:
        for number, record in enumerate(records, self._written + 1):
            try:
                self._encode([record])
            except Exception as cause:
                return unencodable(self._file.path, number, record, "CSV", cause)
        return ConnectorError(f"{self._file.path!r}: the records cannot be written as CSV: {error}")

    def finish(self) -> None:
        if self._needs_header and self._columns is not None:
            try:
                self._put(b"")
            except ConnectorError:
                self._file.abort()
                raise
        self._file.finish()

    def abort(self) -> None:
        self._file.abort()
