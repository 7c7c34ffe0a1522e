"""PostgreSQL: the rows of a query as a source, a table as a sink. Needs psycopg 3, of the extra `postgres`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

try:
    import psycopg  # noqa: F401 - what follows needs it
except ImportError as error:
    raise ImportError(f"connectors.postgres needs psycopg 3: pip install 'headgate[postgres]' ({error})") from error

from connectors.postgres_server import Server
from connectors.postgres_sink import TableSink
from connectors.postgres_source import Query
from connectors.postgres_statements import Table, can_be_named
from connectors.postgres_writer import Target
from connectors.record_types import row_type
from connectors.rows import RowDecoder
from engine.errors import GraphError
from engine.sink import Sink
from engine.source import Source

__all__ = ["postgres_query", "postgres_table"]

T = TypeVar("T")
Key = str | tuple[str, ...] | None


def postgres_query(
    conninfo: str,
    query: str,
    parameters: Sequence[Any] | Mapping[str, Any] = (),
    *,
    type: type[T],
    key: Key = None,
    timeout: float = 30.0,
) -> Source[T]:
    """Read the rows that `query` finds, with `parameters` in its placeholders (`%s`, or `%(name)s`).

    `conninfo` is what libpq takes, "host=db.example dbname=shop user=etl" or a URL; what it leaves out comes from the
    PG* variables and ~/.pgpass, where a password is best kept.

    Each row becomes a `type`. A `msgspec.Struct`, dataclass, NamedTuple or TypedDict takes the columns named
    as its fields (`AS` renames one; a field with a default may have no column, and a column no field); a
    `dict` takes all columns by name, a `tuple` all in order. A value must have its field's type: int (also of a
    whole numeric), float, bool, str, bytes, Decimal, UUID, datetime, date, time, timedelta, an Enum by its value,
    collections from arrays and from json; all other types are read as their text. A row that does not fit is a
    bad record: see `on_error`.

    The rows stay on the server, behind a cursor: each read fetches as many as there is credit for. The connection
    stays in one read-only transaction from the first row to the last, so that all rows show the same moment; behind
    a sink that takes hours that holds up VACUUM for hours.

    With `key`, a column of the query or a tuple of them that tells each row from all others and is never null, rows
    come in its order (an index spares the server the sorting), and a connection that is lost is made anew, for
    `timeout` seconds, and goes on behind the last row. What it finds then shows another moment. Without a key a lost
    connection ends the job.

    Raises `GraphError` for a `type` that is no row and a `conninfo` that cannot be understood; `ConnectorError`, when
    the job runs, if the server cannot be reached, the query is wrong, or a field or a part of the key has no column.

    >>> from typing import NamedTuple
    >>> class City(NamedTuple):
    ...     name: str
    ...     coastal: bool
    >>> query = "SELECT name, coastal FROM cities WHERE founded < %s"
    >>> postgres_query("host=db.example dbname=atlas", query, (1500,), type=City, key="name").name
    'postgres_query'
    """
    record = row_type("postgres_query reads", type)
    RowDecoder.check(record)
    return Query(Server(conninfo, timeout), query, parameters, record, _columns(key), type)


def postgres_table(
    conninfo: str,
    table: str,
    *,
    schema: str | None = None,
    key: Key = None,
    mode: Literal["insert", "upsert"] | None = None,
    create: bool = True,
    batch: int = 0,
    timeout: float = 30.0,
) -> Sink[Any]:
    """Write each record as a row of `table`, in `schema` or where the search path finds it.

    Records are Structs, dataclasses, NamedTuples, TypedDicts or dicts, whose fields are columns by name, or
    tuples for the columns of an existing table in order. In `mode` "insert" each adds a row; in
    "upsert", the default where `key` (a column, or a tuple of them) is given, it replaces the row of its key.

    A table that is not there is created: when the job starts if the stream's type is known, else as the first
    record is. int is bigint, float double precision, str text, bytes bytea, bool boolean, Decimal numeric, UUID uuid,
    date, time and timedelta are date, time and interval, an Enum is what its values are, all else jsonb. A datetime
    is timestamptz and must have a zone; `Annotated[datetime, msgspec.Meta(tz=False)]` is timestamp, and has none.
    Columns are NOT NULL unless the field may be None; `key` is the primary key. With `create=False` the table must
    exist. One that exists must have a column for each field, of a type that PostgreSQL assigns such values to
    (integer, varchar, an enum or inet from text, arrays from lists), and, to upsert, a unique index on exactly `key`.
    A str goes into a json column as the JSON that it is.

    Each write is one COPY in one transaction: all of it is written or none. Where there is a key, or a column of
    another type, the rows are copied into a temporary table and inserted from there. (A pooler that gives each
    transaction another connection loses that table.) `batch` is the most records of a write; without it the engine
    learns how many make a good one.

    A connection that is lost is made anew, for `timeout` seconds, and a write that was under way is made again unless
    the server says that it was committed; so is one that a deadlock stopped. So within a job each record is
    written once. Without checkpoints a job that starts again writes again what it reads again: upsert, so that this
    changes nothing.

    Exactly once in a job that makes checkpoints: rows wait in tables of the same schema (`headgate_staged/...`), and
    come into `table` when their checkpoint is complete, all those of a writer in one transaction, over a connection of
    its own, so that more can be written meanwhile.
    `headgate_checkpoints` says, by flow and sink, what has been committed, and keeps an earlier life of the job from
    writing; a transaction that one still has open is ended (`pg_terminate_backend`, which the same user may). A record
    that breaks a constraint, or collides with a row that waits, is refused when it is written: unique keys are looked
    up, and where there are foreign keys, triggers, exclusion constraints, unique indexes of expressions or of some
    rows, or, in an upsert, on other columns than `key`, each batch is tried on the table first. Where a row is refused
    only later, by one that another writer has added meanwhile or, in an upsert, that waited with the same value in
    another unique column, the commit fails and so does the job; no row is lost, and it can go on once that row is out
    of the way.

    Raises `GraphError`, when the graph is built, for records that are no rows, a `key` that is no field and a
    `conninfo` that cannot be understood; in the job, `OutputError` for a record that breaks a constraint, has other
    fields or values that its column does not take, and `ConnectorError` where the table cannot be written, another
    life of the job writes to it, or rows that the job has inserted since the checkpoint that it goes on from, or begins
    without, are in it (see `Checkpoints.again`).

    >>> postgres_table("host=db.example dbname=atlas", "totals", schema="delays", key="carrier").name
    'postgres_table'
    >>> postgres_table("host=db.example dbname=atlas", "delays.totals")
    Traceback (most recent call last):
    engine.errors.GraphError: wanted the name of a table, came 'delays.totals'
      hint: name its schema apart: schema='delays', table='totals'
    """
    keys = _columns(key)
    if mode not in {None, "insert", "upsert"}:
        raise GraphError(f"wanted mode 'insert' or 'upsert', came {mode!r}")
    if mode == "upsert" and not keys:
        raise GraphError("mode 'upsert' needs a key", hint="name the columns that tell rows apart: key=...")
    if batch < 0:
        raise GraphError(f"wanted a batch of 1 record or more, or 0 to have it learned, came {batch!r}")
    _check_names(schema, table)
    into = Table(schema, table, keys, upsert=bool(keys) and mode != "insert")
    return TableSink(Target(Server(conninfo, timeout), into, create), batch=batch)


def _columns(key: Key) -> tuple[str, ...]:
    return (key,) if isinstance(key, str) else tuple(key or ())


def _check_names(schema: str | None, table: str) -> None:
    if schema is None and "." in table.strip("."):
        first, _, rest = table.partition(".")
        hint = f"name its schema apart: schema={first!r}, table={rest!r}"
        raise GraphError(f"wanted the name of a table, came {table!r}", hint=hint)
    for name in filter(lambda name: name is not None, (schema, table)):
        if not can_be_named(name or ""):
            raise GraphError(f"wanted a name of 1 to 63 bytes, came {name!r}")
