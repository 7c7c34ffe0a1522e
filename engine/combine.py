"""Combine: the metrics of a whole job, from what each of its processes reports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from cext.histogram import Histogram
from engine.metrics import InstanceMetrics, JobMetrics, OperatorMetrics, State, TaskMetrics
from engine.outline import OperatorOutline, Outline, TaskOutline
from engine.report import Chained, Report, TaskReport

_STATES = ("busy", "idle", "backpressured")
_SUMS = ("frames_in", "frames_out", "queued", "dropped", "late", "held")


@dataclass(frozen=True)
class _Instance:
    """One instance of a task, and how long its process has run."""

    done: TaskReport
    seconds: float

    def rate(self, records: int) -> float:
        return records / self.seconds if self.seconds else 0.0


def combine(outline: Outline, reports: Sequence[Report], state: State, seconds: float) -> JobMetrics:
    """The whole job, from what each of its processes reports."""
    instances: list[list[_Instance]] = [[] for _ in outline.tasks]
    for each in reports:
        for task in each.tasks:
            instances[task.planned].append(_Instance(task, each.seconds))
    pairs = list(zip(outline.tasks, instances, strict=True))
    operators = tuple(each for planned, tasks in pairs for each in _operators(planned, tasks, reports))
    return JobMetrics(
        state,
        seconds,
        operators,
        sum(each.in_flight for each in reports),
        sum(each.most_in_flight for each in reports),
        outline.bound,
        sum(each.records_out for each in operators if each.kind == "source"),
        sum(each.records_out for each in operators if each.kind == "sink"),
        dict(sum((Counter(each.refused) for each in reports), Counter())),
        sum(each.credit for each in reports),
        tuple(_task(planned, tasks) for planned, tasks in pairs),
    )


def _task(planned: TaskOutline, tasks: list[_Instance]) -> TaskMetrics:
    names = tuple(each.name for each in planned.operators)
    instances = [_instance(planned, each) for each in sorted(tasks, key=lambda each: each.done.instance)]
    return TaskMetrics(names, planned.after, planned.bound, planned.own_thread, tuple(instances))


def _instance(planned: TaskOutline, each: _Instance) -> InstanceMetrics:
    busy, idle, backpressured = (getattr(each.done, state) for state in _STATES)
    running = busy + idle + backpressured
    wall = running or 1.0
    into, _ = _counts(planned.operators[0], each.done)
    _, out = _counts(planned.operators[-1], each.done)
    worker = planned.workers[each.done.instance]
    rates = each.rate(into), each.rate(out)
    shares = busy / wall, idle / wall, backpressured / wall
    coding = (each.done.encoding + each.done.decoding) / wall
    capped, drift = min(1.0, each.done.capped / wall), each.done.drifting / wall
    return InstanceMetrics(worker, *shares, *rates, each.done.queued, capped, running, coding, drift)


def _operators(planned: TaskOutline, tasks: list[_Instance], reports: Sequence[Report]) -> list[OperatorMetrics]:
    """The operators of one task; the first of them states what is the whole task's."""
    busy, idle, backpressured = (sum(getattr(each.done, what) for each in tasks) for what in _STATES)
    wall = (busy + idle + backpressured) or 1.0
    first, *rest = [_operator(each, tasks, reports, wall) for each in planned.operators]
    if rest and not planned.own_thread:  # what is encoded is what the last one gave
        encoding = sum(each.done.encoding for each in tasks) / wall
        rest[-1] = msgspec.structs.replace(rest[-1], busy=rest[-1].busy + encoding)
    delays = _delays(tasks)
    whole: dict[str, Any] = {
        "busy": max(0.0, busy / wall - sum(each.busy for each in rest)),  # what the task adds is its head's
        "idle": idle / wall,
        "backpressured": backpressured / wall,
        **{name: sum(getattr(each.done, name) for each in tasks) for name in _SUMS},
        "unmatched": first.unmatched + sum(each.done.unmatched for each in tasks),
        "p50": delays.percentile(50) / 1e9 if delays.count else None,
        "p99": delays.percentile(99) / 1e9 if delays.count else None,
    }
    return [msgspec.structs.replace(first, **whole), *rest]


def _operator(each: OperatorOutline, tasks: list[_Instance], reports: Sequence[Report], wall: float) -> OperatorMetrics:
    counts = [_counts(each, task.done) for task in tasks]
    chained = [found for task in tasks if (found := _chained(each, task.done))]
    guards = [report.guards[each.name] for report in reports if each.name in report.guards]
    return OperatorMetrics(
        each.name,
        sum(into for into, _ in counts),
        sum(out for _, out in counts),
        skipped=sum(skipped for skipped, _ in guards),
        dead_letters=sum(lettered for _, lettered in guards),
        unmatched=sum(found.unmatched for found in chained),
        busy=sum(found.busy_ns for found in chained) / 1e9 / wall,
        rate_in=sum(task.rate(into) for task, (into, _) in zip(tasks, counts, strict=True)),
        rate_out=sum(task.rate(out) for task, (_, out) in zip(tasks, counts, strict=True)),
        kind=each.kind,
        fallbacks=sum(report.fallbacks.get(each.name, 0) for report in reports),
        pickled_because=each.pickled_because,
        watermark=min((task.done.watermark for task in tasks if task.done.watermark is not None), default=None),
    )


def _chained(operator: OperatorOutline, task: TaskReport) -> Chained | None:
    return next((each for each in task.chain if each.name == operator.name), None)


def _counts(operator: OperatorOutline, task: TaskReport) -> tuple[int, int]:
    """Records in and out of one operator of a task: chained, its router, or its head."""
    chained = _chained(operator, task)
    if chained is not None:
        return chained.records_in, chained.records_out
    if operator.role == "router":
        return task.records_out, task.records_out
    if operator.role == "sink":
        return task.records_in, task.written
    return task.records_in, task.chain[0].records_in if task.chain else task.records_out


def _delays(tasks: list[_Instance]) -> Histogram:
    """From the sources to here, in all instances of a sink."""
    merged, each = Histogram(), Histogram()
    for task in tasks:
        each.restore(task.done.delays)
        merged.merge(each)
    return merged
