"""`top` and `distinct`: what sorting and sets give, in order, over windows, at the end and as updates."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.memory import collect as into
from connectors.memory import from_iterable
from engine import Dataflow, GraphError, OperatorError, Ranked, Session, Sliding, Tumbling, Window, count
from engine.testing import ManualClock
from tests.engine.helpers import ListSource, Nothing, Runner


class Hit(msgspec.Struct, frozen=True):
    page: str
    at: int
    size: float | None


def first(hits: list[Hit], most: int, smallest: bool) -> list[Hit]:
    """The greatest; `sorted` keeps the order of equals."""
    known = [hit for hit in hits if hit.size is not None and not math.isnan(hit.size)]
    return sorted(known, key=lambda hit: (hit.size or 0) * (1 if smallest else -1))[:most]


sizes = st.one_of(st.none(), st.just(math.nan), st.integers(-3, 3))
hits = st.lists(st.builds(Hit, st.sampled_from("aab"), st.integers(0, 60), sizes), max_size=30)


def by_page(mine: list[Hit]) -> dict[str, list[Hit]]:
    pages: dict[str, list[Hit]] = defaultdict(list)
    for hit in mine:
        pages[hit.page].append(hit)
    return pages


def places(rows: list[Any]) -> dict[str, list[Any]]:
    """Each key's rows in the order in which they came, as (place, record)."""
    found: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        found[row.key].append((row.rank, row.record))
    return found


@settings(deadline=None, max_examples=25)
@given(hits, st.integers(1, 4), st.booleans())
def test_the_greatest_of_a_key(mine: list[Hit], most: int, smallest: bool) -> None:
    flow, at_end, now = Dataflow("top"), list[Any](), list[Any]()
    pages = flow.source(from_iterable(mine, type=Hit)).key_by("page")
    pages.top(most, by="size", smallest=smallest).sink(into(at_end), name="at end")
    pages.top(most, by="size", smallest=smallest, emit="update").sink(into(now), name="now")
    flow.run()
    wanted = {page: first(its, most, smallest) for page, its in by_page(mine).items()}
    assert places(at_end) == {page: list(enumerate(best, 1)) for page, best in wanted.items() if best}
    standing: dict[Any, Any] = {}
    for row in now:
        assert standing.get((row.key, row.rank)) is not row.record  # nothing is told twice
        standing[row.key, row.rank] = row.record
    assert standing == {(page, place): hit for page, best in wanted.items() for place, hit in enumerate(best, 1)}


WINDOWS: list[Window] = [Tumbling(20), Sliding(30, every=10)]


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@settings(deadline=None, max_examples=12)
@given(hits, st.integers(1, 3))
def test_the_greatest_of_a_window(window: Any, mine: list[Hit], most: int) -> None:
    flow, rows, once = Dataflow("top"), list[Any](), list[Any]()
    windows = flow.source(from_iterable(mine, type=Hit)).event_time("at", out_of_order=60).key_by("page").window(window)
    windows.top(most, by="size").sink(into(rows), name="rows")
    windows.distinct(lambda hit: repr(hit.size)).sink(into(once), name="once")
    assert flow.run().late == 0
    every = getattr(window, "every", window.size)
    best, seen = dict[Any, list[Hit]](), list[Hit]()
    for page, its in by_page(mine).items():
        for start in range(-window.size, 70, every):
            inside = [hit for hit in its if start <= hit.at < start + window.size]
            best[page, start, start + window.size] = first(inside, most, False)
            kinds: dict[Any, Hit] = {}
            for hit in inside:
                kinds.setdefault(repr(hit.size), hit)
            seen += kinds.values()
    found: dict[Any, list[Any]] = defaultdict(list)
    for row in rows:
        found[row.key, row.window_start, row.window_end].append((row.rank, row.record))
    assert found == {key: list(enumerate(its, 1)) for key, its in best.items() if its}
    assert sorted(map(repr, once)) == sorted(map(repr, seen))


@pytest.mark.parametrize("processes", [1, 2])
def test_top_and_distinct_over_processes(processes: int) -> None:
    mine = [Hit("abcde"[number % 5], number, number * 7919 % 100) for number in range(1000)]
    flow, rows, once, words = Dataflow("spread"), list[Ranked[Hit]](), list[Hit](), list[Any]()
    times = flow.source(from_iterable(mine, type=Hit)).event_time("at")
    times.key_by("page").window(Tumbling(100)).top(3, by="size").sink(into(rows), name="rows")
    times.distinct("page", "size").sink(into(once), name="once")
    times.distinct(lambda hit: hit.size, within=40).sink(into(words), name="within")
    flow.run(processes=processes)
    assert len(rows) == 5 * 10 * 3
    for row in rows:
        inside = [hit for hit in mine if hit.page == row.key and row.window_start <= hit.at < row.window_end]
        assert row.record == first(inside, 3, False)[row.rank - 1]
    kinds: dict[Any, Hit] = {}
    for hit in mine:
        kinds.setdefault((hit.page, hit.size), hit)
    assert sorted(once, key=lambda hit: hit.at) == list(kinds.values())
    last: dict[Any, int] = {}
    for hit in mine:
        if hit.at - last.get(hit.size, -100) >= 40:
            last[hit.size] = hit.at
            assert hit in words


def test_rows_of_a_window_have_its_time(runner: Runner) -> None:
    flow, sink = runner.flow(), runner.sink()
    times = flow.source(runner.source([Hit("a", at, at) for at in range(0, 95, 3)], type=Hit)).event_time("at")
    best = times.key_by("page").window(Session(3)).top(1, by="size")
    best.key_by().window(Tumbling(10)).aggregate(n=count()).sink(sink)
    assert flow.run().late == 0
    assert [(row.window_start, row.n) for row in sink.records] == [(90, 1)]


def test_a_session_is_not_late_for_the_next_windows(runner: Runner) -> None:
    """It is over one ms later than it ends, as a record at its end would join it; and a mark may come between."""
    mine = [hit for at, page in ((10, "a"), (14, "b"), (15, "b")) for hit in (Hit(page, at, 0), Nothing())]
    flow, sink = runner.flow(), runner.sink()
    sessions = flow.source(runner.source(mine, type=Hit)).event_time("at").key_by("page").window(Session(4))
    sessions.aggregate(n=count()).key_by().window(Tumbling(1)).aggregate(n=count()).sink(sink)
    assert flow.run().late == 0
    assert [(row.window_start, row.n) for row in sink.records] == [(14, 1), (19, 1)]


def test_distinct_records_and_distinct_parts(runner: Runner) -> None:
    words = ["weir", "dam", "weir", "dike", "dam"]
    assert runner.through(words, lambda stream: stream.distinct()) == ["weir", "dam", "dike"]
    assert runner.through(words, lambda stream: stream.distinct(len)) == ["weir", "dam"]
    assert runner.through(words, lambda stream: stream.distinct(lambda word: word[0])) == ["weir", "dam"]


def test_what_is_distinct_is_forgotten_as_time_passes(runner: Runner) -> None:
    flow, sink = runner.flow(), runner.sink()
    times = flow.source(runner.source([Hit("a", at, 0) for at in (0, 5, 10, 14, 30)], type=Hit)).event_time("at")
    times.distinct("page", within=10).sink(sink)
    result = flow.run()
    assert [hit.at for hit in sink.records] == [0, 10, 30]
    assert result["distinct"].held == 0


def test_what_is_distinct_within_a_time_of_the_clock() -> None:
    clock, rows = ManualClock(), list[Any]()
    flow = Dataflow("clock")
    flow.source(ListSource(["a", "b", "a"])).processing_time().distinct(within="1h").sink(into(rows))
    flow.run(clock=clock)
    assert rows == ["a", "b"]


@pytest.mark.parametrize("way", ["end", "update", "window"])
def test_a_record_that_has_no_place_is_its_own_fault(runner: Runner, way: Any) -> None:
    def size(hit: Hit) -> float:
        return 6 / (hit.size or 0)

    def best(on_error: Any) -> tuple[Dataflow, Any]:
        flow, sink = runner.flow(on_error=on_error), runner.sink()
        mine = [Hit("a", at, at - 2) for at in range(5)]
        pages = flow.source(runner.source(mine, type=Hit)).event_time("at").key_by("page")
        rows: Any = pages.window(Tumbling(9)).top(1, by=size) if way == "window" else pages.top(1, by=size, emit=way)
        rows.sink(sink)
        return flow, sink

    with pytest.raises(OperatorError, match=r"test_ranking.py:\d+\) failed in .*size.*ZeroDivisionError.*at=2"):
        best("fail")[0].run()
    flow, sink = best("skip")
    assert flow.run().skipped == 1
    assert sink.records[-1].record == Hit("a", 3, 1)


@pytest.mark.parametrize("operator", ["top", "distinct"])
def test_two_of_one_kind_have_names_of_their_own(operator: str) -> None:
    flow = Dataflow("twice")
    stream = flow.source(ListSource([1]))
    for number in range(2):
        rows: Any = stream.key_by().top(1, by=int) if operator == "top" else stream.distinct()
        rows.sink(into([]), name=f"rows {number}")
    names = [each.name for each in flow.run().operators]
    assert {operator, f"{operator}-2"} <= set(names)


def pages() -> Any:
    return Dataflow("test").source(ListSource([], type=Hit)).event_time("at")


REFUSED: list[tuple[Callable[[], Any], str]] = [
    (lambda: pages().key_by("page").top(0, by="size"), "top keeps at least 1 record, asked for 0"),
    (lambda: pages().key_by("page").top(3, by="sise"), "top wants the field 'sise', which Hit has not"),
    (lambda: pages().key_by("page").top(3, by=7), "top wants a field's name or a function, got 7"),
    (lambda: pages().key_by("page").top(3, by="size", emit="now"), 'emit is "end" or "update", not \'now\''),
    (lambda: pages().key_by("page").window(Tumbling(5)).top(3, by="sise"), "did you mean 'size'"),
    (lambda: pages().distinct("sise"), "distinct wants the field 'sise', which Hit has not"),
    (lambda: pages().distinct(within=0), "distinct's within wants at least 1 ms, got 0"),
    (lambda: pages().map(str).distinct(within=5), "distinct goes by event time, but where that stands"),
    (lambda: pages().key_by("page").window(Tumbling(5)).distinct(3), "distinct wants field names and functions, got 3"),
    (lambda: pages().top(3, by="size"), "it is for each key: write .key_by(...).top(...)"),
]


@pytest.mark.parametrize(("build", "said"), REFUSED)
def test_what_top_and_distinct_refuse(build: Callable[[], Any], said: str) -> None:
    with pytest.raises((GraphError, AttributeError)) as caught:
        build()
    assert said in str(caught.value)
