"""Processes of a Bytewax cluster, each of which reads its part of the files, and the sink of their counts."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bytewax.dataflow import Dataflow
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import cluster_main

from benchmarks.slow_sink.peers.bytewax_cluster import free_addresses
from benchmarks.throughput.bids import leave
from engine import JobError

Build = Callable[[Sequence[Path], Path, int], Dataflow]


def run_members(build: Build, paths: Sequence[Path], folder: Path, processes: int) -> None:
    """Run what `build(paths, folder, member)` gives in so many processes."""
    spawn, addresses = multiprocessing.get_context("spawn"), free_addresses(processes)
    workers = [
        spawn.Process(target=member, args=(build, paths, folder, addresses, me), daemon=True) for me in range(processes)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        raise JobError(f"Bytewax failed: its processes ended with {[worker.exitcode for worker in workers]}")


def member(build: Build, paths: Sequence[Path], folder: Path, addresses: list[str], me: int) -> None:
    """One process of the cluster."""
    mine = list(paths) if len(addresses) == 1 else [paths[me]]
    cluster_main(build(mine, folder, me), addresses, me)


class Totals(DynamicSink[Any]):
    """Leaves what member `me` counted, once all is there; `counts(item)`: by auction."""

    def __init__(self, folder: Path, me: int, counts: Callable[[Any], dict[int, int]]) -> None:
        self.folder, self.me, self.counts = folder, me, counts

    def build(self, step_id: str, worker_index: int, worker_count: int) -> StatelessSinkPartition[Any]:
        return _Totals(self)


class _Totals(StatelessSinkPartition[Any]):
    def __init__(self, sink: Totals) -> None:
        self.sink, self.total = sink, Counter[int]()

    def write_batch(self, items: list[Any]) -> None:
        for item in items:
            self.total.update(self.sink.counts(item))

    def close(self) -> None:
        leave(self.sink.folder, f"sink-{self.sink.me}", 0.0, dict(self.total))
