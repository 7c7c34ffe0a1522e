"""A one-way link between two processes, typed records, against raw PUSH/PULL and msgspec with the same batches.

Reach: 0.9 of the speed by hand. Both count from the first batch that arrives to the last, so that starting processes
counts for nobody.
"""

from __future__ import annotations

import json
import multiprocessing
import time
from pathlib import Path

import msgspec
import pytest
import zmq
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.paired import FRAME, paired_figures, scaled
from engine import Dataflow, Reader, Sink, SinkContext, Source, Writer

RECORDS = scaled(4_000_000) // FRAME * FRAME


class Bid(msgspec.Struct):
    auction: int
    bidder: int
    price: float
    channel: str
    time: int


def batch() -> list[Bid]:
    return [Bid(i % 997, i % 89, i * 0.25, f"channel-{i % 7}", 1_700_000_000 + i) for i in range(FRAME)]


class Again(Source[Bid], Reader[Bid]):
    """Gives one batch, again and again."""

    type = Bid
    blocking = False

    def open(self, partition: str) -> Reader[Bid]:
        self.batch, self.left = batch(), RECORDS
        return self

    def read(self, limit: int) -> list[Bid] | None:
        given = self.batch[: min(limit, self.left)]
        self.left -= len(given)
        return given or None


class Stopwatch(Sink[Bid], Writer[Bid]):
    """Notes in a file how long it took from the first batch to the last."""

    blocking = False

    def __init__(self, path: str) -> None:
        self.path = path

    def open(self, context: SinkContext) -> Writer[Bid]:
        self.first, self.records = 0.0, 0
        return self

    def write(self, records: list[Bid]) -> None:
        self.first = self.first or time.perf_counter()
        self.records += len(records)

    def finish(self) -> None:
        note(self.path, self.records, self.first)


def note(path: str, records: int, first: float) -> None:
    Path(path).write_text(json.dumps([records, time.perf_counter() - first]))


def send_by_hand(address: str) -> None:
    encode, records = msgspec.msgpack.Encoder().encode, batch()
    with zmq.Context() as context, context.socket(zmq.PUSH) as push:
        push.connect(address)
        for _ in range(RECORDS // FRAME):
            push.send(encode(records), copy=False)
        push.send(b"")


def receive_by_hand(address: str, path: str) -> None:
    decode = msgspec.msgpack.Decoder(list[Bid]).decode
    first, records = 0.0, 0
    with zmq.Context() as context, context.socket(zmq.PULL) as pull:
        pull.bind(address)
        while (payload := pull.recv(copy=False).buffer).nbytes:
            rows = decode(payload)
            first = first or time.perf_counter()
            records += len(rows)
    note(path, records, first)


def by_hand(directory: Path) -> float:
    spawn = multiprocessing.get_context("spawn")
    address, path = f"ipc://{directory}/by-hand", directory / "by-hand.json"
    processes = [
        spawn.Process(target=receive_by_hand, args=(address, str(path))),
        spawn.Process(target=send_by_hand, args=(address,)),
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return seconds_in(path)


def ours(directory: Path) -> float:
    path = directory / "ours.json"
    flow = Dataflow("link")
    flow.source(Again()).stage("there").sink(Stopwatch(str(path)))
    flow.run()
    return seconds_in(path)


def seconds_in(path: Path) -> float:
    records, seconds = json.loads(path.read_text())
    path.unlink()
    assert records == RECORDS
    return float(seconds)


@pytest.mark.timeout(300)
def test_link(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    paired_figures(benchmark, lambda: ours(tmp_path), lambda: by_hand(tmp_path), RECORDS, rounds=5)
