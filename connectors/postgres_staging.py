"""Writes rows to a PostgreSQL table exactly once: they wait in tables beside it until their checkpoint is complete."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import psycopg
from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from connectors.background import Background
from connectors.ledger import LEDGER, Ledger, Token, rows_missing
from connectors.postgres_errors import OF_A_RECORD, said, sqlstate
from connectors.postgres_server import Patience
from connectors.postgres_session import Cursor, Session, Work
from connectors.postgres_statements import (
    BESIDE,
    COLUMNS,
    HOLDERS,
    MAY_REFUSE,
    ONE_BY_ONE,
    ORDER,
    UNIQUE,
    UNIQUE_COLUMNS,
    Table,
    Unique,
)
from connectors.postgres_writer import Load, TableWriter, Target
from connectors.record_types import Field, RecordType
from engine.errors import ConnectorError
from engine.sink import Recovery, SinkContext

_LAST = SQL("SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'")
"""What is committed is to outlive a crash of the server."""

_ROOM = SQL(
    "SELECT set_config('work_mem', '64MB', true) "
    "WHERE pg_size_bytes(current_setting('work_mem')) < pg_size_bytes('64MB')"
)
"""To sort the rows of a part without files."""

_BY_INDEX = SQL("SELECT set_config('enable_seqscan', 'off', false), set_config('jit', 'off', false)")
"""Rows are looked up in indexes, also where what is known of a table dates from when it was small; and what takes 2 ms
is not worth being compiled for 30."""

_TRY_LOCK = SQL("SELECT pg_try_advisory_xact_lock({})")


class _Moving(NamedTuple):
    """A part of an instance whose rows come into the table just now."""

    work: Background
    instance: int
    part: Table


class StagedTableWriter(TableWriter):
    """Rows are seen when their checkpoint is complete.

    1. `write` copies rows into a table of their part alone, which is made in the same transaction, with the unique
       indexes of the table. Then they are looked up in the table and in the parts that wait. Where it has other rules,
       they are inserted into it first and that is taken back at once: so what the table would refuse later is refused
       now.
    2. `prepare` begins the next part: what was written is on the disk already.
    3. `commit`, in one transaction, moves a part into the table and notes it in the ledger, where the epoch is still
       ours: what has been noted is not done again, and what a newer life of the job has taken over is not done at all.
       That goes on over a connection of its own while more is written.
    4. `settle` waits for that, and drops the table of the part.
    5. Who goes on takes over in the ledger, commits what is prepared, and drops what else is staged.

    Each transaction shares an advisory lock of the instance with others of this life, so that the ledger's row is as it
    was seen until it is over. Who takes over wants that lock alone, and ends those that an older life has begun and
    perhaps never ends, as its process stands still.
    """

    def __init__(self, target: Target, record: RecordType, context: SinkContext, recovery: Recovery) -> None:
        self._recovery, self._sink = recovery, context.operator
        self._index, self._parallelism = context.index, context.parallelism
        self._names = hashlib.blake2b(f"{recovery.job}\0{self._sink}".encode(), digest_size=6).hexdigest()
        self._part, self._waiting, self._is_begun = 1, 0, False
        self._parts: list[Table] = []
        """Those that wait for their commit."""
        self._looked_up: list[Unique] = []
        """The unique indexes, where nothing else of the table may stand against a row."""
        self._unique: list[str] = []
        """How the unique indexes go on, behind the name of what they are on."""
        self._last, self._reached = 0, 0
        """The number of this part's last row, and of the last one that may not be committed."""
        self._is_tried = False
        self._moving: _Moving | None = None
        self._mover: Session | None = None
        """The connection of what is moving."""
        super().__init__(target, record)

    # ----------------------------------------------------------------------------------- to begin with

    def _connected(self, cursor: Cursor) -> None:
        cursor.execute(_LAST)
        cursor.execute(_BY_INDEX)
        super()._connected(cursor)

    def _recover(self) -> None:
        self._session.run(self._take_over)
        try:
            for token in self._recovery.prepared:
                self.commit(token)
        finally:
            self.settle()
        for instance in self._instances:
            self._run(partial(self._drop_leftovers, instance=instance), instance)
        self._first = self._entry(self._index)

    @property
    def _ledger_table(self) -> Table:
        return self.target.table.beside(LEDGER)

    def _ledger(self, cursor: Cursor | None = None) -> Ledger:
        def run(sql: str, *values: Any) -> list[Any]:
            assert cursor is not None
            cursor.execute(sql.replace("?", "%s"), values)
            return cursor.fetchall() if cursor.description else []

        table = self._ledger_table.identifier.as_string()
        return Ledger(run, table, self._recovery, self._sink, self.target.where)

    def _take_over(self, cursor: Cursor) -> None:
        cursor.execute(_LAST)
        cursor.execute(_BY_INDEX)
        self._lock_from_others(cursor, self._index)
        ledger = self._ledger(cursor)
        if _only(cursor, SQL("SELECT to_regclass(%s) IS NULL"), self._ledger_table.identifier.as_string(cursor)):
            cursor.execute(self._ledger_table.lock())
            ledger.create()
        self._instances = ledger.instances(self._index, self._parallelism)
        for instance in self._instances:
            self._lock_from_others(cursor, instance)
        ledger.take_over(self._instances, None if self.target.table.upsert else lambda: self._holds_rows(cursor))

    def _holds_rows(self, cursor: Cursor) -> bool:
        table = self.target.table
        is_there = _only(cursor, SQL("SELECT to_regclass(%s) IS NOT NULL"), table.identifier.as_string(cursor))
        return bool(is_there and _only(cursor, table.holds_rows()))

    def _lock_from_others(self, cursor: Cursor, instance: int) -> None:
        """Get the instance's lock, whoever has it: an older life's transaction, which shall not be committed."""
        patience, number = Patience(self.target.server.timeout), self._lock_number(instance)
        while not _only(cursor, _TRY_LOCK.format(Literal(number))):
            for (pid,) in cursor.execute(HOLDERS, (number,)).fetchall():
                cursor.execute("SELECT pg_terminate_backend(%s)", (pid,))
            pause = patience.pause()
            if pause is None:
                raise ConnectorError(f"cannot write to {self.target.where}: an older life of the job does not let go")
            time.sleep(pause)

    def _lock_number(self, instance: int) -> int:
        digest = hashlib.blake2b(f"{self._names}/{instance}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, signed=True)

    def _drop_leftovers(self, cursor: Cursor, instance: int) -> None:
        ledger = self._ledger_table.identifier.as_string(cursor)
        for (name,) in cursor.execute(BESIDE, (f"{self._prefix(instance)}/", ledger)).fetchall():
            cursor.execute(self.target.table.beside(name).drop())

    def _prefix(self, instance: int) -> str:
        return f"headgate_staged/{self._names}/{instance}"

    def _stage(self, instance: int, epoch: int, part: int) -> Table:
        """Where the rows of a part wait."""
        return self.target.table.beside(f"{self._prefix(instance)}/{epoch}/{part}")

    def _entry(self, instance: int) -> Composable:
        """What a transaction begins with: nobody takes over from now on, and whoever has is in the ledger's row."""
        lock = SQL("SELECT pg_advisory_xact_lock_shared({}); ").format(Literal(self._lock_number(instance)))
        question, values = self._ledger().question(instance)
        *texts, end = map(SQL, question.split("?"))
        return Composed([lock, *chain.from_iterable(zip(texts, map(Literal, values), strict=True)), end])

    def _check_entry(self, cursor: Cursor) -> None:
        """Raise unless this life may write, by what the `_entry` has found."""
        self._ledger().check_answer(cursor.fetchall())

    def _run(self, work: Work, instance: int) -> None:
        """Do `work` in a transaction in which the instance stays ours."""

        def entered(cursor: Cursor) -> None:
            self._check_entry(cursor)
            work(cursor)

        self._session.run(entered, self._entry(instance))

    # ------------------------------------------------------------------------- how rows get in

    _may_copy = False

    def _planned(
        self, cursor: Cursor, record: RecordType, fields: Sequence[Field], wrong: type[ConnectorError]
    ) -> Load:
        self._check_entry(cursor)
        load = super()._planned(cursor, record, fields, wrong)
        table = self.target.table
        name = table.identifier.as_string(cursor)
        self._there = [row[0] for row in cursor.execute(COLUMNS, (name,)).fetchall()]
        indexes = cursor.execute(UNIQUE_COLUMNS, (name,)).fetchall()
        fine = [names for names, _ in indexes if set(names) == set(table.key)]
        if not table.upsert:
            fine = [names for names, _ in indexes if set(names) <= set(load.columns)]
            self._unique = self._indexes_of(cursor, name, load.columns)
        self._is_tried = len(fine) < len(indexes) or _only(cursor, MAY_REFUSE, name)
        self._looked_up = [] if table.upsert or self._is_tried else [list(zip(*each, strict=True)) for each in indexes]
        return load

    def _indexes_of(self, cursor: Cursor, table: str, columns: Sequence[str]) -> list[str]:
        """Those unique ones that a table of these columns alone can have."""
        found = []
        cursor.execute(self._here.drop())
        cursor.execute(self._here.create_as(self.target.table, columns))
        for (index,) in cursor.execute(UNIQUE, (table,)).fetchall():
            cursor.execute("SAVEPOINT index")
            try:
                cursor.execute(self._here.index(index))
            except psycopg.ProgrammingError:  # it is on others, too
                cursor.execute("ROLLBACK TO index")
            else:
                found.append(index)
        cursor.execute(self._here.drop())
        return found

    def _plan(self, record: RecordType, fields: Sequence[Field], wrong: type[ConnectorError]) -> None:
        super()._plan(record, fields, wrong)
        self._enter_part()

    def _enter_part(self) -> None:
        """Where nothing stands between, rows are copied into their part at once."""
        if self._load is not None and self._load.is_plain and not self._is_tried:
            self._load = self._load._replace(copy=self._here.copy(self._load.columns), insert=None)

    @property
    def _here(self) -> Table:
        return self._stage(self._index, self._recovery.epoch, self._part)

    def _begin_part(self, cursor: Cursor, load: Load) -> None:
        if self._is_tried:
            cursor.execute(self._here.create_as(self.target.table, load.columns))
        else:
            for statement in self._here.create_like(self.target.table, load.columns, self._there):
                cursor.execute(statement)
        if self._looked_up or self.target.table.upsert:
            cursor.execute(self._here.number_rows())
        if self._looked_up:
            cursor.execute(self._here.index_numbers())
        for index in self._unique:
            cursor.execute(self._here.index(index))

    # ------------------------------------------------------------------------------- rows come and wait

    def _add(self, cursor: Cursor, records: Sequence[Any]) -> None:
        assert self._load is not None
        self._check_entry(cursor)
        if not self._is_begun:
            self._begin_part(cursor, self._load)
        super()._add(cursor, records)
        if self._looked_up:
            self._look_up(cursor, self._load)

    def _insert(self, cursor: Cursor, insert: Composed) -> None:
        load, target = self._load, self.target.table
        assert load is not None
        if self._is_tried:
            earlier = self._parts if self._unique else []
            self._try(cursor, [insert, *(part.insert(load.columns, load.values) for part in earlier)])
        cursor.execute(self._here.insert(load.columns, load.values, numbered=target.upsert))

    def _look_up(self, cursor: Cursor, load: Load) -> None:
        """Raise if a unique index of the table stands against the rows that have come: to insert them says which."""
        tables = [self.target.table, *self._parts]
        look = self._here.collide(self._looked_up, tables)
        ((self._reached, is_taken),) = cursor.execute(look, (self._last,)).fetchall()
        if is_taken:
            new, columns = self._here.behind(self._last), list(map(Identifier, load.columns))
            self._try(cursor, [table.insert(load.columns, columns, new) for table in tables])

    def _try(self, cursor: Cursor, inserts: Sequence[Composed]) -> None:
        """Insert rows into the table, and into parts that wait, and take that back."""
        cursor.execute("SAVEPOINT trial")
        for insert in inserts:
            cursor.execute(insert)
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ROLLBACK TO trial")

    def write(self, records: list[Any]) -> None:
        super().write(records)
        self._last = self._reached
        self._waiting += len(records)
        self._is_begun = self._is_begun or bool(records)

    def prepare(self, checkpoint: int) -> Token:
        token = {"table": self.target.table.name, "instance": self._index, "epoch": self._recovery.epoch}
        token |= {"part": self._part, "rows": self._waiting, "checkpoint": checkpoint}
        if self._waiting:
            self._parts.append(self._here)
        self._part, self._waiting, self._is_begun = self._part + 1, 0, False
        self._last, self._reached = 0, 0
        self._enter_part()
        return token

    # --------------------------------------------------------------------------------- rows can be seen

    def commit(self, prepared: Token) -> bool:
        self.settle()
        if not prepared["rows"]:
            return False
        instance = prepared["instance"]
        part = self._stage(instance, prepared["epoch"], prepared["part"])

        def move() -> None:
            with self._trying_to("commit rows to"), self._naming_what_stays(part):
                self._moves().run(lambda cursor: self._commit(cursor, prepared, part), self._entry(instance))

        self._moving = _Moving(Background(move, f"commit of {part}"), instance, part)
        if self._is_tried:  # what is tried on the table meanwhile would come across these rows
            self.settle()
        return self._moving is not None

    def settle(self, *, wait: bool = True) -> bool:
        if (moving := self._moving) is None:
            return True
        if not wait and not moving.work.is_over:
            return False
        self._moving = None
        moving.work.wait()
        self._parts = [each for each in self._parts if each != moving.part]
        with self._trying_to("tidy up behind"):
            self._run(partial(self._drop, part=moving.part), moving.instance)
        return True

    def _drop(self, cursor: Cursor, part: Table) -> None:
        cursor.execute(part.drop())

    def finish(self) -> None:
        try:
            self.settle()
        finally:
            self._let_go()

    abort = finish

    def _let_go(self) -> None:
        super()._let_go()
        if self._mover is not None:
            self._mover.close()

    def _moves(self) -> Session:
        """The connection over which parts are moved."""
        if self._mover is None:
            self._mover = Session(self.target.server, _ready_to_move)
            self._mover.run(_ready_to_move)
        return self._mover

    def _commit(self, cursor: Cursor, token: Token, part: Table) -> None:
        self._check_entry(cursor)
        if self._ledger(cursor).commits(token):
            self._move(cursor, token, part)

    def _move(self, cursor: Cursor, token: Token, part: Table) -> None:
        found = cursor.execute(COLUMNS, (part.identifier.as_string(cursor),)).fetchall()
        columns = [row[0] for row in found if row[0] != ORDER]
        table = replace(self.target.table, name=token["table"])
        cursor.execute(_ROOM)
        moved = 0
        if columns:
            insert = table.insert(columns, list(map(Identifier, columns)), part.identifier)
            moved = cursor.execute(insert).rowcount
        if moved != token["rows"]:  # which may be all right: in an upsert, or by triggers
            there = _only(cursor, part.count()) if columns else 0
            if there != token["rows"]:
                raise rows_missing(token, there, f"table {part} of {self.target.server.name}")

    @contextmanager
    def _naming_what_stays(self, part: Table) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            if not sqlstate(error).startswith(OF_A_RECORD):
                raise
            raise ConnectorError(
                f"cannot commit rows to {self.target.where}: {said(error)}",
                hint=f"the rows stay in table {part}: remove what one of them collides with, and run the job again",
            ) from error


def _ready_to_move(cursor: Cursor) -> None:
    cursor.execute(_LAST)
    cursor.execute(ONE_BY_ONE)


def _only(cursor: Cursor, query: Composed | SQL, *values: Any) -> Any:
    """The one value that `query` finds."""
    ((value,),) = cursor.execute(query, values or None).fetchall()
    return value
