"""q6, average selling price: as each auction closes, the mean of what its seller's last ten went for."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from benchmarks.nexmark.queries import q9
from benchmarks.nexmark.queries.q9 import WinningBid
from benchmarks.nexmark.records import Event
from engine import KeyedProcess, ListState, Stream, Timer

LAST = 10


class SellingPrice(msgspec.Struct):
    """An auction, and the mean of its seller's last ten, itself included."""

    seller: int
    auction: int
    average: float


class Seller(KeyedProcess[WinningBid, SellingPrice]):
    """The last auctions of a seller."""

    closed = ListState[WinningBid]()
    """In this millisecond, in any order."""
    prices = ListState[int]()

    def on_record(self, sale: WinningBid) -> None:
        """Wait for all that close together."""
        self.closed.append(sale)
        self.event_timers.at(sale.expires + 1)

    def on_timer(self, timer: Timer) -> Iterator[SellingPrice]:
        """Take up those that have closed, by their ids."""
        for sale in sorted(self.closed, key=lambda sale: sale.id):
            self.prices = prices = [*self.prices, sale.price][-LAST:]
            yield SellingPrice(sale.seller, sale.id, sum(prices) / len(prices))
        del self.closed


def query(events: Stream[Event]) -> Stream[SellingPrice]:
    """A record an auction that was sold, as it closes."""
    return q9.query(events).key_by("seller").process(Seller, in_order=True)
