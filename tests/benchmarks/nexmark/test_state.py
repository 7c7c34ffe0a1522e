"""What queries over windows keep is bounded by the windows that are open, however long the stream."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import pytest

from benchmarks.nexmark import queries
from benchmarks.nexmark.generator import Generator
from benchmarks.nexmark.records import Event
from benchmarks.nexmark.source import Nexmark
from connectors.memory import discard
from engine import Dataflow, Settings
from engine.processing import Processed
from engine.windowed import InWindows

COUNT = int(os.environ.get("HEADGATE_NEXMARK_EVENTS", "600000"))
"""Events, by default of a minute: six windows of 10 s, or thirty panes of 2 s. What may be kept is the same for any."""
AHEAD = 3
"""Seconds by which records may be ahead of the event time that windows were told: those in flight, at the most."""
PEOPLE = 200
"""New ones a second."""

OPEN = 400
"""Auctions: twice as many as the generator has bids for at a time."""

KEPT = {
    "q5": {"Sliding('10s', every='2s')": 10 // 2 + 1 + AHEAD, "Tumbling('2s')": 2 + AHEAD},
    "q7": {"Tumbling('10s')": 2},
    "q8": {"Tumbling('10s')": 2},
    "q11": {"Session('10s')": Generator().active_people + (11 + AHEAD) * PEOPLE},
    "q12": {"Tumbling('10s')": 2},
}
"""The most panes or sessions that each of a query's windows may have."""


def test_only_open_auctions_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    heads: list[Any] = []
    build, most = Processed.build_head, 0

    def noted(self: Processed, *arguments: Any) -> Any:
        heads.append(build(self, *arguments))
        return heads[-1]

    def watch(events: list[Event]) -> list[Event]:
        nonlocal most
        most = max([most, *(head.held for head in heads)])
        return events

    monkeypatch.setattr(Processed, "build_head", noted)
    flow = Dataflow("q9", settings=Settings(max_window=1000))
    events = flow.source(Nexmark(Generator(), count=COUNT // 2)).map_batch(watch)
    queries.results("q9", events).sink(discard())
    metrics = flow.run()
    assert (metrics.records_read, metrics.late) == (COUNT // 2, 0)
    # Of all auctions less than half, though records that wait for the next mark are counted too.
    assert 0 < most < COUNT // 2 * 3 // 50 // 2
    assert heads[0].held <= OPEN


@pytest.mark.parametrize("query", KEPT)
def test_state_is_bounded_by_open_windows(query: str, monkeypatch: pytest.MonkeyPatch) -> None:
    heads: dict[str, Any] = {}
    build = InWindows.build_head

    def noted(self: InWindows, *arguments: Any) -> Any:
        return heads.setdefault(repr(self.window), build(self, *arguments))

    monkeypatch.setattr(InWindows, "build_head", noted)
    most = Counter[str]()

    def watch(events: list[Event]) -> list[Event]:
        for window, head in heads.items():
            most[window] = max(most[window], len(head.windows))
        return events

    flow = Dataflow(query)
    events = flow.source(Nexmark(Generator(), count=COUNT)).map_batch(watch)
    queries.results(query, events).sink(discard())
    metrics = flow.run()
    assert (metrics.records_read, metrics.late) == (COUNT, 0)
    assert {window: len(head.windows) for window, head in heads.items()} == dict.fromkeys(KEPT[query], 0)
    for window, bound in KEPT[query].items():
        assert 0 < most[window] <= bound, window
