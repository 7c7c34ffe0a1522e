"""PostgreSQL when connections, servers and transactions fail: no row is lost or doubled; and whole jobs over it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any, Literal

import msgspec
import pytest

pytest.importorskip("psycopg")

from connectors.memory import collect, from_iterable
from connectors.postgres import postgres_query, postgres_table
from engine import Dataflow, DeadLetter, Reader
from engine.errors import ConnectorError, JobCancelled, OutputError
from engine.sink import Sink, SinkContext, Writer
from tests.connectors.postgres_server import PostgresServer

SECONDS = 60


class Row(msgspec.Struct):
    id: int
    name: str | None = None


@pytest.fixture
def server(postgres: PostgresServer) -> PostgresServer:
    postgres.sql("CREATE TABLE t (id bigint, name text)", "CREATE SEQUENCE tries")
    return postgres


def ids(server: PostgresServer) -> list[int]:
    return [id_ for (id_,) in server.sql("SELECT id FROM t ORDER BY id")]


@contextmanager
def opened(sink: Sink[Any]) -> Iterator[Writer[Any]]:
    writer = sink.open(SinkContext("load", Row))
    try:
        yield writer
    finally:
        writer.finish()


def kill_others(server: PostgresServer) -> None:
    server.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )


class Scissors:
    """A way to the server that is cut once, as the client says `word`: before that goes on, or after."""

    def __init__(self, server: PostgresServer, word: bytes, when: Literal["before", "after"]) -> None:
        self._port, self._word, self._when = server.port, word, when
        self.cuts = 0
        self.stays_cut = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                there = socket.create_connection(("127.0.0.1", self._port))
                threading.Thread(target=self._inward, args=(client, there), daemon=True).start()
                threading.Thread(target=self._outward, args=(there, client), daemon=True).start()

    def _inward(self, client: socket.socket, there: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                is_there = self._word in data and not self.cuts
                if is_there:
                    self.cuts += 1
                    if self.stays_cut:
                        self.close()
                    client.shutdown(socket.SHUT_RDWR)
                    if self._when == "before":
                        break
                there.sendall(data)
                if is_there:
                    break
        with suppress(OSError):
            there.shutdown(socket.SHUT_WR)

    def _outward(self, there: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := there.recv(65536):
                client.sendall(data)
        for each in (there, client):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.mark.parametrize("key", [None, "id"])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("word", [b"BEGIN", b"COPY", b"COMMIT\0"])
def test_a_connection_cut_at_any_step_of_a_write_neither_loses_nor_doubles_it(
    server: PostgresServer, word: bytes, when: Literal["before", "after"], key: str | None
) -> None:
    if key:
        server.sql("ALTER TABLE t ADD UNIQUE (id)")
    with opened(postgres_table(server.conninfo(), "t", key=key)) as other:
        other.write([Row(0)])
    with closing(Scissors(server, word, when)) as scissors:
        scissors.cuts = 1  # not while the sink is opened
        with opened(postgres_table(server.conninfo(port=scissors.port), "t", key=key, timeout=SECONDS)) as writer:
            writer.write([Row(1), Row(2)])
            scissors.cuts = 0
            writer.write([Row(3), Row(4)])
            assert scissors.cuts == 1
            writer.write([Row(5)])
    assert ids(server) == list(range(6))


def test_a_commit_of_which_nobody_can_say_how_it_ended_is_an_error(server: PostgresServer) -> None:
    with closing(Scissors(server, b"COMMIT\0", "after")) as scissors:
        scissors.cuts = 1
        with opened(postgres_table(server.conninfo(port=scissors.port), "t", timeout=0.1)) as writer:
            scissors.cuts, scissors.stays_cut = 0, True
            message = r"cannot write to table 't' of .* during a commit: it may have been made or not\n  hint: look"
            with pytest.raises(ConnectorError, match=message) as caught:
                writer.write([Row(1)])
    assert not isinstance(caught.value, OutputError)


def test_a_killed_server_that_comes_back_is_gone_on_with(server: PostgresServer) -> None:
    text = "SELECT i AS id FROM generate_series(1, 9) AS i"
    with (
        opened(postgres_table(server.conninfo(), "t", timeout=SECONDS)) as writer,
        closing(postgres_query(server.conninfo(), text, type=Row, key="id", timeout=SECONDS).open("")) as reader,
    ):
        writer.write([Row(1)])
        while not (first := reader.read(4)):  # nothing yet: the machine is busy
            assert first is not None
        assert first == [Row(n) for n in range(1, 5)]
        server.stop()
        writing = threading.Thread(target=writer.write, args=([Row(2)],))
        writing.start()
        assert reader.read(4) == ()
        server.start()
        writing.join()
        found: list[Any] = []
        while (records := reader.read(4)) is not None:
            found += records
        assert found == [Row(n) for n in range(5, 10)]
        kill_others(server)
        writer.write([Row(3)])
    assert ids(server) == [1, 2, 3]


def read_on(reader: Reader[Any]) -> None:
    while reader.read(2) is not None:
        pass


def test_a_server_that_stays_away(server: PostgresServer) -> None:
    text = "SELECT * FROM t"
    with (
        opened(postgres_table(server.conninfo(), "t", timeout=0.1)) as writer,
        closing(
            postgres_query(server.conninfo(), "SELECT * FROM t", type=Row, key="id", timeout=0.1).open("")
        ) as keyed,
        closing(postgres_query(server.conninfo(), text, type=Row).open("")) as plain,
    ):
        writer.write([Row(n) for n in range(9)])
        assert len(keyed.read(2) or ()) == len(plain.read(2) or ()) == 2
        server.stop()
        try:
            with pytest.raises(ConnectorError, match=r"cannot write to table 't' of .*: connection .*failed") as caught:
                writer.write([Row(2)])
            assert not isinstance(caught.value, OutputError)
            for reader in (keyed, plain):
                with pytest.raises(ConnectorError, match="cannot read database postgres at"):
                    read_on(reader)
        finally:
            server.start()
    assert ids(server) == list(range(9))


def test_a_transaction_that_others_stand_in_the_way_of_is_tried_again(server: PostgresServer) -> None:
    server.sql(
        "CREATE FUNCTION hinder() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF nextval('tries') < 3 THEN RAISE EXCEPTION 'busy' USING ERRCODE = TG_ARGV[0]; END IF; RETURN NEW; END $$",
        "CREATE TRIGGER hinder BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION hinder('40P01')",
    )
    with opened(postgres_table(server.conninfo(), "t", timeout=SECONDS)) as writer:
        writer.write([Row(1), Row(2)])
    assert ids(server) == [1, 2]
    assert server.sql("SELECT last_value FROM tries") == [(4,)]
    server.sql("ALTER SEQUENCE tries RESTART")
    with (
        opened(postgres_table(server.conninfo(), "t", timeout=0)) as writer,
        pytest.raises(ConnectorError, match=r"cannot write to table 't' of .*: busy"),
    ):
        writer.write([Row(3)])


# ------------------------------------------------------------------------------------------- whole jobs


@pytest.mark.parametrize("processes", [None, 2])
def test_a_table_becomes_another(server: PostgresServer, processes: int | None) -> None:
    server.sql("INSERT INTO t SELECT i, 'name ' || i % 10 FROM generate_series(1, 5000) AS i")
    flow = Dataflow("copy")
    rows = flow.source(postgres_query(server.conninfo(), "SELECT * FROM t", type=Row, key="id"))
    (
        rows.filter(lambda row: row.id % 2 == 0)
        .rebalance(2)
        .map(lambda row: {"key": row.id // 2, "name": row.name})
        .sink(postgres_table(server.conninfo(), "copy", key="key"))
    )
    result = flow.run(processes=processes)
    assert (result.records_read, result.records_written) == (5000, 2500)
    assert result.most_in_flight <= result.bound
    assert server.sql("SELECT count(*), min(key), max(key), count(DISTINCT name) FROM copy") == [(2500, 1, 2500, 5)]


@pytest.mark.parametrize("policy", ["skip", "dead-letter"])
@pytest.mark.parametrize("key", [None, "id"])
def test_only_records_at_fault_are_set_aside_and_all_others_written_once(
    server: PostgresServer, policy: Literal["skip", "dead-letter"], key: str | None
) -> None:
    server.sql("ALTER TABLE t ADD CHECK (id <> 13), ADD UNIQUE (id)")
    refused: list[Any] = [Row(13), Row(1, "\0"), Row(2**63), 5, Row(2, 7)]  # type: ignore[arg-type]
    if key is None:
        refused.append(Row(0))  # which is there by then
    records: list[Any] = [Row(n) for n in range(100) if n != 13]
    for number, record in enumerate(refused, 1):
        records.insert(11 * number, record)
    flow, letters = Dataflow("load"), list[DeadLetter]()
    flow.source(from_iterable(records, type=Row)).sink(
        postgres_table(server.conninfo(), "t", key=key), name="out", on_error=policy
    )
    if policy == "dead-letter":
        flow.dead_letters.sink(collect(letters))
    result = flow.run()
    assert ids(server) == [n for n in range(100) if n != 13]
    assert result.skipped == (len(refused) if policy == "skip" else 0)
    if policy == "dead-letter":
        assert [letter.record for letter in letters] == refused
        assert all(letter.error.startswith("OutputError: ") for letter in letters)


def eventually(condition: Callable[[], object]) -> None:
    pause = threading.Event()
    for _ in range(SECONDS * 100):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("it did not come")


def busy(server: PostgresServer) -> int:
    ((count,),) = server.sql(
        "SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    return int(count)


@pytest.mark.parametrize("how", ["stop", "cancel"])
def test_a_job_that_is_ended_in_the_middle_leaves_no_connection(server: PostgresServer, how: str) -> None:
    text = "SELECT i AS id, pg_sleep(0.0005)::text AS name FROM generate_series(1, 1000000) AS i"
    flow = Dataflow("endless")
    flow.source(postgres_query(server.conninfo(), text, type=Row)).sink(postgres_table(server.conninfo(), "t"))
    job = flow.start()
    eventually(lambda: ids(server))
    getattr(job, how)()
    if how == "stop":
        result = job.wait(SECONDS)
        assert len(ids(server)) == result.records_written == result.records_read
    else:
        with pytest.raises(JobCancelled):
            job.wait(SECONDS)
    written = ids(server)
    assert written == list(range(1, len(written) + 1))
    eventually(lambda: not busy(server))


def test_the_server_goes_and_comes_back_under_a_job(server: PostgresServer) -> None:
    flow = Dataflow("survivor")
    text = "SELECT i AS id, pg_sleep(0.0005)::text AS name FROM generate_series(1, 600) AS i"
    flow.source(postgres_query(server.conninfo(), text, type=Row, key="id", timeout=SECONDS)).sink(
        postgres_table(server.conninfo(), "t", timeout=SECONDS)
    )
    job = flow.start()
    for _ in range(3):
        seen = len(ids(server))
        eventually(lambda: len(ids(server)) > seen or job.metrics().state != "running")  # noqa: B023 - called at once
        server.stop()
        server.start()
    result = job.wait(SECONDS)
    assert result.state == "finished"
    assert ids(server) == list(range(1, 601))
