"""Figures: what one run showed, as numbers, each a pure function of what the run left."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import mean

from benchmarks.slow_sink.job import TARGET_SECONDS
from benchmarks.slow_sink.profiles import FULL
from benchmarks.slow_sink.sampling import Run

FOLLOWS = 1.1
"""Up to so many times the sink's rate, the source follows it."""

RECOVERED = 0.9
"""From so much of its full rate on, the sink has recovered."""

_STEP = 0.02
_RECOVERY_WINDOW = 0.25
_FRAME = 1024
"""The largest batch that counts as one, records: somebody's write of all that he has is no excuse for having it."""


@dataclass(frozen=True)
class Figures:
    """One run; None where a figure has no meaning. Seconds, records and bytes.

    `follow`: from the slowdown on, until the source never again gave out more than 1.1 times what the sink wrote in the
    same time, inf if it still did at the end; `busy`: the share of that time that the sink worked, of several the least
    busy; `recover`: from the sink's recovery on, until it writes 90 % of its full rate; `settled`: records in flight in
    the last third of the slowdown, on average, over what the sink takes in `target_delay` and its batch; `growth`: the
    most memory from the slowdown on, less what there was just before it.
    """

    most_in_flight: int
    bound: int | None
    follow: float
    settled: float | None
    busy: float
    recover: float | None
    growth: int
    lost: int
    doubled: int
    disordered: int

    @classmethod
    def of(cls, run: Run) -> Figures:
        """All of them."""
        seen = [int.from_bytes(sink.seen, "little") for sink in run.sinks]
        union, total = 0, 0
        for each in seen:
            union |= each
            total += each.bit_count()
        return cls(
            run.most_in_flight if run.most_in_flight is not None else most_in_flight(run),
            run.bound,
            follow(run),
            settled(run),
            busy(run),
            recover(run),
            growth(run),
            (run.source.given.counts or [0])[-1] - union.bit_count(),
            sum(sink.doubled for sink in run.sinks) + total - union.bit_count(),
            sum(sink.disordered for sink in run.sinks),
        )


def most_in_flight(run: Run) -> int:
    """The most records between source and sink, looked at whenever the source gave some out."""
    return max(map(run.in_flight, run.source.given.times), default=0)


def follow(run: Run) -> float:
    """Seconds from the slowdown until the source follows for good."""
    begin, end = run.profile.slow
    late = None
    for since in _times(begin, end - run.profile.window):
        until = since + run.profile.window
        if run.given(since, until) > FOLLOWS * run.written(since, until):
            late = since
    if late is None:
        return 0.0
    return math.inf if late + 2 * _STEP > end - run.profile.window else late + _STEP - begin


def settled(run: Run) -> float | None:
    """Records in flight over what there should be, once the slowdown is old; None where the sink stands still."""
    begin, end = run.profile.slow
    since = end - (end - begin) / 3
    records, writes = run.written(since, end), run.written(since, end, "calls")
    if run.profile.rate((since + end) / 2) == 0:
        return None
    batch = min(_FRAME, records / max(1.0, writes)) * len(run.sinks)
    wanted = records / (end - since) * TARGET_SECONDS + batch
    return mean(run.in_flight(run.start + at) for at in _times(since, end)) / wanted


def busy(run: Run) -> float:
    """The least busy sink's share of the slowdown."""
    begin, end = (run.start + at for at in run.profile.slow)
    return min(sink.written.grown(begin, end, "busy") for sink in run.sinks) / (end - begin)


def recover(run: Run) -> float | None:
    """Seconds from the end of the slowdown until the sink is fast again; None where it does not end at once."""
    if not run.profile.recovers:
        return None
    again = run.profile.slow[1]
    for since in _times(again, run.profile.seconds - _RECOVERY_WINDOW):
        if run.written(since, since + _RECOVERY_WINDOW) >= RECOVERED * FULL * _RECOVERY_WINDOW:
            return since - again
    return math.inf


def growth(run: Run) -> int:
    """Bytes; 0 if there were no samples before or after."""
    slow, end = (run.start + at for at in (run.profile.slow[0], run.profile.seconds))
    before = [each.memory for each in run.samples if run.start <= each.at < slow][-10:]
    after = [each.memory for each in run.samples if slow <= each.at < end]
    return max(after) - max(before) if before and after else 0


def _times(since: float, until: float) -> Iterator[float]:
    yield from (since + i * _STEP for i in range(max(1, int((until - since) / _STEP))))
