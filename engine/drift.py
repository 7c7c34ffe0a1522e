"""Drift: which inputs may be held until others have come as far in event time, and how far behind their marks are.

What keeps records until event time has passed them would keep all by which one input is ahead of another. So it takes
from an input no further ahead than `Settings.max_drift`; credit slows down what feeds that one (see cext/lanes.pyx).
Nobody may be held for somebody who cannot go on meanwhile. A *clock* is a task that makes event time:

1. An input waits only if all clocks that it gets its time from have their sources to themselves. Two behind one source,
   or two instances behind one exchange, tell times that have nothing to do with each other, and who holds the one
   stops the other.
2. Where a clock may say that it is idle, an input of its waits only if it is the only way from there, through tasks of
   one input channel. Else the time that it brings may be ahead of a clock that has come back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from engine.event_time import EventTime
from engine.task_plan import Edge, TaskPlan


@dataclass(frozen=True)
class Time:
    """What is known of the marks that a task sends."""

    clocks: frozenset[TaskPlan]
    least: int
    """How far they are at least behind what their clocks have seen, ms."""
    most: int
    """... and at most."""
    may_idle: bool = False
    """Whether a clock of them may say that it is idle."""
    is_straight: bool = True
    """Whether there is one way, through tasks with one input channel."""


def settle_drift(tasks: list[TaskPlan]) -> None:
    """Say of each input of what keeps records for a time whether it waits for others; `tasks` in the plan's order."""
    times: dict[TaskPlan, Time] = {}
    for task in tasks:
        times[task] = _time_of(task, [times[edge.producer] for edge in task.inputs if not edge.is_table])
    free = _with_sources_of_their_own([task for task in tasks if _clock(task)])
    for task in tasks:
        for edge in task.inputs:
            time = times[edge.producer]
            edge.delays = time.least, time.most
            edge.waits = (
                task.nodes[0].operation.waits_for_time
                and bool(time.clocks)
                and time.clocks <= free
                and (time.is_straight or not time.may_idle)
            )


def _clock(task: TaskPlan) -> EventTime | None:
    """The operation of it that makes event time."""
    return next((node.operation for node in task.nodes if isinstance(node.operation, EventTime)), None)


def _time_of(task: TaskPlan, before: list[Time]) -> Time:
    """What its marks are, if those that come in are such."""
    clock = _clock(task)
    if clock is not None:
        return Time(frozenset([task]), clock.out_of_order, clock.out_of_order, clock.idle_after >= 0)
    before = [time for time in before if time.clocks]
    if not before:
        return Time(frozenset(), 0, 0)
    delay = task.nodes[0].operation.delay
    clocks: frozenset[TaskPlan] = frozenset().union(*(time.clocks for time in before))
    merged = Time(
        clocks,
        min(time.least for time in before) + delay,
        max(time.most for time in before) + delay,
        any(time.may_idle for time in before),
    )
    return replace(merged, is_straight=before[0].is_straight and _channels(task.inputs) == 1)


def _channels(inputs: Iterable[Edge]) -> int:
    """How many lanes each instance has that reads these."""
    return sum(1 if edge.route == "forward" else edge.producer.parallelism for edge in inputs)


def _with_sources_of_their_own(clocks: list[TaskPlan]) -> set[TaskPlan]:
    """Those of which nothing that feeds an instance feeds another one, of this clock or of others."""
    behind = {clock: _feeding(clock) for clock in clocks}
    return {
        clock
        for clock in clocks
        if not any(behind[clock] & behind[other] for other in clocks if other is not clock)
        and (clock.parallelism == 1 or all(edge.route == "forward" for task in behind[clock] for edge in task.inputs))
    }


def _feeding(task: TaskPlan) -> set[TaskPlan]:
    """It, and all that feed it."""
    found = [task]
    for each in found:  # which grows meanwhile
        found += [edge.producer for edge in each.inputs if edge.producer not in found]
    return set(found)
