"""The keyed count in small: all competitors that are installed count the same; speeds are only noted."""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.paired import scaled
from benchmarks.throughput.compare import compare


@pytest.mark.parametrize("processes", [1, 2])
def test_throughput(benchmark: BenchmarkFixture, processes: int) -> None:
    run = (scaled(1_000_000), processes, 1, print)
    compared = benchmark.pedantic(compare, args=run, rounds=1)  # type: ignore[no-untyped-call]
    benchmark.extra_info["ratio_to_by_hand"] = round(compared.ratio("by hand"), 3)
    assert compared.ratio("by hand") > 0
