"""Restarts: whether a job that has failed is started anew, and after how long; no clock."""

from __future__ import annotations

import random

FIRST_SECONDS = 0.1
LAST_SECONDS = 30.0
SPREAD = 0.25
"""By how much of itself a delay is longer or shorter, so that jobs which failed together do not come back together."""


class Restarts:
    """Counts failures: `limit` in a row, without a checkpoint in between, are each followed by a restart.

    >>> restarts = Restarts(2, random.Random(7))
    >>> [restarts.failed() is not None for _ in range(3)], restarts.count
    ([True, True, False], 2)
    """

    def __init__(self, limit: int, source: random.Random | None = None) -> None:
        self.count = 0
        """How many there were."""
        self._limit, self._random = limit, source or random.Random()
        self._in_a_row = 0

    def __str__(self) -> str:
        return f"restart {self._in_a_row} of {self._limit}"

    @property
    def is_left(self) -> bool:
        """Whether one more failure would be followed by a restart."""
        return self._in_a_row < self._limit

    def failed(self) -> float | None:
        """Seconds until the restart; None: there is none."""
        if not self.is_left:
            return None
        delay: float = min(LAST_SECONDS, FIRST_SECONDS * 2**self._in_a_row)
        self._in_a_row += 1
        self.count += 1
        return delay * self._random.uniform(1 - SPREAD, 1 + SPREAD)

    def forbid(self) -> None:
        """What has happened is final: nothing is started anew any more."""
        self._limit = 0

    def progressed(self) -> None:
        """A checkpoint is complete: what comes now is another trouble."""
        self._in_a_row = 0
