"""q18, last bid: the latest of each bidder on each auction."""

from __future__ import annotations

from benchmarks.nexmark.records import Bid, Event
from engine import Stream


def recency(bid: Bid) -> tuple[int, int, str]:
    """What is greater the later the bid is and, at one time, the higher."""
    return bid.date_time, bid.price, bid.extra


def later(one: Bid, other: Bid) -> Bid:
    """The later of two."""
    return max(one, other, key=recency)


def second(pair: tuple[object, Bid]) -> Bid:
    """The bid, without its key."""
    return pair[1]


def query(events: Stream[Event]) -> Stream[Bid]:
    """A bid a bidder and auction, once all are there."""
    return events.of_type(Bid).key_by("auction", "bidder").reduce(later).map(second)
