"""q21, channel ids: bids whose channel has one, known by its name or from the address."""

from __future__ import annotations

import re

import msgspec

from benchmarks.nexmark.records import Bid, Event
from engine import Stream

KNOWN = {"apple": "0", "google": "1", "facebook": "2", "baidu": "3"}
CHANNEL_ID = re.compile(r"(?:&|^)channel_id=([^&]*)")


class ChannelBid(msgspec.Struct, gc=False):
    """A bid with the id of its channel."""

    auction: int
    bidder: int
    price: int
    channel: str
    channel_id: str


def with_channel_id(bid: Bid) -> list[ChannelBid]:
    """The bid, if its channel has an id."""
    channel_id = KNOWN.get(bid.channel.lower())
    if channel_id is None:
        found = CHANNEL_ID.search(bid.url)
        if found is None:
            return []
        channel_id = found[1]
    return [ChannelBid(bid.auction, bid.bidder, bid.price, bid.channel, channel_id)]


def query(events: Stream[Event]) -> Stream[ChannelBid]:
    """Bids whose channel has an id."""
    return events.of_type(Bid).flat_map(with_channel_id)
