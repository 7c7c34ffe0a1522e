"""q15, bidding statistics: bids, bidders and auctions of each day, by level of price."""

from __future__ import annotations

import msgspec

from benchmarks.nexmark.queries.levels import day, ranked
from benchmarks.nexmark.records import Bid, Event
from engine import Stream, count, distinct


class DayStatistics(msgspec.Struct):
    """One day."""

    day: str
    total_bids: int
    rank1_bids: int
    rank2_bids: int
    rank3_bids: int
    total_bidders: int
    rank1_bidders: int
    rank2_bidders: int
    rank3_bidders: int
    total_auctions: int
    rank1_auctions: int
    rank2_auctions: int
    rank3_auctions: int


def query(events: Stream[Event]) -> Stream[DayStatistics]:
    """A record a day, once all bids are there."""
    days = events.of_type(Bid).key_by(day=day)
    return days.aggregate(
        type=DayStatistics,
        total_bids=count(),
        rank1_bids=count(ranked(1, "price")),
        rank2_bids=count(ranked(2, "price")),
        rank3_bids=count(ranked(3, "price")),
        total_bidders=distinct("bidder"),
        rank1_bidders=distinct(ranked(1, "bidder")),
        rank2_bidders=distinct(ranked(2, "bidder")),
        rank3_bidders=distinct(ranked(3, "bidder")),
        total_auctions=distinct("auction"),
        rank1_auctions=distinct(ranked(1, "auction")),
        rank2_auctions=distinct(ranked(2, "auction")),
        rank3_auctions=distinct(ranked(3, "auction")),
    )
