"""q8, new users: who joined and opened an auction in the same 10 s."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from benchmarks.nexmark.queries.q3 import seller_of
from benchmarks.nexmark.records import Auction, Event, Person, is_person, is_person_or_auction
from engine import Bounds, Stream, Tumbling


class NewUser(msgspec.Struct, gc=False):
    """Somebody, and the window in which they joined."""

    id: int
    name: str
    window_start: int


def new_users(seller: int, window: Bounds, found: list[Person | Auction]) -> Iterator[NewUser]:
    """The person, where there is an auction too."""
    persons = list(filter(is_person, found))
    if len(persons) < len(found):
        yield from (NewUser(person.id, person.name, window.start) for person in persons)


def query(events: Stream[Event]) -> Stream[NewUser]:
    """Persons and their auctions meet in a window of the seller."""
    sellers = events.filter(is_person_or_auction).key_by(seller_of)
    return sellers.window(Tumbling("10s")).process(new_users)
