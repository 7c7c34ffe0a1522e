"""The PostgreSQL server that all tests of a session share, emptied before each test that uses it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.connectors.postgres_server import PostgresServer


@pytest.fixture(scope="session")
def running_postgres() -> Iterator[PostgresServer]:
    pytest.importorskip("psycopg")
    from tests.connectors.postgres_server import PostgresServer, programs

    where = programs()
    if where is None:
        pytest.skip("no PostgreSQL server is installed: its initdb is neither on the path nor where Debian puts it")
    server = PostgresServer(where)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def postgres(running_postgres: PostgresServer) -> PostgresServer:
    running_postgres.sql("DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    return running_postgres
