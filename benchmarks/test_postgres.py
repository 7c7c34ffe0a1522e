"""Records into a PostgreSQL table, and out of one, against the same by hand with psycopg.

By hand that is COPY, and a cursor on the server. Reach: 0.8 of its speed. Skipped where no server is installed.
With checkpoints there is one a second, so rows wait in a table of their part first, and come from there while more is
written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count
from operator import attrgetter
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.paired import Batches, Tally, paired, scaled
from connectors.postgres import postgres_query, postgres_table
from engine import Checkpoints, Dataflow
from tests.connectors.postgres_server import PostgresServer, programs

RECORDS = scaled(200_000)
FOR_SECONDS = scaled(500_000)
BATCH = 1000
TYPES = ["int8", "text", "float8", "bool", "timestamptz"]
COLUMNS = (
    "id bigint NOT NULL, name text NOT NULL, price float8 NOT NULL, sold boolean NOT NULL, at timestamptz NOT NULL"
)
UPSERT = """
    INSERT INTO by_hand SELECT DISTINCT ON (id) * FROM stage ORDER BY id, ctid DESC ON CONFLICT (id) DO UPDATE
    SET name = excluded.name, price = excluded.price, sold = excluded.sold, at = excluded.at
"""


class Sale(msgspec.Struct):
    id: int
    name: str
    price: float
    sold: bool
    at: datetime


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    where = programs()
    if where is None:
        pytest.skip("no PostgreSQL server is installed")
    server = PostgresServer(where)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="module")
def sales() -> list[list[Sale]]:
    return made(RECORDS)


def made(count: int) -> list[list[Sale]]:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [Sale(i, f"name {i % 997}", i * 0.25, i % 2 == 0, at) for i in range(count)]
    return [rows[i : i + BATCH] for i in range(0, count, BATCH)]


def copied(db: Any, batches: list[list[Sale]], table: str, after: str | None) -> None:
    row = attrgetter("id", "name", "price", "sold", "at")
    for batch in batches:
        with db.transaction(), db.cursor() as cursor:
            with cursor.copy(f"COPY {table} FROM STDIN (FORMAT BINARY)") as copy:
                copy.set_types(TYPES)
                for sale in batch:
                    copy.write_row(row(sale))
            if after:
                cursor.execute(after)


@pytest.fixture(params=["insert", "insert, unique", "upsert"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_postgres_table(
    benchmark: BenchmarkFixture, server: PostgresServer, sales: list[list[Sale]], mode: str
) -> None:
    def ours() -> None:
        loading(server, sales, mode).run()

    paired(benchmark, ours, by_hand(server, sales, mode), RECORDS)
    assert server.sql("SELECT count(*), count(DISTINCT id) FROM ours") == [(RECORDS, RECORDS)]


def test_with_checkpoints(benchmark: BenchmarkFixture, server: PostgresServer, mode: str, tmp_path: Path) -> None:
    sales, folders = made(FOR_SECONDS), count()

    def ours() -> None:
        server.sql("DROP TABLE IF EXISTS headgate_checkpoints")
        loading(server, sales, mode).run(checkpoint=Checkpoints(into=f"{tmp_path}/{next(folders)}", interval="1s"))

    paired(benchmark, ours, by_hand(server, sales, mode), FOR_SECONDS, rounds=3)
    assert server.sql("SELECT count(*), count(DISTINCT id) FROM ours") == [(FOR_SECONDS, FOR_SECONDS)]


def loading(server: PostgresServer, batches: list[list[Sale]], mode: str) -> Dataflow:
    emptied(server, "ours", mode)
    flow = Dataflow("load")
    key = "id" if mode == "upsert" else None
    flow.source(Batches(batches)).sink(postgres_table(server.conninfo(), "ours", key=key))
    return flow


def by_hand(server: PostgresServer, batches: list[list[Sale]], mode: str) -> Callable[[], None]:
    def load() -> None:
        emptied(server, "by_hand", mode)
        with psycopg.connect(server.conninfo(), autocommit=True) as db:
            db.execute("CREATE TEMPORARY TABLE stage (LIKE by_hand) ON COMMIT DELETE ROWS")
            is_upsert = mode == "upsert"
            copied(db, batches, "stage" if is_upsert else "by_hand", UPSERT if is_upsert else None)

    return load


def emptied(server: PostgresServer, table: str, mode: str) -> None:
    primary = "" if mode == "insert" else ", PRIMARY KEY (id)"
    server.sql(f"DROP TABLE IF EXISTS {table}", f"CREATE TABLE {table} ({COLUMNS}{primary})")


def test_postgres_query(benchmark: BenchmarkFixture, server: PostgresServer, sales: list[list[Sale]]) -> None:
    server.sql("DROP TABLE IF EXISTS sales", f"CREATE TABLE sales ({COLUMNS})")
    with psycopg.connect(server.conninfo(), autocommit=True) as db:
        copied(db, sales, "sales", None)
    tally = Tally()

    def ours() -> None:
        flow = Dataflow("read")
        flow.source(postgres_query(server.conninfo(), "SELECT * FROM sales", type=Sale)).sink(tally)
        flow.run()

    paired(benchmark, ours, _reading(server), RECORDS)
    assert tally.records == RECORDS


def _reading(server: PostgresServer) -> Callable[[], None]:
    def by_hand() -> None:
        with psycopg.connect(server.conninfo()) as db, db.cursor("by_hand") as cursor:
            cursor.execute("SELECT * FROM sales")
            while rows := cursor.fetchmany(BATCH):
                [Sale(*row) for row in rows]

    return by_hand
