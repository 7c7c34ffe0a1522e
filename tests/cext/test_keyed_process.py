"""A process driven by hand against a naive oracle: state, time-to-live, timers, failures; everything within credit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cext.channel import Channel
from cext.frame import end, watermark
from cext.getter import Getter
from cext.guard import Guard
from cext.instant import Instant
from cext.keyed_process import KeyedProcess as Head
from cext.port import Port
from cext.task import Task
from cext.window import Window
from engine import KeyedProcess, ListState, MapState, SideOutput, Tagged, Timer, Timers, ValueState

Row = tuple[str, int, tuple[tuple[Any, ...], ...]]
"""Key, time, and what is done."""

KEY, TIME = Getter(lambda row: row[0]), Instant(Getter(lambda row: row[1]))
TTL = 7


class Broken(Exception):
    pass


class Scripted(KeyedProcess[Row, Any]):
    """Does what its records say, and tells what it sees."""

    kept = ValueState[Any](0)
    aged = ValueState[Any](None, ttl=TTL)
    read = ValueState[Any](None, ttl=TTL, renewed_by="read")
    items = ListState[Any](ttl=TTL)
    plain = ListState[Any]()
    entries = MapState[Any, Any](ttl=TTL)
    aside = SideOutput[Any]()

    def on_record(self, record: Row) -> Iterator[Any]:
        assert (record[0], record[1]) == (self.key, self.time)
        for name, *arguments in record[2]:
            yield from getattr(self, name)(*arguments)

    def on_timer(self, timer: Timer) -> Iterator[Any]:
        assert (timer.key, timer.is_event_time) == (self.key, True)
        self.kept += 1
        yield ("timer", *timer[:2], self.kept, self.aged, list(self.items))
        self.items.append(timer.time)
        if timer.time % 5 == 0:
            self.event_timers.at(timer.time - 1)  # which is past
        if timer.time % 3 == 0:
            raise Broken

    def add(self) -> Iterator[Any]:
        self.kept += 1
        self.aged = (self.aged or 0) + 1
        self.read = (self.read or 0) + 1
        yield self.kept, self.aged, self.read

    def look(self) -> Iterator[Any]:
        yield self.kept, self.read, list(self.items), list(self.plain), dict(self.entries)

    def append(self, many: int) -> Iterator[Any]:
        self.items.extend(range(many))
        self.plain += range(many)
        yield len(self.items), self.plain[-1]

    def shorten(self, at: int) -> Iterator[Any]:
        yield len(self.items)
        if self.items:
            del self.items[at % len(self.items)]
        del self.plain[:at]
        self.plain.insert(at, "new")

    def enter(self, key: int) -> Iterator[Any]:
        self.entries[key] = self.entries.get(key, 0) + 1
        yield self.entries[key]

    def remove(self, key: int) -> Iterator[Any]:
        yield self.entries.pop(key, None)

    def forget(self) -> Iterator[Any]:
        del self.kept, self.aged, self.read
        self.items.clear()
        self.plain = []
        del self.entries
        yield from ()

    def timer(self, ahead: int) -> Iterator[Any]:
        yield self.event_timers.at(self.time + ahead)

    def cancel(self, ahead: int) -> Iterator[Any]:
        yield self.event_timers.cancel(self.time + ahead)

    def many(self, count: int) -> Iterator[Any]:
        for number in range(count):
            yield self.aside(number) if number % 2 else number

    def fail(self) -> Iterator[Any]:
        yield "before"
        raise Broken


class Oracle:
    """The same over plain lists of (what, when written), each of which is looked through whenever it is wanted."""

    def __init__(self) -> None:
        self.kept: dict[str, int] = defaultdict(int)
        self.aged: dict[tuple[str, str], list[tuple[Any, int]]] = defaultdict(list)
        self.plain: dict[str, list[Any]] = defaultdict(list)
        self.timers: set[tuple[int, str]] = set()
        self.watermark = self.now = -(10**9)
        self.out: list[Any] = []
        self.aside: list[Any] = []
        self.failures: list[Any] = []
        self.looked: set[tuple[str, str]] = set()
        self.order: list[tuple[int, str]] = []

    def alive(self, name: str) -> list[tuple[Any, int]]:
        self.looked.add((name, self.key))
        found = self.aged[name, self.key]
        found[:] = [each for each in found if each[1] + TTL > self.now]
        return found

    def value(self, name: str) -> Any:
        found = self.alive(name)
        if found and name == "read":
            found[0] = found[0][0], max(found[0][1], self.now)
        return found[0][0] if found else None

    def write(self, name: str, value: Any) -> None:
        found = self.alive(name)
        found[:] = [(value, max(self.now, *(at for _, at in found), self.now))]

    def extend(self, more: list[Any]) -> None:
        found = self.alive("items")
        last = found[-1][1] if found else self.now
        found += [(each, max(last, self.now)) for each in more]

    def run(self, key: str, time: int, now: int, work: Iterator[Any], what: Any) -> None:
        self.key, self.time, self.now = key, time, now
        before = deepcopy((self.kept, self.aged, self.plain, self.timers))
        self.looked = set()
        try:
            self.out.extend(work)
        except Broken:
            self.order = [each for each in self.order if each in before[3]] + list(before[3] - self.timers)
            self.kept, self.aged, self.plain, self.timers = before
            for name, _ in self.looked:
                self.alive(name)  # what is over is not brought back
            self.failures.append(what)

    def record(self, row: Row) -> None:
        self.run(row[0], row[1], max(row[1], self.watermark), self.script(row), row)
        self.advance(self.watermark)  # what was set for a time that is past

    def script(self, row: Row) -> Iterator[Any]:
        for name, *arguments in row[2]:
            yield from getattr(self, name)(*arguments)

    def advance(self, to: int) -> None:
        while due := sorted(each for each in self.timers if each[0] <= to):
            time, key = next(each for each in self.order if each in due and each[0] == due[0][0])
            self.order.remove((time, key))
            self.timers.remove((time, key))
            self.watermark = max(self.watermark, time)
            self.run(key, time, self.watermark, self.fire(time), Timer(key, time, True))
        self.watermark = max(self.watermark, to)

    def fire(self, time: int) -> Iterator[Any]:
        self.kept[self.key] += 1
        aged = self.value("aged")
        yield "timer", self.key, time, self.kept[self.key], aged, [each for each, _ in self.alive("items")]
        self.extend([time])
        if time % 5 == 0:
            self.set(time - 1)
        if time % 3 == 0:
            raise Broken

    def set(self, time: int) -> None:
        if (time, self.key) not in self.timers:
            self.timers.add((time, self.key))
            self.order.append((time, self.key))

    def add(self) -> Iterator[Any]:
        self.kept[self.key] += 1
        for name in ("aged", "read"):
            self.write(name, (self.value(name) or 0) + 1)
        yield self.kept[self.key], self.value("aged"), self.value("read")

    def look(self) -> Iterator[Any]:
        lists = [each for each, _ in self.alive("items")], list(self.plain[self.key])
        read = self.value("read")
        yield self.kept[self.key], read, *lists, {key: value for (key, value), _ in self.alive("entries")}

    def append(self, many: int) -> Iterator[Any]:
        self.extend(list(range(many)))
        self.plain[self.key] += range(many)
        yield len(self.alive("items")), self.plain[self.key][-1]

    def shorten(self, at: int) -> Iterator[Any]:
        items = self.alive("items")
        yield len(items)
        if items:
            del items[at % len(items)]
        del self.plain[self.key][:at]
        self.plain[self.key].insert(at, "new")

    def enter(self, key: int) -> Iterator[Any]:
        entries = self.alive("entries")
        last = max([self.now, *(at for _, at in entries)])
        old = [value for (each, value), _ in entries if each == key]
        entries[:] = [each for each in entries if each[0][0] != key]
        entries.append(((key, (old or [0])[0] + 1), last))
        yield (old or [0])[0] + 1

    def remove(self, key: int) -> Iterator[Any]:
        entries = self.alive("entries")
        old = [value for (each, value), _ in entries if each == key]
        entries[:] = [each for each in entries if each[0][0] != key]
        yield old[0] if old else None

    def forget(self) -> Iterator[Any]:
        self.kept[self.key] = 0
        self.plain[self.key] = []
        for name in ("aged", "read", "items", "entries"):
            self.aged[name, self.key] = []
        yield from ()

    def timer(self, ahead: int) -> Iterator[Any]:
        self.set(self.time + ahead)
        yield self.time + ahead

    def cancel(self, ahead: int) -> Iterator[Any]:
        there = (self.time + ahead, self.key) in self.timers
        if there:
            self.timers.remove((self.time + ahead, self.key))
            self.order.remove((self.time + ahead, self.key))
        yield there

    def many(self, count: int) -> Iterator[Any]:
        for number in range(count):
            if number % 2:
                self.aside.append(number)
            else:
                yield number

    def fail(self) -> Iterator[Any]:
        yield "before"
        raise Broken


small = st.integers(0, 4)
action = st.one_of(
    st.tuples(st.sampled_from(["add", "look", "forget"])),
    st.tuples(st.sampled_from(["enter", "remove", "timer", "shorten", "cancel"]), small),
    st.tuples(st.just("append"), st.integers(1, 3)),
    st.tuples(st.just("many"), st.integers(0, 9)),
    st.tuples(st.just("timer"), st.integers(-3, 20)),
    st.just(("fail",)),
)
actions = st.lists(action, min_size=1, max_size=4).map(tuple)
event = st.one_of(st.tuples(st.sampled_from("aab"), st.integers(0, 4), st.integers(0, 6), actions), st.integers(0, 12))


def scripts() -> st.SearchStrategy[list[Row | int]]:
    """Records up to 6 behind the latest, and watermarks, which some of them are behind."""

    def build(steps: list[Any]) -> list[Row | int]:
        latest, found = 0, list[Row | int]()
        for step in steps:
            if isinstance(step, int):
                found.append(latest - step)
            else:
                latest += step[1]
                found.append((step[0], latest - step[2], step[3]))
        return found

    return st.lists(event, max_size=25).map(build)


def channel(most: int = 1024) -> Channel:
    return Channel(Window(0.1, most, 2 * most), most)


class Driven:
    """A task around a process, whose outputs are taken up as soon as there is anything."""

    def __init__(self, process: KeyedProcess[Any, Any], most: int, mode: str = "fail", *, in_order: bool = False):
        self.lane, out, aside, letters = channel(), channel(most), channel(most), channel(most)
        self.outputs = (out, aside, letters)
        self.got: tuple[list[Any], list[Any], list[Any]] = ([], [], [])
        guard = Guard(mode, letter=lambda record, error: record)
        self.head = Head("process", guard, process, KEY, TIME, type(process)._states, Timers, Timer, in_order)
        ports = [[Port("forward", [each])] for each in self.outputs]
        self.task = Task("task", self.head, [self.lane], [], [ports[0]], ports[2], aside=[ports[1], ports[1]])
        self.most = most

    def give(self, event: Any) -> None:
        if isinstance(event, int):
            assert self.lane.push(watermark(event))
        else:
            self.lane.push_rows([event])

    def run(self) -> None:
        while self.task.run_until_idle(1):
            for source, into in zip(self.outputs, self.got, strict=True):
                for frame in iter(source.pop, None):
                    into.extend(frame.rows)
                    source.give_back(frame.records)
                assert source.in_flight <= self.most

    def end(self, *, whole: bool = True) -> None:
        assert self.lane.push(end(whole))
        self.run()
        assert self.task.done
        assert self.lane.in_flight == 0


@settings(deadline=None, max_examples=200)
@given(scripts(), st.integers(1, 3), st.booleans())
def test_it_does_what_the_oracle_does(script: list[Row | int], most: int, at_once: bool) -> None:
    driven, oracle = Driven(Scripted(), most, "dead-letter"), Oracle()
    latest = -(10**9)
    for event in script:
        driven.give(event)
        if not at_once:
            driven.run()
        if isinstance(event, int):
            latest = max(latest, event)
            oracle.advance(latest)
        else:
            oracle.record(event)
    driven.run()
    assert driven.got == (oracle.out, oracle.aside, oracle.failures)
    plain = {key: found for key, found in oracle.plain.items() if found}
    state = driven.head.state()
    assert {key: row["plain"] for key, row in state.items() if "plain" in row} == plain
    assert all(row for row in state.values())
    assert driven.head.process.event_timers.pending.count == len(oracle.timers)
    assert driven.lane.in_flight == 0


@settings(deadline=None, max_examples=30)
@given(scripts())
def test_what_is_over_goes_though_nobody_looks(script: list[Row | int]) -> None:
    driven = Driven(Scripted(), 50, "skip")
    for each in script:
        driven.give(each)
    driven.run()
    forever = {"kept", "plain"}
    before = {key: row.keys() & forever for key, row in driven.head.state().items() if row.keys() & forever}
    for step in range(100):
        driven.give(10_000 + 300 * step)  # sweeping is done in pieces, and timers write anew
        driven.run()
    after = {key: set(row) for key, row in driven.head.state().items()}
    assert before.keys() <= after.keys()
    assert all(row <= forever for row in after.values())
    assert driven.head.held == len(after)


@settings(deadline=None)
@given(scripts(), st.integers(1, 3))
def test_in_order_the_answer_is_that_of_sorted_records(script: list[Row | int], most: int) -> None:
    driven, oracle = Driven(Scripted(), most, "dead-letter", in_order=True), Oracle()
    reached = -(10**9)
    kept, late = list[Row](), list[Row]()
    for each in script:
        driven.give(each)
        if isinstance(each, int):
            reached = max(reached, each)
        else:
            (late if each[1] < reached else kept).append(each)
    driven.end()
    kept.sort(key=lambda row: row[1])
    for row in kept:
        oracle.advance(row[1])
        oracle.record(row)
    last = {key: max(time for time, each in oracle.timers if each == key) for _, key in oracle.timers}
    wanted = oracle.set
    oracle.set = lambda time: wanted(time) if time <= last.get(oracle.key, -(10**9)) else None  # type: ignore[method-assign]
    oracle.advance(10**9)
    assert driven.got[0] == oracle.out
    assert driven.got[2] == oracle.failures
    assert sorted(each for each in driven.got[1] if isinstance(each, tuple)) == sorted(late)
    assert [each for each in driven.got[1] if not isinstance(each, tuple)] == oracle.aside
    assert driven.head.late == len(late)


def test_the_state_of_a_failed_record_is_as_it_was() -> None:
    class Touching(KeyedProcess[Row, Any]):
        value = ValueState(0)
        made = ValueState[list[int]](factory=list)
        items = ListState[int](ttl=50)
        entries = MapState[int, int](ttl=50)

        def on_record(self, record: Row) -> None:
            self.value += 1
            if self.items:
                self.items.insert(0, 9)
            self.items.append(self.value)
            self.entries[self.value] = self.value
            self.entries[1] = 100 * self.value
            self.event_timers.after(record[1])
            if record[2]:
                self.event_timers.cancel(2 * 3)
                self.items.clear()
                self.items.append(7)
                del self.entries[1]
                self.made.append(1)
                raise Broken

    driven = Driven(Touching(), 10, "skip")
    ok, broken = ("a", 3, ()), ("a", 4, (1,))
    for each in (ok, ok):
        driven.give(each)
    driven.run()
    before = deepcopy(driven.head.state())
    assert before == {"a": {"value": 2, "items": [9, 1, 2], "entries": {1: 200, 2: 2}}}
    driven.give(broken)
    driven.give(("new", 4, (1,)))
    driven.run()
    assert driven.head.state() == before
    assert driven.head.process.event_timers.pending.count == 1
    assert driven.head.guard.skipped == 2
    driven.give(500)
    driven.run()
    assert driven.head.state() == {"a": {"value": 2}}


@pytest.mark.parametrize("whole", [True, False])
def test_at_the_end_of_a_whole_stream_a_timer_that_sets_itself_fires_up_to_the_last_one_set_before(whole: bool) -> None:
    class Ticking(KeyedProcess[Row, Any]):
        def on_record(self, record: Row) -> None:
            self.event_timers.after(10)
            self.event_timers.after(35)

        def on_timer(self, timer: Timer) -> list[Any]:
            self.event_timers.after(10)
            return [(timer.key, timer.time, self.at_end)]

    driven = Driven(Ticking(), 1)
    driven.give(("a", 0, ()))
    driven.give(("b", 100, ()))
    driven.give(10)
    driven.end(whole=whole)
    rest = [("a", time, True) for time in (20, 30, 35)] + [("b", time, True) for time in (110, 120, 130, 135)]
    assert driven.got[0] == [("a", 10, False), *(rest if whole else [])]


def test_what_it_had_in_hand_when_it_failed_counts_as_dropped() -> None:
    driven = Driven(Scripted(), 10)
    driven.lane.push_rows([("a", 1, (("add",),)), ("a", 2, (("add",), ("fail",))), ("a", 3, ())])
    driven.run()
    assert driven.got[0] == [(1, 1, 1), (2, 2, 2), "before"]
    assert isinstance(driven.task.take_failure(), Broken)
    driven.end()
    assert driven.task.dropped == 1  # the second one gave something


def test_state_and_timers_belong_to_a_key() -> None:
    process = Scripted()
    with pytest.raises(RuntimeError, match="state belongs to a key"):
        _ = process.kept
    with pytest.raises(RuntimeError, match="state belongs to a key"):
        process.kept = 1
    with pytest.raises(RuntimeError, match="state belongs to a key"):
        _ = process.items
    driven = Driven(process, 10)
    driven.give(("a", 1, (("add",),)))
    driven.run()
    with pytest.raises(RuntimeError, match="state belongs to a key"):
        len(process.items)
    with pytest.raises(RuntimeError, match="a timer belongs to a key"):
        process.event_timers.after("1s")
    assert isinstance(process.aside(3), Tagged)
