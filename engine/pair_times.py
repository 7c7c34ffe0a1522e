"""The event times of pairs: those that joins give whose results are of a known time."""

from __future__ import annotations

from typing import Any

from engine.event_time import Time

Pair = tuple[Any, Any]


class Later:
    """The later of both times, of one that stands alone its own: so none is late for the watermark that follows it."""

    def __init__(self, left: Time, right: Time) -> None:
        self.clocks = left, right
        self._left, self._right = left.instant(), right.instant()

    def __call__(self, pair: Pair) -> int:
        left, right = pair
        if right is None:
            return self._left(left)
        return self._right(right) if left is None else max(self._left(left), self._right(right))

    def __reduce__(self) -> tuple[Any, ...]:
        return Later, self.clocks


class OfLeft:
    """The time of the left record."""

    def __init__(self, left: Time) -> None:
        self.clock = left
        self._left = left.instant()

    def __call__(self, pair: Pair) -> int:
        return self._left(pair[0])

    def __reduce__(self) -> tuple[Any, ...]:
        return OfLeft, (self.clock,)
