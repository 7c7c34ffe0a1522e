"""Records as rows of CSV: which columns there are, and the text in them."""

from __future__ import annotations

import base64
import csv
import functools
import io
from collections.abc import Callable, Sequence
from types import NoneType
from typing import Any

from connectors.file_writer import FileWriter
from connectors.output_file import OutputFile
from connectors.record_types import AS_TEXT, NESTED, Field, RecordType, record_type, value_types
from connectors.rows import Row, row_encoder
from connectors.staged_file import StagedFile, Token
from engine.errors import ConnectorError

_AS_THEY_ARE = AS_TEXT | {int, float, str, NESTED}
"""What `row_encoder` and Python's csv module together write as it should be."""


class CsvWriter(FileWriter):
    """Writes a row a record."""

    form = "CSV"

    def __init__(
        self, file: OutputFile | StagedFile, record: RecordType, *, header: bool, delimiter: str, null: str
    ) -> None:
        super().__init__(file)
        self._record = record
        self._delimiter = delimiter
        self._null = null
        written = self._columns_in(file)
        self._columns = written or record.columns  # () until the first record shows them
        self._needs_header = header and not written and (file.is_new or file.last is not None)
        self._encoder = functools.cache(self._encoder_for)

    def _columns_in(self, file: OutputFile | StagedFile) -> tuple[str, ...]:
        """The columns that an earlier life of the job has written to `file`; () where that is not known."""
        there = tuple(file.last.get("columns", ())) if file.last else ()
        if there and self._record.columns not in ((), there):
            file.abort()
            raise ConnectorError(
                f"cannot go on with {file.path!r}: its columns are {', '.join(there)}, those of the records "
                f"{', '.join(self._record.columns)}",
                hint="write another file, or begin without the checkpoint",
            )
        return there

    def encode(self, records: list[Any], /) -> bytes:
        columns = self._columns or self._columns_of(records[0])
        encoders = {kind: self._encoder(kind, columns) for kind in set(map(type, records))}
        text = self._text([encoders[type(record)](record) for record in records])
        return (self._header(columns) + text).encode()

    def write(self, records: list[Any]) -> None:
        if records:
            super().write(records)
            self._columns = self._columns or self._columns_of(records[0])
            self._needs_header = False

    def prepare(self, checkpoint: int) -> Token:
        self.file.write(self._header(self._columns).encode())
        self._needs_header = self._needs_header and not self._columns
        return {**super().prepare(checkpoint), "columns": list(self._columns)}

    def finish(self) -> None:
        try:
            self.file.write(self._header(self._columns).encode())
        except BaseException:
            self.file.abort()
            raise
        self.file.finish()

    def _header(self, columns: Sequence[str]) -> str:
        """It goes with the first rows, so that it too is there wholly or not at all."""
        return self._text([columns]) if self._needs_header and columns else ""

    def _text(self, rows: Sequence[Row]) -> str:
        text = self._quoted(rows, csv.QUOTE_MINIMAL)
        # Python before 3.13 leaves a lone carriage return without quotes, and no reader takes that as text.
        return self._quoted(rows, csv.QUOTE_ALL) if "\r" in text else text

    def _quoted(self, rows: Sequence[Row], quoting: Any) -> str:
        out = io.StringIO(newline="")
        csv.writer(out, delimiter=self._delimiter, lineterminator="\n", quoting=quoting).writerows(rows)
        return out.getvalue()

    def _columns_of(self, record: Any) -> tuple[str, ...]:
        columns = tuple(record) if isinstance(record, dict) else self._type_of(type(record), ()).columns
        if not columns:
            raise TypeError("it has no fields")
        return columns

    def _encoder_for(self, kind: type, columns: tuple[str, ...]) -> Callable[[Any], Row]:
        """What makes a row of a record of class `kind`."""
        record = self._type_of(kind, columns)
        if columns != record.columns:
            raise TypeError(f"its fields are {', '.join(record.columns)}, the columns are {', '.join(columns)}")
        encode = row_encoder(record, record.fields)
        as_they_are = _AS_THEY_ARE if self._null else _AS_THEY_ARE | {NoneType}
        if all(value_types(field.type) <= as_they_are for field in record.fields):
            return encode
        return lambda record: [self._cell(value) for value in encode(record)]

    def _type_of(self, kind: type, columns: tuple[str, ...]) -> RecordType:
        if not issubclass(kind, dict):
            record = record_type(kind)
            if record is None or not record.fields:
                raise TypeError("it has no named fields")
            return record
        if self._record.kind == "typeddict":
            return self._record
        # A key may be missing, which is null; one that is no column would be lost, and is an error.
        return RecordType(dict, "dict", tuple(Field(name, name, Any, required=False) for name in columns))

    def _cell(self, value: Any) -> Any:
        if value is None:
            return self._null
        if value is True or value is False:
            return "true" if value else "false"
        return base64.b64encode(value).decode() if isinstance(value, bytes) else value
