"""SQLite: the rows of a query as a source, a table as a sink."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

from connectors.record_types import row_type
from connectors.rows import RowDecoder
from connectors.sqlite_sink import TableSink
from connectors.sqlite_source import Query
from connectors.sqlite_statements import Table
from connectors.sqlite_writer import Target
from engine.errors import GraphError
from engine.sink import Sink
from engine.source import Source

__all__ = ["sqlite_query", "sqlite_table"]

T = TypeVar("T")
_Path = str | os.PathLike[str]


def sqlite_query(
    database: _Path,
    query: str,
    parameters: Sequence[Any] | Mapping[str, Any] = (),
    *,
    type: type[T],
    key: str | None = None,
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

    Resumable with a `key`, the name of a column of the query that no two rows share and that is never null: rows come
    in its order (as SQLite's BINARY collation has it), and a job that goes on asks for those behind the last one that
    its checkpoint has. An index on it saves sorting. What it then reads shows a later moment: rows that were added
    meanwhile behind that key are read, those before it are not.

    Raises `GraphError` for a `type` that is no row; `ConnectorError`, when the job runs, if the file is
    missing or not SQLite's, stays locked, the query is wrong, a field has no column, or a key is null or there twice.

    >>> import tempfile
    >>> from typing import NamedTuple
    >>> from engine.sink import SinkContext
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
    record = row_type("sqlite_query reads", type)
    RowDecoder.check(record)
    if not (key is None or isinstance(key, str)):
        raise GraphError(f"wanted the name of a column as the key, came {key!r}")
    return Query(_file_name(database, timeout), query, parameters, record, timeout, type, key)


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
    may take the last ones until the job has ended (`synchronous` is NORMAL). While others write to the
    database, in this job or outside, the sink waits for its turn, `timeout` seconds at the most. Without checkpoints
    a job that starts again writes again what it reads again: upsert, so that this changes nothing.

    Exactly once in a job that makes checkpoints: rows wait in another table of the database, on the disk, and come into
    `table` when their checkpoint is complete, all those of a writer in one transaction. `headgate_checkpoints` says, by
    flow and sink, what has been committed, and keeps an earlier life of the job from writing. A record that breaks a
    constraint is refused when it is written, also where only a row that waits stands against it: unique keys are looked
    up, and where there are checks, triggers, unique indexes of expressions or of some rows, or, in an upsert, on other
    columns than `key`, each batch is tried on the table first, which takes as long again. Where a row is refused only
    later, by one that somebody else has added meanwhile, or that waited where the constraint is on part of the rows, on
    an expression or, in an upsert, on other columns than `key`, the commit fails and so does the job; no row is lost,
    and it can go on once that row is out of the way.

    Raises `GraphError`, when the graph is built, for records that are no rows and a `key` that is no field;
    in the job, `OutputError` for a record that breaks a constraint, has other fields or values that SQLite cannot
    keep, and `ConnectorError` where the database cannot be written, another life of the job writes to
    it, or rows that the job has inserted since the checkpoint that it goes on from, or begins without, are in `table`
    (see `Checkpoints.again`).

    >>> import tempfile
    >>> from typing import NamedTuple
    >>> from engine.sink import SinkContext
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
    into = Table(table, keys, upsert=bool(keys) and mode != "insert")
    return TableSink(Target(_file_name(database, timeout), into, create, timeout), batch=batch)


def _file_name(database: _Path, timeout: float) -> str:
    name = os.fspath(database)
    if name in {"", ":memory:"}:
        raise GraphError(f"wanted a database file, came {name!r}, which would end with its connection")
    if timeout < 0:
        raise GraphError(f"wanted a timeout of 0 seconds or more, came {timeout!r}")
    return name
