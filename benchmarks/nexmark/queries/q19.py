"""q19, top ten: the ten highest bids of each auction."""

from __future__ import annotations

from typing import Any

import msgspec

from benchmarks.nexmark.records import Bid, Event
from engine import Stream, top


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


def ranked(row: Any) -> list[RankedBid]:
    """An auction's best bids with their places."""
    return [
        RankedBid(bid.auction, bid.bidder, bid.price, bid.channel, bid.url, bid.date_time, bid.extra, place)
        for place, bid in enumerate(row.bids, 1)
    ]


def query(events: Stream[Event]) -> Stream[RankedBid]:
    """Up to ten bids an auction, once all are there."""
    return events.of_type(Bid).key_by("auction").aggregate(bids=top(10, by=worth)).flat_map(ranked)
