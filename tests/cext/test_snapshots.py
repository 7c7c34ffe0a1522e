"""Every piece that has state, stopped at any barrier: those that go on from it do what it would have done."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from itertools import count
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cext
import engine
from cext.asof_join import AsOfJoin
from cext.chain import Operator, Running, StatefulMap
from cext.channel import Channel
from cext.columns import Collect, Count, Custom, Distinct, Greatest, Least, Mean, Sum, Top
from cext.combining import Combine, Combining
from cext.deduplicate import Deduplicate
from cext.frame import barrier, end, idle, watermark
from cext.getter import Getter
from cext.groups import Groups
from cext.guard import Guard
from cext.head import Aggregate, Head, Pass
from cext.instant import Arrival, Instant
from cext.interval_join import IntervalJoin
from cext.joined import Joined, Joins
from cext.keyed_process import KeyedProcess as ProcessHead
from cext.merging import KeyPart, MergingPanes, Partials
from cext.operator_state import OperatorState
from cext.panes import Grid, Panes
from cext.partition import key_group, owner
from cext.port import Port
from cext.session_join import SessionJoin
from cext.sessions import Sessions
from cext.stream_lookup import StreamLookup
from cext.task import Task
from cext.triggered import Triggered
from cext.window import Window
from cext.window_join import Rows, WindowJoin
from cext.windowed import Windowed, Windows
from engine import KeyedProcess, ListState, MapState, Timer, Timers, ValueState
from engine.errors import CheckpointError
from engine.recovery import _restore, _Share
from engine.state_codec import freeze
from engine.testing import ManualClock

KEY, TIME, NUMBER = Getter(lambda row: row[0]), Instant(Getter(lambda row: row[1])), Getter(lambda row: row[2])
Row = tuple[int, int, int]
"""Key, time, and a number that tells it from others."""
GROUPS = 128


def groups() -> Groups:
    custom = Custom(NUMBER, list, lambda state, number: [*state, number], tuple, lambda one, other: one + other)
    simple = [kind(NUMBER) for kind in (Sum, Least, Greatest, Mean, Collect, Distinct)]
    columns: list[Any] = [Count(Getter()), *simple, Top(Getter(), 2, NUMBER, Getter()), custom]
    return Groups(KEY, columns, lambda key, got: repr((key, *got)))


def panes(size: int, every: int, pane: int, lateness: int = 0, instant: Instant = TIME) -> Panes:
    return Panes(Grid(pane), instant, groups, int, size // pane, every // pane, lateness)


def rows(size: int, every: int, lateness: int = 0) -> Panes:
    def records() -> Groups:
        return Groups(KEY, [Rows(Getter())], lambda key, got: got)

    return Panes(Grid(every), TIME, records, int, size // every, 1, lateness)


class Scripted(KeyedProcess[Row, Any]):
    """Does what the numbers of its records say, and tells what it sees."""

    kept = ValueState[int](0)
    aged = ValueState[int](0, ttl=9)
    items = ListState[int]()
    aged_items = ListState[int](ttl=13)
    entries = MapState[int, int]()
    aged_entries = MapState[int, int](ttl=17)

    def on_record(self, record: Row) -> Iterator[Any]:
        number = record[2]
        yield self.seen(number)
        self.kept += 1
        self.aged += 1
        self.items.append(number)
        self.aged_items.append(number)
        self.entries[number % 3] = number
        self.aged_entries[number % 3] = number
        if number % 2:
            self.event_timers.at(record[1] + number % 11)
        if number % 3 == 0:
            self.processing_timers.at(self.now + number % 7)
        if number % 7 == 0:
            del self.kept
            self.items.clear()
            self.entries.clear()

    def on_timer(self, timer: Timer) -> Iterator[Any]:
        yield timer.is_event_time, timer.time, self.seen(-1)
        self.aged += 100

    def seen(self, number: int) -> str:
        states = (self.kept, self.aged, self.items, self.aged_items, self.entries, self.aged_entries)
        return repr((self.key, number, *states))


def process(*, in_order: bool) -> Head:
    name = (Guard("fail"), Scripted(), KEY, TIME, Scripted._states, Timers, Timer, in_order)
    return ProcessHead("piece", *name)


def windowed(make: Callable[[], Windows]) -> Head:
    return Windowed("piece", Guard("fail"), make())


def by_arrival() -> Head:
    arrival = Arrival(Getter())
    return Windowed("piece", Guard("fail"), panes(10, 5, 5, instant=arrival), arrival)


def joined(make: Callable[[], Joins]) -> Head:
    return Joined("piece", Guard("fail"), make())


def numbered(state: int | None, row: Row) -> tuple[int | None, Any]:
    seen = (state or 0) + 1
    return None if seen == 4 else seen, (row, seen)


SIDES = (KEY, TIME, KEY, TIME)
PIECES: dict[str, Callable[[], Head | Operator]] = {
    "aggregate": lambda: Aggregate("piece", Guard("fail"), groups()),
    "running": lambda: Running("piece", Guard("fail"), groups()),
    "stateful map": lambda: StatefulMap("piece", Guard("fail"), KEY, numbered),
    "tumbling": partial(windowed, lambda: panes(10, 10, 10)),
    "sliding": partial(windowed, lambda: panes(12, 4, 4)),
    "wide": partial(windowed, lambda: panes(24, 2, 2)),
    "late": partial(windowed, lambda: panes(12, 4, 4, 20)),
    "sessions": partial(windowed, lambda: Sessions(6, TIME, groups())),
    "late sessions": partial(windowed, lambda: Sessions(4, TIME, groups(), int, 7)),
    "counted": partial(windowed, lambda: Triggered(groups(), 3, purge=True)),
    "triggered": partial(windowed, lambda: Triggered(groups(), 4, 10, 0, lambda row: row[1] % 5 == 0)),
    "by the clock": partial(windowed, lambda: Triggered(groups(), 0, 0, 8)),
    "arrival": by_arrival,
    "deduplicate": partial(windowed, lambda: Deduplicate(KEY, TIME, 7)),
    "process": partial(process, in_order=False),
    "process in order": partial(process, in_order=True),
    "window join": partial(joined, lambda: WindowJoin(rows(8, 4), rows(8, 4), True, True)),
    "late window join": partial(joined, lambda: WindowJoin(rows(8, 4, 9), rows(8, 4, 9))),
    "session join": partial(joined, lambda: SessionJoin(4, *SIDES, True, True)),
    "interval join": partial(joined, lambda: IntervalJoin(*SIDES, -3, 6)),
    "outer interval join": partial(joined, lambda: IntervalJoin(*SIDES, -3, 6, True, True, 2)),
    "as-of join": partial(joined, lambda: AsOfJoin(*SIDES, True)),
    "as-of join with tolerance": partial(joined, lambda: AsOfJoin(*SIDES, True, 5)),
}


def channel() -> Channel:
    return Channel(Window(0.1, 4096, 4096), 1024)


class Instance:
    """A task around a piece, between two lanes, of which joins take the second to be the right one."""

    def __init__(self, piece: Head | Operator, clock: ManualClock) -> None:
        self.piece = piece
        self.lanes, self.out, self.late = (channel(), channel()), channel(), channel()
        head = piece if isinstance(piece, Head) else Pass("", Guard("fail"))
        if isinstance(piece, Joined):
            piece.right = {self.lanes[1]}
        head.clock = clock
        chain = [piece] if isinstance(piece, Operator) else []
        self.task = Task("task", head, self.lanes, chain, [[Port("forward", [self.out])]], aside=[self.aside()])
        self.task.checkpointed = self.checkpointed
        self.kept: OperatorState

    def aside(self) -> list[Port]:
        return [Port("forward", [self.late])]

    def checkpointed(self, task: Task, checkpoint: int, is_last: bool, states: dict[str, OperatorState]) -> None:
        self.kept = states["piece"]

    def run(self) -> tuple[list[Any], list[Any]]:
        self.task.run_until_idle()
        failure = self.task.take_failure()
        if failure is not None:
            raise failure
        found = []
        for way in (self.out, self.late):
            frames = list(iter(way.pop, None))
            way.give_back(sum(frame.records for frame in frames))
            found.append([row for frame in frames for row in frame.rows])
        return found[0], found[1]

    def mark(self, mark: Any) -> tuple[list[Any], list[Any]]:
        for lane in self.lanes:
            assert lane.push(mark)
        return self.run()

    def counters(self) -> tuple[int, int]:
        piece = self.piece
        late = piece.late if isinstance(piece, Windowed | ProcessHead) else 0
        return late, piece.windows.held if isinstance(piece, Windowed) else getattr(piece, "held", 0)


def written(state: OperatorState) -> Callable[[], bytes]:
    """The bytes of `state`, when they are wanted: what may change is as it is now."""
    chunks = freeze(state)
    return lambda: b"".join(chunks())


class Several:
    """Instances of a piece that share its keys."""

    def __init__(self, make: Callable[[], Head | Operator], many: int, clock: ManualClock) -> None:
        self.instances = [Instance(make(), clock) for _ in range(many)]

    def step(self, event: Any) -> tuple[list[Any], list[Any], list[int]]:
        """What comes of it, what is late, and the counters."""
        if isinstance(event, tuple):
            side, row = event
            mine = self.instances[owner(key_group(row[0], GROUPS), GROUPS, len(self.instances))]
            mine.lanes[side].push_rows([row])
            found = [mine.run()]
        else:
            found = [each.run() if event is None else each.mark(event) for each in self.instances]
        counters = [sum(both) for both in zip(*(each.counters() for each in self.instances), strict=True)]
        return (
            sorted((x for each in found for x in each[0]), key=repr),
            [x for each in found for x in each[1]],
            counters,
        )

    def keep(self, checkpoint: int) -> list[Callable[[], bytes]]:
        found = []
        for each in self.instances:
            assert each.mark(barrier(checkpoint)) == ([], [])
            found.append(written(each.kept))
        return found

    def go_on(self, blobs: list[Callable[[], bytes]]) -> None:
        for index, each in enumerate(self.instances):
            _restore(each.piece, blobs, _Share(index, len(self.instances), GROUPS))


step = st.one_of(
    st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 4), st.integers(0, 9)),
    st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 4), st.integers(0, 9)),
    st.integers(0, 9),
    st.tuples(st.integers(0, 6)),
    st.tuples(st.sampled_from([1, 1, 2, 3]), st.integers(0, 8)),
)
"""A record, a watermark, how the clock goes on, a checkpoint that so many go on from while the old go on a bit."""


class Taken(NamedTuple):
    """A checkpoint from which so many go on, while those that made it go on with so many events."""

    many: int
    old: int


def events(steps: list[Any]) -> Iterator[Any]:
    """Those of a task for records and marks; a time to which the clock moves is a list of it."""
    latest, clock, numbers = 0, 0, count()
    for each in steps:
        if isinstance(each, int):
            yield watermark(latest - each)
        elif len(each) == 4:
            side, key, ahead, behind = each
            latest += ahead
            yield side, (key, latest - behind, next(numbers))
        elif len(each) == 1:
            clock += each[0]
            yield [clock]
        else:
            yield Taken(*each)


def run(make: Callable[[], Head | Operator], steps: list[Any], *, disturbed: bool) -> Iterator[Any]:
    clock = ManualClock()
    now = Several(make, 1, clock)
    happened = list(events(steps))
    for at, event in enumerate(happened):
        if isinstance(event, Taken):
            if disturbed:
                blobs = now.keep(at + 1)
                for other in happened[: event.old]:  # anything at all
                    if not isinstance(other, list | Taken):
                        now.step(other)
                now = Several(make, event.many, clock)
                now.go_on(blobs)
            continue
        if isinstance(event, list):
            clock.move(event[0])
            yield now.step(None)
        else:
            yield now.step(event)
    yield now.step(end())


@settings(deadline=None, max_examples=25)
@given(steps=st.lists(step, max_size=40))
@pytest.mark.parametrize("name", sorted(PIECES))
def test_whoever_goes_on_does_what_the_first_would_have_done(name: str, steps: list[Any]) -> None:
    wanted = list(run(PIECES[name], steps, disturbed=False))
    assert list(run(PIECES[name], steps, disturbed=True)) == wanted


# The end.


@settings(deadline=None, max_examples=10)
@given(steps=st.lists(step, max_size=30))
@pytest.mark.parametrize("name", sorted(PIECES))
def test_what_was_given_at_the_end_is_not_given_again(name: str, steps: list[Any]) -> None:
    clock = ManualClock()
    first, then = Several(PIECES[name], 1, clock), Several(PIECES[name], 2, clock)
    for event in events(steps):
        if not isinstance(event, list | Taken):
            first.step(event)
    first.step(end())
    then.go_on([written(first.instances[0].kept)])
    results, late, _ = then.step(end())
    assert [each for each in results if each[0] is not False] == []  # timers by the clock are due in any life
    assert late == []


@pytest.mark.parametrize("many", [1, 2])
def test_totals_go_on_behind_the_end_and_only_those_that_change_are_given(many: int) -> None:
    first, then = (Several(PIECES["aggregate"], count, ManualClock()) for count in (1, many))
    for row in [(1, 0, 10), (2, 0, 20), (1, 0, 30)]:
        first.step((False, row))
    first.step(end())
    then.go_on([written(first.instances[0].kept)])
    then.step((False, (2, 0, 1)))
    (total,), _, _ = then.step(end())
    assert total.startswith("(2, 2, 21, 1, 20, 10.5, [20, 1], 2,")


def test_windows_begin_anew_behind_the_end_where_event_time_was() -> None:
    first, then = (Several(PIECES["tumbling"], 1, ManualClock()) for _ in range(2))
    first.step((False, (1, 25, 10)))
    first.step(watermark(20))
    first.step(end())
    then.go_on([written(first.instances[0].kept)])
    assert then.step((False, (1, 19, 11)))[1:] == ([(1, 19, 11)], [1, 0])  # its window was over
    then.step((False, (1, 26, 12)))
    (result,), _, _ = then.step(end())
    assert result.startswith("(1, 20, 30, 1, 12,")


# What others cannot share.


class Line:
    """Producers that combine before an exchange, and who takes in what comes of it; marks never go back."""

    def __init__(self, producers: int) -> None:
        self.combines = [
            Combine("combine", Guard("fail"), Combining(Grid(5), TIME, partial_groups)) for _ in range(producers)
        ]
        merging = MergingPanes(Grid(5), TIME, counts, int, 1, 1)
        merging.partials = PARTIALS
        self.windowed = Windowed("windows", Guard("fail"), merging)
        self.lanes, between = [channel() for _ in range(producers)], [channel() for _ in range(producers)]
        self.ways = channel(), channel()
        ports = [[Port("forward", [way])] for way in self.ways]
        pairs = zip(self.combines, self.lanes, between, strict=True)
        self.tasks = [Task("combine", each, [lane], [], [[Port("forward", [way])]]) for each, lane, way in pairs]
        self.tasks.append(Task("windows", self.windowed, between, [], ports[:1], aside=ports[1:]))
        self.kept: list[OperatorState] = []
        for task in self.tasks:
            task.checkpointed = lambda task, number, is_last, states: self.kept.extend(states.values())

    def run(self) -> tuple[list[Any], list[Any]]:
        while sum(task.run_until_idle() for task in self.tasks):
            pass
        assert [task.take_failure() for task in self.tasks] == [None] * len(self.tasks)
        found = []
        for way in self.ways:
            frames = list(iter(way.pop, None))
            way.give_back(sum(frame.records for frame in frames))
            found.append([row for frame in frames for row in frame.rows])
        return found[0], found[1]

    def mark(self, mark: Any) -> tuple[list[Any], list[Any]]:
        for lane in self.lanes:
            assert lane.push(mark)
        return self.run()

    def go_on(self, states: list[OperatorState], combined: bool) -> None:
        """From what `mark(barrier())` left in `kept`; `combined`: whether others combined."""
        *combines, windows = [written(state) for state in states]
        _restore(self.windowed, [windows], _Share(0, 1, GROUPS))
        for index, each in enumerate(self.combines):
            _restore(each, combines if combined else [], _Share(index, len(self.combines), GROUPS))


Partial = msgspec.defstruct("Partial", ["key", "pane", "n"])
PARTIALS = Partials(Partial, "pane", ("n",))


def counts() -> Groups:
    return Groups(Getter(KeyPart(Partial, "key", KEY)), [Count(Getter())], lambda key, got: (key, *got))


def partial_groups() -> Groups:
    return Groups(KEY, [Count(Getter())], lambda key, got: Partial(key, *got))


happenings = st.lists(
    st.tuples(
        st.integers(0, 2), st.one_of(st.none(), st.integers(0, 6), st.lists(st.integers(0, 12), min_size=1, max_size=5))
    ),
    max_size=12,
)
"""What a producer says: that it is idle, how far its time has gone on, records that are so far behind that or ahead."""


@settings(deadline=None, max_examples=150)
@given(happenings, happenings, st.integers(1, 3), st.integers(1, 3), st.booleans())
def test_what_is_combined_is_counted_once_whoever_goes_on(
    before: list[Any], after: list[Any], producers: int, successors: int, combined: bool
) -> None:
    results: list[Any] = []
    late: list[Any] = []
    records = 0
    line, times = Line(producers), [0] * producers

    def say(happened: list[Any]) -> None:
        nonlocal records
        for which, what in happened:
            at = which % len(times)
            if isinstance(what, list):
                line.lanes[at].push_rows([(behind % 3, times[at] + 8 - behind, 0) for behind in what])
                records += len(what)
            else:
                times[at] += what or 0
                assert line.lanes[at].push(idle() if what is None else watermark(times[at]))
            for into, found in zip((results, late), line.run(), strict=True):
                into.extend(found)

    say(before)
    for into, found in zip((results, late), line.mark(barrier(1)), strict=True):
        into.extend(found)
    kept, line = line.kept, Line(successors)
    times = times if successors == producers else [min(times)] * successors
    combined = combined and (successors > 1 or producers > 1)
    if not combined:  # event time was that of one process, whose parts go on with it
        reached = kept[-1].single["watermark"]
        times = [max(reached, 0)] * successors
    line.go_on(kept, combined)
    say(after)
    for into, found in zip((results, late), line.mark(end()), strict=True):
        into.extend(found)
    assert sum(each[3] for each in results) + len(late) == records
    assert len({each[:3] for each in results}) == len(results)
    assert line.windowed.late == len(late)


def test_a_table_of_a_lookup_goes_to_every_instance() -> None:
    def lookup() -> StreamLookup:
        return StreamLookup("lookup", Guard("fail"), KEY, KEY)

    def task(head: StreamLookup) -> tuple[Task, Channel, Channel, Channel]:
        table, lane, out = channel(), channel(), channel()
        head.tables = {table}
        return Task("lookup", head, [table, lane], [], [[Port("forward", [out])]]), table, lane, out

    first, successors, kept = lookup(), [lookup(), lookup()], []
    running, table, lane, _ = task(first)
    running.checkpointed = lambda task, number, is_last, states: kept.append(states["lookup"])
    table.push_rows([(1, 0, 7), (2, 0, 8), (1, 0, 9)])
    for each in (table, lane):
        each.push(barrier(1))
    running.run_until_idle()
    for index, successor in enumerate(successors):
        _restore(successor, [written(state) for state in kept], _Share(index, 2, GROUPS))
        running, _, lane, out = task(successor)
        lane.push_rows([(1, 5, 0), (2, 5, 1), (3, 5, 2)])
        running.run_until_idle()
        assert out.pop().rows == [((1, 5, 0), (1, 0, 9)), ((2, 5, 1), (2, 0, 8)), ((3, 5, 2), None)]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("before", "after", "wrong"),
    [
        (
            "tumbling",
            "sliding",
            "state of windows of 10 ms every 10 ms from 0 ms on: .*, and this is windows of 12 ms every 4",
        ),
        ("sessions", "late sessions", "state of sessions that are 6 ms apart: .* and this is sessions that are 4 ms"),
        ("process in order", "process", "1 of its records wait for their time"),
        ("aggregate", "stateful map", "the state of operator 'piece' cannot be read"),
    ],
)
def test_state_of_something_else_is_refused(before: str, after: str, wrong: str) -> None:
    first, then = (Several(PIECES[name], 1, ManualClock()) for name in (before, after))
    first.step((False, (1, 5, 10)))
    with pytest.raises(CheckpointError, match=wrong):
        then.go_on(first.keep(1))


# All there are.

STATELESS = {
    "Holding": "a base",
    "Giving": "a base",
    "Pass": "drained before a barrier leaves",
    "Expand": "drained before a barrier leaves",
    "Batch": "drained before a barrier leaves",
    "AsyncMap": "drained before a barrier leaves",
    "Map": "knows nothing",
    "Filter": "knows nothing",
    "Inspect": "knows nothing",
    "Lookup": "its table is read anew when a job starts",
}
WINDOWS_IN_LINES = {"Combining", "MergingPanes", "MergingWhole"}


def below(*bases: type) -> Iterator[type]:
    for base in bases:
        each: type
        for each in base.__subclasses__():
            if not each.__module__.startswith("tests."):
                yield each
                yield from below(each)


def test_every_piece_either_keeps_its_state_or_has_none() -> None:
    for package in (cext, engine):
        for module in pkgutil.iter_modules(package.__path__):
            import_module(f"{package.__name__}.{module.name}")
    for each in below(Head, Operator):
        keeps = any("snapshot" in vars(base) for base in each.__mro__ if base not in {Head, Operator})
        assert keeps != (each.__name__ in STATELESS), each
    tried = {type(piece.windows).__name__ for make in PIECES.values() if isinstance(piece := make(), Windowed)}
    assert {each.__name__ for each in below(Windows)} == tried | WINDOWS_IN_LINES | {"Joins"}
