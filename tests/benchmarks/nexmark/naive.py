"""The queries once more as plain loops over lists, written apart from the SQL that they check."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from benchmarks.nexmark.records import Auction, Bid, Event, Person

Row = tuple[Any, ...]
Rows = Iterable[Row]

LEVELS: tuple[Callable[[int], bool], ...] = (
    lambda price: True,
    lambda price: price < 10_000,
    lambda price: 10_000 <= price < 1_000_000,
    lambda price: price >= 1_000_000,
)


class Naive:
    """Every query over one list of events."""

    def __init__(self, events: list[Event]) -> None:
        self.persons = [event for event in events if isinstance(event, Person)]
        self.auctions = [event for event in events if isinstance(event, Auction)]
        self.bids = [event for event in events if isinstance(event, Bid)]

    def answer(self, query: str) -> Counter[Row]:
        rows: Rows = getattr(self, query)()
        return Counter(rows)

    def q0(self) -> Rows:
        return [(b.auction, b.bidder, b.price, b.channel, b.url, b.date_time, b.extra) for b in self.bids]

    def q1(self) -> Rows:
        return [(b.auction, b.bidder, 0.908 * b.price, b.date_time, b.extra) for b in self.bids]

    def q2(self) -> Rows:
        return [(b.auction, b.price) for b in self.bids if not b.auction % 123]

    def q3(self) -> Rows:
        for a in self.auctions:
            for p in self.persons:
                if a.category == 10 and a.seller == p.id and p.state in {"OR", "ID", "CA"}:
                    yield p.name, p.city, p.state, a.id

    def q4(self) -> Rows:
        finals = defaultdict(list)
        for a, won in self._winners():
            finals[a.category].append(won.price)
        return [(category, sum(prices) / len(prices)) for category, prices in finals.items()]

    def q5(self) -> Rows:
        counts: defaultdict[int, Counter[int]] = defaultdict(Counter)
        for b in self.bids:
            last = b.date_time - b.date_time % 2_000
            for start in range(last, b.date_time - 10_000, -2_000):
                counts[start][b.auction] += 1
        for start, count in counts.items():
            for auction, times in count.items():
                if times == max(count.values()):
                    yield auction, times, start, start + 10_000

    def q6(self) -> Rows:
        sold: defaultdict[int, list[int]] = defaultdict(list)
        for a, won in sorted(self._winners(), key=lambda each: (each[0].expires, each[0].id)):
            prices = sold[a.seller]
            prices.append(won.price)
            last = prices[-10:]
            yield a.seller, a.id, sum(last) / len(last)

    def q7(self) -> Rows:
        windows = defaultdict(list)
        for b in self.bids:
            windows[b.date_time // 10_000].append(b)
        for bids in windows.values():
            highest = max(b.price for b in bids)
            yield from ((b.auction, b.bidder, b.price, b.date_time, b.extra) for b in bids if b.price == highest)

    def q8(self) -> Rows:
        sellers = {(a.seller, a.date_time // 10_000) for a in self.auctions}
        for p in self.persons:
            window = p.date_time // 10_000
            if (p.id, window) in sellers:
                yield p.id, p.name, window * 10_000

    def q9(self) -> Rows:
        for a, won in self._winners():
            yield (
                *(a.id, a.item_name, a.description, a.initial_bid, a.reserve, a.date_time, a.expires, a.seller),
                *(a.category, a.extra, won.bidder, won.price, won.date_time, won.extra),
            )

    def q10(self) -> Rows:
        for b in self.bids:
            date = str(_date(b))
            yield b.auction, b.bidder, b.price, b.date_time, b.extra, date[:10], date[11:16]

    def q11(self) -> Rows:
        for bidder, times in self._times().items():
            session = times[:1]
            for time in times[1:]:
                if time - session[-1] > 10_000:
                    yield bidder, len(session), session[0], session[-1] + 10_000
                    session = []
                session.append(time)
            yield bidder, len(session), session[0], session[-1] + 10_000

    def q12(self) -> Rows:
        for bidder, times in self._times().items():
            for window, same in groupby(times, lambda time: time // 10_000):
                yield bidder, len(list(same)), window * 10_000, window * 10_000 + 10_000

    def q13(self) -> Rows:
        return [(b.auction, b.bidder, b.price, b.date_time, str(b.auction % 10_000)) for b in self.bids]

    def q14(self) -> Rows:
        for b in self.bids:
            price, hour = 0.908 * b.price, _date(b).hour
            kind = "dayTime" if 8 <= hour <= 18 else "otherTime" if hour in {7, 19} else "nightTime"
            if 1_000_000 < price < 50_000_000:
                yield b.auction, b.bidder, price, kind, b.date_time, b.extra, b.extra.count("c")

    def q15(self) -> Rows:
        for day, bids in _grouped(self.bids, lambda b: str(_date(b).date())):
            yield day, *_statistics(bids)

    def q16(self) -> Rows:
        for (channel, day), bids in _grouped(self.bids, lambda b: (b.channel, str(_date(b).date()))):
            last = max(_date(b) for b in bids)
            yield channel, day, f"{last.hour:02}:{last.minute:02}", *_statistics(bids)

    def q17(self) -> Rows:
        for (auction, day), bids in _grouped(self.bids, lambda b: (b.auction, str(_date(b).date()))):
            prices = [b.price for b in bids]
            counts = [sum(map(level, prices)) for level in LEVELS]
            yield auction, day, *counts, min(prices), max(prices), sum(prices) / len(prices), sum(prices)

    def q18(self) -> Rows:
        for _, bids in _grouped(self.bids, lambda b: (b.auction, b.bidder)):
            b = max(bids, key=lambda b: (b.date_time, b.price, b.extra))
            yield b.auction, b.bidder, b.price, b.channel, b.url, b.date_time, b.extra

    def q19(self) -> Rows:
        for _, bids in _grouped(self.bids, lambda b: b.auction):
            for rank, b in enumerate(sorted(bids, key=_worth, reverse=True)[:10], 1):
                yield b.auction, b.bidder, b.price, b.channel, b.url, b.date_time, b.extra, rank

    def q20(self) -> Rows:
        for b in self.bids:
            for a in self.auctions:
                if b.auction == a.id and a.category == 10:
                    yield (
                        *(b.auction, b.bidder, b.price, b.channel, b.url, b.date_time, b.extra, a.item_name),
                        *(a.description, a.initial_bid, a.reserve, a.date_time, a.expires, a.seller, a.category),
                        a.extra,
                    )

    def q21(self) -> Rows:
        for b in self.bids:
            found = re.search(r"(?:&|^)channel_id=([^&]*)", b.url)
            known = {"apple": "0", "google": "1", "facebook": "2", "baidu": "3"}.get(b.channel.lower())
            if known or found:
                yield b.auction, b.bidder, b.price, b.channel, known or (found and found[1])

    def q22(self) -> Rows:
        return [(b.auction, b.bidder, b.price, b.channel, *b.url.split("/")[3:6]) for b in self.bids]

    def _winners(self) -> Iterator[tuple[Auction, Bid]]:
        for a in self.auctions:
            bids = [b for b in self.bids if b.auction == a.id and a.date_time <= b.date_time <= a.expires]
            if bids:
                yield a, max(bids, key=_worth)

    def _times(self) -> dict[int, list[int]]:
        return {who: sorted(b.date_time for b in bids) for who, bids in _grouped(self.bids, lambda b: b.bidder)}


def _worth(bid: Bid) -> tuple[int, int, str]:
    return bid.price, -bid.date_time, bid.extra


def _date(bid: Bid) -> datetime:
    return datetime.fromtimestamp(bid.date_time / 1000, UTC)


def _grouped(bids: list[Bid], key: Callable[[Bid], Any]) -> Iterable[tuple[Any, list[Bid]]]:
    groups = defaultdict(list)
    for bid in bids:
        groups[key(bid)].append(bid)
    return groups.items()


def _statistics(bids: list[Bid]) -> list[int]:
    parts = [[b for b in bids if level(b.price)] for level in LEVELS]
    return [
        *(len(part) for part in parts),
        *(len({b.bidder for b in part}) for part in parts),
        *(len({b.auction for b in part}) for part in parts),
    ]
