"""Who is to blame at a sink: records at fault are set aside, each by itself; an outage ends the job at once."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
import pytest

from connectors.files import csv_file, csv_files, json_lines, json_lines_file
from connectors.memory import collect, from_iterable
from connectors.sqlite import sqlite_table
from connectors.stdout import stdout
from engine import Dataflow, DeadLetter
from engine.errors import ConnectorError, OutputError
from engine.sink import Sink, SinkContext, Writer
from engine.source import Source

Policy = Literal["skip", "dead-letter"]
each_policy = pytest.mark.parametrize("policy", ["skip", "dead-letter"])


class Row(msgspec.Struct):
    id: Any
    name: Any = "x"


class Other(msgspec.Struct):
    other: int


def sql(path: Path, *statements: str) -> list[Any]:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        return [db.execute(statement).fetchall() for statement in statements][-1]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as db:
        db.execute("BEGIN EXCLUSIVE")
        yield


def run(records: list[Any], type_: Any, sink: Sink[Any], policy: Policy) -> tuple[int, list[DeadLetter]]:
    """How many records were skipped, and the dead letters."""
    flow, letters = Dataflow("load"), list[DeadLetter]()
    flow.source(from_iterable(records, type=type_)).sink(sink, name="out", on_error=policy)
    if policy == "dead-letter":
        flow.dead_letters.sink(collect(letters))
    return flow.run().skipped, letters


# --------------------------------------------------------------------------------------- records at fault


class Case(NamedTuple):
    """A sink, what gives back the ids that it has written, and records that it refuses."""

    sink: Callable[[Path], Sink[Any]]
    ids: Callable[[Path], list[int]]
    refused: list[Any]
    type_: Any = None


def _table(path: Path) -> Sink[Any]:
    return sqlite_table(path, "t", key="id", mode="insert", batch=100)


def _table_with_checks(path: Path) -> Sink[Any]:
    sql(
        path,
        "PRAGMA journal_mode = WAL",
        "CREATE TABLE t (id, name NOT NULL CHECK (name = 'x' OR json_array_length(name) < 3))",
    )
    return sqlite_table(path, "t")


class Ascii(io.StringIO):
    """Appends to a file what is written, if it can."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def write(self, text: str) -> int:
        with self.path.open("ab") as file:
            return file.write(text.encode("ascii"))


def _printer(template: str) -> Callable[[Path], Sink[Any]]:
    return lambda path: stdout(template, stream=Ascii(path))


def _in_table(path: Path) -> list[int]:
    return [id_ for (id_,) in sql(path, "SELECT id FROM t")]


def _read(source: Source[Any]) -> list[int]:
    with closing(source.open(*source.partitions())) as reader:
        found: list[Any] = []
        while (records := reader.read(1000)) is not None:
            found += records
    return [int(record["id"]) for record in found]


def _in_csv(path: Path) -> list[int]:
    return _read(csv_files(path, type=dict))


def _in_json(path: Path) -> list[int]:
    return _read(json_lines(path))


def _printed(path: Path) -> list[int]:
    return [int(line.split()[0]) for line in path.read_text().splitlines()]


UNFIT = [Row(1, object()), Row(2, "\ud800"), 5, Other(1)]
CASES = {
    "sqlite": Case(_table, _in_table, [*UNFIT, Row(7), Row(None), Row(2**63)], Row),
    "sqlite.untyped": Case(_table, _in_table, [*UNFIT, Row(7)]),
    "sqlite.checks": Case(_table_with_checks, _in_table, [Row(1, "[1,2,3]"), Row(2, "no json"), Row(3, None)], Row),
    "csv": Case(csv_file, _in_csv, UNFIT, Row),
    "csv.untyped": Case(csv_file, _in_csv, UNFIT),
    "csv.gz": Case(csv_file, _in_csv, UNFIT),
    "json": Case(json_lines_file, _in_json, [Row(1, object()), Row(2, "\ud800"), 1j], Row),
    "json.gz": Case(json_lines_file, _in_json, [Row(1, object())]),
    "stdout": Case(_printer("{id:d}"), _printed, [Row("ten"), 5, Other(1)]),
    "stdout.ascii": Case(_printer("{id} {name}"), _printed, [Row(1, "ü"), 5], Row),
}


@each_policy
@pytest.mark.parametrize("name", CASES)
def test_only_records_at_fault_are_set_aside_and_all_others_written_once(
    name: str, policy: Policy, tmp_path: Path
) -> None:
    case, path = CASES[name], tmp_path / f"out.{name}"
    records: list[Any] = [Row(n) for n in range(300)]
    for number, record in enumerate(case.refused, 1):
        records.insert(41 * number, record)
    skipped, letters = run(records, case.type_, case.sink(path), policy)
    assert case.ids(path) == list(range(300))
    assert skipped == (len(case.refused) if policy == "skip" else 0)
    if policy == "dead-letter":
        assert [letter.record for letter in letters] == case.refused
        assert all(letter.error.startswith("OutputError: ") for letter in letters)


@each_policy
def test_a_first_record_at_fault_does_not_say_what_the_columns_are(policy: Policy, tmp_path: Path) -> None:
    records: list[Any] = [5, {}, {"id": object()}, {"id": 1}, {"id": 2, "x": 3}, {"id": 3}]
    for sink, ids in ((csv_file, _in_csv), (_table, _in_table)):
        skipped, letters = run(records, None, sink(tmp_path / sink.__name__), policy)
        assert ids(tmp_path / sink.__name__) == [1, 3]
        assert skipped or [letter.record for letter in letters] == [*records[:3], records[4]]


def test_a_record_too_big_for_sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = sqlite3.connect

    def small(*args: Any, **options: Any) -> sqlite3.Connection:
        db: sqlite3.Connection = connect(*args, **options)
        db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 1000)
        return db

    monkeypatch.setattr(sqlite3, "connect", small)
    writer = sqlite_table(tmp_path / "x.db", "t").open(SinkContext("load", Row))
    with pytest.raises(OutputError, match=r"too big; record 2 of 2"):
        writer.write([Row(1), Row(2, "x" * 1001)])
    writer.abort()


# ------------------------------------------------------------------------------------------------ outages


class Counted(Sink[Any], Writer[Any]):
    """Passes on to `sink`, counts the writes, and lets `then` happen once it is open."""

    def __init__(self, sink: Sink[Any], then: Callable[[], object]) -> None:
        self.sink, self.then, self.batch_records, self.writes = sink, then, sink.batch_records, 0

    def open(self, context: SinkContext) -> Writer[Any]:
        self.writer = self.sink.open(context)
        self.then()
        return self

    def write(self, records: list[Any]) -> None:
        self.writes += 1
        self.writer.write(records)

    def finish(self) -> None:
        self.writer.finish()

    def abort(self) -> None:
        self.writer.abort()


@contextmanager
def outage(name: str, path: Path) -> Iterator[Counted]:
    """A sink that is open when the world outside stops to work."""
    table = sqlite_table(path, "t", timeout=0)
    stream = io.StringIO()
    with ExitStack() as stack:
        yield {
            "locked": Counted(table, lambda: stack.enter_context(locked(path))),
            "vanished": Counted(table, lambda: sql(path, "DROP TABLE t")),
            "changed": Counted(table, lambda: sql(path, "ALTER TABLE t RENAME COLUMN name TO title")),
            "csv full": Counted(csv_file("/dev/full"), lambda: None),
            "json full": Counted(json_lines_file("/dev/full"), lambda: None),
            "closed": Counted(stdout(stream=stream), stream.close),
        }[name]


@each_policy
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("locked", "cannot write to table 't' of .* in 0 s: database is locked"),
        ("vanished", "cannot write to table 't' of .*: no such table"),
        ("changed", "cannot write to table 't' of .*: table t has no column named name"),
        ("csv full", "No space left on device"),
        ("json full", "No space left on device"),
        ("closed", "cannot print to stdout: I/O operation on closed file"),
    ],
)
def test_an_outage_ends_the_job_at_once(name: str, message: str, policy: Policy, tmp_path: Path) -> None:
    with outage(name, tmp_path / "x.db") as sink, pytest.raises(ConnectorError, match=message) as caught:
        run([Row(n) for n in range(100)], Row, sink, policy)
    assert not isinstance(caught.value, OutputError)
    assert sink.writes == 1
    assert caught.value.result is not None
    assert (caught.value.result.skipped, caught.value.result.records_written) == (0, 0)


def write_and_abort(sink: Sink[Any], context: SinkContext, records: list[Any]) -> None:
    writer = sink.open(context)
    try:
        writer.write(records)
    finally:
        writer.abort()


def test_a_table_that_does_not_suit_a_whole_stream_is_no_records_fault(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    sql(path, "CREATE TABLE t (id)", "CREATE TABLE u (id, name, x)")
    cases: list[tuple[Sink[Any], Any, list[Any], type]] = [
        (sqlite_table(path, "t"), Row, [], ConnectorError),
        (sqlite_table(path, "t"), None, [Row(1)], OutputError),
        (sqlite_table(path, "u", key="id"), None, [Row(1)], ConnectorError),
        (sqlite_table(path, "v", create=False), None, [Row(1)], ConnectorError),
        (sqlite_table(path, "v"), None, [(1, 2)], ConnectorError),
        (sqlite_table(path, "u"), None, [(1, 2)], OutputError),
        (sqlite_table(path, "\0"), None, [Row(1)], ConnectorError),
    ]
    for sink, type_, records, kind in cases:
        with pytest.raises(ConnectorError) as caught:
            write_and_abort(sink, SinkContext("load", type_), records)
        assert type(caught.value) is kind, caught.value


@pytest.mark.parametrize("processes", [1, 2])
def test_what_only_somebody_can_mend_starts_no_job_anew(processes: int, tmp_path: Path) -> None:
    flow = Dataflow("nowhere")
    flow.source(from_iterable([Other(1)])).sink(sqlite_table(tmp_path / "x.db", "rows", create=False))
    job = flow.start(processes=processes, checkpoint=str(tmp_path / "state"))
    with pytest.raises(ConnectorError, match=r"wanted the table 'rows' .*, which is not there") as failed:
        job.wait()
    assert failed.value.final
    assert not any("started anew" in note for note in failed.value.__notes__)
