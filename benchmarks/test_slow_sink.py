"""The slow sink in small: nothing lost or doubled, never more in flight than the plan says; rates are only noted."""

from __future__ import annotations

import pytest

from benchmarks.paired import SCALE
from benchmarks.slow_sink import job
from benchmarks.slow_sink.figures import Figures
from benchmarks.slow_sink.profiles import profile


@pytest.mark.parametrize(("name", "processes"), [("step", 1), ("step", 3), ("on-off", 2), ("one-of-n", 3)])
def test_slow_sink(benchmark, name: str, processes: int) -> None:  # type: ignore[no-untyped-def]
    chosen = profile(name, max(3.0, 15 * SCALE))
    figures = Figures.of(benchmark.pedantic(job.run, args=(chosen, processes), rounds=1))
    benchmark.extra_info["follows_after_s"] = round(figures.follow, 2)
    benchmark.extra_info["sink_busy"] = round(figures.busy, 3)
    assert figures.bound is not None
    assert figures.most_in_flight <= figures.bound
    assert (figures.lost, figures.doubled, figures.disordered) == (0, 0, 0)
