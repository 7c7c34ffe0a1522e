"""Reads the rows of a query from PostgreSQL by a cursor on the server; by a key it can go on where it was."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg
from psycopg.adapt import Transformer
from psycopg.pq import Format
from psycopg.sql import SQL, Composed, Identifier

from connectors.postgres_errors import failure, is_lost
from connectors.postgres_server import Patience, Server, adapt
from connectors.postgres_types import read_as
from connectors.record_types import RecordType
from connectors.rows import RowDecoder, listed, matched
from engine.errors import ConnectorError
from engine.source import BadRecord, Reader, Source
from engine.types import did_you_mean

T = TypeVar("T")

_ADVICE = "add it to the SELECT, name it with AS, or give the field a default"
_WAIT = 0.1  # seconds that a read may wait for the server


@dataclass(eq=False)
class Query(Source[T]):
    """What `postgres_query` was told."""

    server: Server
    query: str
    parameters: Any
    record: RecordType
    key: tuple[str, ...]
    type: Any
    name = "postgres_query"

    def __post_init__(self) -> None:
        self.resumable = bool(self.key)

    def open(self, partition: str) -> Reader[T]:
        return _QueryReader(self)

    def statement(self, after: Sequence[Any] | None) -> tuple[SQL | Composed, Any]:
        """The query with its parameters; with a key in its order, and only the rows `after` that one."""
        if not self.key:
            return SQL(self.query), self.parameters or None
        text = self.query.rstrip().rstrip(";")
        if after is not None and not self.parameters:
            text = text.replace("%", "%%")  # without parameters it was no placeholder
        names = [f"headgate_{i}" for i in range(len(self.key))]
        is_named = hasattr(self.parameters, "keys")
        marks = SQL(", ").join(SQL(f"%({name})s" if is_named else "%s") for name in names)
        key = SQL(", ").join(map(Identifier, self.key))
        # The line's end is for a comment at the end of the query.
        inner = SQL("SELECT * FROM (") + SQL(text) + SQL("\n) AS headgate")
        order = SQL(" ORDER BY {}").format(key)
        if after is None:
            return inner + order, self.parameters or None
        given = {**self.parameters, **dict(zip(names, after, strict=True))} if is_named else [*self.parameters, *after]
        return inner + SQL(" WHERE ({}) > ({})").format(key, marks) + order, given


class _QueryReader(Reader[T]):
    """Every step is a task of an event loop, which is given a moment at each read: so a query that takes long, or a
    server out of reach, does not keep the job from being stopped."""

    def __init__(self, query: Query[T]) -> None:
        self._query = query
        self._loop = asyncio.new_event_loop()
        self._db: psycopg.AsyncConnection[Any] | None = None
        self._cursor: psycopg.AsyncServerCursor[Any] | None = None
        self._is_started = False
        self._decoder: RowDecoder
        self._task: asyncio.Task[list[Any]] | None = None
        self._rows: list[Any] = []  # those fetched beyond what was asked for last
        self._rows_read = 0
        self._key_places: list[int] = []
        self._after: tuple[Any, ...] | None = None  # the key of the last row that was fetched
        self._given: tuple[Any, ...] | None = None  # and of the last that was given

    def position(self) -> dict[str, Any]:
        return {"after": self._given, "rows": self._rows_read}

    def seek(self, position: dict[str, Any]) -> None:
        if position["after"] is not None:
            self._given = self._after = tuple(position["after"])
        self._rows_read = position["rows"]

    def read(self, limit: int) -> Sequence[T | BadRecord] | None:
        if not self._rows:
            if self._task is None:
                self._task = self._loop.create_task(self._fetched(limit))
            self._loop.run_until_complete(asyncio.wait({self._task}, timeout=_WAIT))
            if not self._task.done():
                return ()
            task, self._task = self._task, None
            try:
                self._rows = task.result()
            except (psycopg.Error, ValueError) as error:
                raise failure(f"cannot read {self._where}", error) from error
        rows, self._rows = self._rows[:limit], self._rows[limit:]
        records = self._records(rows)
        self._rows_read += len(rows)
        if rows and self._key_places:
            self._given = self._key(rows[-1])
        return records or None

    def poll_after(self) -> float | None:
        return 0.0  # the read has waited itself

    def close(self) -> None:
        try:
            self._loop.run_until_complete(self._let_go())
        finally:
            self._loop.close()

    async def _let_go(self) -> None:
        if self._task is not None:
            self._task.cancel()  # which cancels the query on the server, too
            with suppress(asyncio.CancelledError, psycopg.Error):
                await self._task
        await self._drop()

    async def _drop(self) -> None:
        """Let go of connection and cursor, in this order: a cursor of an open connection would ask the server."""
        if self._db is not None:
            await self._db.close()
        if self._cursor is not None:
            await self._cursor.close()
        self._cursor = self._db = None
        self._is_started = False

    @property
    def _where(self) -> str:
        return f"{self._query.server.name} with the query {self._query.query!r}"

    # ------------------------------------------------------------------------------- rows from the server

    async def _fetched(self, limit: int) -> list[Any]:
        patience = Patience(self._query.server.timeout)
        while True:
            try:
                if not self._is_started:
                    await self._start()
                return await self._next_rows(limit)
            except psycopg.OperationalError as error:
                pause = patience.pause() if self._may_go_on(error) else None
                if pause is None:
                    raise
                await self._drop()
                await asyncio.sleep(pause)

    def _may_go_on(self, error: psycopg.Error) -> bool:
        """Whether a lost connection may be made anew: only a key tells where the rows go on."""
        return bool(self._query.key) and self._after is not None and is_lost(error, self._db)

    async def _start(self) -> None:
        """Run the query up to its first row."""
        self._db = await psycopg.AsyncConnection.connect(self._query.server.address())
        adapt(self._db.adapters, self._db)
        await self._db.set_read_only(True)
        # Else the server might take a source that waits for a slow sink for one that has been forgotten.
        await self._db.execute("SET idle_in_transaction_session_timeout = 0")
        self._cursor = self._db.cursor("headgate")
        await self._cursor.execute(*self._query.statement(self._after))
        self._match(self._cursor)
        self._is_started = True

    def _match(self, cursor: psycopg.AsyncServerCursor[Any]) -> None:
        record, where = self._query.record, f"the query {self._query.query!r}"
        description = cursor.description or []
        columns = self._columns = [column.name for column in description]
        if missing := [name for name in self._query.key if name not in columns]:
            message = f"wanted {listed(missing)} of the key in {where}"
            raise ConnectorError(message, hint=did_you_mean(missing[0], columns), final=True)
        self._key_places = [columns.index(name) for name in self._query.key]
        self._decoder = RowDecoder(
            record,
            matched(record, columns, where, _ADVICE),
            len(columns),
            column=lambda place, field: read_as(description[place].type_code, field),
        )

    async def _next_rows(self, limit: int) -> list[Any]:
        assert self._cursor is not None
        try:
            rows = await self._cursor.fetchmany(limit)
        except (psycopg.DataError, UnicodeDecodeError) as error:
            if getattr(error, "sqlstate", None):
                raise
            rows = self._loaded_one_by_one(self._cursor)
        if self._key_places and rows:
            self._note_keys(rows)
        return rows

    def _loaded_one_by_one(self, cursor: psycopg.AsyncServerCursor[Any]) -> list[Any]:
        """The rows that have just been fetched, with a `_Unread` in the place of each value that Python has not."""
        result = cursor.pgresult
        assert result is not None
        loader = Transformer(cursor)
        loader.set_pgresult(result)

        def value(row: int, column: int) -> Any:
            data = result.get_value(row, column)
            if data is None:
                return None
            try:
                return loader.get_loader(result.ftype(column), Format(result.fformat(column))).load(data)
            except (psycopg.DataError, ValueError):
                return _Unread(data)

        return [tuple(value(row, column) for column in range(result.nfields)) for row in range(result.ntuples)]

    def _key(self, row: Any) -> tuple[Any, ...]:
        return tuple(row[place] for place in self._key_places)

    def _note_keys(self, rows: list[Any]) -> None:
        """Remember the last row's key; raise unless each tells its row from all others."""
        keys = list(map(self._key, rows))
        for before, key in zip([self._after, *keys], keys, strict=False):
            if key == before or None in key:
                what = "is null in" if None in key else "is the same in two rows of"
                shown = ", ".join(f"{n}={v!r}" for n, v in zip(self._query.key, key, strict=True))
                raise ConnectorError(
                    f"the key ({shown}) {what} the query {self._query.query!r}",
                    hint="name columns that tell each row from all others, and are never null",
                )
        self._after = keys[-1]

    # ------------------------------------------------------------------------------------- records of rows

    def _records(self, rows: list[Any]) -> list[T | BadRecord]:
        try:
            return self._decoder.records(rows)
        except Exception:  # a record type's own checks may raise anything; each row by itself says which it is
            return [self._one(row, number) for number, row in enumerate(rows, self._rows_read + 1)]

    def _one(self, row: Any, number: int) -> T | BadRecord:
        try:
            record: T = self._decoder.record(row)
        except Exception as error:
            raw = dict(zip(self._columns, row, strict=True))
            place = f"{self._query.server.name}: query row {number}"
            return BadRecord(raw, place, self._decoder.misfit(row, error))
        return record


class _Unread(bytes):
    """A value that Python has no object for (infinity as a date), as the server sent it."""
