"""Processing time in flows: windows go by the clock of their process, which tests move by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.memory import collect as into
from connectors.memory import discard, from_iterable
from engine import Count, Dataflow, Global, GraphError, Session, Sliding, Trigger, Tumbling, Window, collect, count
from engine.testing import ManualClock
from tests.engine.helpers import TIGHT, ListSource, Nothing

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WINDOWS: list[Window] = [Tumbling(20), Tumbling(20, offset=7), Sliding(30, every=10), Session(9)]


class Hit(msgspec.Struct, frozen=True):
    page: str
    at: int
    number: int


def arriving(hits: list[Hit], clock: ManualClock) -> Iterator[Hit]:
    """Each comes at its time. With one record in flight the next is asked for once the window has this one."""
    for hit in hits:
        clock.set(hit.at)
        yield hit


def moment(time: int) -> datetime:
    return EPOCH + timedelta(milliseconds=time)


def answer(rows: list[Any]) -> list[tuple[Any, ...]]:
    return sorted((row.page, row.window_start, row.window_end, row.all) for row in rows)


hits = st.lists(st.tuples(st.sampled_from("aab"), st.integers(0, 25)), max_size=25).map(
    lambda steps: [
        Hit(page, sum(step for _, step in steps[: number + 1]), number) for number, (page, _) in enumerate(steps)
    ]
)


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@settings(deadline=None, max_examples=15)
@given(hits)
def test_answers_are_those_by_event_time_where_records_come_when_they_happen(window: Window, mine: list[Hit]) -> None:
    clock, by_clock, by_time = ManualClock(), list[Any](), list[Any]()
    flow = Dataflow("by clock", settings=TIGHT)
    stream = flow.source(ListSource(lambda: arriving(mine, clock), type=Hit)).processing_time()
    stream.key_by("page").window(window).aggregate(all=collect("number")).sink(into(by_clock))
    result = flow.run(clock=clock)
    assert (result.late, result.in_flight) == (0, 0)
    flow = Dataflow("by time")
    times = flow.source(ListSource(mine, type=Hit)).event_time("at")
    times.key_by("page").window(window).aggregate(all=collect("number")).sink(into(by_time))
    flow.run()
    assert answer(by_clock) == [(key, moment(start), moment(end), its) for key, start, end, its in answer(by_time)]


@pytest.mark.parametrize("processes", [1, 2])
def test_by_the_real_clock_every_record_is_in_one_window_of_its_key(processes: int) -> None:
    rows: list[Any] = []
    flow = Dataflow("real")
    stream = flow.source(from_iterable([f"{i % 7}" for i in range(2000)], type=str)).processing_time()
    stream.key_by(page=lambda page: page).window(Tumbling("20ms")).aggregate(n=count()).sink(into(rows))
    assert flow.run(processes=processes).late == 0
    counts: Counter[str] = Counter()
    for row in rows:
        assert row.window_end - row.window_start == timedelta(milliseconds=20)
        assert abs(row.window_start - datetime.now(UTC)) < timedelta(minutes=10)
        counts[row.page] += row.n
    assert counts == {f"{key}": len(range(key, 2000, 7)) for key in range(7)}
    assert len({(row.page, row.window_start) for row in rows}) == len(rows)


def test_windows_are_given_while_nothing_comes() -> None:
    """The source says nothing more until the result of what it gave is out, which only the clock makes due."""
    clock, rows = ManualClock(EPOCH), list[Any]()
    flow = Dataflow("quiet")

    def quiet() -> Iterator[Any]:
        yield "a"
        while not rows:
            clock.advance("1s")
            yield Nothing()
        yield "b"

    stream = flow.source(ListSource(quiet, poll_after=0.001)).processing_time()
    stream.key_by(lambda each: each).window(Tumbling("1m")).aggregate(n=count()).sink(into(rows))
    flow.run(clock=clock)
    assert [(row.key, row.n) for row in rows] == [("a", 1), ("b", 1)]


def test_a_job_that_is_parked_wakes_when_its_clock_is_moved() -> None:
    """Its source has nothing more to give."""
    clock, rows = ManualClock(EPOCH), list[Any]()
    flow = Dataflow("parked")

    def one() -> Iterator[Any]:
        yield "a"
        while True:
            yield Nothing()

    stream = flow.source(ListSource(one, poll_after=3600.0)).processing_time()
    stream.key_by(lambda each: each).window(Tumbling("1m")).aggregate(n=count()).sink(into(rows))
    with flow.start(clock=clock) as job:
        while not job.metrics()["window"].held:
            assert job.state == "running"
        clock.advance("1m")
        while not rows:
            assert job.state == "running"
        assert job.metrics()["window"].held == 0
        job.stop()
    assert [(row.key, row.window_end) for row in rows] == [("a", EPOCH + timedelta(minutes=1))]


def test_results_go_by_the_clock_too() -> None:
    clock, rows = ManualClock(5), list[Any]()
    flow = Dataflow("twice", settings=TIGHT)
    stream = flow.source(ListSource(lambda: arriving([Hit("a", 5, 0), Hit("b", 6, 1)], clock), type=Hit))
    first = stream.processing_time().key_by("page").window(Tumbling(10)).aggregate(n=count())
    first.key_by().window(Tumbling(40)).aggregate(pages=count()).sink(into(rows))
    flow.run(clock=clock)
    assert [(row.window_end, row.pages) for row in rows] == [(EPOCH + timedelta(milliseconds=40), 2)]


def test_days_by_the_clock_are_those_of_a_calendar() -> None:
    clock, rows = ManualClock(datetime(2024, 3, 30, 23, 30, tzinfo=UTC)), list[Any]()
    flow = Dataflow("days")
    stream = flow.source(from_iterable([1, 2])).processing_time()
    stream.key_by().window(Tumbling("1d", zone="Europe/Zurich")).aggregate(n=count()).sink(into(rows))
    flow.run(clock=clock)
    zurich = ZoneInfo("Europe/Zurich")
    assert [(row.window_start, row.window_end, row.n) for row in rows] == [
        (datetime(2024, 3, 31, tzinfo=zurich), datetime(2024, 4, 1, tzinfo=zurich), 2)
    ]
    assert rows[0].window_start.tzinfo is zurich


def test_what_comes_again_within_a_time_of_the_clock() -> None:
    clock, rows = ManualClock(), list[Any]()
    flow = Dataflow("again", settings=TIGHT)
    mine = [Hit("a", time, time) for time in (0, 5, 9, 10, 12, 21)]
    stream = flow.source(ListSource(lambda: arriving(mine, clock), type=Hit)).processing_time()
    stream.key_by("page").deduplicate(within=10).sink(into(rows))
    flow.run(clock=clock)
    assert [hit.at for hit in rows] == [0, 10, 21]


def test_a_plan_says_what_goes_by_the_clock() -> None:
    windows = stream().processing_time().key_by("page").window(Tumbling("1m")).aggregate(n=count())
    windows.sink(discard())
    assert "count in Tumbling('1m') of the clock by page" in windows._flow.explain()


def stream() -> Any:
    return Dataflow("test").source(ListSource([], type=Hit))


REFUSED: list[tuple[Callable[[], Any], str]] = [
    (
        lambda: stream().processing_time().key_by().window(Tumbling(1), allowed_lateness=5),
        "allowed_lateness is for event time: for Tumbling('1ms') nothing comes too late here",
    ),
    (lambda: stream().key_by().window(Count(3), allowed_lateness=5), "for Count(3) nothing comes too late here"),
    (lambda: stream().key_by().window(Tumbling(1)), "or .processing_time(), to go by the clock"),
    (
        lambda: stream().processing_time().key_by().window(Global(Trigger(event_time=5))),
        "Global(Trigger(event_time='5ms')) goes by event time, which this stream has none of",
    ),
    (
        lambda: (both := stream().processing_time()).key_by().join(both.key_by(), window=Tumbling(1)),
        "join goes by event time, but where that stands",
    ),
]


@pytest.mark.parametrize(("build", "said"), REFUSED)
def test_what_processing_time_refuses(build: Callable[[], Any], said: str) -> None:
    with pytest.raises(GraphError) as caught:
        build()
    assert said in str(caught.value)
    assert "test_processing_time.py:" in str(caught.value)


def test_a_function_says_what_time_it_is_only_to_windows() -> None:
    """What makes other records keeps no event time, and no time of the clock either."""
    with pytest.raises(GraphError, match="goes by event time, but where that stands"):
        stream().processing_time().map(str).key_by().window(Tumbling(1))
    stream().processing_time().filter(bool).key_by().window(Tumbling(1)).aggregate(n=count()).sink(discard())
