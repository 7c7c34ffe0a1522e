"""Heads, driven by hand in tasks with real channels: within any credit, in order, and released when all has left."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cext.chain import Map
from cext.channel import Channel
from cext.columns import Collect, Count
from cext.frame import Frame, barrier, end, watermark
from cext.getter import Getter
from cext.groups import Groups
from cext.guard import Guard, Sideline
from cext.head import Aggregate, Batch, Expand, Head, Pass
from cext.port import Port
from cext.task import Task
from cext.window import Window

MODES = ["fail", "skip", "dead-letter"]
KINDS = ["pass", "expand", "batch", "aggregate"]


def channel(most: int = 1024, frame: int = 256) -> Channel:
    return Channel(Window(0.1, most, 2 * frame), frame)


def guard(mode: str = "fail") -> Guard:
    return Guard(mode, None, lambda record, error: (record, error))


def by_key(key: Any, results: list[Any]) -> Any:
    return key


def by_itself() -> Groups:
    return Groups(Getter(), [Count(Getter())], lambda key, got: (key, got[0]))


@dataclass
class Rig:
    """A head in a task between a lane and an output, and what came out."""

    head: Head
    most: int = 1024
    chain: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lane, self.out, self.dead = channel(), channel(self.most, self.most), channel(self.most, self.most)
        ports, letters = [[Port("forward", [self.out])]], [Port("forward", [self.dead])]
        self.task = Task("task", self.head, [self.lane], self.chain, ports, letters)
        self.rows: list[Any] = []
        self.letters: list[Any] = []
        self.marks: list[tuple[int, int]] = []

    def feed(self, *frames: list[Any] | Frame) -> Rig:
        for frame in frames:
            if isinstance(frame, list):
                self.lane.push_rows(frame)
            else:
                assert self.lane.push(frame)
        return self

    def step(self) -> bool:
        moved = self.task.run_until_idle(1)
        for each in (self.lane, self.out, self.dead):
            each.validate()
            assert each.in_flight <= each.bound
        return bool(moved)

    def take(self, frames: int = 1_000_000) -> None:
        """Pop up to `frames` from either output and give their credit back."""
        for source, target in ((self.out, self.rows), (self.dead, self.letters)):
            for frame in itertools.islice(iter(source.pop, None), frames):
                target.extend(frame.rows)
                source.give_back(frame.records)
                if source is self.out and frame.records == 0:
                    self.marks.append((frame.kind, frame.value))

    def run(self) -> Rig:
        """Until the task is done."""
        for _ in range(10_000):
            self.step()
            self.take()
            if self.task.done:
                return self
        raise AssertionError("it does not come to its end")


# Within any credit.


@given(
    st.lists(st.lists(st.integers(0, 12), min_size=1, max_size=6), max_size=6),
    st.integers(1, 9),
    st.lists(st.integers(0, 3), min_size=1, max_size=20),
)
@settings(deadline=None)
def test_an_expansion_of_any_size_stays_within_any_credit(frames: list[list[int]], most: int, takes: list[int]) -> None:
    """Record n becomes n items; how many frames leave after each step is `takes`, again and again."""
    numbered = iter(range(10**6))
    pulled = [0]

    def expand(size: int) -> Iterator[int]:
        for _ in range(size):
            pulled[0] += 1
            yield next(numbered)

    rig = Rig(Expand("expand", guard(), expand), most).feed(*frames, end())
    sizes = [size for frame in frames for size in frame]
    finished = [sum(sizes[: i + 1]) for i in range(len(sizes))]  # items out when record i is done with
    for take in itertools.cycle([*takes, 1]):
        rig.step()
        pushed, released = rig.out.counters[0], rig.lane.counters[1]
        assert pulled[0] == pushed  # no item is made before there is credit for it
        assert released <= sum(1 for items in finished if items <= pushed)  # a record is let go of with its last item
        rig.take(take)
        if rig.task.done:
            break
    rig.take()
    assert rig.rows == list(range(sum(sizes)))
    assert rig.marks == [(3, 1)]
    assert rig.lane.in_flight == 0


def test_an_endless_expansion_goes_on_where_it_was_and_can_be_cancelled() -> None:
    closed = []

    def count_up(start: int) -> Iterator[int]:
        try:
            yield from itertools.count(start)
        finally:
            closed.append(start)

    rig = Rig(Expand("expand", guard(), count_up), 5).feed([7, 100], end())
    for _ in range(20):
        rig.step()
        rig.take()
    assert rig.rows == list(range(7, 7 + len(rig.rows)))
    assert (len(rig.rows), rig.lane.in_flight) == (20, 2)  # a quarter of the window a step, for ever
    rig.task.cancel()
    rig.run()
    assert (closed, rig.lane.in_flight, rig.marks) == ([7], 0, [(3, 0)])
    assert rig.task.dropped == 1  # of the other something has gone on


def test_a_record_is_released_once_its_items_have_left() -> None:
    rig = Rig(Expand("expand", guard(), range), 2).feed([3, 0, 1])
    seen = []
    for _ in range(8):
        rig.step()
        seen.append((rig.out.counters[0], rig.lane.counters[1]))
        rig.take(1)
    assert seen[-1] == (4, 3)
    for pushed, released in seen:
        assert released <= (0 if pushed < 3 else 2 if pushed < 4 else 3)


@given(
    st.lists(st.lists(st.integers(), min_size=1, max_size=8), max_size=6),
    st.integers(1, 5),
    st.integers(1, 9),
    st.lists(st.integers(0, 3), min_size=1, max_size=10),
)
@settings(deadline=None)
def test_frames_are_cut_to_credit(frames: list[list[int]], most: int, size: int, takes: list[int]) -> None:
    for head in (Pass("pass", guard()), Batch("batch", guard(), lambda rows: rows, size)):
        rig = Rig(head, most).feed(*frames, end())
        for take in itertools.cycle([*takes, 1]):
            rig.step()
            assert rig.lane.counters[1] <= rig.out.counters[0]
            rig.take(take)
            if rig.task.done:
                break
        rig.take()
        assert rig.rows == [row for frame in frames for row in frame]
        assert rig.lane.in_flight == 0


@given(st.lists(st.integers(0, 20), max_size=40), st.integers(1, 6))
def test_results_of_an_aggregate_leave_within_credit(rows: list[int], most: int) -> None:
    rig = Rig(Aggregate("aggregate", guard(), by_itself()), most)
    rig.feed(*[[row] for row in rows], end()).run()
    assert dict(rig.rows) == {row: rows.count(row) for row in rows}
    assert len(rig.rows) == len(set(rows))
    assert rig.marks == [(3, 1)]


# What a batch is, and what becomes of one that fails.


def test_a_batch_has_up_to_size_records_of_one_frame() -> None:
    sizes: list[int] = []

    def note(rows: list[int]) -> list[int]:
        sizes.append(len(rows))
        return rows

    Rig(Batch("batch", guard(), note, 10)).feed(list(range(25)), list(range(3)), end()).run()
    assert sizes == [10, 10, 5, 3]


@pytest.mark.parametrize("size", [0, -1])
def test_a_batch_of_no_records_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="at least 1 record"):
        Batch("batch", guard(), list, size)


@given(st.integers(0, 30), st.integers(1, 6), st.integers(1, 7))
def test_a_batch_may_become_any_number(growth: int, size: int, most: int) -> None:
    rig = Rig(Batch("batch", guard("skip"), lambda rows: [(row, i) for row in rows for i in range(growth)], size), most)
    rig.feed(list(range(7)), end()).run()
    assert rig.rows == [(row, i) for row in range(7) for i in range(growth)]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("bad", [(0,), (5,), (11,), (0, 5, 11), tuple(range(12))])
def test_what_is_at_fault_in_a_batch_is_found_record_by_record(mode: str, bad: tuple[int, ...]) -> None:
    fault = ValueError("bad")

    def function(rows: list[int]) -> list[int]:
        if set(rows) & set(bad):
            raise fault
        return [10 * row for row in rows]

    policy = guard(mode)
    rig = Rig(Batch("batch", policy, function, 4)).feed(list(range(12)), end()).run()
    if mode == "fail":
        whole = bad[0] // 4 * 4  # the batches before the first one that failed
        assert (rig.rows, rig.task.failure, rig.marks) == ([10 * row for row in range(whole)], fault, [(3, 0)])
    else:
        assert rig.rows == [10 * row for row in range(12) if row not in bad]
        assert rig.letters == ([(row, fault) for row in bad] if mode == "dead-letter" else [])
        assert (policy.skipped, policy.lettered) == (len(bad) * (mode == "skip"), len(bad) * (mode == "dead-letter"))
        assert rig.marks == [(3, 1)]
    assert rig.lane.in_flight == 0


def test_a_lazy_batch_that_fails_has_given_what_came_before() -> None:
    def function(rows: list[int]) -> Iterator[int]:
        for row in rows:
            yield 1 // row

    rig = Rig(Batch("batch", guard("fail"), function, 10)).feed([1, 1, 0, 1], end()).run()
    assert (rig.rows, type(rig.task.failure)) == ([1, 1], ZeroDivisionError)
    rig = Rig(Batch("batch", guard("skip"), function, 10)).feed([1, 1, 0, 1], end()).run()
    assert (rig.rows, rig.task.failure) == ([1, 1, 1], None)


@pytest.mark.parametrize("kind", ["expand", "batch"])
@pytest.mark.parametrize("mode", MODES)
def test_a_result_that_cannot_be_iterated_over_is_the_functions_fault(kind: str, mode: str) -> None:
    function: Any = lambda rows: 5  # noqa: E731
    head = Expand("h", guard(mode), function) if kind == "expand" else Batch("h", guard(mode), function, 10)
    rig = Rig(head).feed([1, 2], end()).run()
    assert rig.rows == []
    if mode == "fail":
        assert isinstance(rig.task.failure, TypeError)
    else:
        assert [record for record, _ in rig.letters] == ([1, 2] if mode == "dead-letter" else [])


# A record that raises.


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("bad", [(0,), (3,), (5,), (0, 3, 5), tuple(range(6))])
@pytest.mark.parametrize("at", ["call", "iteration"])
def test_an_expansion_that_raises(mode: str, bad: tuple[int, ...], at: str) -> None:
    """At its call it gives nothing; half-way through what came before stays out."""
    fault = ValueError("bad")

    def lazily(row: int) -> Iterator[tuple[int, int]]:
        yield (row, 0)
        if row in bad:
            raise fault
        yield (row, 1)

    def at_once(row: int) -> Iterable[tuple[int, int]]:
        if row in bad:
            raise fault
        return [(row, 0), (row, 1)]

    policy = guard(mode)
    rig = Rig(Expand("expand", policy, lazily if at == "iteration" else at_once), 3).feed(list(range(6)), end()).run()
    half = [0] if at == "iteration" else []
    wanted = [(row, i) for row in range(6) for i in (half if row in bad else [0, 1])]
    if mode == "fail":
        wanted = [item for item in wanted if item[0] <= bad[0]]
    assert rig.rows == wanted
    assert rig.task.failure is (fault if mode == "fail" else None)
    assert rig.letters == ([(row, fault) for row in bad] if mode == "dead-letter" else [])
    assert (policy.skipped, policy.lettered) == (len(bad) * (mode == "skip"), len(bad) * (mode == "dead-letter"))
    assert rig.lane.in_flight == 0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("bad", [(0,), (3,), (5,), (0, 3, 5)])
def test_a_record_that_an_aggregate_refuses(mode: str, bad: tuple[int, ...]) -> None:
    fault = ValueError("bad")

    def key(row: int) -> int:
        if row in bad:
            raise fault
        return row % 2

    groups = Groups(Getter(key), [Collect(Getter())], lambda key, got: (key, *got))
    rig = Rig(Aggregate("aggregate", guard(mode), groups), 2).feed(list(range(6)), end()).run()
    left = [row for row in range(6) if row not in bad]
    if mode == "fail":
        assert (rig.rows, rig.task.failure, rig.marks) == ([], fault, [(3, 0)])
    else:
        assert dict(rig.rows) == {key: [row for row in left if row % 2 == key] for key in (0, 1)}
        assert rig.letters == ([(row, fault) for row in bad] if mode == "dead-letter" else [])
    assert rig.lane.in_flight == 0


@pytest.mark.parametrize("kind", ["expand", "expand lazily", "batch", "batch lazily", "aggregate"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit()])
def test_what_is_not_an_exception_ends_it_at_once_whatever_the_policy(
    kind: str, mode: str, error: BaseException
) -> None:
    calls: list[int] = []

    def one(row: int) -> list[int]:
        calls.append(row)
        if row == 3:
            raise error
        return [row]

    def lazily(row: int) -> Iterator[int]:
        yield from one(row)

    heads: dict[str, Callable[[Guard], Head]] = {
        "expand": lambda guard: Expand("h", guard, one),
        "expand lazily": lambda guard: Expand("h", guard, lazily),
        "batch": lambda guard: Batch("h", guard, lambda rows: [one(row)[0] for row in rows], 10),
        "batch lazily": lambda guard: Batch("h", guard, lambda rows: (one(row)[0] for row in rows), 10),
        "aggregate": lambda guard: Aggregate("h", guard, Groups(Getter(lambda row: one(row)[0]), [], by_key)),
    }
    policy = guard(mode)
    rig = Rig(heads[kind](policy)).feed([1, 2, 3, 4, 5], end()).run()
    assert rig.task.failure is error
    assert calls[-1] == 3
    assert rig.marks == [(3, 0)]
    assert (policy.skipped, policy.lettered, rig.letters) == (0, 0, [])
    assert rig.lane.in_flight == 0


# The end of a stream.


@pytest.mark.parametrize("whole", [True, False])
def test_an_aggregate_gives_results_only_for_a_whole_stream(whole: bool) -> None:
    rig = Rig(Aggregate("aggregate", guard(), by_itself())).feed([1, 2, 1], end(whole)).run()
    assert rig.rows == ([(1, 2), (2, 1)] if whole else [])
    assert rig.marks == [(3, whole)]


def test_an_aggregate_of_nothing_gives_nothing() -> None:
    rig = Rig(Aggregate("aggregate", guard(), by_itself())).feed(end()).run()
    assert (rig.rows, rig.marks) == ([], [(3, 1)])


def test_an_aggregate_takes_records_in_while_marks_pass() -> None:
    rig = Rig(Aggregate("aggregate", guard(), by_itself()))
    rig.feed([1], watermark(5), [1], barrier(1), [2], end()).run()
    assert rig.rows == [(1, 2), (2, 1)]
    assert rig.marks == [(1, 5), (2, 1), (3, 1)]


@pytest.mark.parametrize("mode", MODES)
def test_a_result_that_cannot_be_made_ends_the_job_whatever_the_policy(mode: str) -> None:
    """There is no record that could be skipped instead: all of the key's would be lost."""

    def make(key: int, got: list[int]) -> Any:
        return 10 // (key - 2)

    groups = Groups(Getter(), [Count(Getter())], make)
    rig = Rig(Aggregate("aggregate", guard(mode), groups)).feed([0, 1, 2, 3], end()).run()
    assert (rig.rows, type(rig.task.failure), rig.marks) == ([-5, -10], ZeroDivisionError, [(3, 0)])


def test_a_mark_waits_for_what_came_before_it() -> None:
    rig = Rig(Expand("expand", guard(), range), 2)
    rig.feed([3], watermark(1), [2], barrier(1), [1], end())
    order: list[Any] = []
    while not rig.task.done:
        rig.step()
        for frame in iter(rig.out.pop, None):
            order.extend(frame.rows or [(frame.kind, frame.value)])
            rig.out.give_back(frame.records)
        rig.take()
    assert order == [0, 1, 2, (1, 1), 0, 1, (2, 1), 0, (3, 1)]


# Whatever happens, credit comes back and nothing is kept.


def make_head(kind: str) -> Head:
    heads: dict[str, Callable[[], Head]] = {
        "pass": lambda: Pass("h", guard()),
        "expand": lambda: Expand("h", guard(), lambda row: [row] * 3),
        "batch": lambda: Batch("h", guard(), lambda rows: rows * 2, 2),
        "aggregate": lambda: Aggregate("h", guard(), by_itself()),
    }
    return heads[kind]()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", range(12))
def test_cancelled_at_any_moment_all_credit_comes_back(kind: str, steps: int) -> None:
    rig = Rig(make_head(kind), 4).feed([1, 2, 3, 4, 5], [6, 7], end())
    for _ in range(steps):
        rig.step()
        rig.take(1)
    done = rig.task.done
    rig.task.cancel()
    rig.run()
    assert rig.lane.in_flight == 0
    assert rig.marks == [(3, done)]
    assert rig.task.counters()["records_in"] <= 7


@pytest.mark.parametrize("kind", KINDS)
def test_a_chain_that_fails_leaves_no_credit_behind(kind: str) -> None:
    rig = Rig(make_head(kind), 4, [Map("map", guard(), lambda row: 1 // 0)]).feed([1, 2, 3], [4], end()).run()
    assert isinstance(rig.task.failure, ZeroDivisionError)
    assert (rig.rows, rig.marks, rig.lane.in_flight) == ([], [(3, 0)], 0)


class Thing:
    pass


@pytest.mark.parametrize("kind", ["pass", "expand", "batch"])
def test_a_head_keeps_no_record(kind: str) -> None:
    things = [Thing() for _ in range(5)]
    gone = [weakref.ref(thing) for thing in things]
    rig = Rig(make_head(kind)).feed(things, [1])
    del things
    for _ in range(20):
        rig.step()
        rig.take()
    rig.rows.clear()
    assert [each() for each in gone] == [None] * 5


# Heads of one's own.


class Delayed(Head):
    """Gives each record back once `ready` says so; `waiting` until then."""

    def __init__(self, name: str, guard: Guard) -> None:
        self.held: list[Any] = []
        self.lane: Channel | None = None
        self.given = 0
        self.ready = False

    def hungry(self) -> bool:
        return not self.held

    def accept(self, lane: Channel, frame: Frame, now: int) -> None:
        self.lane, self.held, self.waiting = lane, frame.rows[:], True
        self.born = frame.born
        self.count_in(frame.records)

    def more(self, limit: int, now: int, side: Sideline) -> list[Any] | None:
        if not self.held or not self.ready:
            return None
        rows, self.held = self.held[:limit], self.held[limit:]
        self.given, self.waiting = len(rows), bool(self.held)
        return rows

    def settle(self) -> None:
        if self.lane is not None:
            self.lane.give_back(self.given)
            self.given = 0

    def drained(self) -> bool:
        return not self.held


def test_a_head_written_in_python() -> None:
    head = Delayed("delayed", guard())
    rig = Rig(head, 3).feed([1, 2, 3, 4, 5], end())
    for _ in range(5):
        rig.step()
    assert (rig.out.counters[0], rig.lane.in_flight, head.records_in) == (0, 5, 5)
    head.ready = True
    rig.run()
    assert (rig.rows, rig.marks, rig.lane.in_flight) == ([1, 2, 3, 4, 5], [(3, 1)], 0)


@pytest.mark.parametrize("lacking", ["hungry", "accept", "more", "drained"])
def test_a_head_that_lacks_something_fails_its_task(lacking: str) -> None:
    kind: Any = type("Lacking", (Delayed,), {lacking: getattr(Head, lacking)})
    head = kind("lacking", guard())
    head.ready = True
    rig = Rig(head).feed([1], end()).run()
    assert isinstance(rig.task.failure, NotImplementedError)
    assert rig.marks == [(3, 0)]


def test_a_head_needs_a_name_and_a_guard() -> None:
    for arguments in ((None, guard()), ("head", None), ()):
        with pytest.raises(TypeError):
            Pass(*arguments)
    with pytest.raises(TypeError):
        Aggregate("aggregate", guard(), None)  # type: ignore[arg-type]
    assert (Pass("p", guard()).name, Pass("p", guard("skip")).guard.mode) == ("p", 1)
