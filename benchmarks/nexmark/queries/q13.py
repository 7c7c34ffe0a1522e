"""q13, side input: each bid with the text that a table has for its auction."""

from __future__ import annotations

import msgspec

from benchmarks.nexmark.records import Bid, Event
from benchmarks.nexmark.side_input import SIDE_INPUT
from engine import Stream


class LabelledBid(msgspec.Struct, gc=False):
    """A bid with its auction's `value` in the table."""

    auction: int
    bidder: int
    price: int
    date_time: int
    value: str


def key_of(bid: Bid) -> int:
    """What stands for the auction in the table."""
    return bid.auction % 10_000


def labelled(bid: Bid, value: str) -> LabelledBid:
    """The bid with what was found."""
    return LabelledBid(bid.auction, bid.bidder, bid.price, bid.date_time, value)


def query(events: Stream[Event]) -> Stream[LabelledBid]:
    """Every bid that the table has a text for."""
    return events.of_type(Bid).lookup_join(SIDE_INPUT, on=key_of, into=labelled, how="inner")
