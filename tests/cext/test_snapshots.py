"""Every piece that has state, stopped at any barrier: others that take its snapshots over do what it would have done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cext.asof_join import AsOfJoin
from cext.chain import Operator, Running, StatefulMap
from cext.channel import Channel
from cext.columns import Collect, Count, Custom, Distinct, Greatest, Least, Mean, Sum, Top
from cext.deduplicate import Deduplicate
from cext.frame import barrier, end, watermark
from cext.getter import Getter
from cext.groups import Groups
from cext.guard import Guard
from cext.head import Aggregate, Head, Pass
from cext.instant import Arrival, Instant
from cext.interval_join import IntervalJoin
from cext.joined import Joined, Joins
from cext.keyed_process import KeyedProcess as ProcessHead
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
    columns = [Count(Getter()), *simple, Top(Getter(), 2, NUMBER, Getter()), custom]
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
        chain = [] if piece is head else [piece]
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
        return sorted((x for each in found for x in each[0]), key=repr), [x for each in found for x in each[1]], counters

    def keep(self, checkpoint: int) -> list[Callable[[], bytes]]:
        found = []
        for each in self.instances:
            assert each.mark(barrier(checkpoint)) == ([], [])
            found.append(freeze(each.kept))
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


def run(make: Callable[[], Head | Operator], steps: list[Any], *, disturbed: bool) -> Iterator[Any]:
    clock = ManualClock()
    now = Several(make, 1, clock)
    for at, each in enumerate(steps):
        if isinstance(each, tuple) and len(each) == 2:
            if disturbed:
                blobs = now.keep(at + 1)
                for event in list(events(steps))[: each[1]]:  # anything at all
                    if not isinstance(event, list):
                        now.step(event)
                now = Several(make, each[0], clock)
                now.go_on(blobs)
            continue
        *_, event = events(steps[: at + 1])
        if isinstance(event, list):
            clock.move(event[0])
            event = None
        yield now.step(event)
    yield now.step(end())


@settings(deadline=None, max_examples=60)
@given(steps=st.lists(step, max_size=40))
@pytest.mark.parametrize("name", sorted(PIECES))
def test_whoever_goes_on_does_what_the_first_would_have_done(name: str, steps: list[Any]) -> None:
    wanted = list(run(PIECES[name], steps, disturbed=False))
    assert list(run(PIECES[name], steps, disturbed=True)) == wanted


def test_every_piece_either_keeps_its_state_or_has_none() -> None:
    assert {type(make()) for make in PIECES.values()} | set(ELSEWHERE) | set(STATELESS) == set(pieces(Head, Operator))
    assert {type(make().windows) for make in PIECES.values() if isinstance(make(), Windowed)} >= WINDOWS  # type: ignore[union-attr]
