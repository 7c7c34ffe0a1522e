"""q20, expanded bids: each bid on an auction of category 10, with the auction.

A bid may come before its auction, since events name auctions that come only a little later, so either waits for the
other. The state of an auction is never let go, as the query has bids on closed auctions too.
"""

from __future__ import annotations

from typing import TypeGuard

import msgspec

from benchmarks.nexmark.records import Auction, Bid, Event
from engine import Stream

CATEGORY = 10


class ExpandedBid(msgspec.Struct):
    """A bid and its auction."""

    auction: int
    bidder: int
    price: int
    channel: str
    url: str
    bid_date_time: int
    bid_extra: str
    item_name: str
    description: str
    initial_bid: int
    reserve: int
    auction_date_time: int
    expires: int
    seller: int
    category: int
    auction_extra: str


class Item(msgspec.Struct):
    """What is known of an auction: itself, once it has come, and the bids that wait for it."""

    auction: Auction | None = None
    waiting: list[Bid] = []


def is_auction_or_bid(event: Event) -> TypeGuard[Auction | Bid]:
    """Whether it is about an auction."""
    return type(event) is Bid or type(event) is Auction


def auction_of(event: Auction | Bid) -> int:
    """Which auction it is about."""
    return event.auction if isinstance(event, Bid) else event.id


def meet(item: Item | None, event: Auction | Bid) -> tuple[Item, list[ExpandedBid]]:
    """What is known now, and the bids that have met their auction."""
    item = item or Item()
    if isinstance(event, Auction):
        item.auction, bids, item.waiting = event, item.waiting, []
    elif item.auction is None:
        item.waiting.append(event)
        bids = []
    else:
        bids = [event]
    auction = item.auction
    return item, [expanded(bid, auction) for bid in bids] if auction and auction.category == CATEGORY else []


def expanded(bid: Bid, auction: Auction) -> ExpandedBid:
    """Both in one record."""
    _, *item = msgspec.structs.astuple(auction)
    return ExpandedBid(*msgspec.structs.astuple(bid), *item)


def each(bids: list[ExpandedBid]) -> list[ExpandedBid]:
    """One after the other."""
    return bids


def query(events: Stream[Event]) -> Stream[ExpandedBid]:
    """Bids with their auctions."""
    return events.filter(is_auction_or_bid).key_by(auction_of).stateful_map(meet).flat_map(each)
