"""SQLite: the rows of a query as a source, a table as a sink."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from operator import itemgetter, length_hint
from pathlib import Path
from types import NoneType
from typing import Any, Literal, NamedTuple, TypeVar

from connectors.records import NESTED, Field, RecordType, RowDecoder, record_type, row_encoder, value_types
from engine.errors import ConnectorError, GraphError
from engine.sink import Sink, SinkContext, Writer
from engine.source import BadRecord, Reader, Source

__all__ = ["sqlite_query", "sqlite_table"]

T = TypeVar("T")
_Path = str | os.PathLike[str]

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
_AFFINITIES = {bool: "INTEGER", int: "INTEGER", float: "REAL", bytes: "BLOB", object: ""}
_UNKNOWN = (None, Any, object)
_ABOUT_A_RECORD = {
    0,  # raised by the record itself, or by Python's module when it takes the values over
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_TOOBIG,
}
_NOT_NULL_HINT = "make the field `... | None` before the table is made (SQLite keeps NaN as NULL too)"


def _refused(wanted: str, error: Exception, about: str = "") -> ConnectorError:
    """Say in Headgate's terms that what was `wanted` did not happen, and `about` which record."""
    is_null = _full_code(error) == sqlite3.SQLITE_CONSTRAINT_NOTNULL
    hint = _NOT_NULL_HINT if is_null else _HINTS.get(_code(error))
    what = str(error) if isinstance(error, sqlite3.Error) else f"{type(error).__name__}: {error}"
    return ConnectorError(f"{wanted}: {what}{about}", hint=hint)


def _full_code(error: Exception) -> int:
    """SQLite's extended code; 0 for what Python's module itself, or a record, raised."""
    return getattr(error, "sqlite_errorcode", None) or 0


def _code(error: Exception) -> int:
    return _full_code(error) & 0xFF


def _is_locked(error: Exception) -> bool:
    return _code(error) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def _file_name(database: _Path, timeout: float) -> str:
    name = os.fspath(database)
    if name in {"", ":memory:"}:
        raise GraphError(f"wanted a database file, came {name!r}, which would end with its connection")
    if timeout < 0:
        raise GraphError(f"wanted a timeout of 0 seconds or more, came {timeout!r}")
    return name


def _row_type(who: str, annotation: Any) -> RecordType:
    found = record_type(annotation)
    if found is None or (not found.fields and found.kind not in {"dict", "tuple"}):
        hint = "use a msgspec.Struct, a dataclass, a NamedTuple, a TypedDict, a dict or a tuple"
        raise GraphError(f"{who} rows, came {annotation!r}, which has no columns", hint=hint)
    return found


def sqlite_query(
    database: _Path,
    query: str,
    parameters: Sequence[Any] | Mapping[str, Any] = (),
    *,
    type: type[T],  # noqa: A002
    timeout: float = 5.0,
) -> Source[T]:
    """Read the rows that `query`, with `parameters` in its placeholders, finds in the file `database`.

    Each row becomes a `type`. A `msgspec.Struct`, dataclass, NamedTuple or TypedDict takes the columns named
    as its fields (`AS` renames one; a field with a default may have no column, and a column no field); a
    `dict` takes all columns by name, a `tuple` all in order. A value must have its field's type. What SQLite
    has no type for is read as `sqlite_table` writes it: bool from 0 and 1, times, Decimal and UUID from text,
    an Enum from its value, collections from JSON. A row that does not fit is a bad record: see `on_error`.

    The database is opened read-only, never created, and stays in one transaction from the first row to the
    last, so that all rows show the same moment. Where another connection has it locked, the source waits for
    `timeout` seconds. (SQLite lets a reader leave `-wal` and `-shm` files beside a database in WAL mode.)

    Raises `GraphError` for a `type` that is no row; `ConnectorError`, when the job runs, if the file is
    missing or not SQLite's, stays locked, the query is wrong, or a field has no column.

    >>> import tempfile
    >>> class City(NamedTuple):
    ...     name: str
    ...     coastal: bool
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sink = sqlite_table(f"{folder}/atlas.db", "cities").open(SinkContext("sink", City))
    ...     sink.write([City("Porto", True), City("Bern", False)])
    ...     sink.finish()
    ...     query = "SELECT name, coastal FROM cities WHERE coastal = ?"
    ...     reader = sqlite_query(f"{folder}/atlas.db", query, (True,), type=City).open("")
    ...     print(reader.read(10), reader.read(10))
    ...     reader.close()
    [City(name='Porto', coastal=True)] None
    """
    return _Query(_file_name(database, timeout), query, parameters, type, timeout)


class _Query(Source[T]):
    name = "sqlite_query"

    def __init__(self, database: str, query: str, parameters: Any, row: type[T], timeout: float) -> None:
        self.database, self.query, self.parameters = database, query, parameters
        self.type, self.timeout = row, timeout
        record = _row_type("sqlite_query reads", row)
        inside = [Field(repr(of), repr(of), of) for of in record.arguments if of is not ...]
        RowDecoder(record, record.fields or inside)  # raises now what would be raised in the job

    def open(self, partition: str) -> Reader[T]:
        return _QueryReader(self)


class _QueryReader(Reader[T]):
    def __init__(self, query: _Query[T]) -> None:
        self._query = query
        self._cursor: sqlite3.Cursor | None = None
        self._failure: sqlite3.Error | None = None
        self._rows_read = 0
        self._give_up = time.monotonic() + query.timeout
        uri = f"{Path(query.database).absolute().as_uri()}?mode=ro"
        try:
            self._db = sqlite3.connect(uri, uri=True, timeout=0, isolation_level=None)
        except sqlite3.Error as error:
            raise self._refused(error) from error

    def read(self, limit: int) -> Sequence[T | BadRecord] | None:
        try:
            if self._cursor is None and not self._start():
                return ()
            rows = self._fetch(limit)
        except (sqlite3.Error, ValueError, OverflowError) as error:
            raise self._refused(error) from error
        records = self._records(rows)
        self._rows_read += len(rows)
        return records or None

    def poll_after(self) -> float | None:
        return RETRY_SECONDS

    def close(self) -> None:
        self._db.close()

    def _refused(self, error: Exception) -> ConnectorError:
        wanted = f"cannot read {self._query.database}"
        if not os.path.isfile(self._query.database):
            hint = f"a source never creates its database; a relative path starts at {os.getcwd()}"
            return ConnectorError(f"{wanted}: there is no such file", hint=hint)
        if _is_locked(error):
            wanted += f" in {self._query.timeout:g} s"
        return _refused(f"{wanted} with the query {self._query.query!r}", error)

    def _start(self) -> bool:
        """Run the query up to its first row; False while another connection has the database locked."""
        try:
            cursor = self._db.execute(self._query.query, self._query.parameters)
        except sqlite3.OperationalError as error:
            if not _is_locked(error) or time.monotonic() >= self._give_up:
                raise
            return False
        self._columns = [column[0] for column in cursor.description or ()]
        record = _row_type("sqlite_query reads", self._query.type)
        wanted = _wanted(record, self._columns, f"the query {self._query.query!r}")
        chosen = [index for index, _ in wanted]
        self._pick = None if chosen == list(range(len(self._columns))) else _picker(chosen)
        self._decoder = RowDecoder(record, [field for _, field in wanted])
        self._cursor = cursor
        return True

    def _fetch(self, limit: int) -> list[Any]:
        """Give up to `limit` rows, or one BadRecord in the place of a row whose text is not UTF-8."""
        assert self._cursor is not None
        rows: list[Any] = []
        if self._failure is None:
            try:
                rows.extend(islice(self._cursor, limit))  # not fetchmany: this keeps what came before a failure
            except sqlite3.OperationalError as error:
                self._failure = error
        return [self._undecoded(self._failure)] if self._failure is not None and not rows else rows

    def _undecoded(self, failure: sqlite3.Error) -> BadRecord:
        """Read the row again with its texts as bytes: the cursor stays where it could not decode one."""
        if hasattr(failure, "sqlite_errorcode"):
            raise failure  # of SQLite itself, so that there is no row
        assert self._cursor is not None
        self._failure, self._db.text_factory = None, bytes
        row = next(self._cursor)
        self._db.text_factory = str
        return self._bad(row, self._rows_read + 1, str(failure))

    def _records(self, rows: list[Any]) -> list[T | BadRecord]:
        if rows and isinstance(rows[0], BadRecord):
            return rows
        try:
            return self._decoder.records(self._picked(rows))
        except Exception:  # a record type's own checks may raise anything; each row by itself says which it is
            return [self._one(row, number) for number, row in enumerate(rows, self._rows_read + 1)]

    def _picked(self, rows: list[Any]) -> list[Any]:
        return rows if self._pick is None else list(map(self._pick, rows))

    def _one(self, row: Any, number: int) -> T | BadRecord:
        picked = self._picked([row])
        try:
            record: T = self._decoder.records(picked)[0]
        except Exception as error:
            return self._bad(row, number, self._decoder.misfit(picked[0]) or str(error))
        return record

    def _bad(self, row: Sequence[Any], number: int, reason: str) -> BadRecord:
        raw = dict(zip(self._columns, row, strict=True))
        return BadRecord(raw, f"{self._query.database}: query row {number}", reason)


def _picker(chosen: list[int]) -> Callable[[Sequence[Any]], Sequence[Any]]:
    # With one index itemgetter gives the bare value, with two or more a tuple.
    return itemgetter(*chosen) if len(chosen) > 1 else lambda row: [row[index] for index in chosen]


def _wanted(record: RecordType, columns: list[str], where: str) -> list[tuple[int, Field]]:
    """Pair each field that the query has a column for with that column's index."""
    if not columns:
        raise ConnectorError(f"wanted rows from {where}, which gives none", hint="write a SELECT")
    fields: Sequence[Field] = record.fields
    if record.kind == "tuple":
        return list(enumerate(_tuple_fields(record.arguments, columns, where)))
    if record.kind == "dict":
        of_values = record.arguments[1] if record.arguments else Any
        fields = [Field(column, column, of_values) for column in columns]
    there = ", ".join(columns)
    for field in fields:
        if columns.count(field.column) > 1:
            hint = "give each a name of its own with AS"
            raise ConnectorError(f"{where} has several columns {field.column!r}: {there}", hint=hint)
    missing = [f.column for f in fields if f.required and f.column not in columns]
    if missing:
        raise ConnectorError(
            f"wanted {_listed(missing)} for {record.cls.__name__} from {where}; columns there: {there}",
            hint="add it to the SELECT, name it with AS, or give the field a default",
        )
    return [(columns.index(f.column), f) for f in fields if f.settable and f.column in columns]


def _tuple_fields(arguments: tuple[Any, ...], columns: list[str], where: str) -> list[Field]:
    if not arguments or arguments[-1] is ...:
        arguments = (arguments[0] if arguments else Any,) * len(columns)
    if len(arguments) != len(columns):
        raise ConnectorError(f"wanted {len(arguments)} columns from {where}, came {len(columns)}: {', '.join(columns)}")
    return [Field(column, column, of) for column, of in zip(columns, arguments, strict=True)]


def _listed(names: Sequence[str]) -> str:
    return ("column " if len(names) == 1 else "columns ") + ", ".join(map(repr, names))


def sqlite_table(
    database: _Path,
    table: str,
    *,
    key: str | tuple[str, ...] | None = None,
    mode: Literal["insert", "upsert"] | None = None,
    create: bool = True,
    batch: int = 1000,
    timeout: float = 5.0,
) -> Sink[Any]:
    """Write each record as a row of `table` in the SQLite file `database`.

    Records are Structs, dataclasses, NamedTuples, TypedDicts or dicts, whose fields are columns by name, or
    tuples for the columns of an existing table in order. In `mode` "insert" each adds a row; in
    "upsert", the default where `key` (a column, or a tuple of them) is given, it replaces the row of its key.

    A table that is not there is created: when the job starts if the stream's type is known, else as the first
    record is. int and bool are INTEGER, float REAL, str TEXT, bytes BLOB, an Enum what its values are, times
    (ISO 8601), Decimal, UUID and collections (JSON) TEXT, all NOT NULL unless the field may be None; `key` is
    the primary key. With `create=False` the table must exist. One that exists must have a column for each
    field and, to upsert, a unique index on exactly `key`. SQLite keeps NaN as NULL.

    Each batch, up to `batch` records, is one transaction: all of it is written or none. A new database is put
    in WAL mode, an existing one keeps its mode. A commit outlives a crash of the job; in WAL mode a power cut
    may take the last ones until the job has ended (`synchronous` is NORMAL). A job that starts again writes
    again what it reads again: upsert, so that this changes nothing. While others write to the database, in
    this job or outside, the sink waits for its turn, `timeout` seconds at the most.

    Raises `GraphError`, when the graph is built, for records that are no rows and a `key` that is no field;
    `ConnectorError` in the job where the database cannot be written, or a record breaks a constraint.

    >>> import tempfile
    >>> class Total(NamedTuple):
    ...     carrier: str
    ...     flights: int
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sink = sqlite_table(f"{folder}/delays.db", "totals", key="carrier")
    ...     writer = sink.open(SinkContext("load", Total))
    ...     writer.write([Total("TP", 1), Total("LX", 4), Total("TP", 2)])
    ...     writer.finish()
    ...     reader = sqlite_query(f"{folder}/delays.db", "SELECT * FROM totals", type=Total).open("")
    ...     print(reader.read(10))
    ...     reader.close()
    [Total(carrier='LX', flights=4), Total(carrier='TP', flights=2)]
    """
    keys = (key,) if isinstance(key, str) else tuple(key or ())
    if mode not in {None, "insert", "upsert"}:
        raise GraphError(f"wanted mode 'insert' or 'upsert', came {mode!r}")
    if mode == "upsert" and not keys:
        raise GraphError("mode 'upsert' needs a key", hint="name the columns that tell rows apart: key=...")
    if batch < 1:
        raise GraphError(f"wanted a batch of 1 record or more, came {batch!r}")
    upsert = bool(keys) and mode != "insert"
    return _Table(_file_name(database, timeout), table, keys, upsert, create, timeout, batch)


@dataclass(eq=False)
class _Table(Sink[Any]):
    database: str
    table: str
    key: tuple[str, ...]
    upsert: bool
    create: bool
    timeout: float
    batch_records: int
    name = "sqlite_table"

    @property
    def where(self) -> str:
        return f"table {self.table!r} of {self.database}"

    def check(self, type: Any) -> None:  # noqa: A002
        if type in _UNKNOWN:
            return
        record = _row_type(f"sqlite_table {self.table!r} writes", type)
        if record.fields and (wrong := self.complaint([field.column for field in record.fields])):
            raise GraphError(f"sqlite_table {self.table!r} of {record.cls.__name__}: {wrong}")

    def open(self, context: SinkContext) -> Writer[Any]:
        return _TableWriter(self, None if context.type in _UNKNOWN else record_type(context.type))

    def complaint(self, columns: Sequence[Any]) -> str | None:
        """Say what is wrong with records of these fields, if anything."""
        if not all(isinstance(column, str) for column in columns):
            return f"wanted columns named by text, came {list(columns)}"
        unknown = [column for column in self.key if column not in columns]
        if unknown:
            return f"key {', '.join(map(repr, unknown))} is not a field; fields there: {', '.join(columns)}"
        folded = list(map(_folded, columns))
        same = [column for column, name in zip(columns, folded, strict=True) if folded.count(name) > 1]
        return f"{_listed(same)} differ in case only, which SQLite ignores" if same else None

    def create_sql(self, record: RecordType, fields: Sequence[Field]) -> str:
        columns = [_declaration(field, record.leaves_out(field)) for field in fields]
        if self.key:
            columns.append(f"PRIMARY KEY ({_quoted(self.key)})")
        # Without a rowid, the rows are in the key's own tree, and a key is never NULL.
        return f"CREATE TABLE {_quote(self.table)} ({', '.join(columns)})" + " WITHOUT ROWID" * bool(self.key)

    def insert_sql(self, columns: Sequence[str], values: str) -> str:
        sql = f"INSERT INTO {_quote(self.table)} ({_quoted(columns)}) {values}"
        if not self.upsert:
            return sql
        others = [f"{_quote(c)} = excluded.{_quote(c)}" for c in columns if c not in self.key]
        action = f"UPDATE SET {', '.join(others)}" if others else "NOTHING"
        return f"{sql} ON CONFLICT ({_quoted(self.key)}) DO {action}"


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(map(_quote, names))


def _folded(name: str) -> bytes:
    """SQLite takes names for the same that differ in the case of ASCII letters."""
    return name.encode("utf-8", "surrogatepass").lower()


def _declaration(field: Field, optional: bool) -> str:
    nullable = optional or not {NoneType, object}.isdisjoint(value_types(field.type))
    return f"{_quote(field.column)} {_affinity(field.type)}{'' if nullable else ' NOT NULL'}"


def _affinity(annotation: Any) -> str:
    """Give the type of a column that keeps every value of `annotation` as it is; "" keeps them all."""
    found: set[Any] = set()
    for kind in value_types(annotation) - {NoneType}:
        found |= {type(member.value) for member in kind} if _is_enum(kind) else {kind}
    if NESTED in found:
        return "TEXT"
    affinities = {_AFFINITIES.get(kind, "TEXT") for kind in found}
    return affinities.pop() if len(affinities) == 1 else ""


def _is_enum(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Enum)


class _Insert(NamedTuple):
    sql: str
    row: Callable[[Any], Sequence[Any]]


class _TableWriter(Writer[Any]):
    def __init__(self, sink: _Table, record: RecordType | None) -> None:
        self._sink = sink
        self._insert: _Insert | None = None
        is_new = not os.path.exists(sink.database) or os.path.getsize(sink.database) == 0
        try:
            self._db = sqlite3.connect(sink.database, timeout=0, isolation_level=None)
        except sqlite3.Error as error:
            raise self._refused("open", error) from error
        try:
            self._set_up(is_new)
            if record is not None and record.kind != "dict":
                with self._transaction("open"):
                    self._insert = self._plan(record, record.fields)
        except BaseException:
            self._db.close()
            raise

    def write(self, records: list[Any]) -> None:
        if not records:
            return
        rest = iter(records)
        with self._transaction("write to"):
            insert = self._insert or self._plan_from(records[0])
            try:
                self._db.executemany(insert.sql, map(insert.row, rest))
            except Exception as error:
                # executemany takes a record only when the one before it is in.
                raise self._refused("write to", error, records, len(records) - length_hint(rest)) from error
        self._insert = insert

    def finish(self) -> None:
        try:
            # Closing does this too, but would not say that it failed.
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error as error:
            raise self._refused("move what was committed into the file of", error) from error
        finally:
            self._db.close()

    def abort(self) -> None:
        self._db.close()  # which rolls back what is open

    def _set_up(self, is_new: bool) -> None:
        try:
            if is_new:
                self._until_free("PRAGMA journal_mode = WAL")
            # Safe in WAL mode alone: elsewhere a power cut could then break the file.
            if self._until_free("PRAGMA journal_mode") == [("wal",)]:
                self._db.execute("PRAGMA synchronous = NORMAL")
        except sqlite3.Error as error:
            raise self._refused("open", error) from error

    @contextmanager
    def _transaction(self, what: str) -> Iterator[None]:
        try:
            self._until_free("BEGIN IMMEDIATE")
            yield
            self._until_free("COMMIT")
        except BaseException as error:
            with suppress(sqlite3.Error):
                self._db.rollback()
            if isinstance(error, sqlite3.Error | ValueError) and not isinstance(error, GraphError):
                raise self._refused(what, error) from error
            raise

    def _until_free(self, sql: str) -> list[Any]:
        """Run `sql`, again and again for `timeout` seconds while another connection has the lock."""
        give_up = time.monotonic() + self._sink.timeout
        while True:
            try:
                return self._db.execute(sql).fetchall()
            except sqlite3.OperationalError as error:
                if not _is_locked(error) or time.monotonic() >= give_up:
                    raise
            time.sleep(RETRY_SECONDS)

    def _refused(self, what: str, error: Exception, records: Sequence[Any] = (), taken: int = 0) -> ConnectorError:
        wanted = f"cannot {what} {self._sink.where}"
        if _is_locked(error):
            wanted += f" in {self._sink.timeout:g} s"
        is_of_record = _code(error) in _ABOUT_A_RECORD and taken
        about = f"; record {taken} of {len(records)}: {records[taken - 1]!r:.200}" if is_of_record else ""
        return _refused(wanted, error, about)

    def _plan_from(self, first: Any) -> _Insert:
        record = record_type(type(first))
        if record is None:
            raise ConnectorError(f"wanted rows for {self._sink.where}, came {first!r:.200}")
        fields: Sequence[Field] = record.fields
        if record.kind == "dict":
            # The first record stands for all: Optional, as the next one may have None there.
            fields = [Field(name, name, Any if v is None else type(v) | None) for name, v in first.items()]
        return self._plan(record, fields)

    def _plan(self, record: RecordType, fields: Sequence[Field]) -> _Insert:
        sink = self._sink
        info = self._db.execute("SELECT name FROM pragma_table_info(?)", (sink.table,))
        there = [name for (name,) in info.fetchall()]
        if record.kind == "tuple":
            fields = _tuple_fields(record.arguments, there, sink.where) if there else ()
        if not fields:
            raise ConnectorError(
                f"a {record.cls.__name__} names no columns, and there is no {sink.where} to take them from",
                hint="create the table, or use a NamedTuple",
            )
        columns = [field.column for field in fields]
        if wrong := sink.complaint(columns):
            raise ConnectorError(f"cannot write to {sink.where}: {wrong}")
        self._make_ready(record, fields, there)
        self._try_out(columns)
        marks = ", ".join("?" * len(columns))
        return _Insert(sink.insert_sql(columns, f"VALUES ({marks})"), row_encoder(record, fields))

    def _make_ready(self, record: RecordType, fields: Sequence[Field], there: list[str]) -> None:
        """See to it that the table has all columns, by making it if it may be made."""
        sink = self._sink
        if not there and sink.create:
            self._db.execute(sink.create_sql(record, fields))
            return
        if not there:
            tables = self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
            found = ", ".join(name for (name,) in tables.fetchall()) or "none"
            raise ConnectorError(
                f"wanted the {sink.where}, which is not there; tables there: {found}",
                hint="or pass create=True",
            )
        known = set(map(_folded, there))
        missing = [field.column for field in fields if _folded(field.column) not in known]
        if missing:
            raise ConnectorError(
                f"wanted {_listed(missing)} in {sink.where}; columns there: {', '.join(there)}",
                hint="ALTER TABLE ... ADD COLUMN, or map the records to the columns that are there",
            )

    def _try_out(self, columns: list[str]) -> None:
        """Insert no rows, so that what will not do is not first found out when a record has come."""
        sink, key = self._sink, _quoted(self._sink.key)
        try:
            self._db.execute(sink.insert_sql(columns, f"SELECT {', '.join(['NULL'] * len(columns))} WHERE 0"))
        except sqlite3.OperationalError as error:
            if "ON CONFLICT" not in str(error):
                raise
            raise ConnectorError(
                f"cannot upsert into {sink.where}: no unique index is on exactly its key, {key}",
                hint=f"CREATE UNIQUE INDEX ... ON {_quote(sink.table)} ({key}), or mode='insert'",
            ) from error
