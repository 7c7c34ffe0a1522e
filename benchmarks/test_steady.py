"""Idle cost, latency and memory in small: what was measured is noted, and that it was measured is asserted."""

from __future__ import annotations

from benchmarks.paired import SCALE, scaled
from benchmarks.steady import idle, latency, memory


def test_idle(benchmark) -> None:  # type: ignore[no-untyped-def]
    share = benchmark.pedantic(idle, args=(max(0.5, 10 * SCALE),), rounds=1)
    benchmark.extra_info["share_of_a_core"] = round(share, 4)
    assert share >= 0


def test_latency(benchmark) -> None:  # type: ignore[no-untyped-def]
    seconds = max(1.0, 10 * SCALE)
    delays = benchmark.pedantic(latency, args=(seconds, 1000), rounds=1)
    benchmark.extra_info["p99_ms"] = round(delays.percentile(99) / 1e6, 2)
    assert 0 < delays.count <= int(1000 * seconds)  # those of the first second, from the first arrival on, do not count


def test_memory(benchmark) -> None:  # type: ignore[no-untyped-def]
    records = scaled(2_000_000)
    growth = benchmark.pedantic(memory, args=(records,), rounds=1)
    benchmark.extra_info["growth_mb"] = round(growth / 1e6, 1)
    assert growth < 20e6
