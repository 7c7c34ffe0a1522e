"""The queries give the oracle's answers, over one process and two, whatever the order and the frames."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("duckdb")

from benchmarks.nexmark import queries
from benchmarks.nexmark.files import write_files
from benchmarks.nexmark.generator import Generator
from benchmarks.nexmark.oracle import Oracle
from benchmarks.nexmark.queries.q12 import BidCount, by_clock
from benchmarks.nexmark.records import Bid, Event
from connectors.files import json_lines
from connectors.memory import collect
from engine import Dataflow, Settings
from tests.benchmarks.nexmark.streams import COUNT, STREAMS


@pytest.fixture(scope="module", params=STREAMS)
def stream(request: pytest.FixtureRequest) -> Generator:
    return STREAMS[request.param]


@pytest.fixture(scope="module")
def paths(stream: Generator, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_files(tmp_path_factory.mktemp("events"), stream, COUNT, partitions=2, block=64)


@pytest.fixture(scope="module")
def oracle(paths: list[Path]) -> Oracle:
    return Oracle(paths)


def all_at_once(
    paths: list[Path], out_of_order: int, settings: Settings | None = None
) -> tuple[Dataflow, dict[str, list[Any]]]:
    """One flow in which every query reads the same events."""
    flow, results = Dataflow("nexmark", settings=settings), {name: list[Any]() for name in queries.names()}
    events = flow.source(json_lines(paths, type=Event)).event_time("date_time", out_of_order=out_of_order)
    for name, records in results.items():
        queries.load(name)(events).sink(collect(records), name=name)
    return flow, results


def test_all_queries_are_here_but_the_one_that_waits_for_a_sink() -> None:
    assert queries.names() == [f"q{number}" for number in range(23) if number != 10]


@pytest.mark.parametrize("name", queries.names())
def test_a_query_gives_the_oracles_answer(name: str, stream: Generator, paths: list[Path], oracle: Oracle) -> None:
    flow, records = Dataflow(name), list[Any]()
    queries.results(name, flow.source(json_lines(paths, type=Event)), stream.disorder).sink(collect(records))
    assert flow.run().late == 0
    oracle.check(name, records)


def test_all_queries_over_two_processes(stream: Generator, paths: list[Path], oracle: Oracle) -> None:
    flow, results = all_at_once(paths, stream.disorder)
    assert flow.run(processes=2).late == 0
    for name, records in results.items():
        oracle.check(name, records)


def test_all_queries_in_frames_of_seven(stream: Generator, paths: list[Path], oracle: Oracle) -> None:
    flow, results = all_at_once(paths, stream.disorder, Settings(frame_records=7, max_window=64))
    assert flow.run().late == 0
    for name, records in results.items():
        oracle.check(name, records)


@pytest.mark.parametrize("processes", [1, 2])
def test_by_the_real_clock_every_bid_is_in_one_window(processes: int, paths: list[Path]) -> None:
    flow, counts, bids = Dataflow("q12"), list[BidCount](), list[Bid]()
    events = flow.source(json_lines(paths, type=Event))
    by_clock(events).sink(collect(counts), name="counts")
    events.of_type(Bid).sink(collect(bids), name="bids")
    minute_ago = 1000 * (time.time() - 60)
    assert flow.run(processes=processes).late == 0
    in_windows = Counter[int]()
    for each in counts:
        assert each.window_end > minute_ago
        in_windows[each.bidder] += each.bid_count
    assert in_windows == Counter(bid.bidder for bid in bids)
