"""What tests of flows use: the clock that is moved by hand, and who refuses it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.memory import discard, generate
from engine import Dataflow, GraphError, Settings
from engine.testing import ManualClock

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


def test_a_clock_is_set_and_advanced() -> None:
    clock = ManualClock(NOON)
    assert clock.now == 1_714_564_800_000
    clock.advance("10s")
    clock.advance(timedelta(minutes=1))
    clock.advance(5)
    assert clock.now == 1_714_564_800_000 + 70_005
    clock.set(clock.now)
    clock.set(NOON + timedelta(hours=1))
    assert clock.now == 1_714_564_800_000 + 3_600_000


def test_what_a_clock_refuses() -> None:
    clock = ManualClock(1000)
    with pytest.raises(ValueError, match="stands at 1000 ms and does not go back to 999 ms"):
        clock.set(999)
    with pytest.raises(ValueError, match="a duration is not below zero"):
        clock.advance(-1)
    with pytest.raises(ValueError, match="a clock moves by whole milliseconds, not by '1us'"):
        clock.advance("1us")
    with pytest.raises(ValueError, match="has no zone, so it is no moment"):
        ManualClock(datetime(2024, 5, 1))
    with pytest.raises(TypeError, match="wanted an event time"):
        clock.set("noon")  # type: ignore[arg-type]
    assert clock.now == 1000


def counting(**options: Any) -> Dataflow:
    flow = Dataflow("test", **options)
    flow.source(generate(lambda i: i, count=3)).map(str).sink(discard())
    return flow


def test_a_job_over_several_processes_takes_no_clock() -> None:
    with pytest.raises(GraphError) as caught:
        counting().run(processes=2, clock=ManualClock())
    assert "test_testing.py" in str(caught.value)
    assert "moved by hand in the process that it is in, but this job has 2 more" in str(caught.value)


def test_a_clock_is_a_clock() -> None:
    with pytest.raises(GraphError, match=r"test_testing.py:\d+: wanted a clock, got 3"):
        counting().start(clock=3)  # type: ignore[arg-type]
    assert counting(settings=Settings()).run(clock=ManualClock()).records_written == 3
