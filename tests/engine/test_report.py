"""The report: what of a task's counters reaches whoever shows the job."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from cext.channel import Channel
from cext.guard import Guard
from cext.head import Pass
from cext.port import Port
from cext.task import Task
from cext.window import Window
from engine.report import report
from engine.worker import Worker

MS = 1_000_000


def channel(periods: int) -> Channel:
    """One over a long way, whose window has been too small for it in so many periods."""
    law = Window(0.1, 2048, 1024)
    law.travels(100 * MS)
    for tick in range(1, periods + 1):
        law.update(tick * 100 * MS, tick, True, True)
    return Channel(law)


def test_a_task_was_held_up_for_as_long_as_the_worst_of_its_inputs() -> None:
    guard = Guard("fail", None, lambda record, error: None)
    task = Task("t", Pass("t", guard), [channel(2), channel(5)], [], [[Port("forward", [channel(0)])]])
    worker = SimpleNamespace(
        plan=SimpleNamespace(tasks=[task]),
        instances_of=lambda planned: {0: planned},
        runners={},
        guards={},
        refused={},
        halves={},
        codecs={},
        **dict.fromkeys(("number", "in_flight", "most_in_flight", "credit"), 0),
    )
    assert [each.capped for each in report(cast("Worker", worker), 1.0, 0.0).tasks] == [0.5]
