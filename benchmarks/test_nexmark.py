"""q0, q1, q2 and q5 of Nexmark in small, beside loops by hand; speeds are only noted."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.nexmark.compare import BY_HAND, compare, competitors
from benchmarks.nexmark.files import write_files
from benchmarks.nexmark.generator import Generator
from benchmarks.paired import scaled

EVENTS = scaled(1_000_000)


@pytest.mark.parametrize("query", ["q0", "q1", "q2", "q5"])
def test_nexmark(benchmark: BenchmarkFixture, query: str, tmp_path: Path) -> None:
    paths = write_files(tmp_path, Generator(), EVENTS)
    run = (query, paths, EVENTS, tmp_path, 1, 3, competitors(query, 1, False, print))
    compared = benchmark.pedantic(compare, args=run, rounds=1)  # type: ignore[no-untyped-call]
    benchmark.extra_info["ratio_to_by_hand"] = round(compared.ratio(BY_HAND), 3)


def test_the_generator(benchmark: BenchmarkFixture) -> None:
    benchmark.extra_info["events"] = EVENTS
    stream = Generator()
    benchmark.pedantic(  # type: ignore[no-untyped-call]
        lambda: [stream.events(start, start + 4096) for start in range(0, EVENTS, 4096)], rounds=3
    )
