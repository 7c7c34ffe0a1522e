"""Watermarks: they only grow, never pass what was promised, and stand where they must whatever the frames are."""

from __future__ import annotations

from itertools import chain
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cext.channel import Channel
from cext.frame import end
from cext.getter import Getter
from cext.guard import Guard, Sideline
from cext.head import Pass
from cext.instant import Instant
from cext.port import Port
from cext.source import Source
from cext.task import Task
from cext.watermarks import Watermarks
from cext.window import Window

DATA, WATERMARK, END, IDLE = 0, 1, 3, 4
MS = 1_000_000
MODES = ["fail", "skip", "dead-letter"]
NEVER = -(2**62)


def channel(most: int = 1024) -> Channel:
    return Channel(Window(0.1, most, most), most)


def guard(mode: str = "fail") -> Guard:
    return Guard(mode, None, lambda record, error: (record, error))


def operator(out_of_order: int = 0, idle_after: int = -1, mode: str = "fail") -> Watermarks:
    return Watermarks("time", guard(mode), Instant(Getter()), out_of_order, idle_after)


class Rig:
    """Watermarks in a task between a lane and an output, and what came out: records, and marks as (kind, value)."""

    def __init__(self, own: Watermarks, most: int = 1024, source: Source | None = None) -> None:
        self.own, self.lane, self.out, self.dead = own, channel(), channel(most), channel()
        head = source or Pass("pass", guard())
        ports = [[Port("forward", [self.out])], [Port("forward", [self.dead])]]
        self.task = Task("task", head, [] if source else [self.lane], [own], [ports[0]], ports[1])
        self.got: list[Any] = []
        self.letters: list[Any] = []

    def take(self, frames: int = 1_000_000) -> list[Any]:
        for source, target in ((self.out, self.got), (self.dead, self.letters)):
            for frame in iter(source.pop, None):
                target.extend(frame.rows or [(frame.kind, frame.value)])
                source.give_back(frame.records)
        return self.got

    def run(self) -> list[Any]:
        for _ in range(10_000):
            if not self.task.run_until_idle(1):
                self.take()
                if not self.task.run_until_idle(1):
                    break
        return self.take()

    def marks(self) -> list[int]:
        return [each[1] for each in self.got if isinstance(each, tuple) and each[0] == WATERMARK]


times = st.lists(st.integers(-20, 60), max_size=40)


@settings(deadline=None)
@given(st.lists(times.filter(len), max_size=8), st.integers(0, 30), st.integers(1, 50))
def test_a_record_that_breaks_the_promise_stands_behind_the_mark_that_it_breaks(
    frames: list[list[int]], out_of_order: int, most: int
) -> None:
    rig = Rig(operator(out_of_order), most)
    for frame in frames:
        rig.lane.push_rows(frame)
    assert rig.lane.push(end())
    rig.run()
    assert rig.task.done
    assert [each for each in rig.got if isinstance(each, int)] == list(chain(*frames))
    marked = latest = NEVER
    for each in rig.got:
        if isinstance(each, int):
            assert marked <= latest - out_of_order or latest == NEVER
            if each < latest - out_of_order:
                assert marked == latest - out_of_order
            latest = max(latest, each)
        elif each[0] == WATERMARK:
            assert marked < each[1] <= latest - out_of_order
            marked = each[1]
    assert rig.own.records_in == rig.own.records_out == sum(map(len, frames))
    assert rig.lane.in_flight == 0


def test_what_comes_last_for_now_is_told() -> None:
    rig = Rig(operator(5))
    rig.lane.push_rows([10, 12, 11])
    assert rig.run() == [10, 12, 11, (WATERMARK, 7)]
    rig.lane.push_rows([9])
    assert rig.run()[4:] == [9]


@pytest.mark.parametrize("mode", MODES)
def test_a_record_without_a_time(mode: str) -> None:
    rig = Rig(operator(mode=mode))
    rig.lane.push_rows([3, None, 5, "x", 4])
    assert rig.lane.push(end())
    rig.run()
    if mode == "fail":
        assert isinstance(rig.task.take_failure(), TypeError)
        assert rig.got == [3, (END, 0)]
        assert rig.task.dropped == 4
        return
    assert [each for each in rig.got if isinstance(each, int)] == [3, 5, 4]
    assert rig.own.guard.skipped + rig.own.guard.lettered == 2
    refused = [record for record, error in rig.letters if isinstance(error, TypeError)]
    assert refused == ([None, "x"] if mode == "dead-letter" else [])


def test_what_waits_for_a_mark_is_dropped_and_counted_when_it_is_cancelled() -> None:
    rig = Rig(operator())
    rig.lane.push_rows([5, 1, 9, 2])
    rig.task.run_until_idle(1)  # 5 is out, and the mark before 1 is to be
    rig.task.cancel()
    assert rig.lane.push(end())
    rig.run()
    assert [each for each in rig.got if isinstance(each, int)] == [5]
    assert (rig.task.dropped, rig.lane.in_flight) == (3, 0)


# Partitions of a source.


class Reader:
    """Gives what is in `script`, a list for each read; None ends it, an empty list is nothing for now."""

    def __init__(self, script: list[list[int] | None], hint: float) -> None:
        self.script, self.hint = script, hint

    def read(self, limit: int) -> list[int] | None:
        got = self.script.pop(0) if self.script else []
        if got and len(got) > limit:
            self.script.insert(0, got[limit:])
        return got[:limit] if got is not None else None

    def poll_after(self) -> float:
        return self.hint

    def close(self) -> None:
        pass


def source(own: Watermarks, *scripts: list[list[int] | None], hint: float = 1000.0) -> Source:
    readers = {str(i): Reader(script, hint) for i, script in enumerate(scripts)}
    return Source("source", guard(), readers.__getitem__, list(readers), False, ValueError, watermarks=own)


def ask(head: Source, own: Watermarks, now: int) -> list[int] | None:
    rows = head.more(100, now, Sideline())
    return None if rows is None else own(rows)[0]


def test_the_partition_that_is_furthest_behind_is_read_first_and_tells_the_time() -> None:
    own = operator()
    head = source(own, [[10], [30], [50], None], [[20], [40], None])
    seen = []
    while (rows := ask(head, own, 1)) is not None:
        seen += [(row, own.watermark()) for row in rows]
    assert seen == [(10, NEVER), (20, 10), (30, 20), (40, 30), (50, 40)]
    assert own.watermark() == 50
    assert head.exhausted


def test_a_partition_that_has_nothing_is_set_aside_after_a_while_and_until_it_has() -> None:
    own = operator(idle_after=10 * MS)
    head = source(own, [[10], [], [], [], [], [5]], [[20], [30], [40], [50], [], []])
    assert [ask(head, own, 1), ask(head, own, 1)] == [[10], [20]]
    assert (ask(head, own, 2 * MS), own.watermark()) == ([30], 10)
    assert (ask(head, own, 11 * MS), own.watermark()) == ([40], 10)
    assert (ask(head, own, 12 * MS), own.watermark(), own.is_idle()) == ([50], 50, False)
    assert ask(head, own, 13 * MS) is None
    assert head.deadline() == 23 * MS  # not in 1000 s, as the readers would have it
    assert head.more(100, 23 * MS, Sideline()) == [5]
    own([5])
    assert (own.watermark(), own.is_idle()) == (50, False)


def test_when_all_are_idle_the_one_furthest_ahead_tells_the_time() -> None:
    own = operator(out_of_order=3, idle_after=MS)
    head = source(own, [[10]], [[20]])
    assert [ask(head, own, 1), ask(head, own, 1)] == [[10], [20]]
    assert ask(head, own, 2 * MS) is None
    assert (own.watermark(), own.is_idle()) == (7, False)
    assert ask(head, own, 4 * MS) is None
    assert (own.watermark(), own.is_idle()) == (17, True)


def test_what_an_ended_partition_has_come_to_counts_when_all_others_are_idle() -> None:
    own = operator(idle_after=MS)
    head = source(own, [[10]], [[20], None])
    assert [ask(head, own, 1), ask(head, own, 1), ask(head, own, 2)] == [[10], [20], []]
    assert own.watermark() == 10
    assert ask(head, own, 3 * MS) is None
    assert (own.watermark(), own.is_idle()) == (20, True)


def test_a_source_that_finds_no_credit_is_not_idle() -> None:
    """With an `idle_after` of 1 ns any two reads in vain make a partition idle, unless there was no credit between."""
    own = operator(idle_after=1)
    rig = Rig(
        own, most=4, source=source(own, [[10], [], [], [], []], [[20, 21, 22], [23, 24, 25, 26], [], []], hint=0.0)
    )
    for _ in range(50):
        rig.task.run_until_idle(1)
    assert rig.task.counters()["backpressured"] > 0
    assert own.watermark() == 10
    before = len(rig.take())
    rig.task.run_until_idle(1)
    assert (len(rig.take()) > before, own.watermark()) == (True, 10)
    while not own.is_idle():  # which takes two more reads in vain, at most 16 ms apart
        rig.run()
    rig.run()
    assert rig.got[-2:] == [(WATERMARK, 26), (IDLE, 0)]


def test_one_that_comes_back_is_waited_for_again() -> None:
    own = operator(idle_after=0)
    script: list[list[int] | None] = [[10], []]
    rig = Rig(own, source=source(own, script, hint=0.0))
    assert rig.run() == [10, (WATERMARK, 10), (IDLE, 0)]
    script += [[4], None]
    head = rig.task.head
    while not rig.task.done:  # its next read is due in 1 ms
        rig.task.run_until_idle(1)
    assert head.records_in == 2
    assert rig.take()[3:] == [4, (WATERMARK, 10), (END, 1)]
