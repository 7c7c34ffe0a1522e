"""The PostgreSQL source and sink over a real server: what goes in comes out, what goes wrong says what and where."""

from __future__ import annotations

import doctest
import pickle
import re
import subprocess
import sys
import threading
import time as time_module
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, TypedDict, assert_type
from uuid import UUID

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

pytest.importorskip("psycopg")

import connectors.postgres
from connectors.postgres import postgres_query, postgres_table
from engine.errors import ConnectorError, GraphError, OutputError
from engine.sink import Recovery, Sink, SinkContext
from engine.source import BadRecord, Source
from tests.connectors.postgres_server import PostgresServer


class Row(msgspec.Struct):
    id: int
    name: str | None = None


class Key(NamedTuple):
    id: int


class Pair(NamedTuple):
    id: int
    name: str


@dataclass
class Bought:
    id: int
    name: str


class Loose(TypedDict):
    id: int
    name: NotRequired[str]


def write(sink: Sink[Any], records: list[Any], type_: Any = None) -> None:
    writer = sink.open(SinkContext("load", type_))
    try:
        writer.write(records)
    finally:
        writer.finish()


def read(source: Source[Any], limit: int = 3) -> list[Any]:
    found: list[Any] = []
    with closing(source.open("")) as reader:
        while (records := reader.read(limit)) is not None:
            assert len(records) <= limit
            found.extend(records)
    return found


def query(server: PostgresServer, text: str, type_: Any = Row, **options: Any) -> Source[Any]:
    return postgres_query(server.conninfo(), text, type=type_, **options)


def table(server: PostgresServer, name: str = "t", **options: Any) -> Sink[Any]:
    return postgres_table(server.conninfo(), name, **options)


PHASES = [Phase.explicit, Phase.generate]
"""A failure is not shrunk: each example takes its time."""


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


class Everything(msgspec.Struct, kw_only=True, rename="camel"):
    whole: int
    real: float
    text: str
    raw: bytes
    yes_or_no: bool
    moment: datetime
    local: Annotated[datetime, msgspec.Meta(tz=False)]
    day: date
    clock: time
    span: timedelta
    price: Decimal
    ident: UUID
    colour: Colour
    level: Level
    size: Literal["s", "m"]
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
    maybe_day: date | None
    maybe_colour: Colour | None
    maybe_tags: set[int] | None
    union: int | date | None
    anything: Any


WHOLE = st.integers(-(2**63), 2**63 - 1)
REAL = st.floats(allow_nan=False)
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
RAW = st.binary(max_size=20)
OFFSETS = st.integers(-720, 720).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENT = st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=st.just(UTC) | OFFSETS)
PRICE = st.decimals(-(10**12), 10**12, allow_nan=False)

ROWS = st.builds(
    Everything,
    whole=WHOLE,
    real=REAL,
    text=TEXT,
    raw=RAW,
    moment=MOMENT,
    local=st.datetimes(),
    day=st.dates(),
    clock=st.times(),
    span=st.timedeltas(timedelta(-10_000), timedelta(10_000)),
    price=PRICE,
    number=WHOLE.map(float) | REAL,
    either=WHOLE | TEXT,
    tags=st.lists(TEXT, max_size=3),
    inner=st.builds(Inner, at=MOMENT, data=RAW),
    counts=st.dictionaries(WHOLE, PRICE, max_size=3),
    maybe_whole=st.none() | WHOLE,
    maybe_real=st.none() | REAL,
    maybe_text=st.none() | TEXT,
    maybe_raw=st.none() | RAW,
    maybe_moment=st.none() | MOMENT,
    maybe_tags=st.none() | st.sets(WHOLE, max_size=3),
    union=st.none() | WHOLE | st.dates(),
    anything=st.none() | WHOLE | TEXT | st.booleans() | st.lists(WHOLE, max_size=2),
)


@settings(max_examples=12, phases=PHASES)
@given(batches=st.lists(st.lists(ROWS, max_size=3), max_size=3), typed=st.booleans())
def test_rows_of_all_types_come_out_equal(
    running_postgres: PostgresServer, batches: list[list[Everything]], typed: bool
) -> None:
    running_postgres.sql("DROP TABLE IF EXISTS everything")
    rows = [row for batch in batches for row in batch]
    sink = table(running_postgres, "everything")
    writer = sink.open(SinkContext("load", Everything if typed or not rows else None))
    for batch in batches:
        writer.write(batch)
    writer.finish()
    assert read(query(running_postgres, "SELECT * FROM everything", Everything), limit=2) == rows


NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=8)
ODD = st.sampled_from(['"', "'", "a b", "select", "a.b", "%s", "%(x)s", "{}", "; DROP TABLE t; --", "ünïcødé", "user"])


@settings(max_examples=12, phases=PHASES)
@given(
    schema=NAMES | ODD,
    name=NAMES | ODD,
    columns=st.lists(NAMES | ODD, min_size=1, max_size=4, unique=True),
    values=st.lists(WHOLE | TEXT | RAW | REAL, min_size=4, max_size=4),
    keyed=st.booleans(),
)
def test_identifiers_may_be_anything(
    running_postgres: PostgresServer, schema: str, name: str, columns: list[str], values: list[Any], keyed: bool
) -> None:
    if schema.startswith("pg_"):
        return
    row = dict(zip(columns, values, strict=False))
    quoted = ['"' + each.replace('"', '""') + '"' for each in (schema, name)]
    running_postgres.sql(f"CREATE SCHEMA {quoted[0]}")
    try:
        write(table(running_postgres, name, schema=schema, key=columns[0] if keyed else None), [row, row])
        rows = read(query(running_postgres, f"SELECT * FROM {'.'.join(quoted)}", dict))
        assert rows == [row] * (1 if keyed else 2)
    finally:
        running_postgres.sql(f"DROP SCHEMA {quoted[0]} CASCADE")


@pytest.mark.parametrize(
    ("type_", "records"),
    [
        (Row, [Row(1, "a"), Row(2)]),
        (Bought, [Bought(1, "a")]),
        (Pair, [Pair(1, "a")]),
        (Loose, [Loose(id=1), Loose(id=2, name="b")]),
        (dict, [{"id": 1, "name": "a"}, {"id": None, "name": None}]),
    ],
)
@pytest.mark.parametrize("typed", [True, False])
def test_each_kind_of_row(postgres: PostgresServer, type_: Any, records: list[Any], typed: bool) -> None:
    write(table(postgres), records, type_ if typed or type_ is Loose else None)
    assert read(query(postgres, "SELECT * FROM t", type_)) == records


def test_tuples_take_the_columns_of_a_table_in_order(postgres: PostgresServer) -> None:
    postgres.sql("CREATE TABLE t (id integer, day date)")
    for type_ in (tuple, tuple[int, date], None):
        write(table(postgres), [(1, date(2026, 1, 31))], type_)
    assert read(query(postgres, "SELECT * FROM t", tuple[int, date])) == [(1, date(2026, 1, 31))] * 3
    assert read(query(postgres, "SELECT id, id FROM t LIMIT 1", tuple[int, ...])) == [(1, 1)]
    with pytest.raises(OutputError, match=r"wanted 2 values, came 3; record 2 of 2: \(1, "):
        write(table(postgres), [(1, date(2026, 1, 31)), (1, None, 3)])


class Strange(msgspec.Struct):
    small: int
    short: str
    mood: Literal["fine", "bad"]
    address: str
    price: Decimal
    ratio: float
    numbers: list[int]
    words: list[str] | None
    payload: str
    parsed: dict[str, int]
    at: datetime
    spans: Any


def test_columns_of_other_types_than_the_sink_makes(postgres: PostgresServer) -> None:
    postgres.sql(
        "CREATE TYPE mood AS ENUM ('fine', 'bad')",
        "CREATE TABLE t (extra text DEFAULT 'd', small smallint, short varchar(3), mood mood, address inet, "
        "price numeric(6, 2), ratio real, numbers integer[], words text[], payload jsonb, parsed json, at timestamp, "
        "spans varchar)",
    )
    row = Strange(
        *(7, "abc", "fine", "10.0.0.1", Decimal("1.50"), 0.5, [1, 2], None, '{"a": 1}', {"b": 2}),
        *(datetime(2026, 1, 1), "x"),
    )
    other = msgspec.structs.replace(row, words=['"', "NULL", "a,b", ""], numbers=[], mood="bad")
    write(table(postgres), [row, other], Strange)
    assert read(query(postgres, "SELECT * FROM t", Strange)) == [row, other]
    assert postgres.sql("SELECT DISTINCT extra FROM t") == [("d",)]
    for change, message in (
        ({"small": 2**15}, "smallint out of range"),
        ({"short": "abcd"}, "value too long for type character varying"),
        ({"mood": "??"}, "invalid input value for enum mood"),
        ({"address": "1.2.3"}, "invalid input syntax for type inet"),
        ({"payload": "{"}, "invalid input syntax for type json"),
        (
            {"at": datetime(2026, 1, 1, tzinfo=UTC)},
            "column 'at': wanted datetime without a zone for timestamp, came",
        ),
    ):
        bad: Any = msgspec.structs.replace(row, **change)
        with pytest.raises(OutputError, match=rf"cannot write to table 't' of .*{message}.*; record 2 of 3: Strange\("):
            write(table(postgres), [row, bad, other], Strange)
    assert postgres.sql("SELECT count(*) FROM t") == [(2,)]


# ------------------------------------------------------------------------------------ the source


@pytest.fixture
def numbers(postgres: PostgresServer) -> PostgresServer:
    postgres.sql("CREATE TABLE t (id bigint, name text)", "INSERT INTO t VALUES (3, 'c'), (1, 'a'), (4, 'd'), (2, 'b')")
    return postgres


def test_a_read_gives_no_more_than_its_limit_and_then_the_end(numbers: PostgresServer) -> None:
    with closing(query(numbers, "SELECT * FROM t ORDER BY id").open("")) as reader:
        assert reader.read(3) == [Row(1, "a"), Row(2, "b"), Row(3, "c")]
        assert reader.read(1) == [Row(4, "d")]
        assert reader.read(1) is None
        assert reader.read(1) is None


def test_columns_go_by_name_others_are_left_out_and_defaults_step_in(numbers: PostgresServer) -> None:
    assert read(query(numbers, "SELECT name AS x, name, id FROM t WHERE id = 1")) == [Row(1, "a")]
    assert read(query(numbers, "SELECT id FROM t WHERE id = 1")) == [Row(1)]


@pytest.mark.parametrize("key", [None, "id", ("name", "id")])
def test_parameters_by_position_and_by_name(numbers: PostgresServer, key: Any) -> None:
    text = "SELECT id, name FROM t WHERE id > %s -- so; "
    assert read(postgres_query(numbers.conninfo(), text, (3,), type=Row, key=key)) == [Row(4, "d")]
    text = "SELECT id, name FROM t WHERE id = %(n)s;"
    assert read(postgres_query(numbers.conninfo(), text, {"n": 2}, type=Row, key=key)) == [Row(2, "b")]
    text = "SELECT id, name FROM t WHERE name LIKE 'a%'"
    assert read(postgres_query(numbers.conninfo(), text, type=Row, key=key)) == [Row(1, "a")]


def test_what_the_source_says_of_itself(running_postgres: PostgresServer) -> None:
    source = postgres_query(running_postgres.conninfo(), "SELECT 1", type=Row)
    assert_type(source, Source[Row])
    assert (source.type, source.blocking, source.bounded, source.partitions()) == (Row, True, True, ("",))


class Mixed(msgspec.Struct):
    id: int
    flag: bool = False
    raw: bytes = b""
    tags: list[int] = []
    at: datetime | None = None
    level: Annotated[int, msgspec.Meta(le=5)] = 0

    def __post_init__(self) -> None:
        if self.id == 13:
            raise KeyError("unlucky")


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ("'x'::text AS id", "column 'id' holds 'x': Expected `int`, got `str`"),
        ("NULL::bigint AS id", "column 'id' holds null: Expected `int`, got `null`"),
        ("1.5::numeric AS id", r"column 'id' holds Decimal\('1.5'\): Expected `int`, got `decimal`"),
        ("1 AS id, 2 AS flag", "column 'flag' holds 2: Expected `bool`, got `int`"),
        ("1 AS id, '[true]'::jsonb AS tags", r"column 'tags' holds '\[true\]': Expected `int`, got `bool`"),
        ("1 AS id, '{NULL}'::int[] AS tags", r"column 'tags' holds \[None\]: Expected `int`, got `null`"),
        ("1 AS id, 'infinity'::timestamptz AS at", "column 'at' holds b'infinity'"),
        ("1 AS id, 6 AS level", "column 'level' holds 6: Expected `int` <= 5"),
        ("13 AS id", "KeyError: 'unlucky'"),
    ],
)
def test_a_row_that_does_not_fit_is_a_bad_record(postgres: PostgresServer, columns: str, reason: str) -> None:
    names = [part.split(" AS ")[1] for part in columns.split(", ")]
    postgres.sql(f"CREATE TABLE t AS SELECT {columns}")
    fine = {"id": "7", "flag": "1", "tags": "'[]'", "level": "5", "at": "'2026-01-01'"}
    types = dict(postgres.sql("SELECT column_name, udt_name FROM information_schema.columns WHERE table_name = 't'"))
    values = ["'{}'" if types[name].startswith("_") else fine[name] for name in names]
    good = ", ".join(f"CAST({value} AS {types[name]})" for name, value in zip(names, values, strict=True))
    text = f"SELECT {good} UNION ALL SELECT * FROM t UNION ALL SELECT {good}"
    source = query(postgres, f"WITH q({', '.join(names)}) AS ({text}) SELECT * FROM q", Mixed)
    if "'x'" in columns:
        good = "'7'"
    first, bad, last = read(source)
    assert first == last or isinstance(first, BadRecord)
    assert isinstance(bad, BadRecord)
    assert bad.error.place == f"database postgres at 127.0.0.1:{postgres.port}: query row 2"
    assert re.search(reason, str(bad.error))
    assert list(bad.raw) == names


def test_types_that_python_has_no_plain_one_for_are_read_as_text(postgres: PostgresServer) -> None:
    text = (
        "SELECT '10.0.0.1'::inet AS a, '[1,3)'::int4range AS b, '{\"k\": [1]}'::jsonb AS c, "
        "'x'::char(3) AS d, row(1, 'b') AS e, sum(2::bigint) AS f"
    )
    (row,) = read(query(postgres, text, dict))
    assert row == {"a": "10.0.0.1", "b": "[1,3)", "c": {"k": [1]}, "d": "x  ", "e": "(1,b)", "f": Decimal(2)}
    assert read(query(postgres, text, dict[str, Any])) == [row]
    assert read(query(postgres, "SELECT sum(2::bigint) AS id", Row)) == [Row(2)]


def test_a_query_that_fails_half_way_delivers_what_came_before(postgres: PostgresServer) -> None:
    with closing(query(postgres, "SELECT 1 / (3 - i) AS id FROM generate_series(1, 5) AS i").open("")) as reader:
        assert reader.read(2) == [Row(0), Row(1)]
        with pytest.raises(ConnectorError, match=r"cannot read database postgres at .* query .*: division by zero"):
            reader.read(2)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (
            "SELECT name FROM t",
            {},
            "wanted column 'id' for Row from the query .*\n  hint: there are: name; add it to the SELECT",
        ),
        ("SELECT id, id FROM t", {}, "the query .* has several columns 'id': id, id\n  hint: give each a name"),
        ("SELECT * FROM t", {"type_": tuple[int]}, "wanted 1 columns in the query .*, came 2: id, name"),
        (
            "SELEC 1",
            {},
            "cannot read .* with the query 'SELEC 1': syntax error at or near .*\n  hint: write one",
        ),
        ("SELECT * FROM nowhere", {}, 'relation "nowhere" does not exist'),
        ("SELECT %s AS id", {}, 'syntax error at or near "%"'),
        ("SELECT 1 AS id; SELECT 2", {}, "cannot insert multiple commands"),
        ("", {}, "syntax error"),
        ("DELETE FROM t", {}, "syntax error"),
        ("WITH d AS (DELETE FROM t RETURNING id) SELECT * FROM d", {}, "DECLARE CURSOR must not contain"),
        ("SELECT nextval('s') AS id", {}, "cannot execute nextval.* in a read-only transaction"),
        (
            "SELECT * FROM t",
            {"key": "nr"},
            'column "nr" does not exist',
        ),
        (
            "SELECT 1 AS id FROM t",
            {"key": "id"},
            r"the key \(id=1\) is the same in two rows of .*\n  hint: name",
        ),
        ("SELECT NULL::bigint AS id", {"key": "id"}, r"the key \(id=None\) is null in the query"),
        ("SELECT '\ud800' AS id", {}, "UnicodeEncodeError"),
    ],
)
def test_a_query_that_cannot_be_used(numbers: PostgresServer, text: str, options: Any, message: str) -> None:
    numbers.sql("CREATE SEQUENCE s")
    with pytest.raises(ConnectorError, match=message):
        read(query(numbers, text, **options))
    assert numbers.sql("SELECT count(*) FROM t") == [(4,)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"port": 1}, r"connection .* failed: .*Connection refused.*\n  hint: check host, port"),
        (
            {"user": "locked", "password": "wrong"},
            'password authentication failed for user "locked"\n  hint: check',
        ),
        ({"user": "locked"}, "no password supplied"),
        ({"dbname": "nowhere"}, 'database "nowhere" does not exist'),
        ({"host": "/nowhere"}, "No such file or directory"),
    ],
)
def test_a_server_that_cannot_be_reached(postgres: PostgresServer, changes: Any, message: str) -> None:
    roles = postgres.sql("SELECT 1 FROM pg_roles WHERE rolname = 'locked'")
    if not roles:
        postgres.sql("CREATE ROLE locked LOGIN PASSWORD 'right'")
    conninfo = postgres.conninfo(**changes)
    for fail in (
        lambda: read(postgres_query(conninfo, "SELECT 1 AS id", type=Row)),
        lambda: postgres_table(conninfo, "t").open(SinkContext("load", Row)),
    ):
        with pytest.raises(ConnectorError, match=message) as caught:
            fail()
        assert "wrong" not in str(caught.value)


def test_a_statement_timeout(postgres: PostgresServer) -> None:
    conninfo = postgres.conninfo(options="'-c statement_timeout=30'")
    message = r"canceling statement due to statement timeout\n  hint: raise statement_timeout"
    with pytest.raises(ConnectorError, match=f"cannot read .*{message}"):
        read(postgres_query(conninfo, "SELECT 1 AS id, pg_sleep(60)", type=Row))
    write(table(postgres), [Row(1)], Row)
    postgres.sql(
        "CREATE FUNCTION slow() RETURNS trigger AS 'BEGIN PERFORM pg_sleep(60); RETURN NEW; END' LANGUAGE plpgsql",
        "CREATE TRIGGER slow BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION slow()",
    )
    with pytest.raises(ConnectorError, match=f"cannot write to table 't'.*{message}") as caught:
        write(postgres_table(conninfo, "t"), [Row(2)], Row)
    assert not isinstance(caught.value, OutputError)


def test_a_read_does_not_wait_for_a_slow_query_and_close_ends_it(postgres: PostgresServer) -> None:
    reader = query(postgres, "SELECT 1 AS id, pg_sleep(600)").open("")
    began = time_module.monotonic()
    assert [reader.read(10) for _ in range(3)] == [(), (), ()]
    reader.close()
    assert time_module.monotonic() - began < 60
    assert active(postgres) == []


def active(server: PostgresServer) -> list[Any]:
    """The queries of others that go on or wait for more to be read, once those who end have had time to."""
    text = "SELECT query FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
    end, found = time_module.monotonic() + 30, server.sql(text)
    while found and time_module.monotonic() < end:
        threading.Event().wait(0.01)
        found = server.sql(text)
    return found


# ------------------------------------------------------------------------------------ the sink


def columns(server: PostgresServer, name: str = "t") -> dict[str, tuple[str, bool]]:
    text = f"SELECT column_name, data_type, is_nullable FROM information_schema.columns WHERE table_name = '{name}'"
    return {column: (type_, nullable == "YES") for column, type_, nullable in server.sql(text)}


def test_an_empty_stream_makes_an_empty_table(postgres: PostgresServer) -> None:
    table(postgres, key=("text", "whole")).open(SinkContext("load", Everything)).finish()
    made = columns(postgres)
    assert {name: type_ for name, (type_, nullable) in made.items() if not nullable} == {
        **{"whole": "bigint", "real": "double precision", "text": "text", "raw": "bytea", "yesOrNo": "boolean"},
        **{"moment": "timestamp with time zone", "local": "timestamp without time zone", "day": "date"},
        **{"clock": "time without time zone", "span": "interval", "price": "numeric", "ident": "uuid"},
        **{"colour": "text", "level": "bigint", "size": "text", "number": "double precision", "either": "jsonb"},
        **{"tags": "jsonb", "inner": "jsonb", "counts": "jsonb"},
    }
    assert {name: type_ for name, (type_, nullable) in made.items() if nullable} == {
        **{"maybeWhole": "bigint", "maybeReal": "double precision", "maybeText": "text", "maybeRaw": "bytea"},
        **{"maybe": "boolean", "maybeMoment": "timestamp with time zone", "maybeDay": "date", "maybeColour": "text"},
        **{"maybeTags": "jsonb", "union": "jsonb", "anything": "jsonb"},
    }
    assert read(query(postgres, "SELECT * FROM t", Everything)) == []


def test_an_untyped_stream_makes_its_table_from_the_first_record(postgres: PostgresServer) -> None:
    writer = table(postgres).open(SinkContext("load"))
    writer.write([])
    assert columns(postgres) == {}
    writer.write([{"n": 1, "day": date(2026, 1, 31), "odd": None}])
    writer.write([{"n": None, "day": None, "odd": [1]}])
    writer.finish()
    assert columns(postgres) == {"n": ("bigint", True), "day": ("date", True), "odd": ("jsonb", True)}
    assert postgres.sql("SELECT n, odd::text FROM t") == [(1, None), (None, "[1]")]


def test_insert_adds_and_upsert_replaces(postgres: PostgresServer) -> None:
    write(table(postgres, "a"), [Row(1, "x")], Row)
    write(table(postgres, "a"), [Row(1, "y")], Row)
    assert postgres.sql("SELECT * FROM a") == [(1, "x"), (1, "y")]
    for name in ("x", "y"):
        write(table(postgres, "b", key="id"), [Row(1, "?"), Row(2, name), Row(1, name)], Row)
    assert postgres.sql("SELECT * FROM b ORDER BY id") == [(1, "y"), (2, "y")]
    write(table(postgres, "c", key="id"), [Key(1), Key(1)], Key)
    assert postgres.sql("SELECT * FROM c") == [(1,)]


@settings(max_examples=10, phases=PHASES)
@given(
    batches=st.lists(
        st.lists(st.builds(Row, id=st.integers(0, 9), name=st.none() | TEXT), min_size=1, max_size=20), max_size=5
    )
)
def test_upserts_leave_the_last_row_of_each_key(running_postgres: PostgresServer, batches: list[list[Row]]) -> None:
    running_postgres.sql("DROP TABLE IF EXISTS upserted")
    writer = table(running_postgres, "upserted", key="id").open(SinkContext("load", Row))
    for batch in batches:
        writer.write(batch)
    writer.finish()
    last = {row.id: row for batch in batches for row in batch}
    assert {row.id: row for row in read(query(running_postgres, "SELECT * FROM upserted"))} == last
    assert running_postgres.sql("SELECT count(*) FROM upserted") == [(len(last),)]


def test_a_key_with_mode_insert_refuses_what_is_there(postgres: PostgresServer) -> None:
    writer = table(postgres, key="id", mode="insert").open(SinkContext("load", Row))
    writer.write([Row(1, "kept")])
    message = (
        r'cannot write to table \'t\' of .*: duplicate key value violates unique constraint "t_pkey" '
        r"\(Key \(id\)=\(1\) already exists.\); record 701 of 1000: Row\(id=1, name='2'"
    )
    with pytest.raises(OutputError, match=message):
        writer.write([Row(1 if n == 700 else 1000 + n, "2") for n in range(1000)])
    with pytest.raises(OutputError, match=r"record 3 of 3: Row\(id=7"):
        writer.write([Row(7), Row(8), Row(7)])
    writer.write([Row(7)])
    writer.finish()
    assert postgres.sql("SELECT id FROM t") == [(1,), (7,)]


def test_a_deferred_constraint_is_no_secret_until_the_commit(postgres: PostgresServer) -> None:
    postgres.sql("CREATE TABLE t (id bigint UNIQUE DEFERRABLE INITIALLY DEFERRED, name text)")
    with pytest.raises(OutputError, match=r"violates unique constraint .*; record 2 of 3: Row\(id=1"):
        write(table(postgres), [Row(1), Row(1), Row(2)], Row)
    with pytest.raises(OutputError, match=r"violates unique constraint .*; record 4 of 5: Row\(id=3"):
        write(table(postgres), [Row(1), Row(2), Row(3), Row(3), Row(4)], Row)
    assert postgres.sql("SELECT * FROM t") == []


class Sparse(NamedTuple):
    id: int | None
    value: float


AT = datetime(2026, 1, 1, tzinfo=UTC)


class Typed(msgspec.Struct):
    id: int = 1
    flag: bool = True
    at: datetime = AT
    day: date = date(2026, 1, 1)
    clock: time = time(1)
    span: timedelta = timedelta(1)
    ident: UUID = UUID(int=1)
    raw: bytes = b""
    price: Decimal = Decimal(1)
    real: float = 0.5


def typed(**values: Any) -> Typed:
    return msgspec.structs.replace(Typed(), **values)


@pytest.mark.parametrize(
    ("records", "type_", "message"),
    [
        (
            [Sparse(1, 2.0), Sparse(None, 1.0)],
            Sparse,
            'null value in column "id" .*; record 2 of 2: .*\n  hint: make',
        ),
        ([Row(2**63)], Row, "OverflowError: .*; record 1 of 1: Row"),
        ([Row(1, "\ud800")], Row, "UnicodeEncodeError: .*surrogates not allowed; record 1"),
        (
            [Row(1, "a\0b")],
            Row,
            "invalid byte sequence .*0x00; record 1 of 1.*\n  hint: PostgreSQL's text",
        ),
        ([Row(1), Row(2, 5)], Row, "column 'name': wanted str for text, came 5; record 2 of 2"),  # type: ignore[arg-type]
        ([Row(1), Pair(2, "x"), 3], Row, "'int' object has no attribute 'id'; record 3 of 3: 3"),
        ([{"id": 1}, {"id": 1, "x": 2}], None, "ValueError: wanted the keys id, came id, x; record 2 of 2"),
        ([{"id": 1}, {"id": "1"}], None, "column 'id': wanted int for bigint, came '1'; record 2 of 2"),
        ([{"name": "x"}], Loose, "wanted the keys id, name, came name"),
        ([(1, 2)], tuple, "a tuple names no columns, and there is no table 't' of .*\n  hint: .* NamedTuple"),
        ([{}], None, "a dict names no columns"),
        (
            [{1: 2}],
            None,
            r"cannot write to table .*: wanted columns named by text of up to 63 bytes, came \[1\]",
        ),
        ([{"x" * 64: 2}], None, "wanted columns named by text of up to 63 bytes"),
        ([{"": 2}], None, "wanted columns named by text"),
        ([{"ctid": 2}], None, "conflicts with a system column name"),
        ([5], None, "wanted rows for table 't' of .*, came 5"),
        ([{"x": 1}], None, "key 'id' is not a field; fields there: x"),
        ([{"at": object()}], None, "Encoding objects of type object is unsupported; record 1 of 1"),
        ([typed(id=1.0)], Typed, "column 'id': wanted int for bigint, came 1.0"),
        ([typed(flag="no")], Typed, "column 'flag': wanted bool for boolean, came 'no'"),
        ([typed(at=datetime(2026, 1, 1))], Typed, "column 'at': wanted datetime with a zone for timestamptz, came"),
        ([typed(day=AT)], Typed, "column 'day': wanted date for date, came datetime"),
        ([typed(clock=time(1, tzinfo=UTC))], Typed, "column 'clock': wanted time without a zone for time, came"),
        ([typed(clock="01:00")], Typed, "column 'clock': wanted time for time, came '01:00'"),
        ([typed(span=1)], Typed, "column 'span': wanted timedelta for interval, came 1"),
        ([typed(ident="x")], Typed, "column 'ident': wanted UUID for uuid, came 'x'"),
        ([typed(raw="x")], Typed, "column 'raw': wanted bytes for bytea, came 'x'"),
        ([typed(price=1.5)], Typed, "column 'price': wanted Decimal for numeric, came 1.5"),
        ([typed(real="1")], Typed, "column 'real': wanted float for double precision, came '1'"),
    ],
)
def test_records_that_cannot_be_written(postgres: PostgresServer, records: list[Any], type_: Any, message: str) -> None:
    key = "id" if type_ is Sparse or records == [{"x": 1}] else None
    with pytest.raises(ConnectorError, match=message) as caught:
        write(table(postgres, key=key), records, type_)
    is_no_records_fault = type_ is tuple or "system column" in message
    assert isinstance(caught.value, OutputError) != is_no_records_fault
    if columns(postgres):
        assert postgres.sql("SELECT * FROM t") == []


def test_a_long_record_is_cut_in_the_message(postgres: PostgresServer) -> None:
    with pytest.raises(OutputError, match="record 1 of 1") as caught:
        write(table(postgres), [Row(2**63, "x" * 10_000)], Row)
    assert len(str(caught.value)) < 600


def test_abort_keeps_what_was_written_before_and_leaves_no_connection(postgres: PostgresServer) -> None:
    writer = table(postgres).open(SinkContext("load", Row))
    writer.write([Row(1)])
    writer.abort()
    assert postgres.sql("SELECT id FROM t") == [(1,)]
    assert active(postgres) == []


@pytest.mark.parametrize(
    ("statement", "options", "message"),
    [
        (
            "CREATE TABLE t (x text)",
            {},
            "wanted columns 'id', 'name' in table .*\n  hint: there are: x; ALTER",
        ),
        ("CREATE TABLE t (id bigint, nome text)", {}, "wanted column 'name' in table .*\n  hint: did you mean 'nome'"),
        (
            "CREATE TABLE u (x text)",
            {"create": False},
            "wanted the table 't' .*; tables there: public.u\n  hint: or",
        ),
        ("CREATE VIEW t AS SELECT 1 AS id, 'x'::text AS name", {}, 'cannot insert into view "t"'),
        (
            "CREATE TABLE t (id bigint, name text, UNIQUE (id, name))",
            {"key": "id"},
            "cannot upsert into .*: no unique index is on exactly its key, id\n  hint: CREATE UNIQUE INDEX",
        ),
        (
            "CREATE TABLE t (id boolean, name text)",
            {},
            'column "id" is of type boolean but expression is',
        ),
        (
            "CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY, name varchar(3))",
            {"key": "id"},
            "no unique|identity|GENERATED",
        ),
        ("CREATE TABLE u ()", {"schema": "nowhere"}, 'schema "nowhere" does not exist'),
    ],
)
def test_a_table_that_does_not_suit(postgres: PostgresServer, statement: str, options: Any, message: str) -> None:
    postgres.sql(statement)
    with pytest.raises(ConnectorError, match=message) as caught:
        table(postgres, **options).open(SinkContext("load", Row))
    assert not isinstance(caught.value, OutputError)


def test_a_column_that_would_lose_part_of_the_values(postgres: PostgresServer) -> None:
    postgres.sql("CREATE TABLE t (id integer, value integer)", "CREATE TABLE u (at date)")
    with pytest.raises(ConnectorError, match="column 'value' of type integer, which would lose a fraction\n"):
        write(table(postgres), [], Sparse)
    with pytest.raises(OutputError, match="column 'at' of type date, which would lose part of a datetime"):
        write(table(postgres, "u"), [{"at": AT}])


def test_a_view_and_a_table_with_row_security_are_inserted_into(postgres: PostgresServer) -> None:
    postgres.sql(
        "CREATE TABLE t (id bigint, name text)",
        "CREATE VIEW v AS SELECT * FROM t",
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY p ON t WITH CHECK (id < 10)",
        "DO $$ BEGIN CREATE ROLE writer LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
        "GRANT USAGE ON SCHEMA public TO writer",
        "GRANT INSERT ON t TO writer",
        "GRANT CREATE ON SCHEMA public TO writer",
    )
    write(table(postgres, "v"), [Row(20)], Row)
    mine = postgres_table(postgres.conninfo(user="writer"), "t")
    write(mine, [Row(1)], Row)
    with pytest.raises(ConnectorError, match="row violates row-level security policy"):
        write(mine, [Row(10)], Row)
    with pytest.raises(ConnectorError, match=r"permission denied for view v\n  hint: GRANT it"):
        write(postgres_table(postgres.conninfo(user="writer"), "v"), [Row(1)], Row)
    assert postgres.sql("SELECT id FROM t ORDER BY id") == [(1,), (20,)]


class Empty(msgspec.Struct):
    pass


@pytest.mark.parametrize(
    ("type_", "message"),
    [
        (int, "postgres_table 't' writes rows, came int, which has no columns\n  hint: use"),
        (Row | Pair, "which has no columns"),
        (Empty, "which has no columns"),
        (Bought, "of Bought: key 'nr' is not a field; fields there: id, name"),
    ],
)
def test_streams_that_cannot_be_written(type_: Any, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        postgres_table("", "t", key="nr").check(type_)


@pytest.mark.parametrize("type_", [None, Any, object, Row, Pair, Loose, dict, dict[str, int], tuple])
def test_streams_that_can_be_written(type_: Any) -> None:
    postgres_table("", "t", key="id").check(type_)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "replace"}, "wanted mode 'insert' or 'upsert', came 'replace'"),
        ({"mode": "upsert"}, "mode 'upsert' needs a key\n  hint: name the columns"),
        ({"batch": -1}, "wanted a batch of 1 record or more, or 0 to have it learned, came -1"),
        ({"timeout": -1}, "wanted a timeout of 0 seconds or more, came -1"),
        (
            {"table": "a.b"},
            "wanted the name of a table, came 'a.b'\n  hint: .*: schema='a', table='b'",
        ),
        ({"table": ""}, "wanted a name of 1 to 63 bytes, came ''"),
        ({"schema": "\0"}, "wanted a name of 1 to 63 bytes"),
        ({"conninfo": "host=x pass word"}, 'the conninfo cannot be understood: missing "..." after'),
    ],
)
def test_arguments_that_make_no_sense(options: Any, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        postgres_table(**{"conninfo": "", "table": "t", **options})


def test_a_password_is_in_no_name_and_no_message(postgres: PostgresServer) -> None:
    secret = "s3cr3t"
    url = f"postgresql://nobody:{secret}@127.0.0.1:{postgres.port}/nowhere"
    with pytest.raises(ConnectorError) as caught:
        postgres_table(url, "t").open(SinkContext("load", Row))
    assert "nowhere at 127.0.0.1" in str(caught.value)
    assert secret not in str(caught.value)
    with pytest.raises(GraphError) as refused:
        postgres_table(f"postgresql//nobody:{secret}@here/there", "t")
    assert secret not in str(refused.value)


def test_a_type_that_rows_cannot_have() -> None:
    with pytest.raises(GraphError, match="postgres_query reads rows, came int, which has no columns"):
        postgres_query("", "SELECT 1", type=int)


def test_both_can_be_sent_to_another_process(postgres: PostgresServer) -> None:
    write(pickle.loads(pickle.dumps(table(postgres, key="id"))), [Pair(1, "a")], Pair)
    assert read(pickle.loads(pickle.dumps(query(postgres, "SELECT * FROM t", Pair)))) == [Pair(1, "a")]


@pytest.mark.parametrize("key", [None, "id"])
def test_writers_in_threads_share_a_table(postgres: PostgresServer, key: str | None) -> None:
    failures: list[BaseException] = []

    def work(order: Sequence[int]) -> None:
        try:
            writer = table(postgres, key=key).open(SinkContext("load", Row))
            for start in range(0, 100, 10):
                writer.write([Row(start + n) for n in order])
            writer.finish()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(range(10)[:: 1 - 2 * (i % 2)],)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert postgres.sql("SELECT count(*), count(DISTINCT id) FROM t") == [(100 if key else 400, 100)]


def test_without_psycopg_the_import_says_what_to_install() -> None:
    code = "import sys; sys.modules['psycopg'] = None; import connectors.postgres"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ImportError: connectors.postgres needs psycopg 3: pip install 'headgate[postgres]'" in done.stderr


def test_doctests_run() -> None:
    assert doctest.testmod(connectors.postgres).attempted > 0
    assert doctest.testmod(connectors.postgres).failed == 0


def test_all_is_sorted_and_complete() -> None:
    assert connectors.postgres.__all__ == sorted(n for n in vars(connectors.postgres) if n.startswith("postgres_"))


@pytest.mark.parametrize("recovery", [None, Recovery("job", 1)], ids=["at once", "by checkpoints"])
def test_the_last_row_of_a_key_wins_wherever_the_server_has_put_it(
    recovery: Recovery | None, postgres: PostgresServer
) -> None:
    """A short row fills the gap that a long one left at the end of an earlier page."""
    rows = [{"id": n * 7 % 997, "n": n, "text": "x" * (1, 10, 900, 1500)[n * n % 41 % 4]} for n in range(4_000)]
    writer = postgres_table(postgres.conninfo(), "t", key="id").open(SinkContext("sink", dict, recovery=recovery))
    for at in range(0, len(rows), 1_000):
        writer.write(rows[at : at + 1_000])
    if recovery:
        writer.commit(writer.prepare(1))
        writer.settle()
    writer.finish()
    assert dict(postgres.sql("SELECT id, n FROM t")) == {row["id"]: row["n"] for row in rows}
