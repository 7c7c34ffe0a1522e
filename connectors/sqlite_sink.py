"""Writes records as rows of a table in a SQLite file, as a sink: a batch is a transaction."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from operator import length_hint
from typing import Any, NamedTuple

from connectors.record_types import Field, RecordType, record_type, row_type
from connectors.rows import Row, listed, row_encoder, tuple_fields
from connectors.sqlite_errors import OF_A_RECORD, RETRY_SECONDS, code, failure, is_locked
from connectors.sqlite_statements import Table, folded, quoted
from engine.errors import ConnectorError, GraphError, OutputError
from engine.sink import Sink, SinkContext, Writer


class TableSink(Sink[Any]):
    """What `sqlite_table` was told."""

    name = "sqlite_table"

    def __init__(self, database: str, table: Table, *, create: bool, batch: int, timeout: float) -> None:
        self.database, self.table, self.create, self.timeout = database, table, create, timeout
        self.batch_records = batch

    @property
    def where(self) -> str:
        return f"table {self.table.name!r} of {self.database}"

    def check(self, type: Any) -> None:
        record = row_type(f"sqlite_table {self.table.name!r} writes", type)
        if record.fields and (wrong := self.table.complaint(record.columns)):
            raise GraphError(f"sqlite_table {self.table.name!r} of {record.cls.__name__}: {wrong}")

    def open(self, context: SinkContext) -> Writer[Any]:
        return _TableWriter(self, row_type(f"sqlite_table {self.table.name!r} writes", context.type))


class _Insert(NamedTuple):
    sql: str
    sql_of_none: str
    """The same with no rows: what is wrong with it is not the fault of a record."""
    row: Callable[[Any], Row]


class _TableWriter(Writer[Any]):
    def __init__(self, sink: TableSink, record: RecordType) -> None:
        self._sink = sink
        self._insert: _Insert | None = None
        is_new = not os.path.exists(sink.database) or os.path.getsize(sink.database) == 0
        with self._trying_to("open"):
            self._db = sqlite3.connect(sink.database, timeout=0, isolation_level=None)
        try:
            with self._trying_to("open"):
                self._set_up(is_new)
                if record.kind != "dict":
                    with self._transaction():
                        self._insert = self._plan(record, record.fields, ConnectorError)
        except BaseException:
            self._db.close()
            raise

    def write(self, records: list[Any]) -> None:
        if not records:
            return
        with self._trying_to("write to"), self._transaction():
            insert = self._insert or self._plan_from(records[0])
            self._add(records, insert)
        self._insert = insert

    def finish(self) -> None:
        try:
            with self._trying_to("move what was committed into the file of"):
                # Closing does this too, but would not say that it failed.
                self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        finally:
            self._db.close()

    def abort(self) -> None:
        self._db.close()  # which rolls back what is open

    def _set_up(self, is_new: bool) -> None:
        if is_new:
            self._until_free("PRAGMA journal_mode = WAL")
        # Safe in WAL mode alone: elsewhere a power cut could then break the file.
        if self._until_free("PRAGMA journal_mode") == [("wal",)]:
            self._db.execute("PRAGMA synchronous = NORMAL")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._until_free("BEGIN IMMEDIATE")
            yield
            self._until_free("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self._db.rollback()
            raise

    @contextmanager
    def _trying_to(self, what: str) -> Iterator[None]:
        try:
            yield
        except GraphError:
            raise
        except (sqlite3.Error, ValueError) as error:
            raise failure(f"cannot {what} {self._sink.where}", error, self._sink.timeout) from error

    def _until_free(self, sql: str) -> list[Any]:
        """Run `sql`, again and again for `timeout` seconds while another connection has the lock."""
        give_up = time.monotonic() + self._sink.timeout
        while True:
            try:
                return self._db.execute(sql).fetchall()
            except sqlite3.OperationalError as error:
                if not is_locked(error) or time.monotonic() >= give_up:
                    raise
            time.sleep(RETRY_SECONDS)

    # ---------------------------------------------------------------------------------- adding rows

    def _add(self, records: list[Any], insert: _Insert) -> None:
        rest = iter(records)
        try:
            self._db.executemany(insert.sql, map(insert.row, rest))
        except Exception as error:
            taken = len(records) - length_hint(rest)  # executemany takes a record only when the one before it is in
            if not taken or not self._is_refusal(error, insert):
                raise
            about = f"; record {taken} of {len(records)}: {records[taken - 1]!r:.200}"
            raise failure(f"cannot write to {self._sink.where}", error, 0, about) from error

    def _is_refusal(self, error: Exception, insert: _Insert) -> bool:
        """Whether the record that was taken last is to blame for `error`."""
        if code(error) != sqlite3.SQLITE_ERROR:
            return code(error) in OF_A_RECORD | {0}
        try:
            self._db.execute(insert.sql_of_none)
        except sqlite3.Error:
            return False  # the table is no longer there, or no longer what it was
        return True  # it is an expression of the table's own, as in a CHECK, that has failed

    # ------------------------------------------------------------------------- what is to be inserted

    def _plan_from(self, first: Any) -> _Insert:
        record = record_type(type(first))
        if record is None:
            raise OutputError(f"wanted rows for {self._sink.where}, came {first!r:.200}")
        fields: Sequence[Field] = record.fields
        if record.kind == "dict":
            # The first record stands for all: Optional, as the next one may have None there.
            fields = [Field(name, name, Any if v is None else type(v) | None) for name, v in first.items()]
        return self._plan(record, fields, OutputError)

    def _plan(self, record: RecordType, fields: Sequence[Field], wrong: type[ConnectorError]) -> _Insert:
        """Work out how to insert such records, and make the table; raise `wrong` if their fields do not suit it."""
        table, where = self._sink.table, self._sink.where
        info = self._db.execute("SELECT name FROM pragma_table_info(?)", (table.name,))
        there = [name for (name,) in info.fetchall()]
        if record.kind == "tuple" and there:
            fields = tuple_fields(record, there, where, wrong)
        if not fields:
            blamed = ConnectorError if record.kind == "tuple" else wrong
            message = f"a {record.cls.__name__} names no columns, and there is no {where} to take them from"
            raise blamed(message, hint="create the table, or use a NamedTuple")
        columns = [field.column for field in fields]
        self._check(columns, there, wrong)
        if not there:
            self._create(record, fields)
        insert = _Insert(table.insert_sql(columns), table.insert_sql(columns, rows=False), row_encoder(record, fields))
        self._try_out(insert)
        return insert

    def _check(self, columns: Sequence[str], there: Sequence[str], wrong: type[ConnectorError]) -> None:
        """Raise `wrong` unless a table can have `columns`, and the one that is `there` has them."""
        where = self._sink.where
        if complaint := self._sink.table.complaint(columns):
            raise wrong(f"cannot write to {where}: {complaint}")
        known = set(map(folded, there or columns))
        if missing := [column for column in columns if folded(column) not in known]:
            raise wrong(
                f"wanted {listed(missing)} in {where}; columns there: {', '.join(there)}",
                hint="ALTER TABLE ... ADD COLUMN, or map the records to the columns that are there",
            )

    def _create(self, record: RecordType, fields: Sequence[Field]) -> None:
        if self._sink.create:
            self._db.execute(self._sink.table.create_sql(record, fields))
            return
        tables = self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        found = ", ".join(name for (name,) in tables.fetchall()) or "none"
        raise ConnectorError(
            f"wanted the {self._sink.where}, which is not there; tables there: {found}", hint="or pass create=True"
        )

    def _try_out(self, insert: _Insert) -> None:
        """Insert no rows, so that what will not do is not first found out when a record has come."""
        try:
            self._db.execute(insert.sql_of_none)
        except sqlite3.OperationalError as error:
            if "ON CONFLICT" not in str(error):
                raise
            name, key = quoted([self._sink.table.name]), quoted(self._sink.table.key)
            raise ConnectorError(
                f"cannot upsert into {self._sink.where}: no unique index is on exactly its key, {key}",
                hint=f"CREATE UNIQUE INDEX ... ON {name} ({key}), or mode='insert'",
            ) from error
