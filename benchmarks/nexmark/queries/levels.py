"""What q15, q16 and q17 have in common: days, and values by level of price."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

from benchmarks.nexmark.records import Bid


def rank(bid: Bid) -> int:
    """1 for a low price, 2 for a middling, 3 for a high one."""
    return 1 if bid.price < 10_000 else 2 if bid.price < 1_000_000 else 3


def ranked(wanted: int, field: str) -> Callable[[Bid], Any]:
    """The value of `field` in bids of that rank; None, which aggregates pass over, in others."""
    value = attrgetter(field)
    return lambda bid: value(bid) if rank(bid) == wanted else None


def day(bid: Bid) -> str:
    """Its date in UTC."""
    return f"{datetime.fromtimestamp(bid.date_time / 1000, UTC):%Y-%m-%d}"


def minute(bid: Bid) -> str:
    """Its time of day in UTC."""
    return f"{datetime.fromtimestamp(bid.date_time / 1000, UTC):%H:%M}"
