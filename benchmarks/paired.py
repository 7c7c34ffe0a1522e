"""What every benchmark shares: sizes, rounds in turns with the same work by hand, and batches from memory."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from pytest_benchmark.fixture import BenchmarkFixture

from engine import Reader, Sink, SinkContext, Source, Writer

SCALE = float(os.environ.get("HEADGATE_BENCH_SCALE", "1"))
FRAME = 1024


def scaled(records: int) -> int:
    """`records` at the scale of this run, at least one frame."""
    return max(FRAME, int(records * SCALE))


def paired(
    benchmark: BenchmarkFixture,
    ours: Callable[[], Any],
    by_hand: Callable[[], Any],
    records: int,
    rounds: int = 7,
) -> float:
    """Run `by_hand` and `ours` in turns; note the ratio of their speeds, pair by pair, and return its median.

    A pair runs back to back, so a machine that grows slower or faster meanwhile does so for both.
    """

    def timed(work: Callable[[], Any]) -> Callable[[], float]:
        def run() -> float:
            start = time.perf_counter()
            work()
            return time.perf_counter() - start

        return run

    return paired_figures(benchmark, timed(ours), timed(by_hand), records, rounds)


def paired_figures(
    benchmark: BenchmarkFixture,
    ours: Callable[[], float],
    by_hand: Callable[[], float],
    records: int,
    rounds: int = 7,
) -> float:
    """The same where each says itself how many seconds of its time count."""
    seconds: dict[str, list[float]] = {"ours": [], "by hand": []}

    def run(name: str, work: Callable[[], float]) -> None:
        seconds[name].append(work())

    benchmark.pedantic(  # type: ignore[no-untyped-call]
        run, args=("ours", ours), setup=lambda: run("by hand", by_hand), rounds=rounds, warmup_rounds=1
    )
    pairs = [hand / our for our, hand in zip(seconds["ours"], seconds["by hand"], strict=True)]
    benchmark.extra_info |= {
        "records": records,
        "records_per_second": round(records / median(seconds["ours"])),
        "ratio_to_by_hand": round(median(pairs), 3),
        "ratio_least_and_most": (round(min(pairs), 3), round(max(pairs), 3)),
    }
    return median(pairs)


class Batches(Source[Any], Reader[Any]):
    """Gives lists that lie ready in memory, so that a benchmark measures what comes behind them."""

    blocking = False
    resumable = True

    def __init__(self, batches: Sequence[list[Any]]) -> None:
        self.batches = batches
        self.next = 0
        self.rest: list[Any] = []

    def open(self, partition: str) -> Reader[Any]:
        self.next, self.rest = 0, []
        return self

    def position(self) -> list[int]:
        return [self.next, len(self.rest)]

    def seek(self, position: list[int]) -> None:
        self.next, left = position
        self.rest = self.batches[self.next - 1][-left:] if left else []

    def read(self, limit: int) -> list[Any] | None:
        if not self.rest:
            if self.next == len(self.batches):
                return None
            self.rest = self.batches[self.next]
            self.next += 1
        given, self.rest = (self.rest, []) if len(self.rest) <= limit else (self.rest[:limit], self.rest[limit:])
        return given


class Tally(Sink[Any], Writer[Any]):
    """Counts what reaches it."""

    blocking = False

    def __init__(self) -> None:
        self.records = 0

    def open(self, context: SinkContext) -> Writer[Any]:
        self.records = 0
        return self

    def write(self, records: list[Any]) -> None:
        self.records += len(records)
