"""q4, average price: the mean, by category, of what auctions went for."""

from __future__ import annotations

import msgspec

from benchmarks.nexmark.queries import q9
from benchmarks.nexmark.records import Event
from engine import Stream, mean


class CategoryPrice(msgspec.Struct):
    """A category, and the mean of its winning bids."""

    category: int
    average: float


def query(events: Stream[Event]) -> Stream[CategoryPrice]:
    """A record a category, once all auctions have closed."""
    return q9.query(events).key_by("category").aggregate(type=CategoryPrice, average=mean("price"))
