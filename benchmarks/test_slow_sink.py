"""The slow sink in small: nothing lost, doubled or out of order, never more in flight than planned; rates are noted."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.paired import SCALE
from benchmarks.slow_sink import job
from benchmarks.slow_sink.figures import Figures
from benchmarks.slow_sink.peers import bounded_queue, push_pull
from benchmarks.slow_sink.picture import draw
from benchmarks.slow_sink.profiles import MAKERS, profile
from benchmarks.slow_sink.report import text, write_csv

CASES = [("step", 1), ("step", 2), *((name, 3) for name in MAKERS)]


@pytest.mark.parametrize(("name", "processes"), CASES)
def test_slow_sink(benchmark: BenchmarkFixture, tmp_path: Path, name: str, processes: int) -> None:
    chosen = profile(name, max(1.0, MAKERS[name][1] * SCALE))
    run = benchmark.pedantic(job.run, args=(chosen, processes), rounds=1)  # type: ignore[no-untyped-call]
    figures = Figures.of(run)
    benchmark.extra_info["sink_busy"] = round(figures.busy, 3)
    assert figures.bound is not None
    assert 0 < figures.most_in_flight <= figures.bound
    assert (figures.lost, figures.doubled, figures.disordered) == (0, 0, 0)
    write_csv(tmp_path / "samples.csv", [run])
    draw(tmp_path / "picture.png", [run], processes)
    assert "lost / doubled / out of order" in text([run])


@pytest.mark.parametrize("peer", [push_pull, bounded_queue])
def test_peers(benchmark: BenchmarkFixture, peer: object) -> None:
    chosen = profile("step", max(1.0, 15 * SCALE))
    figures = Figures.of(benchmark.pedantic(peer.run, args=(chosen,), rounds=1))  # type: ignore[attr-defined,no-untyped-call]
    assert (figures.lost, figures.doubled, figures.disordered) == (0, 0, 0)
