"""Bids as in the Nexmark benchmark, as JSON lines in two files; and what every competitor leaves behind."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

import msgspec

HALVES = 2
BLOCK = 64 * 1024
AUCTIONS = 1000
CHANNELS = ("Google", "Facebook", "Baidu", "Apple")


class Bid(msgspec.Struct, array_like=False):
    """One bid."""

    auction: int
    bidder: int
    price: int
    channel: str
    url: str
    date_time: int
    extra: str


class Done(msgspec.Struct):
    """What one process of a competitor counted, from when to when (monotonic seconds)."""

    begin: float
    end: float
    counts: dict[int, int]


def write_bids(folder: Path, records: int) -> list[Path]:
    """Write `records` bids, the same each time, into two files of equal length."""
    chance, encode = random.Random(0), msgspec.json.Encoder().encode
    paths = [folder / f"bids-{half}.jsonl" for half in range(HALVES)]
    for path in paths:
        with path.open("wb") as file:
            for number in range(records // HALVES):
                file.write(encode(_bid(number, chance)) + b"\n")
    return paths


def _bid(number: int, chance: random.Random) -> Bid:
    channel = chance.choice(CHANNELS)
    url = f"https://www.nexmark.com/{channel.lower()}/item.htm?query={chance.randrange(1 << 30)}"
    bidder, price = chance.randrange(100_000), chance.randrange(100, 10_000_000)
    return Bid(chance.randrange(AUCTIONS), bidder, price, channel, url, 1_700_000_000_000 + number, "x" * 30)


def leave(folder: Path, name: str, begin: float, counts: dict[int, int]) -> None:
    """Say that all is counted now."""
    (folder / f"done-{name}").write_bytes(msgspec.msgpack.encode(Done(begin, time.monotonic(), counts)))


def collect(folder: Path) -> tuple[float, Counter[int]]:
    """How long it took from the first file that was opened to the last count, and what was counted; once."""
    paths = list(folder.glob("done-*"))
    parts = [msgspec.msgpack.decode(path.read_bytes(), type=Done) for path in paths]
    for path in paths:
        path.unlink()
    counts: Counter[int] = Counter()
    for part in parts:
        counts.update(part.counts)
    return max(part.end for part in parts) - min(part.begin for part in parts if part.begin), counts
