"""q11, user sessions: how many bids each bidder made until there was none for more than 10 s."""

from __future__ import annotations

from typing import Any

import msgspec

from benchmarks.nexmark.records import Bid, Event
from engine import Session, Stream, count

GAP = 10_000


class UserSession(msgspec.Struct, gc=False):
    """A bidder's session, which ends 10 s after its last bid."""

    bidder: int
    bid_count: int
    window_start: int
    window_end: int


def user_session(session: Any) -> UserSession:
    """With the end that the query wants, which is within the session's gap."""
    return UserSession(session.bidder, session.bid_count, session.window_start, session.window_end - 1)


def query(events: Stream[Event]) -> Stream[UserSession]:
    """A session goes on while bids come less than its gap apart; one exactly 10 s later is to join, too."""
    bids = events.of_type(Bid)
    return bids.key_by("bidder").window(Session(GAP + 1)).aggregate(bid_count=count()).map(user_session)
