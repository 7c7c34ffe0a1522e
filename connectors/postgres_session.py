"""One connection of a sink: runs transactions, each exactly once, though the connection may be lost at any moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg
from psycopg.sql import SQL, Composable

from connectors.postgres_errors import is_lost, is_passing
from connectors.postgres_server import Patience, Server, adapt
from engine.errors import ConnectorError

Cursor = psycopg.Cursor[Any]
Work = Callable[[Cursor], None]

NOTHING = SQL("")
_BEGIN = SQL("BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_current_xact_id()::text; {}")
"""One message: neither the number nor what comes first costs a round trip of its own."""


class InDoubt(ConnectorError):
    """Nobody can say whether a transaction was committed."""


class Session:
    """Connects at once; `prepare` is done on every connection, the first one's excepted."""

    def __init__(self, server: Server, prepare: Work) -> None:
        self._server, self._prepare = server, prepare
        self._transaction: str | None = None  # the number of the one that is being committed
        self._db = self._connected()

    def run(self, work: Work, first: Composable = NOTHING) -> None:
        """Do `work` in one transaction, whose first statements are `first`: `work` finds the rows of the last of them.

        1. Where the connection is lost, or others stand in the way of the transaction, and nothing was committed: do
           all of it again, over a new connection if need be, for as long as the server's `timeout` says.
        2. Where the connection is lost during the commit itself, the server knows how the transaction ended.
        3. Anything else is raised; then nothing was written.
        """
        patience = Patience(self._server.timeout)
        while True:
            try:
                if self._is_done(patience):
                    return
                self._try(work, first)
                return
            except psycopg.Error as error:
                if not is_passing(error) and not is_lost(error, self._db):
                    raise
                self._wait(patience, error)

    def try_out(self, work: Work, first: Composable = NOTHING) -> None:
        """Do `work` in a transaction that leaves nothing."""
        with self._db.cursor() as cursor:
            try:
                _begin(cursor, first)
                work(cursor)
                cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            finally:
                self._roll_back()

    def is_lost(self, error: Exception) -> bool:
        return is_lost(error, self._db)

    def close(self) -> None:
        """Let go of the connection; what is open on it is rolled back."""
        self._db.close()

    def _connected(self) -> psycopg.Connection[Any]:
        db = psycopg.connect(self._server.address(), autocommit=True)
        adapt(db.adapters, db)
        return db

    def _try(self, work: Work, first: Composable) -> None:
        if self._db.closed:
            self._db = self._connected()
            with self._db.cursor() as cursor:
                self._prepare(cursor)
        with self._db.cursor() as cursor:
            try:
                number = _begin(cursor, first)
                work(cursor)
            except BaseException:
                self._roll_back()
                raise
            self._transaction = number
            try:
                cursor.execute("COMMIT")
            except psycopg.Error as error:
                if not is_lost(error, self._db):
                    self._transaction = None  # the server refused it
                raise
            self._transaction = None

    def _roll_back(self) -> None:
        with suppress(psycopg.Error):
            self._db.execute("ROLLBACK")

    def _wait(self, patience: Patience, error: psycopg.Error) -> None:
        """Wait before the next try; raise what went wrong when there shall be none."""
        if is_lost(error, self._db):
            self._db.close()
        pause = patience.pause()
        if pause is not None:
            time.sleep(pause)
        elif self._transaction is None:
            raise error
        else:
            raise InDoubt("the connection was lost during a commit") from error

    # ------------------------------------------------------------------------------ how a commit ended

    def _is_done(self, patience: Patience) -> bool:
        """Whether the transaction whose commit was under way when the connection was lost has been committed."""
        while self._transaction is not None:
            status = self._status(self._transaction)
            if status in {"committed", "aborted"}:
                self._transaction = None
                return status == "committed"
            pause = patience.pause() if status == "in progress" else None
            if pause is None:
                raise InDoubt("the connection was lost during a commit")
            time.sleep(pause)  # its process has not noticed yet that nobody is there
        return False

    def _status(self, number: str) -> str | None:
        with psycopg.connect(self._server.address(), autocommit=True) as db:
            try:
                ((status,),) = db.execute("SELECT pg_xact_status(%s::xid8)", (number,)).fetchall()
            except psycopg.errors.InvalidParameterValue:
                # The server has not come to that number: it crashed before it had it on its disk, and so the commit.
                return "aborted"
            return status  # type: ignore[no-any-return]


def _begin(cursor: Cursor, first: Composable) -> str:
    """Begin a transaction; its number."""
    cursor.execute(_BEGIN.format(first))
    cursor.nextset()
    ((number,),) = cursor.fetchall()
    while cursor.nextset():
        pass
    return str(number)
