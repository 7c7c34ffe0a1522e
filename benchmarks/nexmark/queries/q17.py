"""q17, auction statistics: bids and prices of each auction and day."""

from __future__ import annotations

import msgspec

from benchmarks.nexmark.queries.levels import day, ranked
from benchmarks.nexmark.records import Bid, Event
from engine import Stream, count, max_, mean, min_, sum_


class AuctionStatistics(msgspec.Struct):
    """One day of one auction."""

    auction: int
    day: str
    total_bids: int
    rank1_bids: int
    rank2_bids: int
    rank3_bids: int
    min_price: int | None
    max_price: int | None
    avg_price: float | None
    sum_price: int | None


def query(events: Stream[Event]) -> Stream[AuctionStatistics]:
    """A record an auction and day, once all bids are there."""
    auction_days = events.of_type(Bid).key_by("auction", day=day)
    return auction_days.aggregate(
        type=AuctionStatistics,
        total_bids=count(),
        rank1_bids=count(ranked(1, "price")),
        rank2_bids=count(ranked(2, "price")),
        rank3_bids=count(ranked(3, "price")),
        min_price=min_("price"),
        max_price=max_("price"),
        avg_price=mean("price"),
        sum_price=sum_("price"),
    )
