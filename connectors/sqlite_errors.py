"""SQLite's errors in Headgate's terms: what was wanted, what came, who is to blame and what to do about it."""

from __future__ import annotations

import sqlite3

from engine.errors import ConnectorError, OutputError

RETRY_SECONDS = 0.002
"""How often a lock is tried. SQLite's own wait backs off to 100 ms, in which a sink that commits every few
milliseconds leaves another one hardly a gap to slip into."""

_HINTS = {
    sqlite3.SQLITE_BUSY: "another connection holds it: let that one finish, pass more seconds as timeout=, "
    "or run `PRAGMA journal_mode=WAL` on it once, so that readers and a writer do not wait for each other",
    sqlite3.SQLITE_CANTOPEN: "check the path and its permissions: SQLite makes files beside the database, "
    "so its directory must exist and be writable (for a database in WAL mode, even to read it)",
    sqlite3.SQLITE_CORRUPT: "`PRAGMA integrity_check` says more; restore it from a copy",
    sqlite3.SQLITE_FULL: "make room on the disk, or raise `PRAGMA max_page_count`; committed rows are kept",
    sqlite3.SQLITE_NOTADB: "this is some other kind of file, or an encrypted one; name a SQLite database",
    sqlite3.SQLITE_READONLY: "the file and its directory must be writable by the user who runs the job "
    "(for a database in WAL mode, even to read it)",
}
_NOT_NULL_HINT = "make the field `... | None` before the table is made (SQLite keeps NaN as NULL too)"
OF_A_RECORD = {sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG}
"""The codes that say that a record is to blame."""


def code(error: Exception) -> int:
    """SQLite's code; 0 for what Python's module itself, or a record, raised."""
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF


def is_locked(error: Exception) -> bool:
    """Whether another connection has what was wanted."""
    return code(error) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def failure(wanted: str, error: Exception, timeout: float, record: str = "") -> ConnectorError:
    """Say that what was `wanted` in at most `timeout` seconds did not happen, and which `record` is to blame."""
    is_null = getattr(error, "sqlite_errorname", None) == "SQLITE_CONSTRAINT_NOTNULL"
    hint = _NOT_NULL_HINT if is_null else _HINTS.get(code(error))
    what = str(error) if isinstance(error, sqlite3.Error) else f"{type(error).__name__}: {error}"
    seconds = f" in {timeout:g} s" if is_locked(error) else ""
    blamed = OutputError if record or code(error) in OF_A_RECORD else ConnectorError
    return blamed(f"{wanted}{seconds}: {what}{record}", hint=hint)
