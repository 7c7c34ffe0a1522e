"""q9, winning bids: each auction with its highest bid while it was open, of equal ones the earliest.

A bid may come before its auction, since events name auctions that come only a little later, so it waits for it. The
state of an auction is let go when the stream ends.
"""

from __future__ import annotations

from typing import Any

import msgspec

from benchmarks.nexmark.queries.q19 import worth
from benchmarks.nexmark.queries.q20 import auction_of, is_auction_or_bid
from benchmarks.nexmark.records import Auction, Bid, Event
from engine import Stream


class WinningBid(msgspec.Struct):
    """An auction and who won it."""

    id: int
    item_name: str
    description: str
    initial_bid: int
    reserve: int
    date_time: int
    expires: int
    seller: int
    category: int
    extra: str
    bidder: int
    price: int
    bid_date_time: int
    bid_extra: str


class Sale(msgspec.Struct):
    """What is known of an auction: itself, once it has come, the bids that wait for it, and its best one."""

    auction: Auction | None = None
    waiting: list[Bid] = []
    best: Bid | None = None


def with_event(sale: Sale, event: Auction | Bid) -> Sale:
    """What is known once `event` has come."""
    if isinstance(event, Auction):
        sale.auction, bids, sale.waiting = event, sale.waiting, []
    else:
        bids = [event]
    auction = sale.auction
    if auction is None:
        sale.waiting += bids
    else:
        while_open = [bid for bid in bids if auction.date_time <= bid.date_time <= auction.expires]
        sale.best = max([sale.best, *while_open] if sale.best else while_open, key=worth, default=None)
    return sale


def winner(sold: tuple[int, Sale]) -> list[WinningBid]:
    """The auction with its best bid, if it had one."""
    auction, bid = sold[1].auction, sold[1].best
    if auction is None or bid is None:
        return []
    final: tuple[Any, ...] = (bid.bidder, bid.price, bid.date_time, bid.extra)
    return [WinningBid(*msgspec.structs.astuple(auction), *final)]


def query(events: Stream[Event]) -> Stream[WinningBid]:
    """An auction that had a bid while it was open, once all are there."""
    return events.filter(is_auction_or_bid).key_by(auction_of).fold(Sale, with_event).flat_map(winner)
