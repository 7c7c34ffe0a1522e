"""The SQLite source and sink: what goes in comes out, and what goes wrong says what, where and what to do."""

from __future__ import annotations

import doctest
import os
import pickle
import resource
import sqlite3
import stat
import tempfile
import threading
import time as time_module
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NewType, NotRequired, TypedDict, assert_type
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import connectors.record_types
import connectors.rows
import connectors.sqlite
from connectors.sqlite import sqlite_query, sqlite_table
from engine.errors import ConnectorError, GraphError, OutputError
from engine.sink import Sink, SinkContext
from engine.source import BadRecord, Reader, Source

NOBODY = 65534


class Row(msgspec.Struct):
    id: int
    name: str | None = None


class Key(NamedTuple):
    id: int


@dataclass
class Bought:
    id: int
    name: str
    total: int = field(init=False, default=7)


class Pair(NamedTuple):
    id: int
    name: str


class Loose(TypedDict):
    id: int
    name: NotRequired[str]


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "a b?#%.db")


def write(sink: Sink[Any], records: list[Any], type_: Any = None) -> None:
    writer = sink.open(SinkContext("load", type_))
    writer.write(records)
    writer.finish()


def read(source: Source[Any], limit: int = 3) -> list[Any]:
    with closing(source.open("")) as reader:
        return read_all(reader, limit)


def read_all(reader: Reader[Any], limit: int = 3) -> list[Any]:
    found: list[Any] = []
    while (records := reader.read(limit)) is not None:
        assert 0 < len(records) <= limit
        found.extend(records)
    return found


def sql(path: str, *statements: str) -> list[Any]:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        return [db.execute(statement).fetchall() for statement in statements][-1]


@contextmanager
def locked(path: str) -> Iterator[None]:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        yield


@contextmanager
def unprivileged_in(mode: int, prepare: Callable[[str], object], *, writable: bool = False) -> Iterator[str]:
    """A database, made by `prepare`, in a directory of that mode, seen by a user whom permissions bind."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        name = f"{folder}/x.db"
        prepare(name)
        os.chmod(name, 0o666 if writable else 0o444)
        os.chmod(folder, mode)
        user = os.geteuid()
        if user == 0:
            os.seteuid(NOBODY)
        try:
            yield name
        finally:
            os.seteuid(user)
            os.chmod(folder, stat.S_IRWXU)


# ------------------------------------------------------------------------------------ in and out again


class Colour(Enum):
    RED = "r"
    BLUE = "b"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Inner(msgspec.Struct, array_like=True):
    at: datetime
    data: bytes


UserId = NewType("UserId", int)


class Everything(msgspec.Struct, kw_only=True, rename="camel"):
    whole: int
    real: float
    text: str
    raw: bytes
    yes_or_no: bool
    moment: datetime
    day: date
    clock: time
    span: timedelta
    price: Decimal
    ident: UUID
    colour: Colour
    level: Level
    size: Literal["s", "m"]
    user: UserId
    limited: Annotated[int, msgspec.Meta(ge=0)]
    number: int | float
    either: int | str
    tags: list[str]
    inner: Inner
    counts: dict[int, Decimal]
    maybe_whole: int | None
    maybe_real: float | None
    maybe_text: str | None
    maybe_raw: bytes | None
    maybe: bool | None
    maybe_moment: datetime | None
    maybe_colour: Colour | None
    maybe_tags: set[int] | None
    union: int | date | None
    anything: Any


WHOLE = st.integers(-(2**63), 2**63 - 1)
REAL = st.floats(allow_nan=False)
TEXT = st.text(max_size=20)
RAW = st.binary(max_size=20)
OFFSETS = st.integers(-720, 720).map(lambda minutes: timezone(timedelta(minutes=minutes)))
ZONES: Any = st.none() | st.just(UTC) | OFFSETS
MOMENT = st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=ZONES)
PRICE = st.decimals(allow_nan=False, allow_infinity=False)

ROWS = st.builds(
    Everything,
    whole=WHOLE,
    real=REAL,
    text=TEXT,
    raw=RAW,
    yes_or_no=st.booleans(),
    moment=MOMENT,
    day=st.dates(),
    clock=st.times(),
    span=st.timedeltas(timedelta(-10_000), timedelta(10_000)),
    price=PRICE,
    ident=st.uuids(),
    colour=st.sampled_from(Colour),
    level=st.sampled_from(Level),
    size=st.sampled_from(["s", "m"]),
    user=WHOLE,
    limited=st.integers(0, 9),
    number=WHOLE | REAL,
    either=WHOLE | TEXT,
    tags=st.lists(TEXT, max_size=3),
    inner=st.builds(Inner, at=MOMENT, data=RAW),
    counts=st.dictionaries(WHOLE, PRICE, max_size=3),
    maybe_whole=st.none() | WHOLE,
    maybe_real=st.none() | REAL,
    maybe_text=st.none() | TEXT,
    maybe_raw=st.none() | RAW,
    maybe=st.none() | st.booleans(),
    maybe_moment=st.none() | MOMENT,
    maybe_colour=st.none() | st.sampled_from(Colour),
    maybe_tags=st.none() | st.sets(WHOLE, max_size=3),
    union=st.none() | WHOLE | st.dates(),
    anything=st.none() | WHOLE | REAL | TEXT | RAW,
)


@settings(max_examples=50, deadline=None)  # each waits for the disk
@given(rows=st.lists(ROWS, max_size=5), typed=st.booleans())
def test_rows_of_all_types_come_out_equal(rows: list[Everything], typed: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write(sqlite_table(f"{folder}/x.db", "t"), rows, Everything if typed or not rows else None)
        assert read(sqlite_query(f"{folder}/x.db", "SELECT * FROM t", type=Everything), limit=2) == rows


NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
ODD = st.sampled_from(['"', "'", "a b", "select", "a.b", "?", ":x", "[x]", "; DROP TABLE t; --", "ünïcødé", "rowid"])


@settings(max_examples=50, deadline=None)
@given(
    table=(NAMES | ODD).filter(lambda name: not name.lower().startswith("sqlite_")),
    columns=st.lists(NAMES | ODD, min_size=1, max_size=4, unique_by=lambda name: name.encode().lower()),
    values=st.lists(st.none() | WHOLE | TEXT | RAW | REAL, min_size=4, max_size=4),
    keyed=st.booleans(),
)
def test_identifiers_may_be_anything(table: str, columns: list[str], values: list[Any], keyed: bool) -> None:
    values[0] = 1 if keyed else values[0]
    row = dict(zip(columns, values, strict=False))
    quoted = table.replace('"', '""')
    with tempfile.TemporaryDirectory() as folder:
        write(sqlite_table(f"{folder}/x.db", table, key=columns[0] if keyed else None), [row, row])
        rows = read(sqlite_query(f"{folder}/x.db", f'SELECT * FROM "{quoted}"', type=dict))
        assert rows == [row] * (1 if keyed else 2)


@pytest.mark.parametrize(
    ("type_", "records"),
    [
        (Row, [Row(1, "a"), Row(2)]),
        (Bought, [Bought(1, "a")]),
        (Pair, [Pair(1, "a")]),
        (dict, [{"id": 1, "name": None}]),
        (dict[str, int], [{"id": 1, "n": 2}]),
    ],
)
@pytest.mark.parametrize("typed", [True, False])
def test_each_kind_of_row(path: str, type_: Any, records: list[Any], typed: bool) -> None:
    write(sqlite_table(path, "t"), records, type_ if typed else None)
    assert read(sqlite_query(path, "SELECT * FROM t", type=type_)) == records


def test_a_key_that_a_typed_dict_lacks_is_null_in_between(path: str) -> None:
    rows = [Loose(id=1), Loose(id=2, name="b")]
    write(sqlite_table(path, "t"), rows, Loose)
    assert sql(path, "SELECT * FROM t") == [(1, None), (2, "b")]
    assert read(sqlite_query(path, "SELECT * FROM t", type=Loose)) == rows


@pytest.mark.parametrize("type_", [tuple, tuple[int, date], None])
def test_tuples_take_the_columns_of_a_table_in_order(path: str, type_: Any) -> None:
    sql(path, "CREATE TABLE t (id INTEGER, day TEXT)")
    write(sqlite_table(path, "t"), [(1, date(2026, 1, 31))], type_)
    assert read(sqlite_query(path, "SELECT * FROM t", type=tuple)) == [(1, "2026-01-31")]
    assert read(sqlite_query(path, "SELECT * FROM t", type=tuple[int, date])) == [(1, date(2026, 1, 31))]
    assert read(sqlite_query(path, "SELECT id, id FROM t", type=tuple[int, ...])) == [(1, 1)]


# ------------------------------------------------------------------------------------ the source


def query(path: str, text: str, type_: Any = Row, **options: Any) -> Source[Any]:
    return sqlite_query(path, text, type=type_, **options)


@pytest.fixture
def numbers(path: str) -> str:
    sql(
        path,
        "CREATE TABLE t (id INTEGER, name TEXT)",
        "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd')",
    )
    return path


def test_a_read_gives_no_more_than_its_limit_and_then_the_end(numbers: str) -> None:
    with closing(query(numbers, "SELECT * FROM t").open("")) as reader:
        assert reader.read(3) == [Row(1, "a"), Row(2, "b"), Row(3, "c")]
        assert reader.read(1) == [Row(4, "d")]
        assert reader.read(1) is None
        assert reader.read(1) is None


def test_columns_go_by_name_others_are_left_out_and_defaults_step_in(numbers: str) -> None:
    assert read(query(numbers, "SELECT name AS x, name, id FROM t LIMIT 1")) == [Row(1, "a")]
    assert read(query(numbers, "SELECT id FROM t LIMIT 1")) == [Row(1)]


def test_parameters_by_position_and_by_name(numbers: str) -> None:
    assert read(sqlite_query(numbers, "SELECT id FROM t WHERE id > ?", (3,), type=tuple)) == [(4,)]
    assert read(sqlite_query(numbers, "SELECT id FROM t WHERE id = :n", {"n": 2}, type=tuple)) == [(2,)]


def test_what_the_source_says_of_itself(numbers: str) -> None:
    source = sqlite_query(numbers, "SELECT * FROM t", type=Row)
    assert_type(source, Source[Row])
    assert (source.type, source.blocking, source.bounded, source.partitions()) == (Row, True, True, ("",))


class Mixed(msgspec.Struct):
    id: int
    flag: bool = False
    raw: bytes = b""
    tags: list[int] = []
    level: Annotated[int, msgspec.Meta(le=5)] = 0

    def __post_init__(self) -> None:
        if self.id == 13:
            raise KeyError("unlucky")


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ("'x' AS id", "column 'id' holds 'x': Expected `int`, got `str`"),
        ("NULL AS id", "column 'id' holds null: Expected `int`, got `null`"),
        ("'12' AS id", "column 'id' holds '12': Expected `int`, got `str`"),
        ("1 AS id, 2 AS flag", "column 'flag' holds 2: Expected `bool`, got `int`"),
        ("1 AS id, 'AAAA' AS raw", "column 'raw' holds 'AAAA': Expected `bytes`, got `str`"),
        ("1 AS id, '[1' AS tags", "column 'tags' holds '[1': Input data was truncated"),
        ("1 AS id, '[true]' AS tags", "column 'tags' holds '[true]': Expected `int`, got `bool`"),
        ("1 AS id, NULL AS tags", "column 'tags' holds null: Expected `array`, got `null`"),
        ("1 AS id, 6 AS level", "column 'level' holds 6: Expected `int` <= 5"),
        ("13 AS id", "KeyError: 'unlucky'"),
    ],
)
def test_a_row_that_does_not_fit_is_a_bad_record(path: str, columns: str, reason: str) -> None:
    names = ", ".join(part.split(" AS ")[1] for part in columns.split(", "))
    good = ", ".join(
        {"id": "7", "flag": "1", "raw": "x'00'", "tags": "'[]'", "level": "5"}[n] for n in names.split(", ")
    )
    text = f"SELECT {good} UNION ALL SELECT {columns} UNION ALL SELECT {good}"
    first, bad, last = read(query(path_to_empty(path), f"WITH q({names}) AS ({text}) SELECT * FROM q", Mixed))
    assert first == last
    assert isinstance(bad, BadRecord)
    assert bad.error.place == f"{path}: query row 2"
    assert str(bad.error).startswith(f"{path}: query row 2: ")
    assert reason in str(bad.error)
    assert list(bad.raw) == names.split(", ")


def path_to_empty(path: str) -> str:
    sql(path, "CREATE TABLE IF NOT EXISTS empty (id)")
    return path


def test_text_that_is_not_utf8_is_a_bad_record_in_its_place(numbers: str) -> None:
    sql(numbers, "UPDATE t SET name = CAST(x'ff' AS TEXT) WHERE id IN (2, 4)")
    with closing(query(numbers, "SELECT * FROM t").open("")) as reader:
        first, (second,), third, (fourth,) = (reader.read(10) or () for _ in range(4))
        assert reader.read(10) is None
    assert (first, third) == ([Row(1, "a")], [Row(3, "c")])
    assert isinstance(second, BadRecord)
    assert isinstance(fourth, BadRecord)
    assert second.raw == {"id": 2, "name": b"\xff"}
    assert "query row 2: Could not decode to UTF-8 column 'name'" in str(second.error)
    assert fourth.error.place.endswith("query row 4")


def test_a_query_that_fails_half_way_delivers_what_came_before(path: str) -> None:
    sql(path, "CREATE TABLE t (id INTEGER)", "INSERT INTO t VALUES (1), (2), (-9223372036854775808)")
    with closing(query(path, "SELECT abs(id) AS id FROM t").open("")) as reader:
        assert reader.read(10) == [Row(1)]
        with pytest.raises(ConnectorError, match=r"cannot read .* query .*abs.*: integer overflow"):
            reader.read(10)


@pytest.mark.parametrize("text", ["SELECT id, id AS x FROM t", "SELECT name FROM t"], ids=["half read", "wrong"])
def test_what_was_closed_holds_no_lock(path: str, text: str) -> None:
    """Even if a traceback keeps the reader and all that it had in hand."""
    sql(path, "CREATE TABLE t (id, name)", "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    reader = query(path, text).open("")
    failure: BaseException | None = None
    try:
        reader.read(1)
    except ConnectorError as error:
        failure = error
    assert (failure is None) == ("id" in text)
    reader.close()
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")


@pytest.mark.parametrize(
    ("text", "type_", "message"),
    [
        (
            "SELECT name FROM t",
            Row,
            "wanted column 'id' for Row from the query .*\n  hint: there are: name; add it to the SELECT",
        ),
        ("SELECT 1 AS x", Pair, "wanted columns 'id', 'name' for Pair from"),
        (
            "SELECT id, id FROM t",
            Row,
            "the query .* has several columns 'id': id, id\n  hint: give each a name of its own",
        ),
        ("SELECT id, id FROM t", dict, "several columns 'id'"),
        ("SELECT * FROM t", tuple[int], "wanted 1 columns in the query .*, came 2: id, name"),
        ("SELEC 1", Row, "cannot read .* with the query 'SELEC 1': near \"SELEC\": syntax error"),
        ("SELECT * FROM nowhere", Row, "no such table: nowhere"),
        ("SELECT ? AS id", Row, "Incorrect number of bindings"),
        ("SELECT 1 AS id; SELECT 2", Row, "one statement"),
        ("", Row, "wanted rows from the query '', which gives none\n  hint: write a SELECT"),
        ("DELETE FROM t", Row, "attempt to write a readonly database"),
        ("SELECT '\ud800' AS id", Row, "UnicodeEncodeError"),
    ],
)
def test_a_query_that_cannot_be_used(numbers: str, text: str, type_: Any, message: str) -> None:
    with pytest.raises(ConnectorError, match=message):
        read(query(numbers, text, type_))
    assert sql(numbers, "SELECT count(*) FROM t") == [(4,)]


def test_a_missing_database_is_an_error_and_stays_missing(path: str) -> None:
    with pytest.raises(ConnectorError, match=r"cannot read .*: there is no such file\n  hint: .* never creates"):
        query(path, "SELECT 1").open("")
    assert not os.path.exists(path)


def test_a_file_that_is_no_database(path: str, tmp_path: Path) -> None:
    Path(path).write_text("id,name\n" * 200)
    with pytest.raises(ConnectorError, match=r"file is not a database\n  hint: this is some other kind of file"):
        read(query(path, "SELECT 1 AS id FROM t"))
    with pytest.raises(ConnectorError, match="there is no such file"):
        query(str(tmp_path), "SELECT 1").open("")


def test_a_locked_database_is_waited_for_and_then_an_error(numbers: str) -> None:
    source = query(numbers, "SELECT id FROM t LIMIT 1", timeout=60.0)
    with (
        closing(source.open("")) as patient,
        closing(query(numbers, "SELECT id FROM t", timeout=0).open("")) as hasty,
    ):
        with locked(numbers):
            assert patient.read(10) == ()
            assert patient.poll_after() == pytest.approx(0.002)
            with pytest.raises(
                ConnectorError, match=r"cannot read .* with the query .* in 0 s: database is locked\n  hint: another"
            ):
                hasty.read(1)
        assert patient.read(10) == [Row(1)]


def test_a_database_in_wal_mode_that_cannot_be_written_beside() -> None:
    def prepare(name: str) -> None:
        sql(name, "PRAGMA journal_mode = WAL", "CREATE TABLE t (id INTEGER)")

    hint = "for a database in WAL mode, even to read it"
    with unprivileged_in(0o555, prepare) as name, pytest.raises(ConnectorError, match=hint):
        read(query(name, "SELECT * FROM t"))


class Empty(msgspec.Struct):
    pass


class Unreadable(msgspec.Struct):
    both: bytes | str


class Lost(TypedDict):
    x: Nowhere  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(
    ("type_", "message"),
    [
        (
            int,
            "sqlite_query reads rows, came int, which has no columns\n  hint: use",
        ),
        (Row | None, "which has no columns"),
        (Empty, "which has no columns"),
        (Unreadable, "field 'both' cannot be read back from a column: .*more than one str-like"),
        (dict[str, bytes | str], "cannot be read back"),
        (Lost, "the annotations of Lost cannot be resolved: .*Nowhere"),
    ],
)
def test_a_type_that_rows_cannot_have(path: str, type_: Any, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        query(path, "SELECT 1", type_)


# ------------------------------------------------------------------------------------ the sink


def schema(path: str, table: str = "t") -> str:
    ((text,),) = sql(path, f"SELECT sql FROM sqlite_master WHERE name = '{table}'")
    return str(text)


def test_an_empty_stream_makes_an_empty_table(path: str) -> None:
    sink = sqlite_table(path, "t", key=("text", "whole"))
    sink.open(SinkContext("load", Everything)).finish()
    assert schema(path) == (
        'CREATE TABLE "t" ("whole" INTEGER NOT NULL, "real" REAL NOT NULL, "text" TEXT NOT NULL, '
        '"raw" BLOB NOT NULL, "yesOrNo" INTEGER NOT NULL, "moment" TEXT NOT NULL, "day" TEXT NOT NULL, '
        '"clock" TEXT NOT NULL, "span" TEXT NOT NULL, "price" TEXT NOT NULL, "ident" TEXT NOT NULL, '
        '"colour" TEXT NOT NULL, "level" INTEGER NOT NULL, "size" TEXT NOT NULL, "user" INTEGER NOT NULL, '
        '"limited" INTEGER NOT NULL, "number"  NOT NULL, "either"  NOT NULL, "tags" TEXT NOT NULL, '
        '"inner" TEXT NOT NULL, "counts" TEXT NOT NULL, "maybeWhole" INTEGER, "maybeReal" REAL, '
        '"maybeText" TEXT, "maybeRaw" BLOB, "maybe" INTEGER, "maybeMoment" TEXT, "maybeColour" TEXT, '
        '"maybeTags" TEXT, "union" , "anything" , PRIMARY KEY ("text", "whole")) WITHOUT ROWID'
    )
    assert read(query(path, "SELECT * FROM t", Everything)) == []


def test_an_untyped_stream_makes_its_table_from_the_first_record(path: str) -> None:
    writer = sqlite_table(path, "t").open(SinkContext("load"))
    writer.write([])
    assert sql(path, "SELECT count(*) FROM sqlite_master") == [(0,)]
    writer.write([{"n": 1, "day": date(2026, 1, 31), "odd": None}])
    writer.write([{"n": None, "day": None, "odd": [1]}])
    writer.finish()
    assert schema(path) == 'CREATE TABLE "t" ("n" INTEGER, "day" TEXT, "odd" )'
    assert sql(path, "SELECT * FROM t") == [(1, "2026-01-31", None), (None, None, "[1]")]


def test_insert_adds_and_upsert_replaces(path: str) -> None:
    write(sqlite_table(path, "a"), [Row(1, "x")], Row)
    write(sqlite_table(path, "a"), [Row(1, "y")], Row)
    assert sql(path, "SELECT * FROM a") == [(1, "x"), (1, "y")]
    for name in ("x", "y"):
        write(sqlite_table(path, "b", key="id"), [Row(1, "?"), Row(2, name), Row(1, name)], Row)
    assert sql(path, "SELECT * FROM b") == [(1, "y"), (2, "y")]
    write(sqlite_table(path, "c", key="id"), [Key(1), Key(1)], Key)
    assert sql(path, "SELECT * FROM c") == [(1,)]


def test_a_key_with_mode_insert_refuses_what_is_there(path: str) -> None:
    writer = sqlite_table(path, "t", key="id", mode="insert").open(SinkContext("load", Row))
    writer.write([Row(1, "kept")])
    message = r"cannot write to table 't' of .*: UNIQUE constraint failed: t.id; record 2 of 3: Row\(id=1, name='2'"
    with pytest.raises(OutputError, match=message):
        writer.write([Row(5), Row(1, "2"), Row(6)])
    writer.write([Row(7)])
    writer.finish()
    assert sql(path, "SELECT id FROM t") == [(1,), (7,)]


class Sparse(NamedTuple):
    id: int | None
    value: float


@pytest.mark.parametrize(
    ("records", "type_", "message"),
    [
        (
            [Sparse(1, 2.0), Sparse(2, float("nan"))],
            Sparse,
            r"NOT NULL constraint .*; record 2 of 2.*\n  hint: .*NaN",
        ),
        ([Sparse(None, 1.0)], Sparse, r"NOT NULL constraint failed: t.id; record 1 of 1: Sparse"),
        ([Row(2**63)], Row, "OverflowError: Python int too large .*; record 1 of 1: Row"),
        ([Row(1, "\ud800")], Row, "UnicodeEncodeError: .*surrogates not allowed; record 1"),
        ([Row(1), Row(2, object())], Row, r"type 'object' is not supported; record 2 of 2"),  # type: ignore[arg-type]
        ([Row(1), Pair(2, "x"), 3], Row, "'int' object has no attribute 'id'; record 3 of 3: 3"),
        ([{"id": 1}, {"id": 1, "x": 2}], None, "ValueError: wanted the keys id, came id, x; record 2 of 2"),
        ([{"id": 1}, {}], None, "wanted the keys id, came ; record 2"),
        ([{"name": "x"}], Loose, "wanted the keys id, name, came name"),
        ([(1, 2)], tuple, "a tuple names no columns, and there is no table 't' of .*\n  hint: .* NamedTuple"),
        ([{}], None, "a dict names no columns"),
        ([{1: 2}], None, r"cannot write to table 't' of .*: wanted columns named by text, came \[1\]"),
        ([{"a": 1, "A": 2}], None, "columns 'a', 'A' differ in case only"),
        ([{"id\ud800": 2}], None, r"wanted columns named by text, came \['id"),
        ([{"a\0b": 2}], None, "wanted columns named by text"),
        ([5], None, "wanted rows for table 't' of .*, came 5"),
        ([{"x": 1}], None, "key 'id' is not a field; fields there: x"),
    ],
)
def test_records_that_cannot_be_written(path: str, records: list[Any], type_: Any, message: str) -> None:
    key = "id" if type_ is Sparse or records == [{"x": 1}] else None
    sink = sqlite_table(path, "t", key=key)
    with pytest.raises(ConnectorError, match=message) as caught:
        write_or_abort(sink, records, type_)
    assert isinstance(caught.value, OutputError) == (type_ is not tuple)  # what a tuple lacks is a table
    if sql(path, "SELECT name FROM sqlite_master"):
        assert sql(path, "SELECT * FROM t") == []


def write_or_abort(sink: Sink[Any], records: list[Any], type_: Any) -> None:
    writer = sink.open(SinkContext("load", type_))
    try:
        writer.write(records)
    finally:
        writer.abort()


def test_a_long_record_is_cut_in_the_message(path: str) -> None:
    with pytest.raises(OutputError, match="record 1 of 1") as caught:
        write_or_abort(sqlite_table(path, "t"), [Row(2**63, "x" * 10_000)], Row)
    assert len(str(caught.value)) < 600


def test_abort_keeps_what_was_written_before(path: str) -> None:
    writer = sqlite_table(path, "t").open(SinkContext("load", Row))
    writer.write([Row(1)])
    writer.abort()
    assert sql(path, "SELECT id FROM t") == [(1,)]


def test_a_new_database_is_in_wal_mode_and_nothing_is_left_beside_it(path: str) -> None:
    writer = sqlite_table(path, "t").open(SinkContext("load", Row))
    writer.write([Row(1)])
    assert os.path.exists(f"{path}-wal")
    writer.finish()
    assert os.listdir(os.path.dirname(path)) == [os.path.basename(path)]
    assert sql(path, "PRAGMA journal_mode") == [("wal",)]


def test_an_existing_database_keeps_its_journal_mode(numbers: str) -> None:
    write(sqlite_table(numbers, "t"), [Row(5, "e")], Row)
    assert sql(numbers, "PRAGMA journal_mode") == [("delete",)]
    assert sql(numbers, "SELECT count(*) FROM t") == [(5,)]


def test_a_table_that_is_there_needs_only_the_columns_of_the_records(path: str) -> None:
    sql(path, "CREATE TABLE t (extra TEXT DEFAULT 'd', NAME TEXT, id INTEGER PRIMARY KEY)")
    write(sqlite_table(path, "T", key="id"), [Row(1, "a"), Row(1, "b")], Row)
    assert sql(path, "SELECT * FROM t") == [("d", "b", 1)]


@pytest.mark.parametrize(
    ("statement", "options", "message"),
    [
        (
            "CREATE TABLE t (x)",
            {},
            "wanted columns 'id', 'name' in table 't' of .*; columns there: x\n  hint: ALTER",
        ),
        ("CREATE TABLE t (id, y)", {}, "wanted column 'name' in table"),
        (
            "CREATE TABLE u (x)",
            {"create": False},
            "wanted the table 't' of .*; tables there: u\n  hint: or pass",
        ),
        ("CREATE VIEW t AS SELECT 1 AS id, 2 AS name", {}, "cannot modify t because it is a view"),
        (
            "CREATE TABLE t (id, name, UNIQUE (id, name))",
            {"key": "id"},
            'cannot upsert into .*: no unique index is on exactly its key, "id"\n  hint: CREATE UNIQUE INDEX',
        ),
    ],
)
def test_a_table_that_does_not_suit(path: str, statement: str, options: Any, message: str) -> None:
    sql(path, statement)
    with pytest.raises(ConnectorError, match=message):
        sqlite_table(path, "t", **options).open(SinkContext("load", Row))


def test_a_reserved_table_name(path: str) -> None:
    with pytest.raises(ConnectorError, match=r"cannot open table 'sqlite_x' of .*: object name reserved"):
        sqlite_table(path, "sqlite_x").open(SinkContext("load", Row))


def test_a_locked_database_refuses_a_writer(numbers: str) -> None:
    sink = sqlite_table(numbers, "t", timeout=0)
    message = r"cannot {} table 't' of .* in 0 s: database is locked\n  hint: another connection holds it"
    writer = sink.open(SinkContext("load", Row))
    with locked(numbers):
        with pytest.raises(ConnectorError, match=message.format("open")):
            sink.open(SinkContext("load", Row))
        with pytest.raises(ConnectorError, match=message.format("write to")):
            writer.write([Row(5)])
    writer.write([Row(6)])
    with closing(sqlite3.connect(numbers)) as reader:
        rows = reader.execute("SELECT * FROM t")  # a read transaction, which bars a commit until its end
        with pytest.raises(ConnectorError, match=message.format("write to")):
            writer.write([Row(7)])
        rows.close()
    writer.finish()
    assert sql(numbers, "SELECT id FROM t WHERE id > 4") == [(6,)]


def test_a_writer_waits_for_its_turn(numbers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = sqlite_table(numbers, "t", timeout=60.0).open(SinkContext("load", Row))
    with closing(sqlite3.connect(numbers, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        monkeypatch.setattr(time_module, "sleep", lambda _: other.rollback())
        writer.write([Row(5)])
    writer.finish()
    assert sql(numbers, "SELECT id FROM t WHERE id > 4") == [(5,)]


def test_a_full_disk(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = sqlite3.connect

    def small(*args: Any, **options: Any) -> sqlite3.Connection:
        db: sqlite3.Connection = connect(*args, **options)
        db.execute("PRAGMA max_page_count = 4")
        return db

    monkeypatch.setattr(sqlite3, "connect", small)
    writer = sqlite_table(path, "t").open(SinkContext("load", Row))
    writer.write([Row(1, "kept")])
    with pytest.raises(
        ConnectorError, match=r"cannot write to .*: database or disk is full\n  hint: make room"
    ) as caught:
        writer.write([Row(n, "x" * 4000) for n in range(10)])
    assert "record" not in str(caught.value)
    writer.write([Row(2, "fits")])
    writer.finish()
    assert sql(path, "SELECT name FROM t") == [("kept",), ("fits",)]


def test_a_finish_that_cannot_move_the_rows_says_so_and_loses_none(path: str) -> None:
    writer = sqlite_table(path, "t").open(SinkContext("load", Row))
    writer.write([Row(n, "x" * 1000) for n in range(100)])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, limits[1]))  # the file may grow no further, as on a full disk
    try:
        with pytest.raises(ConnectorError, match="cannot move what was committed into the file of table 't' of"):
            writer.finish()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert sql(path, "SELECT count(*) FROM t") == [(100,)]


def test_a_sink_to_a_file_that_is_no_database(path: str, tmp_path: Path) -> None:
    Path(path).write_text("id,name\n" * 200)
    with pytest.raises(ConnectorError, match=r"cannot open table 't' of .*: file is not a database\n  hint: this is"):
        sqlite_table(path, "t").open(SinkContext("load", Row))
    missing = str(tmp_path / "none" / "x.db")
    with pytest.raises(ConnectorError, match=r"unable to open database file\n  hint: check the path"):
        sqlite_table(missing, "t").open(SinkContext("load", Row))


@pytest.mark.parametrize("mode", [0o777, 0o555])
def test_a_sink_to_a_read_only_database(mode: int) -> None:
    def prepare(name: str) -> None:
        sql(name, "CREATE TABLE t (id INTEGER, name TEXT)")

    message = r"cannot open table 't' of .*: attempt to write a readonly database\n  hint: .* must be writable"
    with unprivileged_in(mode, prepare) as name, pytest.raises(ConnectorError, match=message):
        sqlite_table(name, "t").open(SinkContext("load", Row))


def test_a_sink_to_a_read_only_directory() -> None:
    with unprivileged_in(0o555, lambda name: sql(name, "CREATE TABLE t (id)")) as name:
        other = os.path.join(os.path.dirname(name), "new.db")
        with pytest.raises(
            ConnectorError, match=r"unable to open database file\n  hint: .* must exist and be writable"
        ):
            sqlite_table(other, "t").open(SinkContext("load", Row))


def test_a_database_that_no_journal_can_stand_beside() -> None:
    with unprivileged_in(0o555, lambda name: sql(name, "CREATE TABLE t (id)"), writable=True) as name:
        writer = sqlite_table(name, "t").open(SinkContext("load", Key))
        with pytest.raises(
            ConnectorError,
            match=r"cannot write to .*: attempt to write a readonly database\n  hint: the file",
        ):
            writer.write([Key(1)])
        writer.abort()


class Upper(NamedTuple):
    a: int
    A: int


@pytest.mark.parametrize(
    ("type_", "message"),
    [
        (
            int,
            "sqlite_table 't' writes rows, came int, which has no columns\n  hint: use",
        ),
        (Row | Pair, "which has no columns"),
        (Empty, "which has no columns"),
        (Upper, "of Upper: columns 'a', 'A' differ in case only"),
        (Bought, "of Bought: key 'nr' is not a field; fields there: id, name, total"),
    ],
)
def test_streams_that_cannot_be_written(path: str, type_: Any, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        sqlite_table(path, "t", key=None if type_ is Upper else "nr").check(type_)


@pytest.mark.parametrize("type_", [None, Any, object, Row, Pair, Loose, dict, dict[str, int], tuple])
def test_streams_that_can_be_written(path: str, type_: Any) -> None:
    sqlite_table(path, "t", key="id").check(type_)
    assert not os.path.exists(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "replace"}, "wanted mode 'insert' or 'upsert', came 'replace'"),
        ({"mode": "upsert"}, "mode 'upsert' needs a key\n  hint: name the columns"),
        ({"batch": 0}, "wanted a batch of 1 record or more, came 0"),
        ({"timeout": -1}, "wanted a timeout of 0 seconds or more, came -1"),
        ({"database": ":memory:"}, "wanted a database file, came ':memory:'"),
        ({"database": ""}, "wanted a database file, came ''"),
    ],
)
def test_arguments_that_make_no_sense(options: Any, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        sqlite_table(**{"database": "x.db", "table": "t", **options})


def test_what_the_sink_says_of_itself(path: str) -> None:
    sink = sqlite_table(path, "t", batch=10)
    assert (sink.blocking, sink.batch_records, sink.name) == (True, 10, "sqlite_table")


def test_both_can_be_sent_to_another_process(path: str) -> None:
    write(pickle.loads(pickle.dumps(sqlite_table(path, "t", key="id"))), [Pair(1, "a")], Pair)
    assert read(pickle.loads(pickle.dumps(query(path, "SELECT * FROM t", Pair)))) == [Pair(1, "a")]


@pytest.mark.parametrize("tables", [("a", "b"), ("a", "a")])
def test_two_sinks_in_threads_share_a_database(path: str, tables: Sequence[str]) -> None:
    failures: list[BaseException] = []

    def work(table: str, base: int) -> None:
        try:
            writer = sqlite_table(path, table, timeout=30.0).open(SinkContext("load", Row))
            for start in range(base, base + 500, 10):
                writer.write([Row(n) for n in range(start, start + 10)])
            writer.finish()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(table, 500 * i)) for i, table in enumerate(tables)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    rows = [id_ for table in sorted(set(tables)) for (id_,) in sql(path, f"SELECT id FROM {table} ORDER BY id")]
    assert sorted(rows) == list(range(1000))


def test_doctests_run() -> None:
    for module in (connectors.sqlite, connectors.record_types, connectors.rows):
        assert doctest.testmod(module).attempted > 0
        assert doctest.testmod(module).failed == 0


def test_all_is_sorted_and_complete() -> None:
    assert connectors.sqlite.__all__ == sorted(n for n in vars(connectors.sqlite) if n.startswith("sqlite_"))
