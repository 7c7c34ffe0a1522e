"""The keyed count by hand: each process reads its half, keeps what is its own, and sends the other the rest."""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import zmq

from benchmarks.throughput.bids import BLOCK, Bid, leave
from engine import JobError

BATCH = 1024


def run(paths: Sequence[Path], folder: Path, processes: int) -> None:
    """Count, in one process that reads all or in two that exchange."""
    spawn = multiprocessing.get_context("spawn")
    sides = [(alone, (paths, folder))] if processes == 1 else [(half, (paths, folder, me)) for me in range(2)]
    workers = [spawn.Process(target=side, args=arguments, daemon=True) for side, arguments in sides]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        raise JobError(f"by hand failed: its processes ended with {[worker.exitcode for worker in workers]}")


def batches(path: Path, type: Any = Bid) -> Iterator[list[Any]]:
    """The records of a file, a block at a time."""
    decoder, rest = msgspec.json.Decoder(type), b""
    with path.open("rb", buffering=0) as file:
        while block := file.read(BLOCK):
            lines, _, rest = (rest + block).rpartition(b"\n")
            yield decoder.decode_lines(lines)


def alone(paths: Sequence[Path], folder: Path) -> None:
    """One process."""
    begin, counts = time.monotonic(), Counter[int]()
    for path in paths:
        for bids in batches(path):
            counts.update([bid.auction for bid in bids])
    leave(folder, "alone", begin, counts)


def half(paths: Sequence[Path], folder: Path, me: int) -> None:
    """One of two processes."""
    begin, counts = time.monotonic(), Counter[int]()
    encode, decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(list[Bid]).decode
    with zmq.Context() as context, context.socket(zmq.PUSH) as push, context.socket(zmq.PULL) as pull:
        pull.bind(f"ipc://{folder}/half-{me}")
        push.connect(f"ipc://{folder}/half-{1 - me}")
        out: list[Bid] = []
        is_open = True  # until the other says that it has read all
        for bids in batches(paths[me]):
            counts.update([bid.auction for bid in bids if bid.auction % 2 == me])
            out += [bid for bid in bids if bid.auction % 2 != me]
            if len(out) >= BATCH:
                push.send(encode(out), copy=False)
                out = []
            while is_open and pull.poll(0):
                is_open = _took(counts, pull.recv(copy=False).buffer, decode)
        push.send(encode(out))
        push.send(b"")
        while is_open:
            is_open = _took(counts, pull.recv(copy=False).buffer, decode)
        leave(folder, f"half-{me}", begin, counts)


def _took(counts: Counter[int], payload: memoryview, decode: Callable[[memoryview], list[Bid]]) -> bool:
    """Count what the other has sent; False: that was its end."""
    if not payload.nbytes:
        return False
    counts.update([bid.auction for bid in decode(payload)])
    return True
