"""q5, hot items: the auctions with the most bids in each 10 s, every 2 s."""

from __future__ import annotations

import msgspec

from benchmarks.nexmark.records import Bid, Event
from engine import Sliding, Stream, Tumbling, count


class HotItem(msgspec.Struct, gc=False):
    """An auction, and how many bids it had in a window."""

    auction: int
    window_start: int
    window_end: int
    num: int


def hottest(most: list[HotItem], count: HotItem) -> list[HotItem]:
    """Those with the most bids, all of those that are equal."""
    if not most or count.num > most[0].num:
        return [count]
    if count.num == most[0].num:
        most.append(count)
    return most


def hottest_of(some: list[HotItem], others: list[HotItem]) -> list[HotItem]:
    """The same, of both."""
    if not some or not others or some[0].num != others[0].num:
        return max(some, others, key=lambda most: most[0].num if most else 0)
    return some + others


def query(events: Stream[Event]) -> Stream[HotItem]:
    """The counts of a window have its last moment as their time, so those that end together meet in one of 2 s."""
    bids = events.of_type(Bid)
    counts = bids.key_by("auction").window(Sliding("10s", every="2s")).aggregate(type=HotItem, num=count())
    most = counts.key_by().window(Tumbling("2s")).fold(list[HotItem], hottest, combine=hottest_of)
    return most.flat_map(lambda window: window.value, type=HotItem)
