"""q0, q1, q2 and q5 as loops that somebody would write by hand with msgspec: blocks of lines, comprehensions, dicts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.nexmark.notes import Measured, collect, note
from benchmarks.nexmark.queries.q1 import BidInEuros
from benchmarks.nexmark.queries.q2 import Price
from benchmarks.nexmark.queries.q5 import HotItem
from benchmarks.nexmark.records import Bid, Event
from benchmarks.throughput.by_hand import batches

PANE, PANES = 2_000, 5


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


def q5(blocks: Iterable[list[Event]]) -> Iterator[list[HotItem]]:
    """Counts of each pane, of which a window adds up five as soon as the last is over: events are in order."""
    panes: dict[int, dict[int, int]] = {}
    pane, counts = -1, dict[int, int]()
    for events in blocks:
        for event in events:
            if type(event) is Bid:
                if event.date_time // PANE != pane:
                    if panes:
                        yield from _hottest(panes, pane, event.date_time // PANE)
                    pane, counts = event.date_time // PANE, {}
                    panes[pane] = counts
                counts[event.auction] = counts.get(event.auction, 0) + 1
    yield from _hottest(panes, pane, pane + PANES)


def _hottest(panes: dict[int, dict[int, int]], last: int, until: int) -> Iterator[list[HotItem]]:
    """Of each window that ends with pane `last` or later, before `until`."""
    for end in range(last, until):
        panes.pop(end - PANES, None)
        if panes:
            counts = _total(panes.values())
            most, start = max(counts.values()), (end - PANES + 1) * PANE
            yield [HotItem(auction, start, start + PANE * PANES, num) for auction, num in counts.items() if num == most]


def _total(panes: Iterable[dict[int, int]]) -> dict[int, int]:
    first, *others = panes
    counts = first.copy()
    for pane in others:
        for auction, num in pane.items():
            counts[auction] = counts.get(auction, 0) + num
    return counts


BLOCKS: dict[str, Callable[[list[Event]], list[Any]]] = {"q0": q0, "q1": q1, "q2": q2}
"""Those that know nothing of the blocks before."""

LOOPS: dict[str, Callable[[Iterable[list[Event]]], Iterable[list[Any]]]] = {
    **{query: partial(map, each) for query, each in BLOCKS.items()},
    "q5": q5,
}


def run(query: str, paths: Sequence[Path], folder: Path, processes: int) -> Measured:
    """Run it in this process, and let the results go."""
    note(folder)
    given = sum(map(len, LOOPS[query](_blocks(paths))))
    note(folder, given)
    return collect(folder)


def results(query: str, paths: Sequence[Path]) -> list[Any]:
    """Run it and return the results."""
    return [record for records in LOOPS[query](_blocks(paths)) for record in records]


def _blocks(paths: Sequence[Path]) -> Iterator[list[Event]]:
    return (events for path in paths for events in batches(path, Event))
