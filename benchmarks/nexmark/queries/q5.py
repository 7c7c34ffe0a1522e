"""q5, hot items: the auctions with the most bids in each 10 s, every 2 s."""

from __future__ import annotations

import msgspec

from benchmarks.nexmark.records import Bid, Event
from engine import Bounds, Sliding, Stream, Tumbling, count


class HotItem(msgspec.Struct, gc=False):
    """An auction, and how many bids it had in a window."""

    auction: int
    window_start: int
    window_end: int
    num: int


def hottest(key: object, window: Bounds, counts: list[HotItem]) -> list[HotItem]:
    """Those with the most bids, all of those that are equal."""
    most = max([count.num for count in counts])
    return [count for count in counts if count.num == most]


def query(events: Stream[Event]) -> Stream[HotItem]:
    """The counts of a window have its last moment as their time, so those that end together meet in one of 2 s."""
    bids = events.of_type(Bid)
    counts = bids.key_by("auction").window(Sliding("10s", every="2s")).aggregate(type=HotItem, num=count())
    return counts.key_by().window(Tumbling("2s")).process(hottest)
