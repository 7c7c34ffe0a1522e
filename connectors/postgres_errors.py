"""PostgreSQL's errors in Headgate's terms: what was wanted, what came, who is to blame and what to do about it."""

from __future__ import annotations

from typing import Any

import psycopg

from engine.errors import ConnectorError, OutputError

_HINTS = {
    "22001": "make the column wider, or the value shorter",
    "22003": "make the column bigint, numeric or double precision",
    "22021": "PostgreSQL's text holds no NUL character: take it out, or use bytes",
    "22P05": "PostgreSQL's text and jsonb hold no NUL character: take it out, or use bytes",
    "23502": "make the field `... | None` before the table is made, or give the column a default or no NOT NULL",
    "25006": "a standby takes no writes: name the primary, or several hosts with target_session_attrs=read-write",
    "42501": "GRANT it to the user who runs the job, or name another user",
    "42601": "write one SELECT; with parameters, a % that is no placeholder is written %%",
    "53100": "make room on the server's disk; committed rows are kept",
    "53300": "raise max_connections, or use fewer writers (parallelism)",
    "55P03": "another connection holds it: let that one finish, or raise lock_timeout",
    "57014": "raise statement_timeout, as in conninfo's options='-c statement_timeout=60s', or make the query faster",
}
_UNREACHED = "check host, port, database, user and password (conninfo, the PG* variables or ~/.pgpass)"
_LOST = "is the server up, and does anything between cut idle connections?"

OF_A_RECORD = ("21", "22", "23", "44", "54", "P0")
"""The classes of SQLSTATE that say that a record, or what the table makes of it, is to blame."""

_PASSING = {"40001", "40P01"}
"""A transaction that others stood in the way of: rolled back, and worth trying again."""

_GONE = ("08", "57P")
"""The server ended the connection, or is about to."""


def sqlstate(error: BaseException) -> str:
    """PostgreSQL's code; "" for what did not come from the server."""
    return getattr(error, "sqlstate", None) or ""


def is_lost(error: BaseException, connection: Any) -> bool:
    """Whether the connection is no more."""
    return isinstance(error, psycopg.Error) and (
        connection is None or connection.closed or sqlstate(error).startswith(_GONE)
    )


def is_outage(error: Exception) -> bool:
    """Whether what was raised while a record was being sent is not that record's fault, or not for certain."""
    if isinstance(error, psycopg.Error):
        return bool(sqlstate(error)) or isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return isinstance(error, MemoryError | OSError)


def is_passing(error: BaseException) -> bool:
    """Whether the same transaction may well succeed a moment later."""
    return sqlstate(error) in _PASSING


def failure(wanted: str, error: BaseException, record: str = "") -> ConnectorError:
    """Say that what was `wanted` did not happen, and which `record` is to blame."""
    blamed = OutputError if record or sqlstate(error).startswith(OF_A_RECORD) else ConnectorError
    return blamed(f"{wanted}: {said(error)}{record}", hint=_hint(error))


def said(error: BaseException) -> str:
    """What the server said, on one line, without the statement."""
    if not isinstance(error, psycopg.Error):
        return f"{type(error).__name__}: {error}"
    primary, detail = error.diag.message_primary, error.diag.message_detail
    return " ".join((f"{primary} ({detail})" if detail else primary or str(error)).split())


def _hint(error: BaseException) -> str | None:
    if not isinstance(error, psycopg.OperationalError) or sqlstate(error) in _HINTS:
        return _HINTS.get(sqlstate(error)) or getattr(getattr(error, "diag", None), "message_hint", None)
    if not sqlstate(error):
        return _UNREACHED if "connection failed" in str(error) or "connection to server" in str(error) else _LOST
    return error.diag.message_hint or (_LOST if sqlstate(error).startswith(_GONE) else None)
