"""The benchmark in small: what it prints, whom it leaves out, and what it refuses."""

from __future__ import annotations

import doctest
import importlib
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

pytest.importorskip("duckdb")

from benchmarks.nexmark import by_hand, ours
from benchmarks.nexmark.command import nexmark
from benchmarks.nexmark.compare import Compared, check, compare, competitors
from benchmarks.nexmark.files import write_files
from benchmarks.nexmark.generator import Generator
from benchmarks.nexmark.notes import Measured
from benchmarks.nexmark.oracle import Oracle
from engine import JobError

COUNT = 2000


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_files(tmp_path_factory.mktemp("events"), Generator(), COUNT, partitions=2, block=100)


def test_it_prints_a_row_for_each_competitor() -> None:
    result = CliRunner().invoke(nexmark, ["--queries", "q1,q13", "--events", "1000", "--rounds", "1", "--no-peers"])
    assert result.exit_code == 0, result.output
    assert "answers checked over 20,000 events, 1 process(es): q1, q13" in result.output
    rows = re.findall(r"^(q\d+ [a-z ]+?) +[\d,]+ +[\d.]+ +[\d,]+ .*?([\d,]+)$", result.output, re.MULTILINE)
    assert rows == [("q1 headgate", "920"), ("q1 by hand", "920"), ("q13 headgate", "920")]


def test_what_was_measured_is_printed_before_the_next_is_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(query: str, *rest: Any) -> Compared:
        if query == "q2":
            raise KeyboardInterrupt
        return Compared(query, 1000, {"headgate": [Measured(0.5, 0.5, 920)]})

    monkeypatch.setattr("benchmarks.nexmark.compare.compare", interrupted)
    result = CliRunner().invoke(nexmark, ["--queries", "q0,q2", "--events", "1000", "--no-peers"])
    assert result.exit_code == 1
    assert re.search(r"^q0 headgate +2,000 +1\.00 +2,000 +920$", result.output, re.MULTILINE), result.output


def test_an_unknown_query_is_refused() -> None:
    result = CliRunner().invoke(nexmark, ["--queries", "q1,q99"])
    assert result.exit_code == 2
    assert "there is no query 'q99'; there are q0, q1, q2" in result.output


def test_without_bytewax_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bytewax", None)
    monkeypatch.delitem(sys.modules, "benchmarks.nexmark.bytewax_cluster", raising=False)
    monkeypatch.delitem(sys.modules, "benchmarks.nexmark.bytewax_queries", raising=False)
    said: list[str] = []
    assert list(competitors("q0", 1, True, said.append)) == ["headgate", "by hand"]
    assert said == [said[0]]
    assert said[0].startswith("skipped: Bytewax needs bytewax")


def test_a_query_that_no_flow_expresses_has_no_run_of_ours() -> None:
    assert competitors("q99", 1, False, print) == {}


@pytest.mark.parametrize("query", by_hand.LOOPS)
def test_the_loops_by_hand_give_the_oracles_answers(query: str, paths: list[Path]) -> None:
    Oracle(paths).check(query, by_hand.results(query, paths))


def test_a_run_over_two_processes_counts_all_results(paths: list[Path], tmp_path: Path) -> None:
    measured = ours.run("q0", paths, tmp_path, 2)
    assert measured.results == COUNT * 46 // 50
    assert measured.seconds > 0
    assert measured.cpu > 0
    assert list(tmp_path.iterdir()) == []


def test_answers_are_checked_before_anything_is_measured(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    check(["q2"], paths, 1)
    monkeypatch.setattr(ours, "results", lambda query, paths, processes: [])
    with pytest.raises(JobError, match="q2 gave 0 rows, wanted"):
        check(["q2"], paths, 1)


def test_competitors_that_differ_are_told(paths: list[Path], tmp_path: Path) -> None:
    who = {"one": lambda *_: Measured(1.0, 1.0, 5), "other": lambda *_: Measured(1.0, 1.0, 6)}
    with pytest.raises(JobError, match=r"q0 gave different numbers of results: \{'one': 5, 'other': 6\}"):
        compare("q0", paths, COUNT, tmp_path, 1, 1, who)


def test_the_ratio_is_that_of_the_median_pair() -> None:
    runs = {
        "headgate": [Measured(2.0, 2.0, 0), Measured(2.0, 2.0, 0), Measured(8.0, 2.0, 0)],
        "by hand": [Measured(1.0, 1.0, 0), Measured(3.0, 1.0, 0), Measured(4.0, 1.0, 0)],
    }
    compared = Compared("q0", 100, runs)
    assert compared.ratio("by hand") == 0.5
    assert compared.rows()[0][:4] == ["q0 headgate", "50", "1.00", "50"]


def test_what_is_to_be_reached_depends_on_the_query_too() -> None:
    same = {who: [Measured(1.0, 1.0, 0)] for who in ("headgate", "by hand", "Bytewax")}
    reaches = {query: [row[5] for row in Compared(query, 100, same).rows()] for query in ("q0", "q5", "q11")}
    assert reaches == {"q0": ["", ">= 0.85", ""], "q5": ["", ">= 0.7", ">= 20"], "q11": ["", "", ">= 20"]}


@pytest.mark.parametrize("module", ["draws", "generator", "notes", "oracle", "source"])
def test_the_examples_of_the_docstrings(module: str) -> None:
    result = doctest.testmod(importlib.import_module(f"benchmarks.nexmark.{module}"))
    assert result.attempted
    assert not result.failed
