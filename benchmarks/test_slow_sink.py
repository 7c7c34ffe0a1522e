"""The slow sink in small: nothing lost or doubled, never more in flight than the plan says; rates are only noted."""

from __future__ import annotations

from benchmarks.paired import SCALE
from benchmarks.slow_sink import measure


def test_slow_sink(benchmark) -> None:  # type: ignore[no-untyped-def]
    seconds = max(1.5, 10 * SCALE)
    report = benchmark.pedantic(measure, args=(seconds, 100_000, 20_000, 2_000, 1.0), rounds=1)
    benchmark.extra_info["source_over_sink"] = round(report.source_over_sink, 3)
    benchmark.extra_info["sink_busy"] = round(report.sink_busy, 3)
    assert report.most_in_flight <= report.bound
    assert report.lost_or_doubled == 0
