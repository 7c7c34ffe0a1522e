"""q2, selection: the bids on every 123rd auction."""

from __future__ import annotations

import msgspec

from benchmarks.nexmark.records import Bid, Event
from engine import Stream


class Price(msgspec.Struct, gc=False):
    """What was bid for an auction."""

    auction: int
    price: int


def is_selected(bid: Bid) -> bool:
    """Whether it is on one of those auctions."""
    return bid.auction % 123 == 0


def price_of(bid: Bid) -> Price:
    """The bid's."""
    return Price(bid.auction, bid.price)


def query(events: Stream[Event]) -> Stream[Price]:
    """Prices of the auctions selected."""
    return events.of_type(Bid).filter(is_selected).map(price_of)
