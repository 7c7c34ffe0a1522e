"""What tests of flows use: a clock moved by hand, a source that is fed, and a flow that goes on when it is told to."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.memory import collect as into
from connectors.memory import discard, generate
from engine import (
    Dataflow,
    Global,
    GraphError,
    KeyedProcess,
    OperatorError,
    Session,
    Settings,
    Timer,
    Trigger,
    Tumbling,
    ValueState,
    count,
)
from engine.testing import Feed, Harness, ManualClock
from tests.engine.helpers import ListSink

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


def test_all_that_was_given_has_gone_its_way_when_it_is_settled() -> None:
    numbers, got = Feed(type=int), list[str]()
    flow = Dataflow("test", settings=Settings(frame_records=2, max_window=3))
    doubled = flow.source(numbers).flat_map(lambda x: [x, x]).map_batch(lambda batch: batch, size=7).map(str)
    doubled.sink(into(got))
    with Harness(flow) as job:
        for size in (0, 1, 100):
            got.clear()
            numbers.give(*range(size))
            job.settle()
            assert got == [str(i) for i in range(size) for _ in range(2)]
        assert (job.metrics().state, job.metrics().records_read, job.metrics().in_flight) == ("running", 101, 0)
    assert job.metrics().state == "finished"


def test_each_hour_of_the_clock_gives_its_windows() -> None:
    words, got, clock = Feed(type=str), list[Any](), ManualClock(NOON)
    flow = Dataflow("test")
    arriving = flow.source(words).processing_time().key_by(key=lambda word: word)
    arriving.window(Tumbling("1h")).aggregate(n=count()).sink(into(got), name="hours")
    arriving.window(Session("10m")).aggregate(n=count()).sink(into(got), name="sessions")
    arriving.window(Global(Trigger(processing_time="5m"), purge=True)).aggregate(n=count()).sink(into(got), name="five")
    found = []
    with Harness(flow, clock=clock) as job:
        for step in ("0s", "4m", "6m", "10m", "1ms", "40m"):
            clock.advance(step)
            job.settle()
            found.append(len(got))
            if step in {"0s", "6m"}:
                words.give("dam", "weir")
                job.settle()
    assert found == [0, 0, 2, 4, 6, 8]
    assert len(got) == 8


def test_sinks_that_gather_batches_and_coroutines_are_waited_for() -> None:
    async def later(number: int) -> int:
        await asyncio.sleep(0.01)
        return number

    numbers, sink = Feed(type=int), ListSink(batch=100)
    flow = Dataflow("test", settings=Settings(linger="20ms"))
    flow.source(numbers).map_async(later, concurrency=2).sink(sink)
    with Harness(flow) as job:
        numbers.give(1, 2, 3)
        job.settle()
        assert sink.records == [1, 2, 3]
        assert sink.ends == []
    assert sink.ends == ["finish"]


def settled(job: Harness, feed: Feed[int], *records: int, then: Exception | None = None) -> None:
    with job:
        feed.give(*records)
        job.settle()
        if then is not None:
            raise then


def test_what_fails_is_raised_where_it_is_settled() -> None:
    numbers, got, sink = Feed(type=int), list[Any](), ListSink()
    flow = Dataflow("test")
    flow.source(numbers).map(lambda x: 6 // x).sink(into(got))
    flow.source(Feed()).sink(sink, name="other")
    job = Harness(flow)
    with pytest.raises(OperatorError, match=r"ZeroDivisionError.*the record was 0"):
        settled(job, numbers, 2, 0, 3, then=ValueError("never"))
    assert got == [3]
    assert job.metrics().state == "failed"
    assert sink.ends == ["abort"]


def test_what_fails_at_the_end_is_raised_there() -> None:
    numbers = Feed(type=int)
    flow = Dataflow("test")
    flow.source(numbers).key_by().reduce(lambda one, two: one + two).map(lambda pair: 1 // 0).sink(discard())
    job = Harness(flow)
    with pytest.raises(OperatorError, match="ZeroDivisionError"):
        settled(job, numbers, 1, 2)
    assert job.metrics().state == "failed"


def test_a_block_that_raises_drops_what_is_open() -> None:
    numbers, sink = Feed(type=int), ListSink()
    flow = Dataflow("test")
    flow.source(numbers).key_by().window(Global(Trigger(records=9))).aggregate(n=count()).sink(sink)
    job = Harness(flow)
    with pytest.raises(ValueError, match="mine"):
        settled(job, numbers, 1, then=ValueError("mine"))
    assert (sink.records, sink.ends) == ([], ["abort"])
    assert job.metrics().state == "cancelled"


def test_a_flow_with_processes_of_its_own_is_refused() -> None:
    flow = Dataflow("test")
    flow.source(Feed()).stage("far").map(str).sink(discard())
    with pytest.raises(GraphError, match=r"test_testing.py:\d+: a Harness runs a flow in one process, but 'test' has"):
        Harness(flow)


def test_a_feed_in_a_job_that_runs() -> None:
    numbers, got, came = Feed(type=int), list[int](), threading.Event()
    flow = Dataflow("test")
    flow.source(numbers).inspect(lambda _: came.set()).sink(into(got))
    with flow.start():
        numbers.give(1)
        assert came.wait(30)
        numbers.give(2, 3)
        numbers.close()
    assert got == [1, 2, 3]
    assert numbers.is_empty


class Silence(KeyedProcess[str, str]):
    """Tells of each word that did not come again for a minute."""

    due = ValueState(0)

    def on_record(self, word: str) -> None:
        self.processing_timers.cancel(self.due)
        self.due = self.processing_timers.after("1m")

    def on_timer(self, timer: Timer) -> Iterator[str]:
        yield self.key


def test_timers_fire_as_the_clock_is_moved() -> None:
    words, got, clock = Feed(type=str), list[str](), ManualClock(NOON)
    flow = Dataflow("test")
    flow.source(words).key_by(word=str).process(Silence).sink(into(got))
    with Harness(flow, clock=clock) as job:
        words.give("dam", "weir")
        job.settle()
        clock.advance("59s")
        words.give("dam")
        job.settle()
        clock.advance("1s")
        job.settle()
        assert got == ["weir"]
        clock.advance("59s")
        job.settle()
        assert got == ["weir", "dam"]
