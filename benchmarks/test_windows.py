"""Windows of each kind beside tumbling ones by event time, over the same bids."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.nexmark.generator import Generator
from benchmarks.nexmark.records import Bid, Event
from benchmarks.paired import FRAME, Batches, Tally, paired, scaled
from engine import Count, Dataflow, Session, Sliding, Stream, Tumbling, Window, count

EVENTS = scaled(1_000_000)
"""100 s of event time: fifty panes, each in fifty windows."""


def batches() -> list[list[Event]]:
    stream = Generator()
    return [stream.events(start, min(start + FRAME, EVENTS)) for start in range(0, EVENTS, FRAME)]


def counting(batches: list[list[Event]], keys: int, window: Window, *, by_clock: bool = False) -> Callable[[], None]:
    """Count the bids of each of so many keys."""

    def run() -> None:
        flow = Dataflow("windows")
        events: Stream[Event] = flow.source(Batches(batches))
        events = events.processing_time() if by_clock else events.event_time("date_time")
        bids = events.of_type(Bid).key_by(key=lambda bid: bid.bidder % keys)
        bids.window(window).aggregate(bids=count()).sink(Tally())
        flow.run(progress=False)

    return run


@pytest.mark.parametrize("keys", [10, 100, 1000])
def test_fifty_windows_a_record(benchmark: BenchmarkFixture, keys: int) -> None:
    """100 s every 2 s."""
    benchmark.extra_info["keys"] = keys
    events = batches()
    sliding, tumbling = (counting(events, keys, window) for window in (Sliding("100s", every="2s"), Tumbling("100s")))
    paired(benchmark, sliding, tumbling, EVENTS, rounds=3)


OTHERS: dict[str, tuple[Window, bool]] = {
    "sessions of 1 s": (Session("1s"), False),
    "100 records": (Count(100), False),
    "10 s of the clock": (Tumbling("10s"), True),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_windows(benchmark: BenchmarkFixture, kind: str) -> None:
    """Beside tumbling ones of 10 s by event time."""
    events, (window, by_clock) = batches(), OTHERS[kind]
    other = counting(events, 1000, window, by_clock=by_clock)
    paired(benchmark, other, counting(events, 1000, Tumbling("10s")), EVENTS, rounds=3)
