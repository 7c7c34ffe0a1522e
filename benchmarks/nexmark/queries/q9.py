"""q9, winning bids: each auction with its highest bid while it was open, of equal ones the earliest.

Events are looked at in order of their times, so what is known of an auction is only kept from its begin to its end.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from benchmarks.nexmark.queries.q19 import worth
from benchmarks.nexmark.queries.q20 import auction_of, is_auction_or_bid
from benchmarks.nexmark.records import Auction, Bid, Event
from engine import KeyedProcess, ListState, Stream, Timer, ValueState


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


class Sale(KeyedProcess[Auction | Bid, WinningBid]):
    """An auction from its begin to its end, with the best bid so far."""

    auction = ValueState[Auction | None](None)
    best = ValueState[Bid | None](None)
    early = ListState[Bid](ttl=1)
    """Bids of the millisecond in which the auction begins may come before it; earlier ones do not count."""

    def on_record(self, event: Auction | Bid) -> None:
        """Take up the auction, or a bid on it."""
        if isinstance(event, Auction):
            self.auction, self.best = event, max(self.early, key=worth, default=None)
            del self.early
            self.event_timers.at(event.expires + 1)
        elif self.auction is None:
            self.early.append(event)
        elif self.best is None or worth(event) > worth(self.best):
            self.best = event

    def on_timer(self, timer: Timer) -> Iterator[WinningBid]:
        """Close the auction."""
        auction, bid = self.auction, self.best
        if auction is not None and bid is not None:
            final: tuple[Any, ...] = (bid.bidder, bid.price, bid.date_time, bid.extra)
            yield WinningBid(*msgspec.structs.astuple(auction), *final)
        del self.auction, self.best


def query(events: Stream[Event]) -> Stream[WinningBid]:
    """An auction that had a bid while it was open, as it closes."""
    sales = events.filter(is_auction_or_bid).key_by(auction_of).process(Sale, in_order=True)
    return sales.event_time("expires")
