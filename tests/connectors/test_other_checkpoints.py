"""A job that begins anew, goes back to a savepoint, or runs twice: what tables and files have is never by chance."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from connectors.files import json_lines_file
from connectors.memory import generate
from connectors.sqlite import sqlite_table
from engine import Checkpoints, Dataflow
from engine.errors import ConnectorError
from engine.sink import Recovery, Sink, SinkContext, Writer


class Row(NamedTuple):
    n: int
    text: str


class Database(NamedTuple):
    """Where a table `t` is: its sink, by key or not, and what reads SQL there."""

    sink: Callable[[str | None], Sink[Any]]
    sql: Callable[[str], list[Any]]

    def rows(self) -> list[Any]:
        return self.sql("SELECT n, text FROM t ORDER BY n, text")


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "postgres":
        from connectors.postgres import postgres_table

        server = request.getfixturevalue("postgres")
        yield Database(lambda key: postgres_table(server.conninfo(), "t", key=key), server.sql)
        return
    path = str(tmp_path / "a.db")

    def sql(statement: str) -> list[Any]:
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            return db.execute(statement).fetchall()

    yield Database(lambda key: sqlite_table(path, "t", key=key), sql)


def _open(sink: Sink[Any], line: str, epoch: int, prepared: Any = (), checkpoint: int = 0, **more: Any) -> Writer[Any]:
    recovery = Recovery("job", epoch, prepared, checkpoint, line=line, **more)
    return sink.open(SinkContext("sink", Row, recovery=recovery))


def _committed(writer: Writer[Any], checkpoint: int, *rows: Row) -> Any:
    writer.write(list(rows))
    token = writer.prepare(checkpoint)
    _commit(writer, token)
    return token


def _commit(writer: Writer[Any], token: Any) -> None:
    writer.commit(token)
    writer.settle()


# ------------------------------------------------------------------------------------- lines of checkpoints


def test_who_begins_anew_is_refused_by_a_table_with_rows_of_the_job(database: Database) -> None:
    sink = database.sink(None)
    writer = _open(sink, "a", 7)
    token = _committed(writer, 3, Row(1, "a"))
    writer.finish()
    message = r"cannot begin anew: rows that job 'job' wrote up to checkpoint 3 are in the table 't' .* already, "
    hint = r".*\n  hint: .*; or empty the table; .*again=\('sink',\)"
    for line, epoch in (("b", 1), ("a", 8)):  # from no checkpoint, in another directory or this one
        with pytest.raises(ConnectorError, match=message + hint):
            _open(sink, line, epoch)
    _open(sink, "a", 9, [token], 3).finish()  # which changes nothing for the one that was there
    assert database.rows() == [(1, "a")]
    database.sql("DELETE FROM t")
    writer = _open(sink, "b", 2)
    _committed(writer, 1, Row(2, "b"))
    writer.finish()
    writer = _open(sink, "c", 1, again=True)
    _committed(writer, 1, Row(2, "c"))
    writer.finish()
    assert database.rows() == [(2, "b"), (2, "c")]


def test_by_key_whoever_begins_anew_takes_over_and_nobody_else_goes_on(database: Database) -> None:
    sink = database.sink("n")
    old = _open(sink, "a", 7)
    token = _committed(old, 3, Row(1, "a"))
    new = _open(sink, "b", 1)
    new.write([Row(1, "b"), Row(2, "b")])
    with pytest.raises(ConnectorError, match="job 'job' with other checkpoints has taken over\n  hint: two jobs"):
        old.write([Row(9, "")])
    old.abort()
    prepared = new.prepare(1)
    # Nothing is committed, so there is a way back.
    old = _open(sink, "a", 8, [token], 3)
    with pytest.raises(ConnectorError, match="with other checkpoints has taken over"):
        _commit(new, prepared)
    new.abort()
    old.finish()
    new = _open(sink, "b", 2)
    prepared = _committed(new, 1, Row(1, "b"))
    message = r"cannot go on from checkpoint 3: job 'job' with other checkpoints has written to the table 't' .* since"
    with pytest.raises(ConnectorError, match=message):
        _open(sink, "a", 9, [token], 3)
    new.finish()
    old = _open(sink, "a", 10, [token], 3, again=True)
    assert database.rows() == [(1, "b")]  # what was committed before is taken to be there
    _committed(old, 4, Row(1, "a"))
    old.finish()
    assert database.rows() == [(1, "a")]


def test_equal_epochs_and_parts_of_other_checkpoints_are_others(database: Database) -> None:
    for line in "ab":
        writer = _open(database.sink("n"), line, 1)
        _committed(writer, 1, Row(1, line))
        writer.finish()
    assert database.rows() == [(1, "b")]


def test_a_row_of_the_ledger_that_is_gone(database: Database) -> None:
    writer = _open(database.sink(None), "a", 1)
    database.sql("DELETE FROM headgate_checkpoints")
    with pytest.raises(ConnectorError, match="the row of job 'job' is no longer in headgate_checkpoints"):
        writer.write([Row(1, "")])
    writer.abort()


def test_two_jobs_of_one_name_and_one_file(tmp_path: Path) -> None:
    sink = json_lines_file(tmp_path / "a.jsonl")
    writer = _open(sink, "a", 1)
    with pytest.raises(ConnectorError, match="another writer is at work"):
        _open(sink, "b", 5)
    _open(sink, "a", 2).abort()
    writer.abort()


# ---------------------------------------------------------------------------------------------- whole jobs


def _flow(folder: Path, database: Database, count: int) -> Dataflow:
    flow = Dataflow("back")
    rows = flow.source(generate(int, count=count)).map(lambda n: Row(n, str(n)), type=Row)
    rows.sink(json_lines_file(folder / "a.jsonl"), name="file")
    rows.sink(database.sink(None), name="rows")
    return flow


def _numbers(folder: Path) -> list[int]:
    return [msgspec.json.decode(line)[0] for line in (folder / "a.jsonl").read_bytes().splitlines()]


def _run(folder: Path, database: Database, count: int, into: str = "kept", **wishes: Any) -> Any:
    checkpoints = Checkpoints(into=str(folder / into), interval="10s", restarts=0, **wishes)
    return _flow(folder, database, count).run(checkpoint=checkpoints)


def _stopped_at(folder: Path, database: Database, savepoint: str) -> int:
    """How many records a job had written by its savepoint."""
    flow = Dataflow("back")
    rows = flow.source(generate(int, rate=5_000)).map(lambda n: Row(n, str(n)), type=Row)
    rows.sink(json_lines_file(folder / "a.jsonl"), name="file")
    rows.sink(database.sink(None), name="rows")
    job = flow.start(checkpoint=Checkpoints(into=str(folder / "kept"), interval="20ms", restarts=0))
    while not (checkpoints := job.metrics().checkpoints) or checkpoints.last < 2:
        assert not job.join(0.005)
    job.stop(savepoint=savepoint)
    assert job.wait().state == "stopped"
    return len(_numbers(folder))


@pytest.mark.timeout(60)
def test_going_back_to_a_savepoint(database: Database, tmp_path: Path) -> None:
    """Files are cut to what they were then; of a table the user says what shall be."""
    at = _stopped_at(tmp_path, database, "A")
    assert 0 < at == len(database.rows())
    more = at + _stopped_more(tmp_path, database, at)
    with pytest.raises(ConnectorError, match=r"cannot go on from checkpoint \d+: rows that job 'back' wrote up to"):
        _run(tmp_path, database, more + 5, start_from="A")
    assert len(database.rows()) == more
    database.sql(f"DELETE FROM t WHERE n >= {at}")
    for count in (more + 5, more + 7):  # it may be said once more, and changes nothing then
        _run(tmp_path, database, count, start_from="A", again=("rows",))
        assert _numbers(tmp_path) == [n for n, _ in database.rows()] == list(range(more + 5))


def _stopped_more(folder: Path, database: Database, at: int) -> int:
    return _stopped_at(folder, database, "B") - at


@pytest.mark.timeout(60)
def test_a_directory_that_is_removed(database: Database, tmp_path: Path) -> None:
    _run(tmp_path, database, 30)
    shutil.rmtree(tmp_path / "kept")
    with pytest.raises(ConnectorError, match=r"cannot begin anew: rows that job 'back' wrote"):
        _run(tmp_path, database, 40)
    database.sql("DROP TABLE t")
    _run(tmp_path, database, 40)
    assert _numbers(tmp_path) == [n for n, _ in database.rows()] == list(range(40))
