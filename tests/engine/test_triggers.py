"""Windows that never end, in flows: what triggers say, over any number of processes; and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from connectors.memory import collect as into
from connectors.memory import from_iterable
from engine import (
    Bounds,
    Count,
    Dataflow,
    Global,
    GraphError,
    OperatorError,
    Trigger,
    WindowResult,
    collect,
    count,
    custom,
)
from engine.testing import ManualClock
from tests.engine.helpers import TIGHT, ListSource, Runner


class Hit(msgspec.Struct, frozen=True):
    page: str
    at: int
    last: bool = False


def is_last(hit: Hit) -> bool:
    return hit.last


HITS = [Hit("ab"[number % 3 == 0], number, number % 10 == 9) for number in range(200)]


def of(page: str, *, purge: bool, every: int) -> list[tuple[int, int, list[int]]]:
    """What a page's records by number and `last` come to."""
    mine = [hit for hit in HITS if hit.page == page]
    found, given = [], 0
    for number, hit in enumerate(mine, 1):
        if number - given == every or hit.last or number == len(mine):
            start = given if purge else 0
            found.append((start, number, [each.at for each in mine[start:number]]))
            given = number
    return found


@pytest.mark.parametrize(("processes", "purge"), [(1, True), (1, False), (2, True), (3, False)])
def test_by_number_or_by_a_record_whichever_comes_first(processes: int, purge: bool) -> None:
    rows: list[Any] = []
    flow = Dataflow("triggered")
    window = Global(Trigger(records=8) | Trigger(when=is_last), purge=purge)
    flow.source(from_iterable(HITS, type=Hit)).key_by("page").window(window).aggregate(all=collect("at")).sink(
        into(rows)
    )
    flow.run(processes=processes)
    for page in "ab":
        mine = [(row.window_start, row.window_end, row.all) for row in rows if row.page == page]
        assert mine == of(page, purge=purge, every=8)


def test_so_many_records_and_no_more_are_what_count_gives(runner: Runner) -> None:
    flow, counted, purged = runner.flow(), runner.sink(), runner.sink()
    pages = flow.source(runner.source(HITS, type=Hit)).key_by("page")
    pages.window(Count(7)).aggregate(all=collect("at")).sink(counted, name="counted")
    pages.window(Global(Trigger(records=7), purge=True)).aggregate(all=collect("at")).sink(purged, name="purged")
    flow.run()
    assert list(map(msgspec.structs.astuple, counted.records)) == list(map(msgspec.structs.astuple, purged.records))


def test_event_time_makes_running_totals(runner: Runner) -> None:
    flow, sink = runner.flow(settings=TIGHT), runner.sink()
    times = flow.source(runner.source([Hit("a", at) for at in (1, 5, 12, 13, 30)], type=Hit)).event_time("at")
    times.key_by("page").window(Global(Trigger(event_time=10))).aggregate(n=count()).sink(sink)
    flow.run()
    totals = [row.n for row in sink.records]
    assert totals == sorted(set(totals))  # how often event time is told depends on the machine
    assert totals[-1] == 5


def test_the_clock_makes_totals_of_what_is_new() -> None:
    clock, rows = ManualClock(), list[Any]()

    def arriving() -> Any:
        for at, page in ((1, "a"), (2, "b"), (12, "a"), (25, "a"), (31, "b")):
            clock.set(at)
            yield page

    flow = Dataflow("totals", settings=TIGHT)
    pages = flow.source(ListSource(arriving, type=str)).key_by(page=lambda page: page)
    pages.window(Global(Trigger(processing_time=10))).aggregate(n=count()).sink(into(rows))
    flow.run(clock=clock)
    assert [(row.page, row.n) for row in rows] == [("a", 1), ("b", 1), ("a", 2), ("a", 3), ("b", 2)]


def test_reduce_fold_and_process_over_triggers(runner: Runner) -> None:
    flow = runner.flow()
    sinks = [runner.sink() for _ in range(3)]
    windows = flow.source(runner.source(range(5), type=int)).key_by().window(Global(Trigger(records=2), purge=True))
    windows.reduce(lambda one, two: one + two).sink(sinks[0], name="reduced")
    windows.fold(list, lambda state, each: [*state, each]).sink(sinks[1], name="folded")

    def given(key: object, bounds: Bounds, numbers: list[int]) -> Any:
        yield bounds, numbers

    windows.process(given).sink(sinks[2], name="processed")
    flow.run()
    assert sinks[0].records == [WindowResult((), 0, 2, 1), WindowResult((), 2, 4, 5), WindowResult((), 4, 5, 4)]
    assert [row.value for row in sinks[1].records] == [[0, 1], [2, 3], [4]]
    assert sinks[2].records == [((0, 2), [0, 1]), ((2, 4), [2, 3]), ((4, 5), [4])]


@pytest.mark.parametrize("on_error", ["fail", "skip", "dead-letter"])
def test_a_record_that_when_cannot_judge_is_left_out(runner: Runner, on_error: Any) -> None:
    def is_odd(each: Any) -> bool:
        return bool(each % 2)

    flow, sink, letters = runner.flow(), runner.sink(), runner.sink()
    windows = flow.source(runner.source([2, "x", 4, 5])).key_by().window(Global(Trigger(when=is_odd)))
    windows.aggregate(all=collect(), name="odd", on_error=on_error).sink(sink)
    if on_error == "fail":
        with pytest.raises(
            OperatorError, match=r"operator 'odd' .* in .*is_odd .*not all arguments.*the record was 'x'"
        ):
            flow.run()
        return
    if on_error == "dead-letter":
        flow.dead_letters.sink(letters, name="letters")
    result = flow.run()
    assert [row.all for row in sink.records] == [[2, 4, 5]]
    assert (result.skipped, result.dead_letters) == ((1, 0) if on_error == "skip" else (0, 1))


def numbers() -> Any:
    return Dataflow("test").source(ListSource([], type=int)).key_by()


REFUSED: list[tuple[Callable[[], Any], str]] = [
    (Trigger, "a Trigger says when results are given"),
    (lambda: Trigger(records=0), "Trigger wants a number of records of at least 1, got 0"),
    (lambda: Trigger(event_time=0), "Trigger's event_time wants at least 1 ms, got 0"),
    (lambda: Trigger(processing_time="soon"), "Trigger's processing_time: wanted a duration"),
    (lambda: Trigger(when=3), "Trigger's when wants a function, got 3"),  # type: ignore[arg-type]
    (lambda: Global(3), "Global wants a Trigger, got 3"),  # type: ignore[arg-type]
    (
        lambda: Trigger(records=1) | Trigger(records=2, event_time="1s"),
        "Trigger(records=1) and Trigger(records=2, event_time='1s') both say records=",
    ),
    (
        lambda: numbers().window(Global(Trigger(records=3, event_time="1m"))),
        "Global(Trigger(records=3, event_time='1m')) goes by event time, which this stream has none of",
    ),
    (
        lambda: numbers().window(Global(Trigger(records=3)), allowed_lateness=1),
        "allowed_lateness is for event time: for Global(Trigger(records=3)) nothing comes too late here",
    ),
]


@pytest.mark.parametrize(("build", "said"), REFUSED)
def test_what_triggers_refuse(build: Callable[[], Any], said: str) -> None:
    with pytest.raises(GraphError) as caught:
        build()
    assert said in str(caught.value)
    assert "test_triggers.py:" in str(caught.value)


def test_what_cannot_be_combined_may_be_triggered() -> None:
    numbers().window(Global(Trigger(records=3))).aggregate(n=custom(int, lambda total, _: total))
    with pytest.raises(TypeError):
        Trigger(records=1) | 3  # type: ignore[operator]
