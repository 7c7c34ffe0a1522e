"""Fifty windows a record beside one: sliding windows of 100 s every 2 s beside tumbling ones, over the same bids."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.nexmark.generator import Generator
from benchmarks.nexmark.records import Bid, Event
from benchmarks.paired import FRAME, Batches, Tally, paired, scaled
from engine import Dataflow, Sliding, Tumbling, Window, count

EVENTS = scaled(1_000_000)
"""100 s of event time: fifty panes, each in fifty windows."""


def counting(batches: list[list[Event]], keys: int, window: Window) -> Callable[[], None]:
    """Count the bids of each of so many keys."""

    def run() -> None:
        flow = Dataflow("windows")
        events = flow.source(Batches(batches)).event_time("date_time")
        bids = events.of_type(Bid).key_by(key=lambda bid: bid.bidder % keys)
        bids.window(window).aggregate(bids=count()).sink(Tally())
        flow.run(progress=False)

    return run


@pytest.mark.parametrize("keys", [10, 100, 1000])
def test_fifty_windows_a_record(benchmark: BenchmarkFixture, keys: int) -> None:
    stream = Generator()
    batches = [stream.events(start, min(start + FRAME, EVENTS)) for start in range(0, EVENTS, FRAME)]
    benchmark.extra_info["keys"] = keys
    sliding, tumbling = (counting(batches, keys, window) for window in (Sliding("100s", every="2s"), Tumbling("100s")))
    paired(benchmark, sliding, tumbling, EVENTS, rounds=3)
