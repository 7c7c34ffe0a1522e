"""The flights example: every table against SQL over the raw files, whatever stops or slows the job."""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from benchmarks import flights_by_hand
from engine import ConnectorError, JobMetrics, Settings
from examples.flights.command import main
from examples.flights.job import DATA, build
from examples.flights.tables import TABLES
from tests.examples.recomputed import recomputed

ROOT = Path(__file__).parents[2]
FLIGHTS = 336_776
JANUARY = 27_004
UNPACKED_SHA256 = "563db8f117faf6ffd76aa868099df37dfa78dc17b5ac6d3d9ea6476e051a0bc4"

Tables = dict[str, list[tuple[Any, ...]]]


def tables(database: Path) -> Tables:
    """All rows of all tables, in the order of their keys."""
    with closing(sqlite3.connect(database)) as db:
        return {table: db.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3, 4").fetchall() for table in TABLES}


def is_same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9)
    return type(one) is type(other) and bool(one == other)


def assert_same(found: Iterable[tuple[Any, ...]], wanted: Iterable[tuple[Any, ...]]) -> None:
    for row, (one, other) in enumerate(zip(found, wanted, strict=True)):
        assert one == other or all(map(is_same, one, other)), f"row {row}: {one} instead of {other}"


def command(*arguments: str | Path, cwd: Path = ROOT, code: int = 0) -> tuple[str, str]:
    """What `python` prints with these arguments: its output and its errors."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout, done.stderr


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> tuple[JobMetrics, Tables]:
    """The whole job's result, and what it loaded."""
    database = tmp_path_factory.mktemp("year") / "flights.db"
    return build(database).run(progress=False), tables(database)


@pytest.fixture(scope="module")
def wanted() -> Tables:
    """What it should have loaded."""
    return recomputed(DATA, 12)


@pytest.fixture(scope="module")
def january() -> Tables:
    """What a job of one month should load."""
    return recomputed(DATA, 1)


def test_the_months_are_the_published_file_cut_up() -> None:
    whole = hashlib.sha256()
    for place, month in enumerate([1, 10, 11, 12, *range(2, 10)]):
        header, rows = gzip.decompress((DATA / f"flights-2013-{month:02}.csv.gz").read_bytes()).split(b"\n", 1)
        whole.update(rows if place else header + b"\n" + rows)
    assert whole.hexdigest() == UNPACKED_SHA256


@pytest.mark.parametrize("table", TABLES)
def test_a_table_is_what_sql_makes_of_the_raw_files(
    table: str, year: tuple[JobMetrics, Tables], wanted: Tables
) -> None:
    assert_same(year[1][table], wanted[table])


def test_no_flight_is_lost_or_doubled(year: tuple[JobMetrics, Tables]) -> None:
    result, found = year
    assert result.state == "finished"
    assert result.records_read == FLIGHTS
    assert len(found["flights"]) + len(found["cancelled"]) == FLIGHTS
    assert sum(row[3] for row in found["daily"]) == FLIGHTS
    assert sum(row[4] for row in found["daily"]) == len(found["flights"])
    assert result.records_written == sum(map(len, found.values()))


def test_it_is_what_the_same_work_by_hand_gives(tmp_path: Path, january: Tables) -> None:
    assert flights_by_hand.run(tmp_path / "by_hand.db", months=1) == JANUARY
    by_hand = tables(tmp_path / "by_hand.db")
    for table in TABLES:
        assert_same(by_hand[table], january[table])


def test_a_repeated_run_gives_the_same(tmp_path: Path, january: Tables, capsys: pytest.CaptureFixture[str]) -> None:
    database = tmp_path / "new" / "flights.db"
    for months in ("2", "1", "1"):  # the longer one first: nothing of it may be left
        main(["--months", months, "--database", str(database)])
    for table in TABLES:
        assert_same(tables(database)[table], january[table])
    assert f"all of it is in {database}" in capsys.readouterr().out


def test_a_slow_sink_changes_nothing_but_the_pace(tmp_path: Path, january: Tables) -> None:
    result = build(tmp_path / "flights.db", months=1, sink_rate=20_000).run(progress=False)
    assert result.state == "finished"
    assert result.most_in_flight <= result.bound
    for table in TABLES:
        assert_same(tables(tmp_path / "flights.db")[table], january[table])


def test_the_source_is_never_further_ahead_of_a_slow_sink_than_the_plan_allows(tmp_path: Path) -> None:
    """Five channels lie between the source and the two sinks, far less than could be read meanwhile."""
    ahead = 5 * Settings().max_window
    job = build(tmp_path / "flights.db", sink_rate=100).start()
    try:
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            now = job.metrics()
            loaded = now["load flights"].records_out + now["load cancelled"].records_out
            assert now["read flights"].records_out - loaded <= ahead
            assert now.in_flight <= now.most_in_flight <= now.bound
            job.join(0.01)
        assert job.state == "running"
    finally:
        job.cancel()
        assert job.join(10)


def cut_off(file: bytes) -> bytes:
    return file[: len(file) // 2]


def garbled(file: bytes) -> bytes:
    return file[: len(file) // 2] + bytes(64) + file[len(file) // 2 + 64 :]


def no_gzip(file: bytes) -> bytes:
    return b"year,month" + file


@pytest.fixture
def spoilt(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """The data with a February that the parameter, a function of its bytes, has made."""
    data = tmp_path / "data"
    shutil.copytree(DATA, data)
    february = data / "flights-2013-02.csv.gz"
    february.write_bytes(request.param(february.read_bytes()))
    return data


@pytest.mark.parametrize(
    ("spoilt", "message"),
    [(cut_off, "the gzip data ends in the middle"), (no_gzip, "corrupt gzip data"), (garbled, "")],
    indirect=["spoilt"],
)
def test_what_was_read_before_a_broken_file_is_loaded(
    spoilt: Path, message: str, tmp_path: Path, january: Tables
) -> None:
    database = tmp_path / "flights.db"
    with pytest.raises(ConnectorError, match=rf"flights-2013-02\.csv\.gz.*{message}") as failure:
        build(database, months=3, data=spoilt).run(progress=False)
    found = tables(database)
    result = failure.value.result
    assert result is not None
    assert result.state == "failed"
    assert result.records_read == len(found["flights"]) + len(found["cancelled"]) >= JANUARY
    for table in ("flights", "cancelled"):
        assert_same((row for row in found[table] if row[0] < "2013-02"), january[table])


@pytest.mark.parametrize("spoilt", [cut_off], indirect=True)
def test_rows_of_a_file_that_is_cut_off_are_as_in_the_whole_one(spoilt: Path, tmp_path: Path) -> None:
    with pytest.raises(ConnectorError):
        build(tmp_path / "flights.db", months=2, data=spoilt).run(progress=False)
    found, whole = tables(tmp_path / "flights.db"), recomputed(DATA, 2)
    for table in ("flights", "cancelled"):
        assert set(found[table]) < set(whole[table])


def test_the_command_shows_progress_a_summary_and_the_tables(tmp_path: Path) -> None:
    database = tmp_path / "flights.db"
    out, err = command("-m", "examples.flights", "--database", database)
    assert re.search(r"^flights: \d+ s, [\d,]+ read", err, re.MULTILINE)
    assert f"{FLIGHTS:,} records read" in err
    assert "load worst routes" in err
    for line in ("flights        327,346 rows", "worst_routes        20 rows", "EWR to TYS   41.2 min    313 flights"):
        assert line in out
    assert out.endswith(f"all of it is in {database}\n")


def test_the_command_shows_how_the_source_follows_a_slow_sink(tmp_path: Path) -> None:
    database = tmp_path / "flights.db"
    out, _ = command("-m", "examples.flights", "--months", "1", "--sink-rate", "10000", "--database", database)
    head, first, *_ = out.splitlines()
    assert head.split()[:2] == ["second", "read/s"]
    assert int(first.split()[0]) >= 1
    assert f"{JANUARY:,} records read" in out
    assert "in flight; the plan allows" in out


def test_ctrl_c_loads_what_has_been_read(tmp_path: Path) -> None:
    slow = ["-m", "examples.flights", "--sink-rate", "20000", "--database", tmp_path / "flights.db"]
    with subprocess.Popen(
        [sys.executable, *map(str, slow)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        head = [process.stdout.readline() for _ in range(2)]  # the titles, and a first second
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=50)
    assert process.returncode == 0, "".join(head) + rest
    (read,) = re.findall(r"stopped after [\d.]+ s: ([\d,]+) records read", rest)
    found = tables(tmp_path / "flights.db")
    assert 0 < len(found["flights"]) + len(found["cancelled"]) == int(read.replace(",", "")) < FLIGHTS


@pytest.mark.parametrize("start", [["-m", "flights"], ["flights"]], ids=["module", "folder"])
def test_a_copy_of_the_folder_runs_by_itself(start: list[str], tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples" / "flights", tmp_path / "flights")
    out, _ = command(*start, "--months", "1", cwd=tmp_path)
    assert "all of it is in build/flights.db" in out
    assert (tmp_path / "build" / "flights.db").is_file()


def test_a_job_that_fails_says_so_and_what_is_there(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples" / "flights", tmp_path / "flights")
    os.truncate(tmp_path / "flights" / "data" / "flights-2013-01.csv.gz", 300_000)
    _, err = command("-m", "flights", cwd=tmp_path, code=1)
    assert "failed after" in err
    assert re.search(r"flights-2013-01\.csv\.gz:\d+: the gzip data ends in the middle", err)
    assert err.endswith("what was read before that is in build/flights.db\n")
    assert "Traceback" not in err


def test_the_plan_and_the_picture_run_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database = tmp_path / "flights.db"
    main(["--explain", "--sink-rate", "2000", "--database", str(database)])
    assert "sqlite_table at 2,000/s" in (plan := capsys.readouterr().out)
    assert "records in flight" in plan
    main(["--mermaid", "--database", str(database)])
    assert capsys.readouterr().out.startswith("flowchart")
    assert not database.exists()


def test_a_database_that_holds_anything_else_is_left_alone(tmp_path: Path) -> None:
    database = tmp_path / "precious.db"
    with closing(sqlite3.connect(database)) as db:
        db.execute("CREATE TABLE wedding_guests (name)")
    before = database.read_bytes()
    with pytest.raises(SystemExit, match="holds other tables, wedding_guests: name another file"):
        main(["--database", str(database)])
    assert database.read_bytes() == before


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("remember the milk")
    with pytest.raises(SystemExit, match=r"notes\.txt is no SQLite database"):
        main(["--database", str(tmp_path / "notes.txt")])
    assert (tmp_path / "notes.txt").read_text() == "remember the milk"


@pytest.mark.parametrize("rate", ["0", "-5", "inf", "nan", "fast"])
def test_a_rate_that_is_none_is_refused(rate: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([f"--sink-rate={rate}"])
    assert "--sink-rate" in capsys.readouterr().err


def test_with_checkpoints_what_was_loaded_is_not_read_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], january: Tables
) -> None:
    database = tmp_path / "flights.db"
    for _ in range(2):
        main(["--database", str(database), "--checkpoint", str(tmp_path / "state"), "--months", "1"])
        loaded = tables(database)
        for table in TABLES:
            assert_same(loaded[table], january[table])
    assert capsys.readouterr().err.count(" 0 records read") == 1
