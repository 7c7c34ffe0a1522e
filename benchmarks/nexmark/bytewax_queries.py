"""The queries on Bytewax, with its own operators and windows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import bytewax.operators as op
import bytewax.operators.windowing as win
from bytewax.dataflow import Stream

from benchmarks.nexmark.queries.q1 import in_euros
from benchmarks.nexmark.queries.q2 import is_selected, price_of
from benchmarks.nexmark.queries.q5 import HotItem
from benchmarks.nexmark.queries.q7 import HighestBid, with_highest
from benchmarks.nexmark.queries.q8 import NewUser
from benchmarks.nexmark.queries.q11 import UserSession
from benchmarks.nexmark.records import Auction, Bid, Event, Person, is_auction, is_bid, is_person

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MS = timedelta(milliseconds=1)


Query: TypeAlias = Callable[[Stream[Any], timedelta], Stream[Any]]


def q0(events: Stream[Event], patience: timedelta) -> Stream[Bid]:
    """Bids."""
    return op.filter("bids", events, is_bid)


def q1(events: Stream[Event], patience: timedelta) -> Stream[Any]:
    """Bids in euros."""
    return op.map("euros", op.filter("bids", events, is_bid), in_euros)


def q2(events: Stream[Event], patience: timedelta) -> Stream[Any]:
    """Prices of every 123rd auction."""
    selected = op.filter("selected", op.filter("bids", events, is_bid), is_selected)
    return op.map("price", selected, price_of)


def q5(events: Stream[Event], patience: timedelta) -> Stream[HotItem]:
    """Sliding windows by auction, then the greatest of each window, at the end of the input."""
    sliding = win.SlidingWindower(length=10_000 * MS, offset=2_000 * MS, align_to=EPOCH)
    bids = op.filter("bids", events, is_bid)
    counted = win.count_window("count", bids, _clock(patience), sliding, lambda bid: str(bid.auction)).down
    by_window = op.map("by window", counted, lambda each: (str(each[1][0]), (int(each[0]), each[1][1])))
    hottest = op.fold_final("hottest", by_window, list, _with_most)
    return op.flat_map("rows", hottest, _hot_items)


def _with_most(most: list[tuple[int, int]], count: tuple[int, int]) -> list[tuple[int, int]]:
    if not most or count[1] > most[0][1]:
        return [count]
    return [*most, count] if count[1] == most[0][1] else most


def _hot_items(window: tuple[str, list[tuple[int, int]]]) -> list[HotItem]:
    start = int(window[0]) * 2_000
    return [HotItem(auction, start, start + 10_000, num) for auction, num in window[1]]


def q7(events: Stream[Event], patience: timedelta) -> Stream[HighestBid]:
    """Tumbling windows over all bids."""
    bids = op.key_on("all", op.filter("bids", events, is_bid), lambda bid: "all")
    highest = win.fold_window("highest", bids, _clock(patience), _tumbling(), list, with_highest, _highest_of_both).down
    return op.flat_map("rows", highest, lambda each: [_highest_bid(bid) for bid in each[1][1]])


def _highest_of_both(one: list[Bid], other: list[Bid]) -> list[Bid]:
    for bid in other:
        one = with_highest(one, bid)
    return one


def _highest_bid(bid: Bid) -> HighestBid:
    return HighestBid(bid.auction, bid.bidder, bid.price, bid.date_time, bid.extra)


def q8(events: Stream[Event], patience: timedelta) -> Stream[NewUser]:
    """Persons and auctions joined in tumbling windows."""
    persons = op.key_on("person", op.filter("persons", events, is_person), lambda person: str(person.id))
    auctions = op.key_on("seller", op.filter("auctions", events, is_auction), lambda auction: str(auction.seller))
    joined = win.join_window("join", _clock(patience), _tumbling(), persons, auctions).down
    return op.flat_map("rows", joined, _new_user)


def _new_user(joined: tuple[str, tuple[int, tuple[Person | None, Auction | None]]]) -> list[NewUser]:
    window, (person, auction) = joined[1]
    return [NewUser(person.id, person.name, window * 10_000)] if person and auction else []


def q11(events: Stream[Event], patience: timedelta) -> Stream[UserSession]:
    """Sessions by bidder."""
    bids = op.key_on("bidder", op.filter("bids", events, is_bid), lambda bid: str(bid.bidder))
    windower = win.SessionWindower(gap=10_000 * MS)
    sessions = win.fold_window("session", bids, _clock(patience), windower, _no_bids, _and_bid, _both_sessions).down
    return op.map("rows", sessions, _user_session)


Session: TypeAlias = tuple[int, int, int]
"""How many bids, the first one's time and the last one's."""


def _no_bids() -> Session:
    return 0, 1 << 62, 0


def _and_bid(session: Session, bid: Bid) -> Session:
    return session[0] + 1, min(session[1], bid.date_time), max(session[2], bid.date_time)


def _both_sessions(one: Session, other: Session) -> Session:
    return one[0] + other[0], min(one[1], other[1]), max(one[2], other[2])


def _user_session(each: tuple[str, tuple[int, Session]]) -> UserSession:
    count, first, last = each[1][1]
    return UserSession(int(each[0]), first, last + 10_000, count)


def _clock(patience: timedelta) -> win.EventClock[Any]:
    return win.EventClock(lambda event: EPOCH + event.date_time * MS, patience)


def _tumbling() -> win.TumblingWindower:
    return win.TumblingWindower(length=10_000 * MS, align_to=EPOCH)


QUERIES: dict[str, Query] = {"q0": q0, "q1": q1, "q2": q2, "q5": q5, "q7": q7, "q8": q8, "q11": q11}
