"""q12, processing-time windows: how many bids each bidder made in each 10 s of the clock."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from benchmarks.nexmark.records import Bid, Event
from engine import Stream, Tumbling, count


class BidCount(msgspec.Struct, gc=False):
    """A bidder, and how many bids arrived in a window."""

    bidder: int
    window_start: int
    window_end: int
    bid_count: int


def milliseconds(moment: datetime) -> int:
    """Since the epoch."""
    return round(1000 * moment.timestamp())


def bid_count(row: Any) -> BidCount:
    """With bounds as the answers have them."""
    return BidCount(row.bidder, milliseconds(row.window_start), milliseconds(row.window_end), row.bid_count)


def query(events: Stream[Event]) -> Stream[BidCount]:
    """Bids by bidder and window."""
    arriving = events.of_type(Bid).processing_time()
    return arriving.key_by("bidder").window(Tumbling("10s")).aggregate(bid_count=count()).map(bid_count)
