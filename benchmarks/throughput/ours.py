"""The keyed count as a flow."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.throughput.bids import Bid, leave
from connectors.files import json_lines
from engine import Dataflow, Reader, Settings, Sink, SinkContext, Source, Writer, count


class Times(msgspec.Struct):
    """A result."""

    auction: int
    times: int


class Clocked(Source[Bid]):
    """Another source, that notes when it is opened."""

    type = Bid

    def __init__(self, source: Source[Bid], folder: Path) -> None:
        self.source, self.folder, self.blocking = source, folder, source.blocking

    def partitions(self) -> Sequence[str]:
        return self.source.partitions()

    def open(self, partition: str) -> Reader[Bid]:
        begin = time.monotonic()
        leave(self.folder, f"source-{Path(partition).stem}", begin, {})
        return self.source.open(partition)


class Totals(Sink[Times]):
    """Leaves what was counted, and when it was all there."""

    blocking = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self, context: SinkContext) -> Writer[Times]:
        return _Totals(self.folder, context.index)


class _Totals(Writer[Times]):
    def __init__(self, folder: Path, index: int) -> None:
        self.folder, self.index = folder, index
        self.counts: dict[int, int] = {}

    def write(self, records: list[Times]) -> None:
        self.counts.update((each.auction, each.times) for each in records)

    def finish(self) -> None:
        leave(self.folder, f"sink-{self.index}", 0.0, self.counts)


def run(paths: Sequence[Path], folder: Path, processes: int, combine_keys: int = 0) -> None:
    """Count; unless partial counts are to travel, bids do, as they do by hand."""
    flow = Dataflow("throughput", settings=Settings(combine_keys=combine_keys))
    bids = flow.source(Clocked(json_lines(list(paths), type=Bid), folder))
    bids.key_by("auction").aggregate(times=count(), type=Times).sink(Totals(folder))
    flow.run(processes=processes, progress=False)
