"""Snapshot: a running job at one moment as it travels to whoever looks at it, and what has happened since another."""

from __future__ import annotations

from collections import deque

import msgspec

from engine.checkpoint_metrics import CheckpointMetrics
from engine.combine import combine
from engine.metrics import JobMetrics, State
from engine.outline import Outline
from engine.report import Chained, Report, TaskReport

_TASK_COUNTERS = (
    *("busy", "idle", "backpressured", "records_in", "records_out"),
    *("frames_in", "frames_out", "dropped", "written", "capped", "encoding", "decoding"),
    *("late", "drifting", "unmatched"),
)
_CHAINED_COUNTERS = ("records_in", "records_out", "unmatched", "busy_ns")
_REPORT_COUNTERS = ("passes", "seconds", "cpu")


class Snapshot(msgspec.Struct, array_like=True, frozen=True):
    """A job after so many `seconds`: what its processes last reported, and how long each has said nothing, seconds."""

    name: str
    pid: int
    state: State
    seconds: float
    outline: Outline
    reports: tuple[Report, ...]
    silent: dict[int, float] = {}
    at: int = 0
    """When this was so, in milliseconds since the epoch, by the clock of the job's program."""
    checkpoints: CheckpointMetrics | None = None
    """None: it makes none."""

    def metrics(self) -> JobMetrics:
        """The job's metrics, from its beginning or, after `since`, from that moment."""
        whole = combine(self.outline, self.reports, self.state, self.seconds)
        return msgspec.structs.replace(whole, checkpoints=self.checkpoints)

    def since(self, before: Snapshot) -> Snapshot:
        """The same, with only what has happened since `before`; what is no sum (records queued, memory) stays."""
        earlier = {each.worker: each for each in before.reports}
        reports = tuple(_report(each, earlier.get(each.worker, Report())) for each in self.reports)
        return msgspec.structs.replace(self, seconds=self.seconds - before.seconds, reports=reports)


class Recent:
    """The last snapshots of a job, to tell what happens over about `seconds`: workers report every 0.1 s, and over
    less than some of that their rates would jump."""

    def __init__(self, seconds: float = 1.0) -> None:
        self._seconds = seconds
        self._kept: deque[Snapshot] = deque()

    def add(self, now: Snapshot) -> Snapshot:
        """Take in a later snapshot; what has happened since one that is about so old, or since the first."""
        while len(self._kept) > 1 and now.seconds - self._kept[1].seconds >= self._seconds:
            self._kept.popleft()
        self._kept.append(now)
        return now.since(self._kept[0]) if len(self._kept) > 1 else now


def _report(now: Report, before: Report) -> Report:
    earlier = {(each.planned, each.instance): each for each in before.tasks}
    tasks = [_task(each, earlier.get((each.planned, each.instance))) for each in now.tasks]
    guards = {}
    for name, counts in now.guards.items():
        skipped, lettered = (a - b for a, b in zip(counts, before.guards.get(name, (0, 0)), strict=True))
        guards[name] = skipped, lettered
    fallbacks = {name: count - before.fallbacks.get(name, 0) for name, count in now.fallbacks.items()}
    return msgspec.structs.replace(
        now, tasks=tuple(tasks), guards=guards, fallbacks=fallbacks, **_minus(now, before, _REPORT_COUNTERS)
    )


def _task(now: TaskReport, before: TaskReport | None) -> TaskReport:
    if before is None:
        return now
    chain = tuple(map(_chained, now.chain, before.chain))
    delays = _delays(now.delays, before.delays)
    return msgspec.structs.replace(now, chain=chain, delays=delays, **_minus(now, before, _TASK_COUNTERS))


def _chained(now: Chained, before: Chained) -> Chained:
    return msgspec.structs.replace(now, **_minus(now, before, _CHAINED_COUNTERS))


def _delays(now: list[tuple[int, int]], before: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Of a histogram the last pair has its maximum in place of its bucket, which the other knows by another value."""
    left = dict(now)
    for value, times in before:
        bucket = value if value in left else min(left, key=lambda edge: abs(edge - value))
        left[bucket] -= times
    return [(value, times) for value, times in left.items() if times > 0]


def _minus(now: msgspec.Struct, before: msgspec.Struct, names: tuple[str, ...]) -> dict[str, float]:
    return {name: getattr(now, name) - getattr(before, name) for name in names}
