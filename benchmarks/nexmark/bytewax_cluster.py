"""The queries on Bytewax, over one process or more; q0, q1 and q2 also with whole batches as items.

Batches stop at what Bytewax does for each item: keys and windows. So q5, q7, q8 and q11 have no such form.
"""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow, Stream
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import cluster_main

from benchmarks.nexmark import by_hand
from benchmarks.nexmark.bytewax_queries import QUERIES
from benchmarks.nexmark.notes import Measured, collect, note
from benchmarks.nexmark.records import Event
from benchmarks.slow_sink.peers.bytewax_cluster import free_addresses
from benchmarks.throughput.by_hand import batches
from engine import JobError

PATIENCE = {1: timedelta(seconds=10), 2: timedelta(hours=1)}
"""How long windows wait for events that come late, by processes. A join sees the whole of what was read at once of one
side before the other's; and without a watermark for each partition, windows over two processes, of which one may have
read on before the other began, are to stay open, or they lose events."""


def run(query: str, paths: Sequence[Path], folder: Path, processes: int, batched: bool = False) -> Measured:
    """Run it over so many processes and let the results go."""
    _run(query, paths, folder, processes, batched, keep=False)
    return collect(folder)


def results(query: str, paths: Sequence[Path], folder: Path, processes: int, batched: bool = False) -> list[Any]:
    """Run it and return the results."""
    _run(query, paths, folder, processes, batched, keep=True)
    collect(folder)
    return [record for path in folder.glob("results-*") for record in _unpickled(path)]


def _run(query: str, paths: Sequence[Path], folder: Path, processes: int, batched: bool, keep: bool) -> None:
    spawn, addresses = multiprocessing.get_context("spawn"), free_addresses(processes)
    workers = [
        spawn.Process(
            target=member, args=(query, paths[me::processes], folder, addresses, me, batched, keep), daemon=True
        )
        for me in range(processes)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        raise JobError(f"Bytewax failed: its processes ended with {[worker.exitcode for worker in workers]}")


def member(
    query: str, paths: Sequence[Path], folder: Path, addresses: list[str], me: int, batched: bool, keep: bool
) -> None:
    """One process of the cluster, which reads `paths`."""
    flow = Dataflow("nexmark")
    events = op.input("events", flow, _Source(paths, folder, batched))
    op.output("out", _given(query, events, PATIENCE[len(addresses)], batched), _Sink(folder, batched, keep))
    cluster_main(flow, addresses, me)


def _given(query: str, events: Stream[Any], patience: timedelta, batched: bool) -> Stream[Any]:
    return op.map(query, events, by_hand.BLOCKS[query]) if batched else QUERIES[query](events, patience)


class _Source(FixedPartitionedSource[Any, None]):
    def __init__(self, paths: Sequence[Path], folder: Path, batched: bool) -> None:
        self.paths, self.folder, self.batched = paths, folder, batched

    def list_parts(self) -> list[str]:
        return [str(path) for path in self.paths]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> StatefulSourcePartition[Any, None]:
        note(self.folder)
        return _Part(Path(for_part), self.batched)


class _Part(StatefulSourcePartition[Any, None]):
    def __init__(self, path: Path, batched: bool) -> None:
        self.batches, self.batched = batches(path, Event), batched

    def next_batch(self) -> list[Any]:
        events = next(self.batches)  # StopIteration says here what it says to Bytewax
        return [events] if self.batched else events

    def snapshot(self) -> None:
        return None


class _Sink(DynamicSink[Any]):
    def __init__(self, folder: Path, batched: bool, keep: bool) -> None:
        self.folder, self.batched, self.keep = folder, batched, keep

    def build(self, step_id: str, worker_index: int, worker_count: int) -> StatelessSinkPartition[Any]:
        return _Results(self.folder, worker_index, self.batched, self.keep)


class _Results(StatelessSinkPartition[Any]):
    def __init__(self, folder: Path, worker: int, batched: bool, keep: bool) -> None:
        self.folder, self.worker, self.batched, self.keep = folder, worker, batched, keep
        self.count = 0

    def write_batch(self, items: list[Any]) -> None:
        records = [record for batch in items for record in batch] if self.batched else items
        self.count += len(records)
        if self.keep:
            with (self.folder / f"results-{self.worker}").open("ab") as file:
                pickle.dump(records, file)

    def close(self) -> None:
        note(self.folder, self.count)


def _unpickled(path: Path) -> list[Any]:
    """What was written to `path`, which is deleted."""
    records = []
    with path.open("rb") as file:
        while file.peek(1):
            records += pickle.load(file)
    path.unlink()
    return records
