"""Bytewax over two processes: the source in the first, the count wherever it puts the keys, the sink in the second."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition
from bytewax.testing import cluster_main

from benchmarks.slow_sink.ends import Counted, Item, Offered, PacedWriter, as_item
from benchmarks.slow_sink.job import OFFERED
from benchmarks.slow_sink.peers.processes import run_pair
from benchmarks.slow_sink.profiles import Profile
from benchmarks.slow_sink.sampling import Run

BATCH = 1000


def run(profile: Profile, offered: float = OFFERED) -> Run:
    """Run it."""
    addresses = free_addresses(2)
    return run_pair("Bytewax", profile, *(partial(member, addresses, i) for i in range(2)), offered=offered)


def free_addresses(count: int) -> list[str]:
    """So many ports of this machine that nobody has."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]


def member(addresses: list[str], index: int, profile: Profile, folder: Path, offered: float) -> None:
    """One process of the cluster."""
    flow = Dataflow("slow-sink")
    numbers = op.input("source", flow, _Source(index == 0, Offered(offered, profile.seconds, folder)))
    items = op.key_on("key", op.map("map", numbers, as_item), lambda item: str(item.key))
    counted = op.stateful_map("count", items, _counted)
    op.output("sink", counted, _Sink(index == 1, partial(PacedWriter, profile, 0, folder)))
    cluster_main(flow, addresses, index)


def _counted(times: int | None, item: Item) -> tuple[int, Counted]:
    times = (times or 0) + 1
    return times, Counted(item.key, times, item.number)


class _Source(FixedPartitionedSource[int, None]):
    def __init__(self, is_here: bool, offered: Offered) -> None:
        self.is_here, self.offered = is_here, offered

    def list_parts(self) -> list[str]:
        return ["all"] if self.is_here else []

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> StatefulSourcePartition[int, None]:
        return _Part(self.offered)


class _Part(StatefulSourcePartition[int, None]):
    def __init__(self, offered: Offered) -> None:
        self.reader = offered.open("")

    def next_batch(self) -> list[Any]:
        numbers = self.reader.read(BATCH)
        if numbers is None:
            raise StopIteration
        return list(numbers)

    def next_awake(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=max(0.001, self.reader.poll_after() or 0.0))

    def snapshot(self) -> None:
        return None

    def close(self) -> None:
        self.reader.close()


class _Sink(FixedPartitionedSink[Counted, None]):
    def __init__(self, is_here: bool, open_writer: Any) -> None:
        self.is_here, self.open_writer = is_here, open_writer

    def list_parts(self) -> list[str]:
        return ["all"] if self.is_here else []

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> StatefulSinkPartition[Counted, None]:
        return _Writing(self.open_writer())


class _Writing(StatefulSinkPartition[Counted, None]):
    def __init__(self, writer: PacedWriter) -> None:
        self.writer = writer

    def write_batch(self, values: list[Counted]) -> None:
        self.writer.write(values)

    def snapshot(self) -> None:
        return None

    def close(self) -> None:
        self.writer.finish()
