"""The keyed count by hand inside Bytewax: an item is a block of bids, sorted by hand for one of two keys."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.operators import StatefulBatchLogic

from benchmarks.throughput.bids import Bid, leave
from benchmarks.throughput.by_hand import batches
from benchmarks.throughput.bytewax_members import Totals, run_members

Item = tuple[str, list[Bid]]


def run(paths: Sequence[Path], folder: Path, processes: int) -> None:
    """Count, over so many processes."""
    run_members(counting, paths, folder, processes)


def counting(paths: Sequence[Path], folder: Path, me: int) -> Dataflow:
    """What one process of the cluster does."""
    flow = Dataflow("throughput")
    counted = op.stateful_batch("count", op.input("bids", flow, _Source(paths, folder)), lambda _: _Count())
    op.output("totals", counted, Totals(folder, me, lambda item: item[1]))
    return flow


class _Source(FixedPartitionedSource[Item, None]):
    def __init__(self, paths: Sequence[Path], folder: Path) -> None:
        self.paths, self.folder = paths, folder

    def list_parts(self) -> list[str]:
        return [str(path) for path in self.paths]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> StatefulSourcePartition[Item, None]:
        leave(self.folder, f"source-{Path(for_part).stem}", time.monotonic(), {})
        return _Part(Path(for_part))


class _Part(StatefulSourcePartition[Item, None]):
    def __init__(self, path: Path) -> None:
        self.batches = batches(path)

    def next_batch(self) -> list[Item]:
        bids = next(self.batches)  # StopIteration says here what it says to Bytewax
        return [(str(side), [bid for bid in bids if bid.auction % 2 == side]) for side in range(2)]

    def snapshot(self) -> None:
        return None


class _Count(StatefulBatchLogic[list[Bid], dict[int, int], None]):
    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()

    def on_batch(self, values: list[list[Bid]]) -> tuple[list[dict[int, int]], bool]:
        for bids in values:
            self.counts.update([bid.auction for bid in bids])
        return [], False

    def on_eof(self) -> tuple[list[dict[int, int]], bool]:
        return [dict(self.counts)], True

    def snapshot(self) -> None:
        return None
