"""q1, currency conversion: each bid's price in euros."""

from __future__ import annotations

import msgspec

from benchmarks.nexmark.records import Bid, Event
from engine import Stream


class BidInEuros(msgspec.Struct, gc=False):
    """A bid."""

    auction: int
    bidder: int
    price: float
    date_time: int
    extra: str


def in_euros(bid: Bid) -> BidInEuros:
    """At the benchmark's rate of exchange."""
    return BidInEuros(bid.auction, bid.bidder, 0.908 * bid.price, bid.date_time, bid.extra)


def query(events: Stream[Event]) -> Stream[BidInEuros]:
    """Every bid, converted."""
    return events.of_type(Bid).map(in_euros)
