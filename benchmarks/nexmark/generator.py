"""The generator: event n of the stream as a pure function of the seed and n, made by the batch.

Proportions, ratios, sizes, prices, leads and expiry follow the public Nexmark generator (github.com/nexmark/nexmark,
which follows Apache Beam's). Otherwise than there, nothing is drawn from a sequence: any range of events can be made
anywhere, and is the same each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from benchmarks.nexmark.draws import Draws, Numbers
from benchmarks.nexmark.records import Auction, Bid, Event, Person
from benchmarks.nexmark.texts import channels, padding, words

PERSONS, AUCTIONS, BIDS = 1, 3, 46
"""Of the EPOCH events that follow each other, first the person, then the auctions, then the bids."""
EPOCH = PERSONS + AUCTIONS + BIDS

FIRST_ID = 1000
FIRST_CATEGORY, CATEGORIES = 10, 5
LEAD = 10
"""Events may name people and auctions that come only later: the next so many."""
HOT = 100
"""Of so many people or auctions that follow each other, one is hot."""
STEP = 953
"""Out of order, the events of a group come in steps of so many."""

_FIRST_NAMES = ("Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter")
_LAST_NAMES = ("Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris")
_CITIES = (
    *("Phoenix", "Los Angeles", "San Francisco", "Boise", "Portland"),
    *("Bend", "Redmond", "Seattle", "Kent", "Cheyenne"),
)
_STATES = ("AZ", "CA", "ID", "OR", "WA", "WY")


@dataclass(frozen=True)
class Generator:
    """The stream of one seed and one set of parameters.

    `rate`: events a second of event time; `base_time`: that of the first, in ms since the epoch; `out_of_order`: so
    many events that follow each other are shuffled (1: none); `hot_auctions`, `hot_bidders`, `hot_sellers`: of so
    many, all but one name a hot one; `person_bytes` and so on: the mean size that `extra` fills up to.

    >>> stream = Generator(seed=1)
    >>> [type(event).__name__ for event in stream.events(0, 5)]
    ['Person', 'Auction', 'Auction', 'Auction', 'Bid']
    >>> stream.events(1_000_000, 1_000_001) == stream.events(999_000, 1_001_000)[1000:1001]
    True
    """

    seed: int = 0
    rate: float = 10_000.0
    base_time: int = 1_436_918_400_000
    out_of_order: int = 1
    hot_auctions: int = 2
    hot_bidders: int = 4
    hot_sellers: int = 4
    person_bytes: int = 200
    auction_bytes: int = 500
    bid_bytes: int = 100
    in_flight_auctions: int = 100
    active_people: int = 1000

    def __post_init__(self) -> None:
        if not self.rate > 0:
            raise ValueError(f"Generator wants a rate of more than 0 events a second, got {self.rate!r}")
        if self.out_of_order < 1 or (self.out_of_order > 1 and self.out_of_order % STEP == 0):
            raise ValueError(
                f"Generator wants out_of_order to be the size of a group, 1 or more and no multiple of {STEP}, "
                f"got {self.out_of_order!r}"
            )

    def events(self, start: int, stop: int) -> list[Event]:
        """Events `start` up to `stop` in the order in which they come."""
        ids = self._ids(np.arange(start, stop, dtype=np.int64))
        offsets = ids % EPOCH
        is_person, is_bid = offsets < PERSONS, offsets >= PERSONS + AUCTIONS
        is_auction = ~(is_person | is_bid)
        events = cast(list[Event], self._bids(ids[is_bid]))
        rare = [
            *_placed(is_person, self._persons(ids[is_person])),
            *_placed(is_auction, self._auctions(ids[is_auction])),
        ]
        for place, event in sorted(rare, key=lambda each: each[0]):
            events.insert(place, event)
        return events

    @property
    def disorder(self) -> int:
        """By how many ms at most an event is older than one before it."""
        return 0 if self.out_of_order == 1 else -int(-self.out_of_order * 1000 // self.rate)

    def _ids(self, numbers: Numbers) -> Numbers:
        """Which event, in order of time, each of those is that come as `numbers`."""
        group = self.out_of_order
        return numbers // group * group + numbers * STEP % group

    def _times(self, ids: Numbers) -> Numbers:
        return self.base_time + np.floor(ids * 1000 / self.rate).astype(np.int64)

    def _persons(self, ids: Numbers) -> list[Person]:
        draws = Draws(self.seed, ids)
        firsts, lasts = draws.below(len(_FIRST_NAMES)).tolist(), draws.below(len(_LAST_NAMES)).tolist()
        names = [f"{_FIRST_NAMES[first]} {_LAST_NAMES[last]}" for first, last in zip(firsts, lasts, strict=True)]
        emails = [f"{who}@{where}.com" for who, where in zip(words(draws, 7), words(draws, 5), strict=True)]
        parts = [draws.below(10_000).tolist() for _ in range(4)]
        cards = ["{:04d} {:04d} {:04d} {:04d}".format(*card) for card in zip(*parts, strict=True)]
        cities = [_CITIES[each] for each in draws.below(len(_CITIES)).tolist()]
        states = [_STATES[each] for each in draws.below(len(_STATES)).tolist()]
        sizes = 8 + _lengths(names) + _lengths(emails) + _lengths(cards) + _lengths(cities) + _lengths(states)
        extras = padding(draws, sizes, self.person_bytes)
        own, times = (FIRST_ID + _last_person(ids)).tolist(), self._times(ids).tolist()
        return list(map(Person, own, names, emails, cards, cities, states, times, extras))

    def _auctions(self, ids: Numbers) -> list[Auction]:
        draws, times = Draws(self.seed, ids), self._times(ids)
        sellers = np.where(draws.below(self.hot_sellers) > 0, _last_person(ids) // HOT * HOT, self._person(draws, ids))
        categories = FIRST_CATEGORY + draws.below(CATEGORIES)
        initial, more = _prices(draws), _prices(draws)
        expires = times + 1 + draws.below(np.maximum(2 * self._horizons(ids), 1))
        names, descriptions = words(draws, 20), words(draws, 100)
        extras = padding(draws, 48 + _lengths(names) + _lengths(descriptions), self.auction_bytes)
        own, numbers = (FIRST_ID + _last_auction(ids)).tolist(), (initial.tolist(), (initial + more).tolist())
        rest = ((FIRST_ID + sellers).tolist(), categories.tolist(), extras)
        return list(map(Auction, own, names, descriptions, *numbers, times.tolist(), expires.tolist(), *rest))

    def _bids(self, ids: Numbers) -> list[Bid]:
        draws, last = Draws(self.seed, ids), _last_auction(ids)
        oldest = np.maximum(last - self.in_flight_auctions, 0)
        any_auction = oldest + draws.below(last - oldest + 1 + LEAD)
        auctions = FIRST_ID + np.where(draws.below(self.hot_auctions) > 0, last // HOT * HOT, any_auction)
        # The second of a hundred, so that hot bidders are not the hot sellers.
        hot_person = _last_person(ids) // HOT * HOT + 1
        bidders = FIRST_ID + np.where(draws.below(self.hot_bidders) > 0, hot_person, self._person(draws, ids))
        prices, (names, urls) = _prices(draws).tolist(), channels(draws)
        extras, times = padding(draws, 32, self.bid_bytes), self._times(ids).tolist()
        return list(map(Bid, auctions.tolist(), bidders.tolist(), prices, names, urls, times, extras))

    def _person(self, draws: Draws, ids: Numbers) -> Numbers:
        """Anybody who is active, or one of the next."""
        people = _last_person(ids) + 1
        active = np.minimum(people, self.active_people)
        return people - active + draws.below(active + LEAD)

    def _horizons(self, ids: Numbers) -> Numbers:
        """How many ms go by until so many more auctions are there as shall be in flight: the mean of an auction's."""
        return self._times(ids + self.in_flight_auctions * EPOCH // AUCTIONS) - self._times(ids)


def _last_person(ids: Numbers) -> Numbers:
    """The newest person as of each event, itself if it is one; from 0."""
    return ids // EPOCH


def _last_auction(ids: Numbers) -> Numbers:
    """The newest auction as of each event, itself if it is one; from 0."""
    return ids // EPOCH * AUCTIONS + np.minimum(ids % EPOCH, AUCTIONS) - 1


def _prices(draws: Draws) -> Numbers:
    return np.rint(100 * 10 ** (6 * draws.unit())).astype(np.int64)


def _lengths(texts: list[str]) -> Numbers:
    return np.fromiter(map(len, texts), np.int64, len(texts))


def _placed(where: NDArray[np.bool_], events: Sequence[Event]) -> list[tuple[int, Event]]:
    return list(zip(np.flatnonzero(where).tolist(), events, strict=True))
