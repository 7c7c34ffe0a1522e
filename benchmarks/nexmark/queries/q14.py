"""q14, calculation: bids of a middling price in euros, with the time of day and a count of letters."""

from __future__ import annotations

import msgspec

from benchmarks.nexmark.records import Bid, Event
from engine import Stream

HOUR = 3_600_000


class CalculatedBid(msgspec.Struct, gc=False):
    """A bid, when in the day it was made, and how many times "c" stands in `extra`."""

    auction: int
    bidder: int
    price: float
    bid_time_type: str
    date_time: int
    extra: str
    c_counts: int


def is_middling(bid: Bid) -> bool:
    """Whether it is over 1 and under 50 millions of euros."""
    return 1_000_000 < 0.908 * bid.price < 50_000_000


def time_type(date_time: int) -> str:
    """Day from 8 to 18, night from 20 to 6, by the hour in UTC."""
    hour = date_time // HOUR % 24
    if 8 <= hour <= 18:
        return "dayTime"
    return "nightTime" if hour <= 6 or hour >= 20 else "otherTime"


def calculated(bid: Bid) -> CalculatedBid:
    """The bid with all that."""
    kind, count = time_type(bid.date_time), bid.extra.count("c")
    return CalculatedBid(bid.auction, bid.bidder, 0.908 * bid.price, kind, bid.date_time, bid.extra, count)


def query(events: Stream[Event]) -> Stream[CalculatedBid]:
    """The bids of such a price."""
    return events.of_type(Bid).filter(is_middling).map(calculated)
