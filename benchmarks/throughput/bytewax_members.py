"""Processes of a Bytewax cluster, each of which reads its part of the files."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from pathlib import Path

from bytewax.dataflow import Dataflow
from bytewax.testing import cluster_main

from benchmarks.slow_sink.peers.bytewax_cluster import free_addresses
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
