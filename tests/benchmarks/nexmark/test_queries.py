"""The queries give the oracle's answers, over one process and two, whatever the order and the frames."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
import pytest

pytest.importorskip("duckdb")

from benchmarks.nexmark import queries
from benchmarks.nexmark.files import write_files
from benchmarks.nexmark.generator import Generator
from benchmarks.nexmark.oracle import Oracle
from benchmarks.nexmark.queries import q10, q12
from benchmarks.nexmark.records import Bid, Event
from connectors.files import json_lines
from connectors.memory import collect
from engine import Dataflow, Job, Settings
from engine.testing import ManualClock
from tests.benchmarks.nexmark.streams import COUNT, STREAMS
from tests.engine.helpers import ListSource, Nothing


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


def test_all_queries_are_here() -> None:
    assert queries.names() == [f"q{number}" for number in range(23)]


@pytest.mark.parametrize("processes", [1, 2])
def test_files_for_each_minute_have_all_bids(
    processes: int,
    stream: Generator,
    paths: list[Path],
    oracle: Oracle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if stream.rate < 1:
        pytest.skip("thousands of files, each of which the disk is waited for")
    monkeypatch.setattr(q10, "MOST_OPEN", 1)
    flow = Dataflow("q10")
    q10.query(flow.source(json_lines(paths, type=Event))).sink(q10.ByMinute(tmp_path))
    flow.run(processes=processes)
    written = []
    for path in tmp_path.glob("*/*.jsonl"):
        bids = msgspec.json.decode(b"[%s]" % b",".join(path.read_bytes().splitlines()), type=list[q10.LoggedBid])
        assert {(bid.day, bid.minute.replace(":", "-")) for bid in bids} == {(path.parent.name, path.name[:5])}
        written += bids
    assert len(list(tmp_path.glob("*/*.partial"))) == 0
    oracle.check("q10", written)


@pytest.mark.parametrize("name", queries.names())
def test_a_query_gives_the_oracles_answer(name: str, stream: Generator, paths: list[Path], oracle: Oracle) -> None:
    flow, records = Dataflow(name), list[Any]()
    queries.results(name, flow.source(json_lines(paths, type=Event)), stream.disorder).sink(collect(records))
    assert flow.run().late == 0
    oracle.check(name, records, by_real_clock=name in queries.BY_CLOCK)


def test_all_queries_over_two_processes(stream: Generator, paths: list[Path], oracle: Oracle) -> None:
    flow, results = all_at_once(paths, stream.disorder)
    assert flow.run(processes=2).late == 0
    for name, records in results.items():
        oracle.check(name, records, by_real_clock=name in queries.BY_CLOCK)


def test_all_queries_in_frames_of_seven(stream: Generator, paths: list[Path], oracle: Oracle) -> None:
    flow, results = all_at_once(paths, stream.disorder, Settings(frame_records=7, max_window=64))
    assert flow.run().late == 0
    for name, records in results.items():
        oracle.check(name, records, by_real_clock=name in queries.BY_CLOCK)


def by_clock(paths: list[Path], clock: ManualClock, jobs: list[Job]) -> Iterator[Any]:
    """The events in order, those of a window once the clock shows its time and all before them have been counted."""
    lines = [line for path in paths for line in path.read_bytes().splitlines()]
    events = sorted(msgspec.json.decode(b"[%s]" % b",".join(lines), type=list[Event]), key=lambda each: each.date_time)
    given = 0
    for window, mine in groupby(events, lambda each: each.date_time // 10_000):
        clock.set(window * 10_000)
        for event in mine:
            given += isinstance(event, Bid)
            yield event
        while not jobs or jobs[0].metrics()["window"].records_in < given:
            yield Nothing()


def test_by_a_clock_that_shows_when_events_happen(stream: Generator, paths: list[Path], oracle: Oracle) -> None:
    if stream.rate < 1:
        pytest.skip("thousands of windows, each waited for")
    clock, jobs, counts = ManualClock(), list[Job](), list[Any]()
    flow = Dataflow("q12")
    events = flow.source(ListSource(lambda: by_clock(paths, clock, jobs), type=Event, poll_after=0.0))
    q12.query(events).sink(collect(counts))
    job = flow.start(clock=clock)
    jobs.append(job)
    job.wait()
    oracle.check("q12", counts)
