"""KeyedProcess in flows: the same answer whatever the frames and the processes; errors, ends, clocks and refusals."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random
from threading import Event
from typing import Any

import msgspec
import pytest

from connectors.memory import collect as into
from connectors.memory import discard, from_iterable
from engine import (
    Dataflow,
    DeadLetter,
    GraphError,
    JobError,
    KeyedProcess,
    ListState,
    MapState,
    OperatorError,
    Settings,
    SideOutput,
    Tagged,
    Timer,
    ValueState,
)
from engine.testing import ManualClock
from tests.engine.helpers import ListSource, Nothing, Raise, Runner

GAP = 20
BOUND = 15


class Click(msgspec.Struct, frozen=True):
    user: str
    at: int


class Visit(msgspec.Struct, frozen=True):
    user: str
    begin: int
    clicks: int


class Visits(KeyedProcess[Click, Visit]):
    """Clicks that are less than GAP apart are a visit; more than nobody makes go aside."""

    begin = ValueState(0)
    clicks = ListState[Click]()
    due = ValueState(0)
    odd = SideOutput(Click)

    def on_record(self, click: Click) -> Iterator[Tagged]:
        if not self.clicks:
            self.begin = self.time
        self.clicks.append(click)
        self.event_timers.cancel(self.due)
        self.due = self.event_timers.after(GAP)
        if len(self.clicks) > 3:
            yield self.odd(click)

    def on_timer(self, timer: Timer) -> Iterator[Visit]:
        yield Visit(timer.key, self.begin, len(self.clicks))
        del self.begin, self.clicks, self.due


def clicks(count: int, seed: int = 1) -> list[Click]:
    random = Random(seed)
    times = [n * 2 - random.randrange(BOUND) for n in range(count)]
    return [Click(random.choice("aaabcdefgh"), time) for time in times]


def visits_of(found: list[Click]) -> tuple[list[Visit], list[Click]]:
    visits, odd = [], []
    for user in sorted({click.user for click in found}):
        mine: list[Click] = []
        for click in [*sorted((each for each in found if each.user == user), key=lambda each: each.at), None]:
            if mine and (click is None or click.at >= mine[-1].at + GAP):
                visits.append(Visit(user, mine[0].at, len(mine)))
                mine = []
            if click is not None:
                mine.append(click)
                odd += [click] if len(mine) > 3 else []
    return visits, odd


def by_user(rows: list[Any]) -> list[Any]:
    return sorted(rows, key=msgspec.structs.astuple)


@pytest.mark.parametrize("processes", [None, 2, 3])
def test_the_answer_is_the_same_whatever_the_processes(processes: int | None) -> None:
    given = clicks(600)
    visits, odd = list[Visit](), list[Click]()
    flow = Dataflow("visits", settings=Settings(max_window=50, frame_records=7))
    timed = flow.source(from_iterable(given, type=Click)).event_time("at", out_of_order=BOUND)
    results = timed.key_by("user").process(Visits, in_order=True)
    results.sink(into(visits), name="visits")
    results.side(Visits.odd).map(lambda click: click, type=Click).sink(into(odd), name="odd")
    results.late.sink(discard(), name="late")
    if processes:
        assert "pickles" not in flow.explain(processes=processes)
    result = flow.run(processes=processes)
    wanted = visits_of(given)
    assert (by_user(visits), by_user(odd)) == (by_user(wanted[0]), by_user(wanted[1]))
    assert result.late == result.in_flight == 0
    assert result["process Visits"].held == 0


@pytest.mark.parametrize("window", [1, 3, 100])
def test_a_result_larger_than_all_credit_leaves_as_there_is_some(window: int, runner: Runner) -> None:
    class Many(KeyedProcess[int, int]):
        side = SideOutput(int)

        def on_record(self, number: int) -> Iterator[int | Tagged]:
            for each in range(500):
                yield each if each % 3 else self.side(each)

    flow = runner.flow(settings=Settings(max_window=window))
    out, side = runner.sink(), runner.sink()
    results = flow.source(runner.source([1, 2])).key_by().process(Many)
    results.sink(out, name="out")
    results.side(Many.side).sink(side, name="side")
    result = flow.run()
    assert out.records == 2 * [each for each in range(500) if each % 3]
    assert side.records == 2 * list(range(0, 500, 3))
    assert result.most_in_flight <= result.bound


# Errors.


class Checked(KeyedProcess[int, Any]):
    seen = ValueState(0)

    def on_record(self, number: int) -> Iterator[Any]:
        self.seen += 1
        self.event_timers.at(100 + number)
        yield self.seen
        if number == 2:
            raise LookupError(f"no {number} here")

    def on_timer(self, timer: Timer) -> Any:
        if timer.time == 103:
            raise LookupError("not now")
        return [("timer", timer.time)]


def checked(on_error: Any, numbers: list[int]) -> tuple[list[Any], list[DeadLetter], Any]:
    out, letters = list[Any](), list[DeadLetter]()
    flow = Dataflow("checked")
    timed = flow.source(from_iterable(numbers)).event_time(lambda number: number)
    timed.key_by().process(Checked, name="op", on_error=on_error).sink(into(out), name="out")
    if on_error == "dead-letter":
        flow.dead_letters.sink(into(letters), name="letters")
    return out, letters, flow


def test_skip_and_dead_letter_take_back_what_the_record_changed() -> None:
    wanted = [1, 2, 2, 3, ("timer", 101), ("timer", 104)]
    for on_error in ("skip", "dead-letter"):
        out, letters, flow = checked(on_error, [1, 2, 3, 4])
        result = flow.run()
        assert out == wanted, on_error
        assert result["op"].skipped + result["op"].dead_letters == 2
    records = [letter.record for letter in letters]
    assert records == [2, Timer((), 103, is_event_time=True)]
    assert [(letter.operator, letter.error) for letter in letters] == [
        ("op", "LookupError: no 2 here"),
        ("op", "LookupError: not now"),
    ]


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ([1, 2, 3], r"operator 'op' \(.*\) failed in on_record \(.*\): LookupError: no 2 here; the record was 2"),
        ([1, 3], r"failed in on_timer .*: LookupError: not now; the record was Timer\(key=\(\), time=103, is_event"),
    ],
)
def test_a_failure_names_the_method_and_what_it_was_called_with(numbers: list[int], message: str) -> None:
    out, _, flow = checked("fail", numbers)
    with pytest.raises(OperatorError, match=message) as caught:
        flow.run()
    assert out == ([1, 2] if 2 in numbers else [1, 2, ("timer", 101)])
    assert isinstance(caught.value.__cause__, LookupError)


@pytest.mark.parametrize("given", [7, "text"])
def test_what_is_no_iterable_is_refused(given: Any) -> None:
    class Wrong(KeyedProcess[int, Any]):
        def on_record(self, number: int) -> Any:
            return given

    flow = Dataflow("wrong")
    flow.source(from_iterable([1])).key_by().process(Wrong).sink(discard())
    with pytest.raises(OperatorError, match=r"on_record \(.*wanted results in a list, or yielded, or None; got"):
        flow.run()


def test_what_needs_event_time_or_a_method_says_so() -> None:
    class Untimed(KeyedProcess[int, Any]):
        def on_record(self, number: int) -> None:
            if number == 1:
                self.event_timers.after("1s")
            if number == 2:
                _ = self.time
            assert not self.is_late
            self.processing_timers.at(0)

    for number, message in (
        (1, r"no event time: write .event_time\(...\) before key_by, or use processing_timers"),
        (2, r"no event time: write .event_time"),
        (3, "Untimed has set a timer, but has no on_timer"),
    ):
        flow = Dataflow("untimed")
        items = [number, *[Nothing()] * 3, 4]
        flow.source(ListSource(items)).key_by().process(Untimed).sink(discard())
        with pytest.raises(OperatorError, match=message):
            flow.run()


def test_a_cut_stream_fires_no_timer() -> None:
    out = list[Visit]()
    flow = Dataflow("cut")
    items = [Click("a", 1), Raise(OSError("gone"))]
    timed = flow.source(ListSource(items, type=Click)).event_time("at")
    timed.key_by("user").process(Visits).sink(into(out))
    with pytest.raises(JobError):
        flow.run()
    assert out == []


def test_records_that_come_too_late_go_aside_in_order_and_are_given_without() -> None:
    class Seen(KeyedProcess[int, Any]):
        def on_record(self, number: int) -> Iterator[Any]:
            yield number, self.is_late

    for in_order, wanted, over in (
        (True, [(1, False), (9, False)], [3]),
        (False, [(1, False), (9, False), (3, True)], []),
    ):
        got, late = list[Any](), list[int]()
        flow = Dataflow("late", settings=Settings(frame_records=1))
        timed = flow.source(from_iterable([1, 9, 3])).event_time(int)
        results = timed.key_by().process(Seen, in_order=in_order)
        results.sink(into(got), name="got")
        results.late.sink(into(late), name="late")
        assert flow.run().late == len(over)
        assert (got, late) == (wanted, over)


# Processing time, by a clock that is moved by hand.


class Reminded(KeyedProcess[str, Any]):
    """Tells of a word once nothing has come for a while."""

    word = ValueState("", ttl="1m")
    count = MapState[str, int](ttl="10s", renewed_by="read")

    def on_record(self, word: str) -> None:
        self.word = word
        self.count[word] = self.count.get(word, 0) + 1
        self.processing_timers.after("5s")

    def on_timer(self, timer: Timer) -> list[Any]:
        assert not timer.is_event_time
        return [(timer.time, self.now, self.word, dict(self.count))]


def test_timers_and_time_to_live_by_the_clock() -> None:
    clock, out, held = ManualClock(1_000), list[Any](), list[int]()

    started = Event()

    def words() -> Iterator[Any]:
        assert started.wait(10)
        yield "one"
        yield from until(lambda: metrics().records_in == 1)
        clock.advance("4s")
        yield "one"
        yield from until(lambda: metrics().records_in == 2)
        clock.set(6_000)
        yield from until(lambda: len(out) == 1)
        clock.set(20_000)
        yield from until(lambda: len(out) == 2)
        held.append(metrics().held)
        clock.advance("2m")  # and nobody looks
        yield from until(lambda: metrics().held == 0)
        yield "last"  # whose timer never fires, since the stream ends

    def until(ready: Any) -> Iterator[Nothing]:
        while not ready():
            yield Nothing()

    def metrics() -> Any:
        return job.metrics()["reminded"]

    flow = Dataflow("reminded")
    source = ListSource(words, type=str, poll_after=0.002)
    flow.source(source).key_by().process(Reminded, name="reminded").sink(into(out))
    with flow.start(clock=clock) as job:
        started.set()
        job.wait(60)
    assert out == [(6_000, 6_000, "one", {"one": 2}), (10_000, 20_000, "one", {})]
    assert held == [1]


def test_stateful_map_forgets_what_was_not_written_for_so_long() -> None:
    def number(last: int | None, at: int) -> tuple[int | None, tuple[int, int]]:
        return (last or 0) + 1 if at != 12 else None, (at, last or 0)

    out = list[Any]()
    flow = Dataflow("ageing")
    timed = flow.source(from_iterable([1, 5, 10, 20, 25, 12, 31])).event_time(int, out_of_order=100)
    timed.key_by().stateful_map(number, initial=lambda: 0, ttl=10).sink(into(out))
    result = flow.run()
    assert out == [(1, 0), (5, 1), (10, 2), (20, 0), (25, 1), (12, 2), (31, 0)]
    assert result["stateful_map number"].held == 1  # what was written at 31, with which another run could go on

    flow = Dataflow("wrong")
    flow.source(from_iterable([1])).key_by().stateful_map(wrong(lambda state, x: x), ttl="1s").sink(discard())
    with pytest.raises(OperatorError, match=r"wanted a pair \(new state, record\) from the function, got 1"):
        flow.run()


def test_timers_take_datetimes() -> None:
    class Once(KeyedProcess[int, int]):
        def on_record(self, time: int) -> None:
            self.event_timers.at(datetime(1970, 1, 1, 0, 0, 5, tzinfo=UTC))
            assert self.event_timers.cancel(datetime(1970, 1, 1, 0, 0, 5, tzinfo=UTC))
            assert self.event_timers.at(datetime(1970, 1, 1, 0, 0, 6, tzinfo=UTC)) == 6000

        def on_timer(self, timer: Timer) -> list[int]:
            return [timer.time]

    out = list[int]()
    flow = Dataflow("datetimes")
    flow.source(from_iterable([1, 2])).event_time(int).key_by().process(Once).sink(into(out))
    flow.run()
    assert out == [6000]


# Classes.


def test_classes_inherit_state_and_side_outputs() -> None:
    class First(KeyedProcess[int, Any]):
        one = ValueState(1)
        odd = SideOutput[int]()

    class Second(KeyedProcess[int, Any]):
        two = ValueState(2)

    class Both(Second, First):
        three = ValueState[list[int]](factory=list)

        def on_record(self, number: int) -> Iterator[Any]:
            self.one += 1
            self.two += 1
            self.three.append(number)
            yield self.one, self.two, list(self.three)
            yield self.odd(number)

    out, odd = list[Any](), list[int]()
    flow = Dataflow("both")
    results = flow.source(from_iterable([5, 6])).key_by().process(Both)
    results.sink(into(out), name="out")
    results.side(First.odd).sink(into(odd), name="odd")
    assert results.side(Both.odd).type is int
    flow.graph.validate()
    flow.run()
    assert out == [(2, 3, [5]), (3, 4, [5, 6])]
    assert odd == [5, 6]


def test_states_travel_with_a_class_that_goes_by_value() -> None:
    class Travelling(KeyedProcess[int, Any]):
        one = ValueState(1, ttl="1h", renewed_by="read")
        made = ValueState[list[int]](factory=list)
        many = ListState[int](ttl=5)
        each = MapState[int, int]()

    states: list[Any] = [Travelling.one, Travelling.made, Travelling.many, Travelling.each]
    there = pickle.loads(pickle.dumps(states))
    assert [type(state) for state in there] == [ValueState, ValueState, ListState, MapState]
    facts = [(state.name, state.index, state.ttl, state.renews) for state in there]
    assert facts == [(state.name, state.index, state.ttl, state.renews) for state in states]
    assert facts[0] == ("one", 0, 3_600_000, True)
    assert (there[0].default, there[1].factory) == (1, list)


def test_the_type_of_results_is_what_the_class_says() -> None:
    stream = Dataflow("types").source(from_iterable([Click("a", 1)], type=Click)).key_by("user")
    assert stream.process(Visits).type is Visit

    class Sub(Visits):
        pass

    assert stream.process(Sub).type is Visit
    assert stream.process(wrong(Sub), type=Click).type is Click

    class Unsaid(KeyedProcess):  # type: ignore[type-arg]
        def on_record(self, record: Any) -> None:
            pass

    assert stream.process(Unsaid).type is None


def wrong(value: Any) -> Any:
    return value


def test_refusals() -> None:
    line = r"test_keyed_process\.py:\d+"
    stream = Dataflow("refused").source(from_iterable([1])).key_by()

    class Empty(KeyedProcess[int, int]):
        pass

    class Wanting(Visits):
        def __init__(self, size: int) -> None:
            self.size = size

    class Other(KeyedProcess[int, int]):
        other = SideOutput(int)

    class Async(KeyedProcess[int, int]):
        async def on_record(self, number: int) -> None:  # type: ignore[override]
            pass

    for given, message in (
        (Visits(), f"{line}: process wants a class or a function that makes a process, .* got a Visits"),
        (7, f"{line}: process wants a KeyedProcess, got 7"),
        (dict, f"{line}: process wants a KeyedProcess, got dict"),
        (lambda: 7, f"{line}: process wants a KeyedProcess, got int"),
        (Empty, f"{line}: Empty has no on_record"),
        (Wanting, f"{line}: process cannot make its process: .*missing 1 required positional argument: 'size'"),
        (Async, f"{line}: process awaits nothing, but on_record is async"),
    ):
        with pytest.raises(GraphError, match=message):
            stream.process(wrong(given))
    with pytest.raises(GraphError, match=f"{line}: in_order goes by event time, but where that stands"):
        stream.process(wrong(Visits), in_order=True)
    with pytest.raises(GraphError, match=f"{line}: Visits has no side output 'other'"):
        stream.process(wrong(Visits)).side(Other.other)
    with pytest.raises(GraphError, match=rf"{line}: ValueState\(\[\]\) would be one list for all keys"):
        ValueState([])
    with pytest.raises(GraphError, match=f"{line}: ListState's ttl: wanted a duration"):
        ListState[int](ttl="soon")
    with pytest.raises(GraphError, match=f"{line}: MapState's ttl wants at least 1 ms"):
        MapState[int, int](ttl=0)
    with pytest.raises(GraphError, match=f'{line}: renewed_by is "write" or "read", not \'look\''):
        ValueState(0, ttl=1, renewed_by=wrong("look"))
    with pytest.raises(GraphError, match=f"{line}: ValueState's factory is a function"):
        ValueState(factory=wrong(0))
    with pytest.raises(GraphError, match=f"{line}: Taking.key takes the place of what every KeyedProcess has"):
        type("Taking", (KeyedProcess,), {"key": ValueState(0)})
    with pytest.raises(GraphError, match=f"{line}: stateful_map's ttl wants at least 1 ms"):
        stream.stateful_map(lambda state, x: (state, x), ttl=0)
    with pytest.raises(AttributeError, match=r"it is for each key: write \.key_by"):
        wrong(Dataflow("f").source(from_iterable([1]))).process(Visits)


def test_timers_fire_as_event_time_comes_though_another_is_made_behind() -> None:
    """What makes event time anew of the results is in the same task; the process goes by that of its records."""
    out = list[int]()

    def times() -> Iterator[Any]:
        yield from (1, 50)
        while not out:
            yield Nothing()

    class Once(KeyedProcess[int, int]):
        def on_record(self, time: int) -> None:
            self.event_timers.after(10)

        def on_timer(self, timer: Timer) -> list[int]:
            return [timer.time]

    flow = Dataflow("anew")
    made = flow.source(ListSource(times, type=int, poll_after=0.002)).event_time(int).key_by().process(Once)
    made.event_time(int, out_of_order=5).sink(into(out))
    with flow.start() as job:
        job.wait(20)
    assert out == [11, 60]
