"""Profiles: how fast the sink is at each moment, as pure functions of time."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

FULL = 20_000.0
SLOW = 2_000.0
DRAIN = 1e6
"""Records a second once a profile is over, so that what is still in flight is gone soon."""

RAMP_STEP = 0.1
PERIOD = 1.0

Pieces = tuple[tuple[float, float], ...]
"""From when on, seconds, the sink takes how many records a second; in order, the first from 0."""


@dataclass(frozen=True)
class Profile:
    """One sink, or several, over `seconds`.

    `slow`: from when to when the sink is the bottleneck that the figures look at; `recovers`: after that it is back at
    full rate at once; `jitter`: by how much, up or down, a write's time differs from what its rate says; `knee`: a
    write of so many records takes twice as long as that; `sinks`: how many there are, of which only the first follows
    `pieces`, the others are at full rate; `window`: over how many seconds rates are compared.
    """

    name: str
    seconds: float
    pieces: Pieces
    slow: tuple[float, float]
    recovers: bool = False
    jitter: float = 0.0
    knee: float = 0.0
    sinks: int = 1
    window: float = 0.5

    def pieces_of(self, sink: int) -> Pieces:
        """What sink number `sink` follows, with what comes after the profile."""
        return (*(self.pieces if sink == 0 else ((0.0, FULL),)), (self.seconds, DRAIN))

    def rate(self, at: float, sink: int = 0) -> float:
        """Records a second, `at` seconds after the first write, for small writes and without jitter.

        >>> stall = profile("stall", 75)
        >>> stall.rate(4.9), stall.rate(5.1), stall.rate(65.1)
        (20000.0, 0.0, 20000.0)
        """
        return next(rate for since, rate in reversed(self.pieces_of(sink)) if since <= max(0.0, at))

    def finish(self, begin: float, records: int, number: int = 0, sink: int = 0) -> float:
        """When a write of `records` ends that begins at `begin` and is the sink's `number`th; seconds from the first.

        >>> profile("step", 15).finish(2.99, 300).__round__(6)  # 200 at 20,000/s, then 100 at 2,000/s
        3.05
        """
        work = records * self._factor(records, number)
        for since, until, rate in _spans(self.pieces_of(sink)):
            if until <= begin:
                continue
            start = max(since, begin)
            if work <= rate * (until - start):
                return start + work / rate
            work -= rate * (until - start)
        raise AssertionError("the last piece has no end")

    def _factor(self, records: int, number: int) -> float:
        if self.jitter:
            return 1 + self.jitter * random.Random(number).uniform(-1, 1)
        return 1 + records / self.knee if self.knee else 1.0


def _spans(pieces: Pieces) -> Iterator[tuple[float, float, float]]:
    yield from ((since, until, rate) for (since, rate), (until, _) in pairwise((*pieces, (float("inf"), 0.0))))


def _steady(seconds: float) -> Profile:
    return Profile("steady", seconds, ((0.0, FULL),), (0.1 * seconds, seconds))


def _step(seconds: float) -> Profile:
    slow, full = 0.2 * seconds, 0.7 * seconds
    return Profile("step", seconds, ((0.0, FULL), (slow, SLOW), (full, FULL)), (slow, full), recovers=True)


def _stall(seconds: float) -> Profile:
    slow, full = seconds / 15, seconds * 13 / 15
    return Profile("stall", seconds, ((0.0, FULL), (slow, 0.0), (full, FULL)), (slow, full), recovers=True)


def _ramp(seconds: float) -> Profile:
    """Down over a quarter of the time, slow for one, and up again over one."""
    quarter = seconds / 4
    steps = max(1, round(quarter / RAMP_STEP))
    down = [(quarter * (0.5 + i / steps), FULL + (SLOW - FULL) * (i + 0.5) / steps) for i in range(steps)]
    up = [(quarter * (2.5 + i / steps), SLOW + (FULL - SLOW) * (i + 0.5) / steps) for i in range(steps)]
    pieces = ((0.0, FULL), *down, (1.5 * quarter, SLOW), *up, (3.5 * quarter, FULL))
    return Profile("ramp", seconds, pieces, (0.5 * quarter, 2.5 * quarter))


def _jitter(seconds: float) -> Profile:
    return Profile("jitter", seconds, ((0.0, FULL),), (0.1 * seconds, seconds), jitter=0.5)


def _on_off(seconds: float) -> Profile:
    half = PERIOD / 2
    pieces = tuple((i * half, 0.0 if i % 2 else FULL) for i in range(max(1, round(seconds / half))))
    return Profile("on-off", seconds, pieces, (0.1 * seconds, seconds), window=PERIOD)


def _one_of_n(seconds: float) -> Profile:
    return Profile("one-of-n", seconds, ((0.0, SLOW),), (0.1 * seconds, seconds), sinks=3)


def _knee(seconds: float) -> Profile:
    return Profile("knee", seconds, ((0.0, FULL),), (0.1 * seconds, seconds), knee=2000.0)


MAKERS: dict[str, tuple[Callable[[float], Profile], float]] = {
    "steady": (_steady, 12.0),
    "step": (_step, 15.0),
    "ramp": (_ramp, 20.0),
    "stall": (_stall, 75.0),
    "jitter": (_jitter, 12.0),
    "on-off": (_on_off, 12.0),
    "one-of-n": (_one_of_n, 12.0),
    "knee": (_knee, 12.0),
}
"""By name: what makes a profile of a given length, and how many seconds it lasts unless told otherwise."""


def profile(name: str, seconds: float | None = None) -> Profile:
    """The profile called `name`, stretched or shrunk to `seconds`; ValueError if there is none.

    >>> profile("step").slow
    (3.0, 10.5)
    """
    if name not in MAKERS:
        raise ValueError(f"there is no profile {name!r}; there are {', '.join(MAKERS)}")
    make, usual = MAKERS[name]
    return make(usual if seconds is None else seconds)
