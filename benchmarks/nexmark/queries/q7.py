"""q7, highest bid: the bids with the highest price of each 10 s."""

from __future__ import annotations

import msgspec

from benchmarks.nexmark.records import Bid, Event
from engine import Stream, Tumbling, WindowResult


class HighestBid(msgspec.Struct, gc=False):
    """A bid that none of its window is higher than."""

    auction: int
    bidder: int
    price: int
    date_time: int
    extra: str


def with_highest(highest: list[Bid], bid: Bid) -> list[Bid]:
    """The highest bids so far, all of those that are equal."""
    if not highest or bid.price > highest[0].price:
        return [bid]
    return [*highest, bid] if bid.price == highest[0].price else highest


def highest_bids(window: WindowResult[list[Bid]]) -> list[HighestBid]:
    """One after the other."""
    return [HighestBid(bid.auction, bid.bidder, bid.price, bid.date_time, bid.extra) for bid in window.value]


def query(events: Stream[Event]) -> Stream[HighestBid]:
    """All bids are of one group, of which a window keeps only the highest."""
    bids = events.of_type(Bid)
    return bids.key_by().window(Tumbling("10s")).fold(list, with_highest).flat_map(highest_bids)
