"""Jobs that fail in the middle and go on from a checkpoint: what every sink has is what an undisturbed run gives."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from connectors.files import csv_file, csv_files, json_lines, json_lines_file
from connectors.memory import collect
from connectors.sqlite import sqlite_query, sqlite_table
from engine import Dataflow, Source
from engine.checkpoints import Checkpoints
from tests.connectors.test_files import read_all

COUNT = 6_000


class Row(NamedTuple):
    n: int
    text: str


def _fails_once(folder: Path, at: set[int]) -> Any:
    def check(row: Row) -> Row:
        if row.n in at and not (folder / f"failed-{row.n}").exists():
            (folder / f"failed-{row.n}").touch()
            raise RuntimeError("planned")
        return row

    return check


def _source(kind: str, folder: Path) -> Source[Row]:
    if kind == "csv":
        rows = "".join(f'{n},"line\n{n}"\n' for n in range(COUNT))
        (folder / "in.csv").write_text(f"n,text\n{rows}")
        return csv_files(folder / "in.csv", type=Row)
    with closing(sqlite3.connect(folder / "in.db")) as db:
        db.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, text TEXT)")
        db.executemany("INSERT INTO t VALUES (?, ?)", ((n, f"line\n{n}") for n in range(COUNT)))
        db.commit()
    return sqlite_query(folder / "in.db", "SELECT * FROM t", type=Row, key="n")


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("kind", "processes", "failures"),
    [("csv", None, {2_000, 4_321}), ("sqlite", None, {1, 5_999}), ("csv", 2, {4_321})],
)
def test_each_record_once_in_every_sink(kind: str, processes: int | None, failures: set[int], tmp_path: Path) -> None:
    flow = Dataflow("goes-on")
    found: list[Row] = []
    rows = flow.source(_source(kind, tmp_path)).map(_fails_once(tmp_path, failures), type=Row)
    rows.sink(csv_file(tmp_path / "out.csv"), name="csv")
    rows.sink(json_lines_file(tmp_path / "out.jsonl.gz"), name="json")
    rows.sink(sqlite_table(tmp_path / "out.db", "t"), name="table")
    rows.sink(collect(found), name="list")
    result = flow.run(processes=processes, checkpoint=Checkpoints(into=str(tmp_path / "kept"), interval="20ms"))
    assert result.state == "finished"
    expected = [Row(n, f"line\n{n}") for n in range(COUNT)]
    assert sorted(found) == expected
    assert sorted(read_all(csv_files(tmp_path / "out*.csv", type=Row))) == expected
    assert sorted(read_all(json_lines(tmp_path / "out*.jsonl.gz", type=Row))) == expected
    assert sorted(read_all(sqlite_query(tmp_path / "out.db", "SELECT * FROM t", type=Row))) == expected
    assert not list(tmp_path.glob(".out*"))
