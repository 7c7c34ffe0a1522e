"""q0, pass through: every bid as it is, which is what reading and filtering cost."""

from __future__ import annotations

from benchmarks.nexmark.records import Bid, Event
from engine import Stream


def query(events: Stream[Event]) -> Stream[Bid]:
    """Every bid."""
    return events.of_type(Bid)
