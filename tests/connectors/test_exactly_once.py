"""Sinks that deliver exactly once: whenever a job dies, what can be seen is what was committed, each record once."""

from __future__ import annotations

import gzip
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.files import csv_file, csv_files, json_lines, json_lines_file
from connectors.memory import collect
from connectors.sqlite import sqlite_table
from connectors.stdout import stdout
from engine.errors import ConnectorError, OutputError
from engine.sink import Recovery, Sink, SinkContext, Writer
from tests.connectors.lives import Crash, Job, faults
from tests.connectors.test_files import read_all


class Row(NamedTuple):
    n: int
    text: str


def _record(n: int) -> Any:
    return {"n": n, "text": f"row\n{n}"}


@contextmanager
def _nothing_but(message: str) -> Iterator[list[str]]:
    """No error, or one with `message`, which is then in the list."""
    raised: list[str] = []
    try:
        yield raised
    except ConnectorError as error:
        raised.append(str(error))
        if message not in raised[0]:
            raise


def _in_files(folder: Path, suffix: str) -> list[int]:
    """What a reader of the finished files sees."""
    if not [name for name in os.listdir(folder) if not name.startswith(".")]:
        return []
    read = csv_files if ".csv" in suffix else json_lines
    source = read(folder / f"out*{suffix}", type=dict[str, Any])
    found = []
    for path in source.partitions():
        with _nothing_but("no header line: the file is empty"):
            found += read_all(read(path, type=dict[str, Any]))
    return [int(record["n"]) for record in found]


def _in_table(database: Path) -> list[int]:
    if not database.exists():
        return []
    with closing(sqlite3.connect(database)) as db:
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 't'").fetchall():
            return []
        return [n for (n,) in db.execute("SELECT n FROM t ORDER BY rowid")]


def _files(suffix: str, make: Any, folder: Path) -> Job:
    return Job(lambda: make(folder / f"out{suffix}"), _record, lambda: _in_files(folder, suffix))


def _table(folder: Path, declared: str, **options: Any) -> Job:
    path = folder / "a.db"
    if declared:
        with closing(sqlite3.connect(path)) as db:
            db.execute(f"CREATE TABLE t ({declared})")
    return Job(lambda: sqlite_table(path, "t", **options), _record, lambda: _in_table(path))


def _memory(folder: Path) -> Job:
    found: list[Any] = []
    sink = collect(found)
    return Job(lambda: sink, _record, lambda: [record["n"] for record in found])


_jobs: dict[str, Callable[[Path], Job]] = {
    "json": lambda folder: _files(".jsonl", json_lines_file, folder),
    "csv": lambda folder: _files(".csv", csv_file, folder),
    "csv.gz": lambda folder: _files(".csv.gz", csv_file, folder),
    "json.zst": lambda folder: _files(".jsonl.zst", json_lines_file, folder),
    "table": lambda folder: _table(folder, ""),
    "unique": lambda folder: _table(folder, "n INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE"),
    "upsert": lambda folder: _table(folder, "n INTEGER UNIQUE, text TEXT", key="n"),
    "memory": _memory,
}
_grows = {"json", "csv", "csv.gz", "json.zst"}
"""Where a crash in the middle of a commit may leave half a record at the end, until the job goes on."""
every = pytest.mark.parametrize("name", list(_jobs))


@contextmanager
def _job(name: str, folder: Path) -> Iterator[Job]:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    with faults() as fuse:
        job = _jobs[name](folder)
        job.fuse = fuse
        yield job


def _end(job: Job, folder: Path) -> None:
    job.finish()
    assert sorted(job.seen()) == list(range(job.at))
    if not (folder / "a.db").exists():
        assert not [name for name in os.listdir(folder) if name.startswith(".")]
    else:
        with closing(sqlite3.connect(folder / "a.db")) as db:
            assert not db.execute("SELECT name FROM sqlite_master WHERE name LIKE 'headgate_staged%'").fetchall()


# ----------------------------------------------------------------------------------------- whatever happens

_steps = st.one_of(
    st.tuples(st.just("write"), st.integers(0, 5)),
    st.sampled_from([("prepare",), ("store",), ("commit",), ("abort",), ("kill",)]),
)
_plans = st.lists(st.tuples(_steps, st.none() | st.integers(0, 12), st.integers(1, 3)), max_size=14)


@every
@settings(max_examples=25)
@given(plan=_plans)
def test_what_is_seen_is_what_was_committed(name: str, plan: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp() / f"lives-{name}"
    with _job(name, folder) as job:
        for step, crash_at, parallelism in plan:
            done = job.do(*step, crash_at=-1 if crash_at is None else crash_at)
            if done or name not in _grows:
                job.check()
            if not done or step[0] in {"abort", "kill"}:
                job.kill() if step[0] != "abort" else None
                while not job.do("start", parallelism, crash_at=-1 if crash_at is None else 2 * crash_at):
                    crash_at = None
                    job.kill()
        _end(job, folder)


_SCRIPT: list[tuple[Any, ...]] = [
    ("write", 3),
    ("prepare",),
    ("store",),
    ("commit",),
    ("write", 2),
    ("write", 2),
    ("prepare",),
    ("write", 1),
    ("prepare",),
    ("store",),
    ("commit",),
    ("write", 1),
]


@every
def test_a_crash_between_any_two_steps(name: str, tmp_path: Path) -> None:
    """One run for each step of the whole script, and of what the next life then does to recover."""
    folder = tmp_path / "a"
    for number, (what, *arguments) in enumerate(_SCRIPT):
        crash_at, done = 0, False
        while not done:
            with _job(name, folder) as job:
                for step in _SCRIPT[:number]:
                    assert job.do(*step)
                done = job.do(what, *arguments, crash_at=crash_at)
                if done or name not in _grows:
                    job.check()
                job.kill()
                # Each recovery, too, dies at some step, and the one after that does not.
                if not job.do("start", 1, crash_at=crash_at):
                    job.kill()
                    job.start(1)
                job.write(2)
                _end(job, folder)
            crash_at += 1


@every
def test_the_order_of_one_writer_is_kept(name: str, tmp_path: Path) -> None:
    with _job(name, tmp_path / "a") as job:
        for count in (3, 0, 5):
            job.write(count)
            job.prepare()
            job.store()
            job.commit()
        job.kill()
        job.start(1)
        job.write(4)
        _end(job, tmp_path / "a")
        assert job.seen() == list(range(12))


@every
def test_another_number_of_writers_and_back(name: str, tmp_path: Path) -> None:
    with _job(name, tmp_path / "a") as job:
        for parallelism in (3, 1, 4, 2, 3):
            job.write(7)
            job.prepare()
            job.store()  # and not committed, so that others than those that prepared it must
            job.write(2)
            job.kill()
            job.start(parallelism)
        _end(job, tmp_path / "a")


@every
def test_a_commit_that_is_made_again_changes_nothing(name: str, tmp_path: Path) -> None:
    with _job(name, tmp_path / "a") as job:
        job.write(3)
        job.prepare()
        (token,) = job.complete[2] or job.snapshots[1][1]
        job.store()
        for _ in range(3):
            job.writers[0].commit(token[0])
            assert job.seen() == [0, 1, 2]
        job.write(2)
        job.prepare()
        job.writers[0].commit(token[0])
        assert job.seen() == [0, 1, 2]
        job.store()
        job.commit()
        job.writers[0].commit(token[0])
        assert job.seen() == [0, 1, 2, 3, 4]
        _end(job, tmp_path / "a")


@every
def test_a_finished_job_that_goes_on_adds_what_is_new(name: str, tmp_path: Path) -> None:
    with _job(name, tmp_path / "a") as job:
        job.write(3)
        _end(job, tmp_path / "a")
        job.start(1)
        job.write(2)
        _end(job, tmp_path / "a")
        assert job.seen() == list(range(5))


@every
def test_an_older_life_that_wakes_up_changes_nothing(name: str, tmp_path: Path) -> None:
    with _job(name, tmp_path / "a") as job:
        job.write(3)
        job.prepare()
        job.store()
        job.write(2)
        (zombie,) = job.writers
        (pending,) = job.pending
        job.start(1)
        job.write(4)
        job.prepare()
        for wake in (
            lambda: zombie.write([_record(100)]),
            lambda: zombie.prepare(7),
            lambda: zombie.commit(pending[0][1]),  # of a checkpoint that is complete: it was told so
            lambda: zombie.write([_record(101)]),
            zombie.finish,
        ):
            with _nothing_but("epoch 2 of job 'job' has taken over from epoch 1") as refused:
                wake()
            if name in {"table", "unique", "upsert"}:
                assert refused
            assert job.seen() == [0, 1, 2]
        job.store()
        job.commit()
        assert job.seen() == list(range(7))
        job.write(1)
        _end(job, tmp_path / "a")


# ------------------------------------------------------------------------------------------------- files


def _open(sink: Sink[Any], epoch: int = 1, prepared: Any = (), checkpoint: int = 0, **context: Any) -> Writer[Any]:
    recovery = Recovery(context.pop("job", "job"), epoch, prepared, checkpoint)
    return sink.open(SinkContext(context.pop("operator", "sink"), recovery=recovery, **context))


def test_an_older_life_that_wakes_up_in_the_middle_of_a_commit(tmp_path: Path) -> None:
    """It goes on writing what it had begun to, though its successor has committed that and more."""
    with _job("json", tmp_path / "a") as job:
        for _ in range(2):
            job.write(3)
            job.prepare()
            job.store()
        (zombie,) = job.writers
        (pending,) = job.pending
        real = os.pwrite

        def stopped(*arguments: Any) -> int:
            with mock.patch.object(os, "pwrite", real):
                job.start(1)
                job.write(5)
                job.prepare()
                job.store()
                job.commit()
            return real(*arguments)

        zombie.commit(pending[0][1])
        with mock.patch.object(os, "pwrite", stopped):
            zombie.commit(pending[1][1])
        zombie.abort()
        assert job.seen() == list(range(11))
        _end(job, tmp_path / "a")


@pytest.mark.parametrize("make", [csv_file, json_lines_file])
def test_what_stood_there_before_is_kept_until_the_first_commit(make: Any, tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("before\n" * 10)
    writer = _open(make(path))
    writer.write([{"n": 1}])
    token = writer.prepare(1)
    assert path.read_text() == "before\n" * 10
    writer.commit(token)
    text = "n\n1\n" if make is csv_file else '{"n":1}\n'
    assert path.read_text() == text
    # A job that begins anew replaces it again, leftovers included.
    writer.write([{"n": 2}])
    writer.prepare(2)
    writer.abort()
    writer = _open(make(path), epoch=1)
    assert sorted(os.listdir(tmp_path)) == [".out.0-1-1.partial", ".out.0.claim", "out"]
    token = writer.prepare(1)
    writer.commit(token)
    writer.finish()
    assert path.read_text() == ""
    assert os.listdir(tmp_path) == ["out"]


def test_no_records_make_a_file_all_the_same(tmp_path: Path) -> None:
    for name, text in (("a.csv", b"n,text\n"), ("a.jsonl", b""), ("b.csv.gz", b"n,text\n")):
        sink = csv_file(tmp_path / name) if "csv" in name else json_lines_file(tmp_path / name)
        writer = _open(sink, type=Row)
        for checkpoint in (1, 2):
            writer.commit(writer.prepare(checkpoint))
        writer.finish()
        found = (tmp_path / name).read_bytes()
        assert (gzip.decompress(found) if name.endswith("gz") else found) == text


def test_a_header_comes_when_the_columns_are_known(tmp_path: Path) -> None:
    """Behind an empty member of gzip, too, and in a later life."""
    path = tmp_path / "a.csv.gz"
    writer = _open(csv_file(path))
    token = writer.prepare(1)
    writer.commit(token)
    writer.abort()
    assert gzip.decompress(path.read_bytes()) == b""
    for epoch in (2, 3):
        writer = _open(csv_file(path), epoch, [token], epoch - 1)
        writer.write([{"n": epoch}])
        token = writer.prepare(epoch)
        writer.abort()
    writer = _open(csv_file(path), 4, [token], 3)
    writer.finish()
    assert gzip.decompress(path.read_bytes()) == b"n\n2\n3\n"


def test_other_columns_than_the_file_has(tmp_path: Path) -> None:
    writer = _open(csv_file(tmp_path / "a.csv"))
    writer.write([{"a": 1}])
    token = writer.prepare(1)
    writer.commit(token)
    writer.finish()
    with pytest.raises(ConnectorError, match=r"cannot go on with .*: its columns are a, those of the records n, text"):
        _open(csv_file(tmp_path / "a.csv"), 2, [token], 1, type=Row)
    assert os.listdir(tmp_path) == ["a.csv"]
    writer = _open(csv_file(tmp_path / "a.csv"), 3, [token], 1)
    with pytest.raises(OutputError, match="wanted the keys a, came b"):
        writer.write([{"b": 1}])
    writer.abort()


def test_a_file_that_was_cut_or_removed(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    writer = _open(json_lines_file(path))
    tokens = []
    for n in range(3):
        writer.write([n])
        tokens.append(writer.prepare(n))
    for token in tokens[:2]:
        writer.commit(token)
    path.write_bytes(b"0\n")
    with pytest.raises(ConnectorError, match=r"wanted 4 bytes that were committed, and it has 2\n  hint: put the file"):
        writer.commit(tokens[2])
    with pytest.raises(ConnectorError, match="wanted 4 bytes that were committed, and it has 2"):
        writer.commit(tokens[1])
    path.unlink()
    for token in tokens[:2]:
        with pytest.raises(ConnectorError, match=r"wanted \d bytes that were committed, and it has 0"):
            writer.commit(token)
    writer.abort()
    with pytest.raises(ConnectorError, match=r"wanted 2 bytes that were committed, and it has 0"):
        _open(json_lines_file(path), 2, tokens[:1], 1)
    assert not (tmp_path / ".a.jsonl.0.claim").exists()


def test_what_a_later_checkpoint_had_is_cut_off(tmp_path: Path) -> None:
    """It is restored from an older one, as where the last cannot be read."""
    path = tmp_path / "a.jsonl"
    writer = _open(json_lines_file(path))
    tokens = []
    for n in range(3):
        writer.write([n])
        tokens.append(writer.prepare(n))
        writer.commit(tokens[-1])
    writer.finish()
    writer = _open(json_lines_file(path), 2, tokens[:2], 2)
    assert path.read_text() == "0\n1\n"
    writer.abort()


def test_two_sinks_of_one_file(tmp_path: Path) -> None:
    sink = json_lines_file(tmp_path / "a.jsonl")
    first = _open(sink, 3)
    others: list[dict[str, Any]] = [{"job": "other"}, {"operator": "other"}, {"epoch": 3}, {"epoch": 2}]
    for other in others:
        with pytest.raises(ConnectorError, match=r"another writer is at work on '.*\.a\.jsonl\.0\.claim'"):
            _open(sink, **{"epoch": 9, **other})
    first.abort()
    _open(sink, 1, job="other").abort()
    assert os.listdir(tmp_path) == []


def test_the_claim_of_a_killed_process_is_nobodys(tmp_path: Path) -> None:
    (tmp_path / ".a.jsonl.0.claim").write_text('["other","sink",7]')
    _open(json_lines_file(tmp_path / "a.jsonl")).abort()
    assert os.listdir(tmp_path) == []


def test_what_is_no_file_cannot_be_staged(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert json_lines_file(tmp_path / "fifo").delivery == "at least once"
    assert json_lines_file(tmp_path / "file").delivery == "exactly once"
    sink = json_lines_file(tmp_path / "later")
    os.mkfifo(tmp_path / "later")
    with pytest.raises(ConnectorError, match="exactly once: it is no regular file"):
        _open(sink)


def test_a_full_disk_while_a_part_is_sealed(tmp_path: Path) -> None:
    writer = _open(csv_file(tmp_path / "a.csv.gz"), type=Row)
    writer.write([Row(1, "a")])
    before = len(os.listdir("/proc/self/fd"))
    with (
        mock.patch.object(os, "fsync", side_effect=OSError(28, "No space left on device")),
        pytest.raises(ConnectorError, match=r"cannot bring to the disk for .*\n  hint: the disk is full"),
    ):
        writer.prepare(1)
    writer.abort()
    assert len(os.listdir("/proc/self/fd")) == before - 2
    assert os.listdir(tmp_path) == []


# ------------------------------------------------------------------------------------------------ SQLite


@pytest.fixture
def database(tmp_path: Path) -> str:
    path = str(tmp_path / "a.db")
    _sql(path, "CREATE TABLE t (n INTEGER PRIMARY KEY, text TEXT CHECK (text <> 'bad') COLLATE NOCASE UNIQUE)")
    return path


def _sql(path: str, *statements: str) -> list[Any]:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        return [db.execute(statement).fetchall() for statement in statements][-1]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (Row(1, "x"), r"UNIQUE constraint failed: .*n"),
        (Row(2, "x"), r"UNIQUE constraint failed: .*n"),
        (Row(3, "bad"), "CHECK constraint failed.*"),
        (Row(4, "ONE"), r"UNIQUE constraint failed: .*text"),
        (Row(5, "two"), r"UNIQUE constraint failed: .*text"),
    ],
)
def test_a_row_that_the_table_would_refuse_is_refused_when_it_is_written(row: Row, why: str, database: str) -> None:
    """By a row that was committed, or one that waits."""
    writer = _open(sqlite_table(database, "t"), type=Row)
    writer.write([Row(1, "one")])
    writer.commit(writer.prepare(1))
    writer.write([Row(2, "TWO")])
    token = writer.prepare(2)
    with pytest.raises(OutputError, match=rf"{why}; record 2 of 3: Row\(n={row.n}"):
        writer.write([Row(10, "ten"), row, Row(11, "eleven")])
    writer.write([Row(12, "twelve")])
    last = writer.prepare(3)
    writer.commit(token)
    writer.commit(last)
    writer.finish()
    assert _sql(database, "SELECT n FROM t ORDER BY n") == [(1,), (2,), (12,)]


_declared = [
    "n, text",
    "n INTEGER NOT NULL, text TEXT",
    "n INTEGER PRIMARY KEY, text",
    "n INTEGER PRIMARY KEY, text TEXT UNIQUE",
    "n PRIMARY KEY, text NOT NULL",
    "n TEXT, text, PRIMARY KEY (n, text)) WITHOUT ROWID; --",
    "n REAL UNIQUE, text TEXT COLLATE NOCASE UNIQUE",
    "n UNIQUE ON CONFLICT IGNORE, text",
    "n, text UNIQUE ON CONFLICT REPLACE",
    "n CHECK (n > 1), text, twice AS (n * 2)",
    "n INT, text TEXT UNIQUE) STRICT; --",
    "n, text); CREATE TRIGGER r BEFORE INSERT ON t WHEN new.n = 2 BEGIN SELECT raise(ABORT, 'no 2'); END; --",
]
_values = st.sampled_from([0, 1, 2, 3, 1.0, 2.5, "1", "a", "A", b"a", None])


@settings(max_examples=60)
@given(
    declared=st.sampled_from(_declared),
    rows=st.lists(st.lists(st.tuples(_values, _values), min_size=1, max_size=3), max_size=6),
    key=st.sampled_from([None, "n"]),
    every=st.integers(1, 3),
)
def test_the_table_is_as_without_checkpoints(
    declared: str, rows: Any, key: str | None, every: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Where refused rows are skipped, and parts are committed one later than they might."""
    if "INTEGER PRIMARY" in declared:  # SQLite would choose a key for null, when the row gets into the table
        rows = [[row for row in batch if row[0] is not None] for batch in rows]
    found = []
    for is_staged in (False, True):
        path = tmp_path_factory.getbasetemp() / f"law-{is_staged}.db"
        path.unlink(missing_ok=True)
        with faults(), closing(sqlite3.connect(path)) as db:
            db.executescript(f"CREATE TABLE t ({declared})")
            is_upsert = key is not None and declared.startswith(("n PRIMARY", "n INTEGER PRIMARY"))
            is_upsert = is_upsert and "UNIQUE" not in declared
            sink = sqlite_table(path, "t", key=key if is_upsert else None)
            writer = _open(sink, type=Row) if is_staged else sink.open(SinkContext("sink", Row))
            tokens = []
            for number, batch in enumerate(rows):
                for row in batch:
                    with _nothing_but("cannot write to table"):
                        writer.write([Row(*row)])
                if is_staged and number % every == 0:
                    tokens.append(writer.prepare(number))
                    for token in tokens[:-1]:
                        writer.commit(token)
            for token in [*tokens, writer.prepare(99)] if is_staged else []:
                writer.commit(token)
            writer.finish()
            found.append(
                db.execute(
                    "SELECT n, typeof(n), text, typeof(text) FROM t ORDER BY rowid"
                    if "ROWID" not in declared
                    else "SELECT * FROM t"
                ).fetchall()
            )
    assert found[0] == found[1]


def test_unique_keys_are_looked_up_and_not_tried(tmp_path: Path) -> None:
    path = str(tmp_path / "a.db")
    _sql(path, "CREATE TABLE t (n INTEGER PRIMARY KEY, text TEXT UNIQUE)")
    writer = _open(sqlite_table(path, "t"), type=Row)
    said: list[str] = []
    writer._db.set_trace_callback(said.append)  # type: ignore[attr-defined]
    for number in range(3):
        writer.write([Row(number, str(number))])
        writer.commit(writer.prepare(number))
    assert "SAVEPOINT trial" not in said
    with pytest.raises(OutputError, match=r"UNIQUE constraint failed: t\.text; record 2 of 2"):
        writer.write([Row(50, "50"), Row(51, "1")])
    assert "SAVEPOINT trial" in said
    writer.finish()


def test_a_row_that_is_refused_only_at_commit_is_not_lost(database: str) -> None:
    sink = sqlite_table(database, "t")
    writer = _open(sink, type=Row)
    writer.write([Row(1, "one"), Row(2, "two"), Row(3, "three")])
    token = writer.prepare(1)
    _sql(database, "INSERT INTO t VALUES (2, 'somebody else')")
    message = r"cannot commit rows to table 't' .*UNIQUE.*; row \(2, 'two'\)\n  hint: the rows stay in"
    with pytest.raises(OutputError, match=message):
        writer.commit(token)
    writer.abort()
    with pytest.raises(OutputError, match=message):
        _open(sink, 2, [token], 1, type=Row)
    assert _sql(database, "SELECT * FROM t") == [(2, "somebody else")]
    _sql(database, "DELETE FROM t")
    _open(sink, 3, [token], 1, type=Row).abort()
    assert _sql(database, "SELECT * FROM t") == [(1, "one"), (2, "two"), (3, "three")]


def test_an_older_checkpoint_than_the_table_has(database: str) -> None:
    """Inserted rows would be there twice; upserted ones are not."""
    for key in (None, "n"):
        job, sink = f"by {key}", sqlite_table(database, "t", key=key)
        writer = _open(sink, type=Row, job=job)
        tokens = []
        for n in range(2):
            writer.write([Row(n, f"text {n}")])
            tokens.append(writer.prepare(n + 1))
            writer.commit(tokens[-1])
        writer.finish()
        if key is None:
            with pytest.raises(
                ConnectorError,
                match=r"cannot go on from checkpoint 1: rows that job 'by None' wrote up to checkpoint 2 are in",
            ):
                _open(sink, 2, tokens[:1], 1, type=Row, job=job)
        else:
            writer = _open(sink, 2, tokens[:1], 1, type=Row, job=job)
            writer.write([Row(1, "again")])
            writer.commit(writer.prepare(3))
            writer.finish()
            assert _sql(database, "SELECT * FROM t") == [(0, "text 0"), (1, "again")]
        _sql(database, "DELETE FROM t")


def test_an_epoch_that_is_too_low(database: str) -> None:
    sink = sqlite_table(database, "t")
    _open(sink, 5, type=Row).finish()
    with pytest.raises(
        ConnectorError, match=r"epoch 5 of job 'job' has taken over from epoch 4\n  hint: that is the job now"
    ):
        _open(sink, 4, type=Row)
    _open(sink, 1, type=Row, job="other").finish()
    _sql(database, "DELETE FROM headgate_checkpoints WHERE job = 'job'")
    _open(sink, 4, type=Row).finish()


def test_rows_that_have_vanished(database: str) -> None:
    writer = _open(sqlite_table(database, "t"), type=Row, operator='the "sink"')
    writer.write([Row(1, "one"), Row(2, "two")])
    token = writer.prepare(1)
    _sql(database, """DELETE FROM "headgate_staged/job/the ""sink""/0" WHERE n = 2""")
    with pytest.raises(ConnectorError, match=r"wanted 2 rows that wait in .*, found 1\n  hint: put the database back"):
        writer.commit(token)
    writer.abort()
    assert _sql(database, "SELECT count(*) FROM t") == [(0,)]


def test_who_looks_sees_what_is_committed(database: str) -> None:
    writer = _open(sqlite_table(database, "t"), 3, type=Row)
    writer.write([Row(1, "one")])
    writer.commit(writer.prepare(7))
    writer.write([Row(2, "two")])
    writer.prepare(8)
    line = "job, sink, instance, epoch, prepared_part, committed_epoch, committed_part, checkpoint"
    assert _sql(database, f"SELECT {line} FROM headgate_checkpoints") == [("job", "sink", 0, 3, 2, 3, 1, 7)]
    writer.abort()


def test_two_sinks_of_one_table(database: str) -> None:
    sink = sqlite_table(database, "t")
    writers = [_open(sink, type=Row, operator=name) for name in ("left", "right")]
    tokens = []
    for n, writer in enumerate(writers):
        writer.write([Row(n, str(n))])
        tokens.append(writer.prepare(1))
    for writer, token in zip(writers, tokens, strict=True):
        writer.commit(token)
        writer.finish()
    assert _sql(database, "SELECT n FROM t") == [(0,), (1,)]


# ------------------------------------------------------------------------------------------------ memory


def test_what_an_earlier_life_had_prepared_is_let_go(tmp_path: Path) -> None:
    found: list[Any] = []
    sink = collect(found)
    writer = _open(sink)
    writer.write([1])
    token = writer.prepare(1)
    writer.write([2])
    writer.prepare(2)
    writer.abort()
    _open(sink, 2, [token], 1)
    assert found == [1]
    assert sink.prepared == {}  # type: ignore[attr-defined]


# ------------------------------------------------------------------------------------------ at least once


def test_what_cannot_take_back_says_so() -> None:
    assert stdout().delivery == "at least once"
    assert collect([]).delivery == sqlite_table("a.db", "t").delivery == csv_file("a.csv").delivery == "exactly once"


def test_a_crash_is_one() -> None:
    """So that no handler of an error takes it for one."""
    assert not issubclass(Crash, Exception)


def test_a_checkpoint_without_rows_brings_what_was_committed_before_it_to_disk(tmp_path: Path) -> None:
    """It does not know the part before it any more, so no power cut may take that back."""
    path = tmp_path / "out.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = WAL")
    writer: Any = _open(sqlite_table(path, "t"), type=Row)
    writer.write([Row(1, "a")])
    writer.commit(writer.prepare(1))
    said: list[str] = []
    writer._db.set_trace_callback(said.append)
    writer.prepare(2)
    assert said[0] == "PRAGMA synchronous = FULL"
    assert any(each.startswith("UPDATE") for each in said)
    said.clear()
    writer.prepare(3)
    assert said == []
    writer.abort()
