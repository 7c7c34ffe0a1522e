"""q19, top ten: the ten highest bids of each auction."""

from __future__ import annotations

import msgspec

from benchmarks.nexmark.records import Bid, Event
from engine import Ranked, Stream


class RankedBid(msgspec.Struct):
    """A bid, and its place among those on its auction, from 1."""

    auction: int
    bidder: int
    price: int
    channel: str
    url: str
    date_time: int
    extra: str
    rank_number: int


def worth(bid: Bid) -> tuple[int, int, str]:
    """What is greater the higher the bid is and, at one price, the earlier."""
    return bid.price, -bid.date_time, bid.extra


def ranked(row: Ranked[Bid]) -> RankedBid:
    """A bid with its place."""
    bid = row.record
    return RankedBid(bid.auction, bid.bidder, bid.price, bid.channel, bid.url, bid.date_time, bid.extra, row.rank)


def query(events: Stream[Event]) -> Stream[RankedBid]:
    """Up to ten bids an auction, once all are there."""
    return events.of_type(Bid).key_by("auction").top(10, by=worth).map(ranked)
