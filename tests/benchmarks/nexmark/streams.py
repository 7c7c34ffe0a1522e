"""Small streams that bring out what a query may get wrong."""

from __future__ import annotations

from benchmarks.nexmark.generator import Generator

STREAMS = {
    "100 s, in order, many times alike": Generator(seed=1, rate=50),
    "33 hours, shuffled by the hundred": Generator(seed=2, rate=0.025, out_of_order=100),
    "0.3 s, as fast as the benchmark": Generator(seed=3),
}
COUNT = 3000
