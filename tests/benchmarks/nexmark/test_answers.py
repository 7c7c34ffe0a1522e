"""The oracle's SQL and plain loops give the same answers."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path

import pytest

pytest.importorskip("duckdb")

from benchmarks.nexmark.answers import ANSWERS
from benchmarks.nexmark.files import write_files
from benchmarks.nexmark.oracle import Oracle
from benchmarks.nexmark.records import Bid
from engine import JobError
from tests.benchmarks.nexmark.naive import Naive, Row
from tests.benchmarks.nexmark.streams import COUNT, STREAMS


@cache
def naive(stream: str) -> Naive:
    return Naive(STREAMS[stream].events(0, COUNT))


@cache
def naive_answer(stream: str, query: str) -> Counter[Row]:
    return naive(stream).answer(query)


@pytest.fixture(scope="module", params=STREAMS)
def stream(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def oracle(stream: str, tmp_path_factory: pytest.TempPathFactory) -> Oracle:
    return Oracle(write_files(tmp_path_factory.mktemp("events"), STREAMS[stream], COUNT, partitions=2, block=64))


def test_there_is_an_answer_to_every_query() -> None:
    assert list(ANSWERS) == [f"q{number}" for number in range(23)]


@pytest.mark.parametrize("query", ANSWERS)
def test_two_ways_to_the_same_answer(stream: str, oracle: Oracle, query: str) -> None:
    assert oracle.answer(query).rows == naive_answer(stream, query)


@pytest.mark.parametrize("query", ANSWERS)
def test_no_answer_is_empty(query: str) -> None:
    assert sum(naive_answer(stream, query).total() for stream in STREAMS)


def test_a_wrong_answer_is_told_with_a_row(tmp_path: Path) -> None:
    events = STREAMS["0.3 s, as fast as the benchmark"].events(0, 100)
    oracle = Oracle(write_files(tmp_path, STREAMS["0.3 s, as fast as the benchmark"], 100))
    bids = [event for event in events if isinstance(event, Bid)]
    oracle.check("q0", reversed(bids))
    with pytest.raises(JobError, match=r"q0 gave 91 rows, wanted 92 .*: 1 are missing, e\.g\. \(1\d+, .* 0 are too"):
        oracle.check("q0", bids[1:])
    with pytest.raises(JobError, match=r"wanted records with the fields \('auction', 'price'\), got Bid"):
        oracle.check("q2", bids)
