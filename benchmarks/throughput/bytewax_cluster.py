"""The keyed count on Bytewax, in its faster form: an item is a whole batch of bids, made for one of two keys."""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.operators import StatefulBatchLogic
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import cluster_main

from benchmarks.slow_sink.peers.bytewax_cluster import free_addresses
from benchmarks.throughput.bids import Bid, leave
from benchmarks.throughput.by_hand import batches
from engine import JobError

Item = tuple[str, list[Bid]]


def run(paths: Sequence[Path], folder: Path, processes: int) -> None:
    """Count, over so many processes."""
    spawn, addresses = multiprocessing.get_context("spawn"), free_addresses(processes)
    workers = [
        spawn.Process(target=member, args=(paths, folder, addresses, me), daemon=True) for me in range(processes)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        raise JobError(f"Bytewax failed: its processes ended with {[worker.exitcode for worker in workers]}")


def member(paths: Sequence[Path], folder: Path, addresses: list[str], me: int) -> None:
    """One process of the cluster."""
    mine = list(paths) if len(addresses) == 1 else [paths[me]]
    flow = Dataflow("throughput")
    counted = op.stateful_batch("count", op.input("bids", flow, _Source(mine, folder)), lambda _: _Count())
    op.output("totals", counted, _Sink(folder, me))
    cluster_main(flow, addresses, me)


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


class _Sink(DynamicSink[Any]):
    def __init__(self, folder: Path, me: int) -> None:
        self.folder, self.me = folder, me

    def build(self, step_id: str, worker_index: int, worker_count: int) -> StatelessSinkPartition[Any]:
        return _Totals(self.folder, self.me)


class _Totals(StatelessSinkPartition[Any]):
    def __init__(self, folder: Path, me: int) -> None:
        self.folder, self.me = folder, me

    def write_batch(self, items: list[tuple[str, dict[int, int]]]) -> None:
        for side, counts in items:
            leave(self.folder, f"sink-{side}-{self.me}", 0.0, counts)
