"""q6, average selling price: as each auction closes, the mean of what its seller's last ten went for."""

from __future__ import annotations

from typing import Any

import msgspec

from benchmarks.nexmark.queries import q9
from benchmarks.nexmark.queries.q9 import WinningBid
from benchmarks.nexmark.records import Event
from engine import Stream, collect

LAST = 10


class SellingPrice(msgspec.Struct):
    """An auction, and the mean of its seller's last ten, itself included."""

    seller: int
    auction: int
    average: float


def closing(sale: WinningBid) -> tuple[int, int]:
    """What is greater the later an auction closes."""
    return sale.expires, sale.id


def averages(row: Any) -> list[SellingPrice]:
    """A seller's auctions as they closed, each with the mean of the last ten."""
    sales = sorted(row.sales, key=closing)
    last = [[sale.price for sale in sales[max(0, end - LAST) : end]] for end in range(1, len(sales) + 1)]
    means = [sum(prices) / len(prices) for prices in last]
    return [SellingPrice(row.seller, sale.id, average) for sale, average in zip(sales, means, strict=True)]


def query(events: Stream[Event]) -> Stream[SellingPrice]:
    """A record an auction that was sold, once all have closed."""
    return q9.query(events).key_by("seller").aggregate(sales=collect()).flat_map(averages)
