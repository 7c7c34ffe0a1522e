"""q3, local items: who sells in Oregon, Idaho or California in category 10, and which auctions.

An auction may come before its seller, since events name people who come only a little later, so either waits for the
other. The state of a seller is never let go, as nothing says when the last auction has come.
"""

from __future__ import annotations

from typing import TypeGuard

import msgspec

from benchmarks.nexmark.records import Auction, Event, Person
from engine import Stream

STATES = frozenset({"OR", "ID", "CA"})
CATEGORY = 10


class LocalItem(msgspec.Struct):
    """An auction, by its `id`, and who sells."""

    name: str
    city: str
    state: str
    id: int


class Seller(msgspec.Struct):
    """What is known of a seller: who it is, and the auctions that wait for that."""

    person: Person | None = None
    waiting: list[int] = []


def is_local(event: Event) -> TypeGuard[Person | Auction]:
    """Whether it is somebody of those states or an auction of the category."""
    if type(event) is Person:
        return event.state in STATES
    return type(event) is Auction and event.category == CATEGORY


def seller_of(event: Person | Auction) -> int:
    """Whom it is about."""
    return event.id if type(event) is Person else event.seller  # type: ignore[union-attr]


def meet(seller: Seller | None, event: Person | Auction) -> tuple[Seller, list[LocalItem]]:
    """What is known now, and the auctions whose seller it makes known."""
    seller = seller or Seller()
    if isinstance(event, Person):
        seller.person, found, seller.waiting = event, seller.waiting, []
    elif seller.person is None:
        seller.waiting.append(event.id)
        found = []
    else:
        found = [event.id]
    who = seller.person
    return seller, [LocalItem(who.name, who.city, who.state, auction) for auction in found] if who else []


def each(items: list[LocalItem]) -> list[LocalItem]:
    """One after the other."""
    return items


def query(events: Stream[Event]) -> Stream[LocalItem]:
    """Auctions with their sellers."""
    return events.filter(is_local).key_by(seller_of).stateful_map(meet).flat_map(each)
