"""The queries give the oracle's answers, over one process and two, whatever the order and the frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("duckdb")

from benchmarks.nexmark import queries
from benchmarks.nexmark.files import write_files
from benchmarks.nexmark.oracle import Oracle
from benchmarks.nexmark.records import Event
from connectors.files import json_lines
from connectors.memory import collect
from engine import Dataflow, Settings
from tests.benchmarks.nexmark.streams import COUNT, STREAMS


@pytest.fixture(scope="module", params=STREAMS)
def paths(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_files(tmp_path_factory.mktemp("events"), STREAMS[request.param], COUNT, partitions=2, block=64)


@pytest.fixture(scope="module")
def oracle(paths: list[Path]) -> Oracle:
    return Oracle(paths)


def all_at_once(paths: list[Path], settings: Settings | None = None) -> tuple[Dataflow, dict[str, list[Any]]]:
    """One flow in which every query reads the same events."""
    flow, results = Dataflow("nexmark", settings=settings), {name: list[Any]() for name in queries.names()}
    events = flow.source(json_lines(paths, type=Event))
    for name, records in results.items():
        queries.load(name)(events).sink(collect(records), name=name)
    return flow, results


def test_the_queries_are_those_that_need_no_windows() -> None:
    assert set(queries.names()) >= {f"q{number}" for number in (0, 1, 2, 3, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22)}


@pytest.mark.parametrize("name", queries.names())
def test_a_query_gives_the_oracles_answer(name: str, paths: list[Path], oracle: Oracle) -> None:
    flow, records = Dataflow(name), list[Any]()
    queries.load(name)(flow.source(json_lines(paths, type=Event))).sink(collect(records))
    flow.run()
    oracle.check(name, records)


def test_all_queries_over_two_processes(paths: list[Path], oracle: Oracle) -> None:
    flow, results = all_at_once(paths)
    flow.run(processes=2)
    for name, records in results.items():
        oracle.check(name, records)


def test_all_queries_in_frames_of_seven(paths: list[Path], oracle: Oracle) -> None:
    flow, results = all_at_once(paths, Settings(frame_records=7, max_window=64))
    flow.run()
    for name, records in results.items():
        oracle.check(name, records)
