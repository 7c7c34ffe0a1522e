"""The keyed count on Bytewax with its batched operators: a count gets all that has come of its key at once."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import bytewax.operators as op
import msgspec
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.operators import StatefulBatchLogic

from benchmarks.throughput.bids import BLOCK, Bid, leave
from benchmarks.throughput.bytewax_members import Totals, run_members

Pair = tuple[str, int]


def run(paths: Sequence[Path], folder: Path, processes: int) -> None:
    """Count, over so many processes."""
    run_members(counting, paths, folder, processes)


def counting(paths: Sequence[Path], folder: Path, me: int) -> Dataflow:
    """What one process of the cluster does."""
    flow = Dataflow("throughput")
    pairs = op.flat_map_batch("decode", op.input("lines", flow, _Source(paths, folder)), decoded)
    counted = op.stateful_batch("count", pairs, lambda _: _Count())
    op.output("totals", counted, Totals(folder, me, lambda item: {int(item[0]): item[1]}))
    return flow


def decoded(blocks: list[bytes]) -> Iterator[Pair]:
    """The auctions of whole lines; what else is in a bid need not travel."""
    decode = msgspec.json.Decoder(Bid).decode_lines
    return ((str(bid.auction), 1) for block in blocks for bid in decode(block))


class _Source(FixedPartitionedSource[bytes, None]):
    def __init__(self, paths: Sequence[Path], folder: Path) -> None:
        self.paths, self.folder = paths, folder

    def list_parts(self) -> list[str]:
        return [str(path) for path in self.paths]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> StatefulSourcePartition[bytes, None]:
        leave(self.folder, f"source-{Path(for_part).stem}", time.monotonic(), {})
        return _Part(Path(for_part))


class _Part(StatefulSourcePartition[bytes, None]):
    def __init__(self, path: Path) -> None:
        self.file, self.rest = path.open("rb", buffering=0), b""

    def next_batch(self) -> list[bytes]:
        block = self.file.read(BLOCK)
        if not block:
            raise StopIteration
        lines, _, self.rest = (self.rest + block).rpartition(b"\n")
        return [lines]

    def snapshot(self) -> None:
        return None


class _Count(StatefulBatchLogic[int, int, None]):
    def __init__(self) -> None:
        self.count = 0

    def on_batch(self, values: list[int]) -> tuple[list[int], bool]:
        self.count += len(values)
        return [], False

    def on_eof(self) -> tuple[list[int], bool]:
        return [self.count], True

    def snapshot(self) -> None:
        return None
