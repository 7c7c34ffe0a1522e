"""A PostgreSQL table as a sink, whenever a job dies: what can be seen is what was committed, each record once."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest import mock

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

pytest.importorskip("psycopg")

import psycopg

from connectors import postgres_session
from connectors.memory import collect
from connectors.postgres import postgres_query, postgres_table
from engine import Dataflow
from engine.checkpoints import Checkpoints
from engine.errors import ConnectorError, OutputError
from engine.sink import Recovery, Sink, SinkContext, Writer
from tests.connectors.lives import Fuse, Job
from tests.connectors.postgres_server import PostgresServer

if TYPE_CHECKING:
    from connectors.postgres_staging import StagedTableWriter

pytestmark = pytest.mark.timeout(60)

_DECLARED = {
    "table": "",
    "unique": "n bigint PRIMARY KEY, text text NOT NULL UNIQUE",
    "other": "id serial, n integer NOT NULL, text varchar(20) CHECK (text <> '')",
    "upsert": "text text, n bigint UNIQUE",
}
_CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'headgate'"
every = pytest.mark.parametrize("name", list(_DECLARED))


class Row(NamedTuple):
    n: int
    text: str


def _record(n: int) -> Any:
    return {"n": n, "text": f"row\n{n}"}


def _staged(server: PostgresServer) -> list[str]:
    return [name for (name,) in server.sql("SELECT relname FROM pg_class WHERE relname LIKE 'headgate_staged%'")]


@contextmanager
def _job(name: str, server: PostgresServer) -> Iterator[Job]:
    """Of which each statement is a step."""
    server.sql(_CUT, "DROP TABLE IF EXISTS t, headgate_checkpoints")
    if _DECLARED[name]:
        server.sql(f"CREATE TABLE t ({_DECLARED[name]})")
    fuse, real = Fuse(), psycopg.Cursor.execute

    def execute(cursor: Any, *arguments: Any, **options: Any) -> Any:
        if not options:  # those of connections have some
            fuse.burn()
        return real(cursor, *arguments, **options)

    with psycopg.connect(server.conninfo(), autocommit=True) as db:

        def seen() -> list[int]:
            if db.execute("SELECT to_regclass('t')").fetchone() == (None,):
                return []
            return [n for (n,) in db.execute("SELECT n FROM t ORDER BY ctid")]

        def make() -> Sink[Any]:
            return postgres_table(server.conninfo(), "t", key="n" if name == "upsert" else None, timeout=20)

        with mock.patch.object(psycopg.Cursor, "execute", execute):
            job = Job(make, _record, seen)
            job.fuse = fuse
            yield job


def _end(job: Job, server: PostgresServer) -> None:
    job.finish()
    assert sorted(job.seen()) == list(range(job.at))
    assert not _staged(server)


STRIDE = 1 if "HEADGATE_FAULT_RUNS" in os.environ else 3
"""How far moments of failure are apart, in statements: each costs some connections. Odd, so that both kinds are met."""

_steps = st.one_of(
    st.tuples(st.just("write"), st.integers(0, 5)),
    st.sampled_from(
        [("prepare",), ("store",), ("commit",), ("begin_commit",), ("abort",), ("kill",), ("stand still",)]
    ),
)
_plans = st.lists(st.tuples(_steps, st.none() | st.integers(0, 25), st.integers(1, 3)), max_size=12)


@pytest.mark.parametrize("name", ["unique", "upsert"])
@settings(max_examples=6 if STRIDE > 1 else 60, deadline=None, phases=[Phase.generate])
@given(plan=_plans)
def test_what_is_seen_is_what_was_committed(name: str, plan: Any, running_postgres: PostgresServer) -> None:
    """Also where a process is not gone, but stands still in the middle of what it did."""
    still = []
    with _job(name, running_postgres) as job:
        for step, crash_at, parallelism in plan:
            stands_still = step[0] == "stand still"
            done = not stands_still and job.do(*step, crash_at=-1 if crash_at is None else crash_at)
            job.check()
            if not done or step[0] in {"abort", "kill"}:
                if stands_still or (not done and parallelism == 2):
                    still.extend(job.writers)
                elif step[0] != "abort" or not done:
                    job.kill()
                while not job.do("start", parallelism, crash_at=-1 if crash_at is None else 2 * crash_at):
                    crash_at = None
                    job.kill()
        _end(job, running_postgres)
        for writer in still:
            writer.abort()


_SCRIPT: list[tuple[Any, ...]] = [
    ("write", 3),
    ("prepare",),
    ("store",),
    ("commit",),
    ("write", 2),
    ("prepare",),
    ("write", 2),
    ("store",),
    ("commit",),
]


@pytest.mark.parametrize("name", ["other", "upsert"])
@pytest.mark.parametrize("number", [0, 4, 8])
def test_a_crash_between_any_two_steps(name: str, number: int, running_postgres: PostgresServer) -> None:
    crash_at, done = 0, False
    while not done:
        with _job(name, running_postgres) as job:
            for step in _SCRIPT[:number]:
                assert job.do(*step)
            done = job.do(*_SCRIPT[number], crash_at=crash_at)
            job.check()
            still = job.writers
            if crash_at % 2:
                job.kill()
            # Each recovery, too, dies at some step, and the one after that does not.
            if not job.do("start", 1, crash_at=crash_at):
                job.kill()
                job.start(1)
            job.write(2)
            _end(job, running_postgres)
            for writer in still:
                writer.abort()
        crash_at += STRIDE


@every
def test_a_job_that_goes_on_with_other_numbers_of_writers(name: str, running_postgres: PostgresServer) -> None:
    with _job(name, running_postgres) as job:
        for parallelism in (3, 1, 2):
            job.write(7)
            job.prepare()
            job.store()  # and not committed, so that others than those that prepared it must
            job.write(2)
            job.kill()
            job.start(parallelism)
        _end(job, running_postgres)
        job.start(1)
        job.write(2)
        _end(job, running_postgres)


@every
def test_a_commit_that_is_made_again_changes_nothing(name: str, running_postgres: PostgresServer) -> None:
    with _job(name, running_postgres) as job:
        tokens = []
        for _ in range(3):
            job.write(3)
            job.prepare()
            job.store()
            tokens += [token for _, token in job.pending[0]]
            job.commit()
            for token in tokens:
                job.writers[0].commit(token)
            job.writers[0].settle()
            assert job.seen() == list(range(job.at))
        _end(job, running_postgres)


@every
def test_an_older_life_that_wakes_up_changes_nothing(name: str, running_postgres: PostgresServer) -> None:
    with _job(name, running_postgres) as job:
        job.write(3)
        job.prepare()
        job.store()
        job.write(2)
        (zombie,), (pending,) = job.writers, job.pending
        job.start(1)
        job.write(4)
        job.prepare()
        zombie.prepare(7)
        wakes: list[Callable[[], None]] = [
            lambda: zombie.write([_record(100)]),
            lambda: _commit(zombie, pending[0][1]),  # of a checkpoint that is complete: it was told so
        ]
        for wake in wakes:
            with pytest.raises(ConnectorError, match="epoch 2 of job 'job' has taken over from epoch 1"):
                wake()
            assert job.seen() == [0, 1, 2]
        zombie.finish()
        job.store()
        job.commit()
        assert job.seen() == list(range(7))
        _end(job, running_postgres)


def test_a_transaction_that_an_older_life_stands_still_in_is_ended(running_postgres: PostgresServer) -> None:
    """In the middle of a commit, which it goes on with when its successor has committed that and more."""
    with _job("table", running_postgres) as job:
        job.write(3)
        job.prepare()
        job.store()
        zombie, token = _staged_writer(job.writers[0]), job.pending[0][0][1]
        with zombie._session._db.cursor() as cursor:
            postgres_session._begin(cursor, zombie._entry(0))
            zombie._commit(cursor, token, zombie._stage(0, 1, 1))
            job.start(1)
            assert job.seen() == [0, 1, 2]
            with pytest.raises(psycopg.OperationalError):
                cursor.execute("COMMIT")
        with pytest.raises(ConnectorError, match="epoch 2 of job 'job' has taken over"):
            _commit(zombie, token)
        zombie.abort()
        _end(job, running_postgres)


def _commit(writer: Writer[Any], token: Any) -> None:
    writer.commit(token)
    writer.settle()


def _staged_writer(writer: Writer[Any]) -> StagedTableWriter:
    from connectors.postgres_staging import StagedTableWriter

    assert isinstance(writer, StagedTableWriter)
    return writer


def test_a_connection_that_is_lost_in_the_middle_of_a_commit(running_postgres: PostgresServer) -> None:
    """Before and after each statement of it."""
    steps, at = 1, 0
    while at < steps:
        with _job("upsert", running_postgres) as job:
            job.write(3)
            job.prepare()
            job.store()
            steps = _cut_at(at, running_postgres, job)
            assert job.seen() == [0, 1, 2]
            _end(job, running_postgres)
        at += STRIDE
    assert steps > 6


def _cut_at(at: int, server: PostgresServer, job: Job) -> int:
    """Commit, with all connections cut before step `at` of it; how many there were."""
    real, steps = psycopg.Cursor.execute, 0

    def execute(cursor: Any, *arguments: Any, **options: Any) -> Any:
        nonlocal steps
        if not options:
            steps += 1
            if steps - 1 == at:
                server.sql(_CUT)
        return real(cursor, *arguments, **options)

    with mock.patch.object(psycopg.Cursor, "execute", execute):
        job.commit()
    return steps


# ------------------------------------------------------------------------------------- what a table refuses


def _open(sink: Sink[Any], epoch: int = 1, prepared: Any = (), checkpoint: int = 0, **context: Any) -> Writer[Any]:
    recovery = Recovery(context.pop("job", "job"), epoch, prepared, checkpoint)
    return sink.open(SinkContext(context.pop("operator", "sink"), context.pop("type", Row), recovery=recovery))


@pytest.mark.parametrize(
    ("declared", "row", "why"),
    [
        ("n bigint, text text CHECK (text <> 'x')", Row(2, "x"), "violates check constraint"),
        ("n bigint CHECK (n < 5), text text, UNIQUE (text)", Row(2, "a"), r"Key \(text\)=\(a\) already exists"),
        ("n bigint REFERENCES other (n), text text", Row(7, "x"), "violates foreign key constraint"),
        ("n bigint REFERENCES other (n) DEFERRABLE INITIALLY DEFERRED, text text", Row(7, "x"), "violates foreign key"),
        ("n smallint, text text", Row(70_000, "x"), "smallint out of range"),
        ("n bigint, text varchar(3)", Row(2, "long"), "value too long"),
    ],
)
def test_a_row_that_the_table_would_refuse_is_refused_when_it_is_written(
    declared: str, row: Row, why: str, postgres: PostgresServer
) -> None:
    postgres.sql("CREATE TABLE other (n bigint PRIMARY KEY)", "INSERT INTO other VALUES (1), (2)")
    postgres.sql(f"CREATE TABLE t ({declared})", "INSERT INTO t VALUES (1, 'a')")
    writer = _open(postgres_table(postgres.conninfo(), "t"))
    with pytest.raises(OutputError, match=rf"(?s){why}.*record 2 of 2: Row\(n={row.n}"):
        writer.write([Row(2, "b"), row])
    writer.write([Row(2, "b")])
    token = writer.prepare(1)
    assert postgres.sql("SELECT n FROM t") == [(1,)]
    _commit(writer, token)
    writer.finish()
    assert postgres.sql("SELECT n FROM t") == [(1,), (2,)]
    assert not _staged(postgres)


@pytest.mark.parametrize(
    ("unique", "row"),
    [
        ("PRIMARY KEY (n)", Row(1, "x")),
        ('CONSTRAINT "a USING b" UNIQUE (text, n), UNIQUE (other)', Row(1, "a")),
        (None, Row(7, "A")),
    ],
)
def test_a_row_that_collides_with_one_that_waits(unique: str | None, row: Row, postgres: PostgresServer) -> None:
    """In another write of the same part, or in a part that was prepared before."""
    rule = f", {unique}" if unique else ""
    postgres.sql(f"CREATE TABLE t (n bigint, text text, other serial{rule})")
    if unique is None:
        postgres.sql("CREATE UNIQUE INDEX ON t (lower(text)) WHERE n < 50")
    writer = _open(postgres_table(postgres.conninfo(), "t"))
    writer.write([Row(1, "a")])
    tokens = []
    for number in (2, 3):
        with pytest.raises(OutputError, match=rf"record 2 of 3: Row\(n={row.n}"):
            writer.write([Row(80, "80"), row, Row(90, "90")])
        tokens.append(writer.prepare(number))
        writer.write([Row(number, f"text {number}")])
    for token in tokens:
        writer.commit(token)
    writer.commit(writer.prepare(9))
    writer.finish()
    assert postgres.sql("SELECT n FROM t ORDER BY n") == [(1,), (2,), (3,)]


def test_unique_keys_are_looked_up_and_not_tried(postgres: PostgresServer) -> None:
    """A try leaves dead rows in the table."""
    postgres.sql('CREATE TABLE t (n bigint PRIMARY KEY, text varchar COLLATE "C" UNIQUE)')
    writer = _open(postgres_table(postgres.conninfo(), "t"))
    for number in range(3):
        writer.write([Row(number, str(number))])
        token = writer.prepare(number)
        writer.write([Row(100 + number, f"{number} more")])  # beside a part that waits
        _commit(writer, token)
    with pytest.raises(OutputError, match=r"Key \(text\)=\(0\) already exists.*record 1 of 1"):
        writer.write([Row(50, "0")])
    writer.commit(writer.prepare(9))
    writer.finish()
    size = "SELECT count(*), pg_relation_size('t') / current_setting('block_size')::int, max(ctid::text) FROM t"
    assert postgres.sql(size) == [(6, 1, "(0,7)")]  # of the one that was refused, whose error is of a try


def test_more_is_written_while_a_part_moves(postgres: PostgresServer) -> None:
    """Rows are seen when it is over, and until then they count where a key is looked up."""
    postgres.sql("CREATE TABLE t (n bigint PRIMARY KEY, text text)")
    writer = _open(postgres_table(postgres.conninfo(), "t"))
    writer.write([Row(1, "a")])
    token = writer.prepare(1)
    with psycopg.connect(postgres.conninfo()) as db:
        db.execute("LOCK TABLE t IN EXCLUSIVE MODE")  # the move waits for this
        assert writer.commit(token)
        writer.write([Row(2, "b")])
        assert not writer.settle(wait=False)
        with pytest.raises(OutputError, match="record 1 of 1: Row"), _lets_go_once_tried(db, postgres):
            writer.write([Row(1, "again")])
        writer.write([Row(3, "c")])
    writer.settle()
    assert postgres.sql("SELECT n FROM t") == [(1,)]
    writer.commit(writer.prepare(2))
    writer.finish()
    assert postgres.sql("SELECT n, text FROM t ORDER BY n") == [(1, "a"), (2, "b"), (3, "c")]
    assert not _staged(postgres)


@contextmanager
def _lets_go_once_tried(db: psycopg.Connection[Any], postgres: PostgresServer) -> Iterator[None]:
    """Of the table, once both the move and a try wait for it."""
    waiting, pause = "SELECT count(*) FROM pg_locks WHERE NOT granted", threading.Event()

    def let_go() -> None:
        while postgres.sql(waiting) < [(2,)]:
            pause.wait(0.01)
        db.rollback()

    thread = threading.Thread(target=let_go, daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def test_a_row_that_is_refused_only_at_commit_is_not_lost(postgres: PostgresServer) -> None:
    postgres.sql("CREATE TABLE t (n bigint PRIMARY KEY, text text)")
    sink = postgres_table(postgres.conninfo(), "t")
    writer = _open(sink)
    writer.write([Row(1, "ours"), Row(2, "ours")])
    token = writer.prepare(1)
    postgres.sql("INSERT INTO t VALUES (2, 'theirs')")
    with pytest.raises(ConnectorError, match=r"(?s)Key \(n\)=\(2\) already exists.*rows stay in table 'headgate_sta"):
        _commit(writer, token)
    writer.abort()
    postgres.sql("DELETE FROM t")
    writer = _open(sink, 2, [token], 1)
    writer.finish()
    assert postgres.sql("SELECT * FROM t ORDER BY n") == [(1, "ours"), (2, "ours")]


def test_an_older_checkpoint_than_the_table_has(postgres: PostgresServer) -> None:
    tokens, sink = [], postgres_table(postgres.conninfo(), "t")
    writer = _open(sink)
    for checkpoint in (1, 2):
        writer.write([Row(checkpoint, "")])
        tokens.append(writer.prepare(checkpoint))
        _commit(writer, tokens[-1])
    writer.finish()
    with pytest.raises(
        ConnectorError, match="cannot go on from checkpoint 1: rows that job 'job' wrote up to checkpoint 2 are in"
    ):
        _open(sink, 2, tokens[:1], 1)
    postgres.sql("DROP TABLE t")
    _open(sink, 3).finish()  # anew


def test_rows_that_have_vanished(postgres: PostgresServer) -> None:
    writer = _open(postgres_table(postgres.conninfo(), "t", schema="public"))
    writer.write([Row(1, "")])
    token = writer.prepare(1)
    postgres.sql(f'DROP TABLE "{_staged(postgres)[0]}"')
    with pytest.raises(
        ConnectorError, match=r"wanted 1 rows that wait in table 'public.headgate_staged/[^']*' .* found 0"
    ):
        _commit(writer, token)
    writer.abort()


def test_two_sinks_of_one_table_and_another_job(postgres: PostgresServer) -> None:
    sink = postgres_table(postgres.conninfo(), "t")
    writers = [_open(sink, operator="a"), _open(sink, operator="b"), _open(sink, 9, job="c")]
    for number, writer in enumerate(writers):
        writer.write([Row(number, "")])
    for writer in writers:
        writer.commit(writer.prepare(1))
        writer.finish()
    assert postgres.sql("SELECT n FROM t ORDER BY n") == [(0,), (1,), (2,)]
    with pytest.raises(ConnectorError, match="epoch 9 of job 'c' has taken over from epoch 8"):
        _open(sink, 8, job="c")


# -------------------------------------------------------------------------------------------------- whole jobs


class Keyed(NamedTuple):
    id: uuid.UUID
    at: datetime
    n: int


@pytest.mark.parametrize(("processes", "failures"), [(None, {1_000, 2_345}), (2, {2_345})])
def test_a_job_that_fails_in_the_middle_has_each_row_once(
    processes: int | None, failures: set[int], tmp_path: Path, postgres: PostgresServer
) -> None:
    count = 3_000
    postgres.sql(
        "CREATE TABLE a AS SELECT ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid AS id, "
        f"'2020-01-01 00:00Z'::timestamptz + make_interval(secs => n / 10) AS at, n FROM generate_series(1, {count}) n"
    )

    def fails_once(row: Keyed) -> Keyed:
        if row.n in failures and not (tmp_path / str(row.n)).exists():
            (tmp_path / str(row.n)).touch()
            raise RuntimeError("planned")
        return row

    found: list[Keyed] = []
    flow = Dataflow("goes-on")
    rows = flow.source(postgres_query(postgres.conninfo(), "SELECT * FROM a", type=Keyed, key=("at", "id")))
    rows = rows.map(fails_once, type=Keyed)
    rows.sink(postgres_table(postgres.conninfo(), "b"), name="rows")
    rows.sink(postgres_table(postgres.conninfo(), "c", key="id"), name="by key")
    rows.sink(collect(found), name="list")
    result = flow.run(processes=processes, checkpoint=Checkpoints(into=str(tmp_path / "kept"), interval="20ms"))
    assert result.state == "finished"
    expected = [
        Keyed(uuid.UUID(int=int(str(n), 16)), datetime.fromtimestamp(1577836800 + n // 10, UTC), n)
        for n in range(1, count + 1)
    ]
    for table in "bc":
        assert sorted(Keyed(*row) for row in postgres.sql(f"SELECT * FROM {table}")) == expected
    assert sorted(found) == expected
    assert not _staged(postgres)


def test_a_query_goes_on_behind_the_last_row_that_was_given(postgres: PostgresServer) -> None:
    query = "SELECT n, n::text AS text FROM generate_series(1, 40) n"
    source = postgres_query(postgres.conninfo(), query, type=Row, key="n")
    assert source.resumable
    assert not postgres_query(postgres.conninfo(), query, type=Row).resumable
    found: list[Any] = []
    position = None
    for count in (0, 1, 7, 0, 30, 1, 1):
        reader = source.open("")
        if position is not None:
            reader.seek(position)
        while count > 0:
            rows = reader.read(min(count, 4)) or ()
            found += rows
            count -= len(rows)
        position = reader.position()
        reader.close()
    assert [row.n for row in found] == list(range(1, 41))
    reader = source.open("")
    reader.seek(position)
    while (rest := reader.read(1)) == ():  # nothing yet: the machine is busy
        pass
    assert rest is None
    reader.close()
