"""q12, processing-time windows: how many bids each bidder made in each 10 s of the clock.

`query` reads the clock that makes it repeatable, which shows each event's `date_time` as it arrives; `by_clock` the
real one.
"""

from __future__ import annotations

import time
from typing import Any

import msgspec

from benchmarks.nexmark.records import Bid, Event
from engine import Stream, Tumbling, count

_MONOTONIC_BEGAN = time.time() - time.monotonic()


class BidCount(msgspec.Struct, gc=False):
    """A bidder, and how many bids arrived in a window."""

    bidder: int
    window_start: int
    window_end: int
    bid_count: int


class Arrival(msgspec.Struct, gc=False):
    """Whose bid arrived, and when."""

    bidder: int
    at: int


def arrival(bid: Bid) -> Arrival:
    """The bid as it arrives now, by a clock that is never put back."""
    return Arrival(bid.bidder, int(1000 * (_MONOTONIC_BEGAN + time.monotonic())))


def counted(arriving: Stream[Any]) -> Stream[BidCount]:
    """Bids by bidder and window."""
    return arriving.key_by("bidder").window(Tumbling("10s")).aggregate(type=BidCount, bid_count=count())


def query(events: Stream[Event]) -> Stream[BidCount]:
    """By the repeatable clock."""
    return counted(events.of_type(Bid))


def by_clock(events: Stream[Event]) -> Stream[BidCount]:
    """By the real clock: what arrives is stamped, and windows go by the stamps."""
    return counted(events.of_type(Bid).map(arrival).event_time("at", out_of_order=0))
