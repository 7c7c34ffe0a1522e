"""q22, folders: the first three parts of each bid's address."""

from __future__ import annotations

import msgspec

from benchmarks.nexmark.records import Bid, Event
from engine import Stream


class Folders(msgspec.Struct, gc=False):
    """A bid, and the folders of its address."""

    auction: int
    bidder: int
    price: int
    channel: str
    dir1: str
    dir2: str
    dir3: str


def folders(bid: Bid) -> Folders:
    """Those of its address."""
    _, _, _, first, second, third, _ = bid.url.split("/", 6)
    return Folders(bid.auction, bid.bidder, bid.price, bid.channel, first, second, third)


def query(events: Stream[Event]) -> Stream[Folders]:
    """Every bid with its folders."""
    return events.of_type(Bid).map(folders)
