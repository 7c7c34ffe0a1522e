"""Writes rows to a SQLite table exactly once: they wait in a table beside it until their checkpoint is complete."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from connectors.ledger import LEDGER, Ledger, Token, rows_missing
from connectors.record_types import Field, RecordType
from connectors.sqlite_errors import OF_A_RECORD, code
from connectors.sqlite_rules import Rules
from connectors.sqlite_statements import Table, quoted
from connectors.sqlite_writer import Insert, TableWriter, Target
from engine.errors import ConnectorError, OutputError
from engine.sink import Recovery, SinkContext

_PART = "headgate part"


class StagedTableWriter(TableWriter):
    """Rows are seen when their checkpoint is complete.

    1. `write` inserts rows into a staging table in the same file, with the number of the part that they are of, and
       asks whether rows of the table stand against them. Where the table has rules that neither tells, they are
       inserted into the table first and that is taken back at once: so what it would refuse later it refuses now.
    2. `prepare` brings that to the disk, and begins the next part.
    3. `commit`, in one transaction, moves a part into the table and notes that in the ledger, where the epoch is still
       ours: what has been noted is not done again, and what a newer life of the job has taken over is not done at all.
    4. Who goes on takes over in the ledger, commits what is prepared, and drops what else is staged.
    """

    def __init__(self, target: Target, record: RecordType, context: SinkContext, recovery: Recovery) -> None:
        self._recovery = recovery
        self._index, self._parallelism = context.index, context.parallelism
        self._job, self._sink = recovery.job, context.operator
        self._part, self._rows = 1, 0
        self._is_moved = False
        """Whether rows have been committed that a power cut may still take back."""
        super().__init__(target, record)

    # ----------------------------------------------------------------------------------- to begin with

    def _recover(self) -> None:
        recovery = self._recovery
        self._ledger = Ledger(self._run, LEDGER, recovery, self._sink, self.target.where)
        with self._transaction():
            self._ledger.create("WITHOUT ROWID")
            instances = self._ledger.instances(self._index, self._parallelism)
            self._ledger.take_over(instances, None if self.target.table.upsert else self._holds_rows)
        for token in recovery.prepared:
            self.commit(token)
        with self._transaction():
            for instance in instances:
                self._db.execute(f"DROP TABLE IF EXISTS {self._staging(instance)}")

    def _holds_rows(self) -> bool:
        name = self.target.table.name
        is_there = self._run("SELECT 1 FROM sqlite_master WHERE name = ? COLLATE NOCASE", name)
        return bool(is_there and self._run(f"SELECT 1 FROM {quoted([name])} LIMIT 1"))

    def _run(self, sql: str, *values: Any) -> list[Any]:
        return self._db.execute(sql, values).fetchall()

    def _name(self, instance: int) -> str:
        """That of the table where rows of `instance` wait."""
        return f"headgate_staged/{self._job}/{self._sink}/{instance}"

    def _staging(self, instance: int) -> str:
        return quoted([self._name(instance)])

    def _plan(self, record: RecordType, fields: Sequence[Field], wrong: type[ConnectorError]) -> Insert:
        insert = super()._plan(record, fields, wrong)
        rules = Rules(self._db, self.target.table, insert.columns)
        staging = self._staging(self._index)
        self._is_tried = rules.refuse_more
        self._refused = None if rules.refused is None or self._is_tried else _any(staging, rules.refused)
        columns = [f"{quoted([_PART])} INTEGER NOT NULL", *rules.declarations]
        self._db.execute(f"CREATE TABLE {staging} ({', '.join(columns)})")
        for number, unique in enumerate(rules.unique):
            index = quoted([f"{self._name(self._index)}/{number}"])
            self._db.execute(f"CREATE UNIQUE INDEX {index} ON {staging} ({unique})")
        return insert

    # ------------------------------------------------------------------------------- rows come and wait

    def _add(self, records: list[Any], insert: Insert) -> None:
        self._ledger.check(self._index)
        if self._is_tried:
            self._try(records, insert)
        last = self._last() if self._refused else 0
        super()._add(records, self._into_staging(insert))
        if self._refused and self._run(self._refused, last):
            self._try(records, insert)  # which says which of them, and why

    def _try(self, records: list[Any], insert: Insert) -> None:
        """Insert `records` into the table itself, and take that back."""
        self._db.execute("SAVEPOINT trial")
        super()._add(records, insert)
        self._db.execute("ROLLBACK TO trial")

    def _last(self) -> int:
        """The number of the row that was staged last."""
        ((last,),) = self._run(f"SELECT max(rowid) FROM {self._staging(self._index)}")
        return last or 0

    def write(self, records: list[Any]) -> None:
        super().write(records)
        self._rows += len(records)

    def _into_staging(self, insert: Insert) -> Insert:
        into = f"INSERT INTO {self._staging(self._index)} ({quoted([_PART, *insert.columns])})"
        values = f"VALUES ({', '.join([str(self._part), *'?' * len(insert.columns)])})"
        none = Table.no_rows([_PART, *insert.columns])
        return insert._replace(sql=f"{into} {values}", sql_of_none=f"{into} {none}")

    def prepare(self, checkpoint: int) -> Token:
        token = {"table": self.target.table.name, "instance": self._index, "epoch": self._recovery.epoch}
        token |= {"part": self._part, "rows": self._rows, "checkpoint": checkpoint}
        if self._rows or self._is_moved:  # a checkpoint after this one does not know any more what was committed before
            with self._trying_to("prepare rows for"), self._durable(), self._transaction():
                self._ledger.prepared(self._index, self._part)
            self._is_moved = False
        self._part, self._rows = self._part + 1, 0
        return token

    @contextmanager
    def _durable(self) -> Iterator[None]:
        """The next transaction is on the disk when it is over, and all before it: not one of them is otherwise."""
        self._db.execute("PRAGMA synchronous = FULL")
        yield
        if self.is_wal:
            self._db.execute("PRAGMA synchronous = NORMAL")

    # --------------------------------------------------------------------------------- rows can be seen

    def commit(self, prepared: Token) -> None:
        if not prepared["rows"]:
            return
        with self._trying_to("commit rows to"), self._transaction():
            if self._ledger.commits(prepared):
                self._move(prepared)
        self._is_moved = True

    def _move(self, token: Token) -> None:
        staging, part = self._staging(token["instance"]), token["part"]
        info = self._db.execute("SELECT name FROM pragma_table_info(?)", (self._name(token["instance"]),))
        columns = [name for (name,) in info.fetchall() if name != _PART]
        found, waiting = self._count(staging, part) if columns else (0, 0)
        if found != token["rows"]:
            raise rows_missing(token, found, f"{staging} of {self.target.database}")
        table = replace(self.target.table, name=token["table"])
        of_part = f"SELECT {quoted(columns)} FROM {staging} WHERE {quoted([_PART])} = ?"
        try:
            self._db.execute(table.insert_sql(columns, f"{of_part} ORDER BY rowid"), (part,))
        except sqlite3.Error as error:
            if code(error) not in OF_A_RECORD:
                raise
            row = self._culprit(table.insert_sql(columns), of_part, part)
            raise OutputError(
                f"cannot commit rows to {self.target.where}: {error}; row {row!r:.200}",
                hint=f"the rows stay in {staging}: remove what this one collides with, and run the job again",
            ) from error
        if waiting == found:  # all of it at once, which is much quicker
            self._db.execute(f"DELETE FROM {staging}")
        else:
            self._db.execute(f"DELETE FROM {staging} WHERE {quoted([_PART])} = ?", (part,))

    def _count(self, staging: str, part: int) -> tuple[int, int]:
        """How many rows of `part`, and of all parts, wait."""
        ((found, waiting),) = self._db.execute(f"SELECT sum({quoted([_PART])} = ?), count(*) FROM {staging}", (part,))
        return found or 0, waiting

    def _culprit(self, insert: str, rows: str, part: int) -> Any:
        """The first row that the table refuses."""
        for row in self._db.execute(f"{rows} ORDER BY rowid", (part,)).fetchall():
            try:
                self._db.execute(insert, row)
            except sqlite3.Error:
                return row
        return None

    def finish(self) -> None:
        """All is committed: nothing waits any more."""
        try:
            with self._trying_to("tidy up behind"), self._transaction():
                self._ledger.check(self._index)
                self._db.execute(f"DROP TABLE IF EXISTS {self._staging(self._index)}")
        except BaseException:
            self.abort()
            raise
        super().finish()


def _any(staging: str, condition: str) -> str:
    """Finds whether a row behind a given one meets `condition`."""
    return f"SELECT 1 FROM {staging} AS staged WHERE staged.rowid > ? AND ({condition}) LIMIT 1"
