"""The codec, there and back, against plain msgspec: encode and typed decode of the same batches.

The codec checks besides that each record is exactly what its type says. Reach: the check of a flat Struct costs clearly
less than its typed decode.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.paired import FRAME, paired, scaled
from engine.codec import PICKLE, Codec

RECORDS = scaled(500_000)


class Bid(msgspec.Struct, array_like=True):
    auction: int
    bidder: int
    price: float
    channel: str
    time: int


@dataclass
class Trip:
    carrier: str
    number: int
    delay: float | None


def bid(number: int) -> Bid:
    return Bid(number % 1000, number, number / 7, f"channel-{number % 10}", 1_700_000_000_000 + number)


def trip(number: int) -> Trip:
    return Trip("UA", number, None if number % 50 == 0 else number / 7)


@pytest.mark.parametrize(("record_type", "make"), [(Bid, bid), (Trip, trip)])
def test_there_and_back(benchmark: BenchmarkFixture, record_type: type, make: Callable[[int], Any]) -> None:
    batches = [[make(number) for number in range(start, start + FRAME)] for start in range(0, RECORDS, FRAME)]
    codec = Codec.of(record_type)
    encoder, decoder = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(list[record_type])  # type: ignore[valid-type]

    def ours() -> None:
        for batch in batches:
            codec.decode(*codec.encode(batch))

    def by_hand() -> None:
        for batch in batches:
            decoder.decode(encoder.encode(batch))

    paired(benchmark, ours, by_hand, RECORDS)
    assert codec.encode(batches[0])[0] != PICKLE
    assert codec.fallbacks == 0
