"""q0, q1 and q2 as a loop that somebody would write by hand with msgspec: blocks of lines, comprehensions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.nexmark.notes import Measured, collect, note
from benchmarks.nexmark.queries.q1 import BidInEuros
from benchmarks.nexmark.queries.q2 import Price
from benchmarks.nexmark.records import Bid, Event
from benchmarks.throughput.by_hand import batches


def q0(events: list[Event]) -> list[Bid]:
    """Bids."""
    return [event for event in events if type(event) is Bid]


def q1(events: list[Event]) -> list[BidInEuros]:
    """Bids in euros."""
    return [
        BidInEuros(event.auction, event.bidder, 0.908 * event.price, event.date_time, event.extra)
        for event in events
        if type(event) is Bid
    ]


def q2(events: list[Event]) -> list[Price]:
    """Prices of every 123rd auction."""
    return [Price(event.auction, event.price) for event in events if type(event) is Bid and event.auction % 123 == 0]


LOOPS: dict[str, Callable[[list[Event]], list[Any]]] = {"q0": q0, "q1": q1, "q2": q2}


def run(query: str, paths: Sequence[Path], folder: Path, processes: int) -> Measured:
    """Run it in this process, and let the results go."""
    note(folder)
    given = sum(len(LOOPS[query](events)) for path in paths for events in batches(path, Event))
    note(folder, given)
    return collect(folder)


def results(query: str, paths: Sequence[Path]) -> list[Any]:
    """Run it and return the results."""
    return [record for path in paths for events in batches(path, Event) for record in LOOPS[query](events)]
