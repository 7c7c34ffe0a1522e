"""Windows in flows: the same answer as by hand, whatever the frames, the windows, the threads and the processes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.files import json_lines
from connectors.memory import collect as into
from connectors.memory import discard, from_iterable
from engine import (
    Bounds,
    Count,
    Dataflow,
    GraphError,
    Session,
    Settings,
    Sliding,
    Tumbling,
    Window,
    WindowResult,
    collect,
    count,
    custom,
    sum_,
)
from tests.engine.helpers import ListSource, Runner


class Hit(msgspec.Struct, frozen=True):
    page: str
    at: int
    size: int


class Moment(msgspec.Struct, frozen=True):
    at: datetime


Answer = dict[tuple[str, int, int], tuple[int, int, list[int]]]
"""For each page and window: records, their sum, and their sizes in order."""

WINDOWS: list[Window] = [
    Tumbling("20ms"),
    Tumbling(20, offset=7),
    Sliding(30, every=10),
    Sliding(25, every=10),
    Session(9),
]
BOUND = 15


def windows_of(window: Window, times: list[int]) -> list[tuple[int, int]]:
    """All windows in which a key with records at `times` has some."""
    if isinstance(window, Session):
        bounds: list[tuple[int, int]] = []
        for time in sorted(times):
            if bounds and time <= bounds[-1][1]:
                bounds[-1] = bounds[-1][0], time + window.gap
            else:
                bounds.append((time, time + window.gap))
        return bounds
    assert isinstance(window, Tumbling | Sliding)
    every = window.size if isinstance(window, Tumbling) else window.every
    found = set()
    for time in times:
        start = time - (time - window.offset) % every
        while start > time - window.size:
            found.add((start, start + window.size))
            start -= every
    return sorted(found)


def by_hand(window: Window, hits: list[Hit]) -> Answer:
    pages: dict[str, list[Hit]] = defaultdict(list)
    for hit in hits:
        pages[hit.page].append(hit)
    answer: Answer = {}
    for page, mine in pages.items():
        for start, end in windows_of(window, [hit.at for hit in mine]):
            last = end if isinstance(window, Session) else end - 1
            sizes = [hit.size for hit in mine if start <= hit.at <= last]
            answer[page, start, end] = len(sizes), sum(sizes), sorted(sizes)
    return answer


def disordered(seed: int, records: int, bound: int = BOUND) -> list[Hit]:
    """Hits of a few pages, one of them much more often, none more than `bound` behind one before it."""
    dice, time, hits = Random(seed), 0, []
    for number in range(records):
        time += dice.choice([0, 1, 3, 40 if dice.random() < 0.05 else 2])
        page = "abcdefg"[min(dice.randrange(12), 6)]
        hits.append(Hit(page, time - dice.randrange(bound + 1), number))
    return hits


def answer_of(rows: list[Any]) -> Answer:
    found = {(row.page, row.window_start, row.window_end): (row.n, row.total, sorted(row.all)) for row in rows}
    assert len(found) == len(rows)
    return found


def counted(flow: Dataflow, source: Any, window: Window, rows: list[Any]) -> None:
    hits = flow.source(source).event_time("at", out_of_order=BOUND)
    results = hits.key_by("page").window(window).aggregate(n=count(), total=sum_("size"), all=collect("size"))
    results.sink(into(rows), name="rows")


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 10**6),
    records=st.integers(0, 150),
    frame_records=st.sampled_from([1, 3, 1024]),
    max_window=st.sampled_from([1, 5, 8192]),
    parts=st.integers(1, 3),
)
def test_answers_are_those_by_hand(
    window: Window, seed: int, records: int, frame_records: int, max_window: int, parts: int
) -> None:
    hits, rows = disordered(seed, records), list[Any]()
    flow = Dataflow("test", settings=Settings(frame_records=frame_records, max_window=max_window))
    items = {str(i): hits[i::parts] for i in range(parts)}
    counted(flow, ListSource(items, type=Hit, per_read=7), window, rows)
    result = flow.run()
    assert answer_of(rows) == by_hand(window, hits)
    assert result.late == result.in_flight == 0
    assert result.most_in_flight <= result.bound


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_answers_are_the_same_over_processes(processes: int) -> None:
    hits = disordered(7, 3000)
    got: list[list[Any]] = [[] for _ in WINDOWS]
    flow = Dataflow("spread")
    timed = flow.source(from_iterable(hits, type=Hit)).event_time("at", out_of_order=BOUND)
    for i, window in enumerate(WINDOWS):
        results = timed.key_by("page").window(window).aggregate(n=count(), total=sum_("size"), all=collect("size"))
        results.sink(into(got[i]), name=f"rows {i}")
    result = flow.run(processes=processes)
    for window, rows in zip(WINDOWS, got, strict=True):
        assert answer_of(rows) == by_hand(window, hits)
    assert result.late == 0


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_partitions_that_different_processes_read_make_one_event_time(tmp_path: Path, processes: int) -> None:
    hits = disordered(11, 2000)
    for part in range(3):
        lines = [msgspec.json.encode(hit) + b"\n" for hit in hits[part::3]]
        (tmp_path / f"{part}.jsonl").write_bytes(b"".join(lines))
    rows: list[Any] = []
    flow = Dataflow("parts")
    counted(flow, json_lines(f"{tmp_path}/*.jsonl", type=Hit), Sliding(30, every=10), rows)
    assert flow.run(processes=processes).late == 0
    assert answer_of(rows) == by_hand(Sliding(30, every=10), hits)


@pytest.mark.parametrize("frame_records", [1, 4, 1024])
@pytest.mark.parametrize("processes", [1, 2])
def test_late_records_are_the_same_whatever_the_frames_and_processes(frame_records: int, processes: int) -> None:
    """Records up to 60 late where 15 are promised: windows of 20 have been given when some of them come."""
    hits = disordered(3, 1000, 60)
    latest = -(10**9)
    over: list[Hit] = []
    kept: list[Hit] = []
    for hit in hits:
        window_end = hit.at - hit.at % 20 + 20
        (over if window_end <= latest - BOUND else kept).append(hit)
        latest = max(latest, hit.at)
    assert over
    rows: list[Any] = []
    late: list[Any] = []
    flow = Dataflow("late", settings=Settings(frame_records=frame_records))
    timed = flow.source(from_iterable(hits, type=Hit)).event_time("at", out_of_order=BOUND)
    windows = timed.key_by("page", parallelism=1).window(Tumbling(20))
    results = windows.aggregate(n=count(), total=sum_("size"), all=collect("size"))
    results.sink(into(rows), name="rows")
    results.late.sink(into(late), name="late")
    result = flow.run(processes=processes)
    assert sorted(late, key=lambda hit: hit.size) == over
    assert result.late == result["window"].late == len(over)
    assert f"{len(over)} records too late for their windows: window {len(over)}" in str(result)
    assert answer_of(rows) == by_hand(Tumbling(20), kept)


def test_late_records_within_the_allowed_lateness_give_results_anew(runner: Runner) -> None:
    hits = [Hit("a", 5, 1), Hit("a", 25, 2), Hit("a", 7, 3), Hit("a", 50, 4), Hit("a", 8, 5)]
    flow, sink = runner.flow(), runner.sink()
    timed = flow.source(runner.source(hits, type=Hit)).event_time("at")
    timed.key_by("page").window(Tumbling(10), allowed_lateness=20).aggregate(n=count()).sink(sink)
    assert flow.run().late == 1
    assert [(row.window_end, row.n) for row in sink.records] == [(10, 1), (10, 2), (30, 1), (60, 1)]


def test_results_have_a_time_for_the_next_windows(runner: Runner) -> None:
    hits = disordered(1, 300)
    flow, sink = runner.flow(), runner.sink()
    timed = flow.source(runner.source(hits, type=Hit)).event_time("at", out_of_order=BOUND)
    first = timed.key_by("page").window(Tumbling(10)).aggregate(n=count())
    first.key_by().window(Tumbling(40)).aggregate(n=sum_("n")).sink(sink)
    assert flow.run().late == 0
    totals: dict[int, int] = defaultdict(int)
    for hit in hits:
        totals[hit.at - hit.at % 40] += 1
    assert {row.window_start: row.n for row in sink.records} == totals


def longest(one: Hit, two: Hit) -> Hit:
    return max(one, two, key=lambda hit: hit.size)


@pytest.mark.parametrize("window", [*WINDOWS, Count(3)], ids=str)
def test_reduce_fold_and_process_see_the_same_windows(runner: Runner, window: Window) -> None:
    hits = disordered(5, 200)
    flow = runner.flow()
    reduced, folded, processed = runner.sink(), runner.sink(), runner.sink()
    timed = flow.source(runner.source(hits, type=Hit)).event_time("at", out_of_order=BOUND)
    windows = timed.key_by("page").window(window)
    windows.reduce(longest).sink(reduced, name="reduced")
    windows.fold(int, lambda total, hit: total + hit.size, combine=int.__add__).sink(folded, name="folded")

    def all_of(key: str, bounds: Bounds, mine: list[Hit]) -> Any:
        yield key, *bounds, [hit.size for hit in mine]

    windows.process(all_of).sink(processed, name="processed")
    flow.run()
    wanted = {(key, start, end): sizes for key, start, end, sizes in processed.records}
    if not isinstance(window, Count):
        assert {key: sorted(sizes) for key, sizes in wanted.items()} == {
            key: answer[2] for key, answer in by_hand(window, hits).items()
        }
    assert all(isinstance(row, WindowResult) for row in reduced.records + folded.records)
    largest = {(row.key, row.window_start, row.window_end): row.value.size for row in reduced.records}
    totals = {(row.key, row.window_start, row.window_end): row.value for row in folded.records}
    assert largest == {key: max(sizes) for key, sizes in wanted.items()}
    assert totals == {key: sum(sizes) for key, sizes in wanted.items()}


def test_windows_of_so_many_records_need_no_event_time(runner: Runner) -> None:
    rows = runner.through(range(7), lambda stream: stream.key_by().window(Count(3)).aggregate(all=collect()))
    assert [(row.window_start, row.window_end, row.all) for row in rows] == [
        (0, 3, [0, 1, 2]),
        (3, 6, [3, 4, 5]),
        (6, 7, [6]),
    ]


def test_days_of_a_calendar_are_as_long_as_they_are(runner: Runner) -> None:
    zurich = ZoneInfo("Europe/Zurich")
    first = datetime(2024, 3, 30, tzinfo=zurich)
    hours = [Moment(first.astimezone(UTC) + timedelta(hours=hour)) for hour in range(71)]
    flow, sink = runner.flow(), runner.sink()
    timed = flow.source(runner.source(hours, type=Moment)).event_time("at")
    timed.key_by().window(Tumbling("1d", zone="Europe/Zurich")).aggregate(hours=count()).sink(sink)
    flow.run()
    days = [datetime(2024, 3, day, tzinfo=zurich) for day in (30, 31)] + [datetime(2024, 4, 1, tzinfo=zurich)]
    assert [(row.window_start, row.hours) for row in sink.records] == list(zip(days, [24, 23, 24], strict=True))
    assert sink.records[0].window_start.tzinfo is zurich


def test_a_window_that_is_not_over_when_the_job_fails_gives_nothing(runner: Runner) -> None:
    flow, sink = runner.flow(), runner.sink()
    timed = flow.source(runner.source([1, 12, "x", 25])).event_time(lambda x: x)
    timed.key_by().window(Tumbling(10)).aggregate(n=count()).sink(sink)
    with pytest.raises(Exception, match="wanted an event time"):
        flow.run()
    assert [row.window_start for row in sink.records] in ([], [0])


def hits() -> Any:
    return Dataflow("test").source(ListSource([], type=Hit)).event_time("at").key_by("page")


REFUSED: list[tuple[Callable[[], Any], str]] = [
    (lambda: hits().window("10s"), "window wants Tumbling, Sliding, Session, Count or Global, got '10s'"),
    (lambda: hits().map(str).key_by().window(Tumbling(1)), "goes by event time, but where that stands"),
    (lambda: hits().window(Tumbling(1), allowed_lateness="-1s"), "window's allowed_lateness: wanted a duration"),
    (lambda: Tumbling(0), "Tumbling's size wants at least 1 ms, got 0"),
    (lambda: Tumbling("1h", zone="UTC"), "Tumbling with a zone is of whole days, not of '1h' from 0 on"),
    (lambda: Sliding(5, every=6), "windows of 5 every 6 leave gaps between them"),
    (lambda: Session("1us"), "Session's gap wants whole milliseconds, got '1us'"),
    (lambda: Count(0), "Count wants a number of records from 1, got 0"),
    (lambda: hits().window(Sliding(4, every=2)).fold(int, max), "but fold does not say how two states become one"),
    (
        lambda: hits().window(Session(4)).aggregate(n=custom(int, max, value="size")),
        "Session('4ms') makes windows of parts, but custom does not say how two states become one",
    ),
    (lambda: hits().window(Tumbling(4)).aggregate(), "aggregate has nothing to compute"),
    (lambda: hits().window(Tumbling(4)).aggregate(window_end=count()), "parts of the key and results share a name"),
    (lambda: hits().window(Tumbling(4)).process(3), "process wants a function, got 3"),
    (lambda: custom(int, max, combine=3), "custom wants a function as its combine, got 3"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("build", "said"), REFUSED)
def test_what_windows_refuse(build: Callable[[], Any], said: str) -> None:
    with pytest.raises(GraphError) as caught:
        build()
    assert said in str(caught.value)


def test_a_plan_shows_windows_and_late_records() -> None:
    results = hits().window(Sliding("10s", every="2s")).aggregate(n=count())
    results.sink(discard())
    results.late.sink(discard(), name="late")
    text = results._flow.explain()
    assert "window (count in Sliding('10s', every='2s') by page)" in text
    assert "late records, forward: at most" in text
    assert "|late|" in results._flow.to_mermaid() or '|"late"|' in results._flow.to_mermaid()
