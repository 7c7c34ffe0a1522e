"""Writes records as rows of a table in a SQLite file: a batch is a transaction."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from operator import length_hint
from typing import Any, NamedTuple

from connectors.record_types import Field, RecordType, record_type
from connectors.rows import Row, listed, row_encoder, tuple_fields
from connectors.sqlite_errors import OF_A_RECORD, RETRY_SECONDS, code, failure, is_locked
from connectors.sqlite_statements import Table, folded, quoted
from engine.errors import ConnectorError, GraphError, OutputError
from engine.sink import Writer

_WAL_PAGES = 4000
"""How many pages, of 4 KiB mostly, wait in the WAL before they are moved into the file."""


@dataclass(frozen=True)
class Target:
    """What `sqlite_table` was told."""

    database: str
    table: Table
    create: bool
    timeout: float

    @property
    def where(self) -> str:
        return f"table {self.table.name!r} of {self.database}"


class Insert(NamedTuple):
    """How records get into a table."""

    columns: Sequence[str]
    sql: str
    sql_of_none: str
    """The same with no rows: what is wrong with it is not the fault of a record."""
    row: Callable[[Any], Row]


class TableWriter(Writer[Any]):
    """Each batch is a transaction, and then there to be seen."""

    def __init__(self, target: Target, record: RecordType) -> None:
        self.target = target
        self._insert: Insert | None = None
        is_new = not os.path.exists(target.database) or os.path.getsize(target.database) == 0
        with self._trying_to("open"):
            self._db = sqlite3.connect(target.database, timeout=0, isolation_level=None)
        try:
            with self._trying_to("open"):
                self._set_up(is_new)
                self._recover()
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

    def _recover(self) -> None:
        """What is to be done before the table is looked at."""

    def _set_up(self, is_new: bool) -> None:
        if is_new:
            self._until_free("PRAGMA journal_mode = WAL")
        # Safe in WAL mode alone: elsewhere a power cut could then break the file.
        self.is_wal = self._until_free("PRAGMA journal_mode") == [("wal",)]
        if self.is_wal:
            self._db.execute("PRAGMA synchronous = NORMAL")
            # SQLite's own 1000 bring a page of an index, which changes again and again, to the file each time.
            self._db.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}")

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
            raise failure(f"cannot {what} {self.target.where}", error, self.target.timeout) from error

    def _until_free(self, sql: str) -> list[Any]:
        """Run `sql`, again and again for `timeout` seconds while another connection has the lock."""
        give_up = time.monotonic() + self.target.timeout
        while True:
            try:
                return self._db.execute(sql).fetchall()
            except sqlite3.OperationalError as error:
                if not is_locked(error) or time.monotonic() >= give_up:
                    raise
            time.sleep(RETRY_SECONDS)

    # ---------------------------------------------------------------------------------- adding rows

    def _add(self, records: list[Any], insert: Insert) -> None:
        rest = iter(records)
        try:
            self._db.executemany(insert.sql, map(insert.row, rest))
        except Exception as error:
            taken = len(records) - length_hint(rest)  # executemany takes a record only when the one before it is in
            if not taken or not self._is_refusal(error, insert):
                raise
            about = f"; record {taken} of {len(records)}: {records[taken - 1]!r:.200}"
            raise failure(f"cannot write to {self.target.where}", error, 0, about) from error

    def _is_refusal(self, error: Exception, insert: Insert) -> bool:
        """Whether the record that was taken last is to blame for `error`."""
        if code(error) != sqlite3.SQLITE_ERROR:
            return code(error) in OF_A_RECORD | {0}
        try:
            self._db.execute(insert.sql_of_none)
        except sqlite3.Error:
            return False  # the table is no longer there, or no longer what it was
        return True  # it is an expression of the table's own, as in a CHECK, that has failed

    # ------------------------------------------------------------------------- what is to be inserted

    def _plan_from(self, first: Any) -> Insert:
        record = record_type(type(first))
        if record is None:
            raise OutputError(f"wanted rows for {self.target.where}, came {first!r:.200}")
        fields: Sequence[Field] = record.fields
        if record.kind == "dict":
            # The first record stands for all: Optional, as the next one may have None there.
            fields = [Field(name, name, Any if v is None else type(v) | None) for name, v in first.items()]
        return self._plan(record, fields, OutputError)

    def _plan(self, record: RecordType, fields: Sequence[Field], wrong: type[ConnectorError]) -> Insert:
        """Work out how to insert such records, and make the table; raise `wrong` if their fields do not suit it."""
        table, where = self.target.table, self.target.where
        info = self._db.execute("SELECT name FROM pragma_table_info(?)", (table.name,))
        there = [name for (name,) in info.fetchall()]
        if record.kind == "tuple" and there:
            fields = tuple_fields(record, there, where, wrong)
        if not fields:
            blamed = ConnectorError if record.kind == "tuple" else wrong
            message = f"a {record.cls.__name__} names no columns, and there is no {where} to take them from"
            raise blamed(message, hint="create the table, or use a NamedTuple", final=True)
        columns = [field.column for field in fields]
        self._check(columns, there, wrong)
        if not there:
            self._create(record, fields)
        sql, sql_of_none = table.insert_sql(columns), table.insert_sql(columns, table.no_rows(columns))
        insert = Insert(columns, sql, sql_of_none, row_encoder(record, fields))
        self._try_out(insert)
        return insert

    def _check(self, columns: Sequence[str], there: Sequence[str], wrong: type[ConnectorError]) -> None:
        """Raise `wrong` unless a table can have `columns`, and the one that is `there` has them."""
        where = self.target.where
        if complaint := self.target.table.complaint(columns):
            raise wrong(f"cannot write to {where}: {complaint}", final=True)
        known = set(map(folded, there or columns))
        if missing := [column for column in columns if folded(column) not in known]:
            raise wrong(
                f"wanted {listed(missing)} in {where}; columns there: {', '.join(there)}",
                hint="ALTER TABLE ... ADD COLUMN, or map the records to the columns that are there",
                final=True,
            )

    def _create(self, record: RecordType, fields: Sequence[Field]) -> None:
        if self.target.create:
            self._db.execute(self.target.table.create_sql(record, fields))
            return
        tables = self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        found = ", ".join(name for (name,) in tables.fetchall()) or "none"
        raise ConnectorError(
            f"wanted the {self.target.where}, which is not there; tables there: {found}",
            hint="or pass create=True",
            final=True,
        )

    def _try_out(self, insert: Insert) -> None:
        """Insert no rows, so that what will not do is not first found out when a record has come."""
        try:
            self._db.execute(insert.sql_of_none)
        except sqlite3.OperationalError as error:
            if "ON CONFLICT" not in str(error):
                raise
            name, key = quoted([self.target.table.name]), quoted(self.target.table.key)
            raise ConnectorError(
                f"cannot upsert into {self.target.where}: no unique index is on exactly its key, {key}",
                hint=f"CREATE UNIQUE INDEX ... ON {name} ({key}), or mode='insert'",
                final=True,
            ) from error
