"""q11, user sessions: how many bids each bidder made until there was none for more than 10 s."""

from __future__ import annotations

import msgspec

from benchmarks.nexmark.records import Bid, Event
from engine import Session, Stream, count


class UserSession(msgspec.Struct, gc=False):
    """A bidder's session, which ends 10 s after its last bid."""

    bidder: int
    window_start: int
    window_end: int
    bid_count: int


def query(events: Stream[Event]) -> Stream[UserSession]:
    """A session goes on while the next bid comes at most 10 s after the last one."""
    bids = events.of_type(Bid)
    return bids.key_by("bidder").window(Session("10s")).aggregate(type=UserSession, bid_count=count())
