"""Reads the rows of a query from a SQLite file, as a source; in the order of a key it can go on where it was."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from connectors.record_types import RecordType
from connectors.rows import RowDecoder, matched
from connectors.sqlite_errors import RETRY_SECONDS, failure, is_locked
from connectors.sqlite_statements import quoted
from engine.errors import ConnectorError
from engine.source import BadRecord, Reader, Source

T = TypeVar("T")

_ADVICE = "add it to the SELECT, name it with AS, or give the field a default"


class _Undecoded(bytes):
    """A text that is not UTF-8."""


def _undecoded(text: bytes) -> str | bytes:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return _Undecoded(text)


@dataclass(eq=False)
class Query(Source[T]):
    """What `sqlite_query` was told."""

    database: str
    query: str
    parameters: Any
    record: RecordType
    timeout: float
    type: Any
    key: str | None = None
    name = "sqlite_query"

    def __post_init__(self) -> None:
        self.resumable = self.key is not None

    def open(self, partition: str) -> Reader[T]:
        return _QueryReader(self)


class _QueryReader(Reader[T]):
    def __init__(self, query: Query[T]) -> None:
        self._query = query
        self._cursor: sqlite3.Cursor | None = None
        self._failure: sqlite3.Error | None = None
        self._rows_read = 0
        self._last_key: Any = None
        self._wrong_key: ConnectorError | None = None  # that of the row behind those that were given
        self._give_up = time.monotonic() + query.timeout
        uri = f"{Path(query.database).absolute().as_uri()}?mode=ro"
        try:
            self._db = sqlite3.connect(uri, uri=True, timeout=0, isolation_level=None)
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def position(self) -> dict[str, Any]:
        return {"after": self._last_key, "rows": self._rows_read}

    def seek(self, position: dict[str, Any]) -> None:
        self._last_key, self._rows_read = position["after"], position["rows"]

    def read(self, limit: int) -> Sequence[T | BadRecord] | None:
        try:
            if self._cursor is None and not self._start():
                return ()
            rows = self._fetch(limit)
        except (sqlite3.Error, ValueError, OverflowError) as error:
            raise self._failed(error) from error
        records = self._records(rows)
        self._rows_read += len(rows)
        if not records and self._wrong_key is not None:
            raise self._wrong_key
        return records or None

    def poll_after(self) -> float | None:
        return RETRY_SECONDS

    def close(self) -> None:
        if self._cursor is not None:
            self._cursor.close()  # a traceback may keep it, and with it a lock on the database
        self._db.close()

    def _failed(self, error: Exception) -> ConnectorError:
        wanted = f"cannot read {self._query.database}"
        if not os.path.isfile(self._query.database):
            hint = f"a source never creates its database; a relative path starts at {os.getcwd()}"
            return ConnectorError(f"{wanted}: there is no such file", hint=hint)
        return failure(f"{wanted} with the query {self._query.query!r}", error, self._query.timeout)

    def _start(self) -> bool:
        """Run the query up to its first row; False while another connection has the database locked."""
        query = self._query
        try:
            cursor = self._cursor = self._db.execute(*self._statement())
        except sqlite3.OperationalError as error:
            if not is_locked(error) or time.monotonic() >= self._give_up:
                raise
            return False
        columns = self._columns = [column[0] for column in cursor.description or ()]
        where = f"the query {query.query!r}"
        if not columns:
            raise ConnectorError(f"wanted rows from {where}, which gives none", hint="write a SELECT", final=True)
        self._rows = RowDecoder(query.record, matched(query.record, columns, where, _ADVICE), len(columns))
        return True

    def _statement(self) -> tuple[str, Any]:
        """The query, or with a key what of it stands behind the last key, in the order of keys."""
        query, after = self._query, self._last_key
        if query.key is None:
            return query.query, query.parameters
        # The newline ends a comment of the query's. BINARY is how Python tells keys apart.
        rows = f"SELECT * FROM ({query.query.rstrip().rstrip(';')}\n)"
        self._find_key(query.key, self._db.execute(f"{rows} LIMIT 0", query.parameters))
        key = f"{quoted([query.key])} COLLATE BINARY"
        if after is None:
            return f"{rows} ORDER BY {key}", query.parameters
        if isinstance(query.parameters, Mapping):
            return f"{rows} WHERE {key} > :headgate_after ORDER BY {key}", {**query.parameters, "headgate_after": after}
        return f"{rows} WHERE {key} > ? ORDER BY {key}", (*query.parameters, after)

    def _find_key(self, key: str, rows: sqlite3.Cursor) -> None:
        """SQLite would take the name of a column that is not there for a text."""
        columns = [column[0] for column in rows.description]
        if key not in columns:
            raise ConnectorError(
                f"wanted the key, column {key!r}, from the query {self._query.query!r}; it has {', '.join(columns)}",
                hint="add it to the SELECT, or name it with AS",
                final=True,
            )
        self._key_at = columns.index(key)

    def _up_to_wrong_key(self, rows: list[Any]) -> list[Any]:
        """The `rows` before the first whose key does not say where to go on."""
        for index, row in enumerate(rows):
            key = row[self._key_at]
            if key is None or key == self._last_key or isinstance(key, _Undecoded):
                self._wrong_key = self._misfit(self._rows_read + index + 1, key)
                return rows[:index]
            self._last_key = key
        return rows

    def _misfit(self, number: int, key: Any) -> ConnectorError:
        return ConnectorError(
            f"{self._query.database}: query row {number}: wanted a key {self._query.key!r} that no other row has, "
            f"came {'null' if key is None else f'{key!r:.200}'}",
            hint="take a column that is unique, not null, and UTF-8 if it is text: such as the primary key",
        )

    def _fetch(self, limit: int) -> list[Any]:
        """Give up to `limit` rows, or one BadRecord in the place of a row whose text is not UTF-8."""
        assert self._cursor is not None
        rows: list[Any] = []
        if self._failure is None and self._wrong_key is None:
            try:
                rows.extend(islice(self._cursor, limit))  # not fetchmany: this keeps what came before a failure
            except sqlite3.OperationalError as error:
                self._failure = error
            if self._query.key is not None:
                rows = self._up_to_wrong_key(rows)
        return [self._undecoded(self._failure)] if self._failure is not None and not rows else rows

    def _undecoded(self, failure: sqlite3.Error) -> BadRecord:
        """Read the row again with bytes for what is not UTF-8: the cursor stays where it could not decode one."""
        if hasattr(failure, "sqlite_errorcode"):
            raise failure  # of SQLite itself, so that there is no row
        assert self._cursor is not None
        self._failure, self._db.text_factory = None, _undecoded
        row = next(self._cursor)
        self._db.text_factory = str
        if self._query.key is not None and not self._up_to_wrong_key([row]) and self._wrong_key is not None:
            raise self._wrong_key
        return self._bad(row, self._rows_read + 1, str(failure))

    def _records(self, rows: list[Any]) -> list[T | BadRecord]:
        if rows and isinstance(rows[0], BadRecord):
            return rows
        try:
            return self._rows.records(rows)
        except Exception:  # a record type's own checks may raise anything; each row by itself says which it is
            return [self._one(row, number) for number, row in enumerate(rows, self._rows_read + 1)]

    def _one(self, row: Any, number: int) -> T | BadRecord:
        try:
            record: T = self._rows.record(row)
        except Exception as error:
            return self._bad(row, number, self._rows.misfit(row, error))
        return record

    def _bad(self, row: Sequence[Any], number: int, reason: str) -> BadRecord:
        values = [bytes(value) if isinstance(value, _Undecoded) else value for value in row]
        raw = dict(zip(self._columns, values, strict=True))
        return BadRecord(raw, f"{self._query.database}: query row {number}", reason)
