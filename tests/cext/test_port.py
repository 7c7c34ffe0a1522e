"""Ports: every record goes where its route says, never past any channel's credit."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cext.channel import Channel
from cext.frame import Frame, barrier, end, watermark
from cext.getter import Getter
from cext.guard import Guard, Sideline
from cext.head import Head, Pass
from cext.partition import key_group, owner
from cext.port import Port
from cext.task import Task
from cext.window import Window

MODES = ["fail", "skip", "dead-letter"]
ROUTES = ["forward", "hash", "broadcast", "rebalance"]
GROUPS = 128


def channel(most: int = 1024, frame: int = 256) -> Channel:
    return Channel(Window(0.1, most, 2 * frame), frame)


def guard(mode: str = "fail") -> Guard:
    return Guard(mode, None, lambda record, error: (record, error))


def port(route: str, channels: list[Channel], key: Any = None, mode: str = "fail", groups: int = GROUPS) -> Port:
    if route == "hash":
        return Port(route, channels, Getter(key), guard(mode), groups)
    return Port(route, channels)


class Rig:
    """A task that passes what it is fed on to ports."""

    def __init__(self, *ports: Port, letters: Channel | None = None) -> None:
        self.lane = channel(4096, 1024)
        dead = [] if letters is None else [Port("forward", [letters])]
        self.channels = [each for port in ports for each in port.channels] + ([] if letters is None else [letters])
        self.task = Task("task", Pass("pass", guard()), [self.lane], [], [list(ports)], dead, linger=0)

    def feed(self, *frames: list[Any] | Frame) -> Rig:
        for frame in frames:
            if isinstance(frame, list):
                self.lane.push_rows(frame)
            else:
                assert self.lane.push(frame)
        return self

    def step(self, steps: int = 1) -> int:
        moved = self.task.run_until_idle(steps)
        for each in self.channels:
            each.validate()
            assert each.in_flight <= each.bound
        return moved


def take(source: Channel, frames: int = 1_000_000) -> list[Frame]:
    """Up to `frames` of what waits, with its credit given back."""
    taken = list(itertools.islice(iter(source.pop, None), frames))
    source.give_back(sum(frame.records for frame in taken))
    return taken


def rows(frames: list[Frame]) -> list[Any]:
    return [row for frame in frames for row in frame.rows]


# Where records go.


def test_forward_keeps_order() -> None:
    out = channel()
    Rig(port("forward", [out])).feed([1, 2], [3], end()).step(100)
    assert rows(take(out)) == [1, 2, 3]


@given(st.lists(st.integers(), min_size=1, max_size=40), st.integers(1, 5))
def test_broadcast_gives_every_channel_all(records: list[int], width: int) -> None:
    outs = [channel() for _ in range(width)]
    Rig(port("broadcast", outs)).feed(records, end()).step(100)
    assert [rows(take(out)) for out in outs] == [records] * width


keys = st.one_of(st.integers(-5, 5), st.text("ab", max_size=2), st.none(), st.tuples(st.integers(0, 2), st.booleans()))


@given(
    st.lists(st.lists(keys, min_size=1, max_size=12), max_size=6),
    st.integers(1, 6),
    st.integers(6, 128),
    st.integers(1, 9),
    st.lists(st.integers(0, 3), min_size=1, max_size=12),
)
@settings(deadline=None)
def test_hashing_parts_what_was_whole(
    frames: list[list[Any]], width: int, groups: int, most: int, takes: list[int]
) -> None:
    """The parts together are the whole, equal keys share a part, each in the order in which they came."""
    records = list(enumerate(key for frame in frames for key in frame))
    outs = [channel(most, most) for _ in range(width)]
    rig = Rig(port("hash", outs, lambda record: record[1], groups=groups))
    position = 0
    for frame in frames:
        rig.feed(records[position : position + len(frame)])
        position += len(frame)
    rig.feed(end())
    parts: list[list[Any]] = [[] for _ in outs]
    for frames_taken in itertools.cycle([*takes, 1]):
        rig.step()
        for part, out in zip(parts, outs, strict=True):
            part.extend(rows(take(out, frames_taken)))
        if rig.task.done:
            break
    for part, out in zip(parts, outs, strict=True):
        part.extend(rows(take(out)))
    assert sorted((record for part in parts for record in part), key=lambda record: record[0]) == records
    for at, part in enumerate(parts):
        assert [record[0] for record in part] == sorted(record[0] for record in part)
        assert {owner(key_group(key, groups), groups, width) for _, key in part} <= {at}
    assert rig.lane.in_flight == 0


def test_equal_keys_of_different_types_share_a_part() -> None:
    outs = [channel() for _ in range(8)]
    Rig(port("hash", outs, lambda record: record)).feed([1, 1.0, True], end()).step(100)
    assert sorted(len(rows(take(out))) for out in outs) == [0] * 7 + [3]


# Credit.


@pytest.mark.parametrize("route", ["broadcast", "hash"])
def test_one_full_channel_stops_a_route_that_may_need_it(route: str) -> None:
    outs = [channel(64, 16), channel(64, 16)]
    rig = Rig(port(route, outs, lambda record: record)).feed(*[[record] * 8 for record in range(30)])
    outs[1].push_rows([None] * 60)
    rig.step(1000)
    pushed = [out.counters[0] for out in outs]
    assert pushed[1] == 64 or pushed[0] == 64
    assert rig.task.counters()["backpressured"] > 0
    before = rig.lane.in_flight
    rig.step(100)
    assert (rig.lane.in_flight, [out.counters[0] for out in outs]) == (before, pushed)
    while rig.lane.in_flight:
        for out in outs:
            take(out, 1)
        rig.step(10)


def test_rebalancing_passes_a_stuck_channel_by() -> None:
    stuck, free = channel(64, 16), channel(64, 16)
    rig = Rig(port("rebalance", [stuck, free])).feed([-1] * 8)
    got: list[int] = []
    for turn in range(400):
        rig.feed([turn])
        rig.step(10)
        got.extend(rows(take(free)))
        assert rig.lane.in_flight == 0, f"stopped at record {turn}"
    assert stuck.in_flight <= stuck.bound
    assert sorted(got + rows(take(stuck))) == sorted([-1] * 8 + list(range(400)))


def test_rebalancing_spreads_evenly_while_all_are_free() -> None:
    outs = [channel(64, 16) for _ in range(4)]
    rig = Rig(port("rebalance", outs))
    for turn in range(400):
        rig.feed([turn]).step(10)
        for out in outs:
            take(out)
    assert [out.counters[0] for out in outs] == [100] * 4


@pytest.mark.parametrize("records", range(1, 20))
def test_rebalancing_spreads_a_few_records_over_all(records: int) -> None:
    outs = [channel(64, 32) for _ in range(4)]
    Rig(port("rebalance", outs)).feed(list(range(records))).step(10)
    shares = [out.counters[0] for out in outs]
    assert sum(shares) == records
    assert max(shares) - min(shares) <= 1
    assert [row for out in outs for row in rows(take(out))] == list(range(records))


def test_rebalancing_shares_a_few_records_by_credit() -> None:
    outs = [channel(64, 16) for _ in range(4)]
    for out, left in zip(outs, (0, 6, 20, 10), strict=True):
        out.push_rows([None] * (out.available() - left))
    before = [out.counters[0] for out in outs]
    Rig(port("rebalance", outs)).feed(list(range(9))).step(10)
    assert [out.counters[0] - pushed for out, pushed in zip(outs, before, strict=True)] == [0, 1, 5, 3]


def test_rebalancing_sends_a_full_frame_whole() -> None:
    outs = [channel(256, 32) for _ in range(4)]
    Rig(port("rebalance", outs)).feed(list(range(32)), list(range(32))).step(10)
    assert [out.counters[0] for out in outs] == [32, 32, 0, 0]


def test_rebalancing_stops_when_all_are_full_and_goes_on_with_any() -> None:
    outs = [channel(4, 1) for _ in range(3)]
    rig = Rig(port("rebalance", outs)).feed(list(range(40)))
    rig.step(1000)
    stopped = [out.counters[0] for out in outs]
    assert sum(stopped) == 40 - rig.lane.in_flight <= 12
    take(outs[1])
    rig.step(1000)
    assert [after - before for before, after in zip(stopped, [out.counters[0] for out in outs], strict=True)] == [
        0,
        3,
        0,
    ]


@given(
    st.lists(st.tuples(st.sampled_from(ROUTES), st.integers(1, 4), st.integers(1, 8)), min_size=1, max_size=4),
    st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=9), max_size=5),
    st.lists(st.tuples(st.integers(0, 15), st.integers(0, 3)), min_size=1, max_size=40),
)
@settings(deadline=None)
def test_any_ports_together_stay_within_credit_and_lose_nothing(
    plans: list[tuple[str, int, int]], frames: list[list[int]], takes: list[tuple[int, int]]
) -> None:
    """One output that feeds several ports; the channels are drained in any order."""
    ports = [
        port(route, [channel(most, most) for _ in range(1 if route == "forward" else width)], lambda record: record % 5)
        for route, width, most in plans
    ]
    rig = Rig(*ports).feed(*frames, end())
    got: dict[Channel, list[int]] = {each: [] for each in rig.channels}
    for at, count in itertools.chain(takes, itertools.cycle(enumerate([2] * 16))):
        rig.step()
        if at < len(rig.channels):
            got[rig.channels[at]].extend(rows(take(rig.channels[at], count)))
        if rig.task.done:
            break
    whole = [row for frame in frames for row in frame]
    for each in ports:
        parts = [got[out] + rows(take(out)) for out in each.channels]
        if each.route == ROUTES.index("broadcast"):
            assert parts == [whole] * len(parts)
        else:
            assert sorted(row for part in parts for row in part) == sorted(whole)
    assert rig.lane.in_flight == 0


# Marks.


@pytest.mark.parametrize("route", ["hash", "broadcast", "rebalance"])
def test_marks_go_to_every_channel_once_and_behind_what_came_before(route: str) -> None:
    outs = [channel(), channel(), channel()]
    rig = Rig(port(route, outs, lambda record: record))
    rig.feed(list(range(9)), watermark(5), list(range(9, 12)), barrier(1), end()).step(100)
    for out in outs:
        taken = take(out)
        assert [(mark.kind, mark.value) for mark in taken if not mark.records] == [(1, 5), (2, 1), (3, 1)]
        before = list(itertools.takewhile(lambda frame: frame.records, taken))
        assert all(row < 9 for row in rows(before))
        assert all(row >= 9 for row in rows(taken[len(before) :]))


def test_a_mark_that_finds_a_full_ring_waits_and_comes_to_none_twice() -> None:
    """All channels but one are full of marks; they are emptied one by one."""
    outs = [channel(4, 1) for _ in range(4)]
    rig = Rig(port("broadcast", outs[:2]), port("broadcast", outs[2:])).feed(watermark(7), end())
    rig.step(1)  # the watermark is taken
    for out in outs[1:]:
        while out.push(watermark(-1)):
            pass
    rig.step(10)
    for out in (outs[3], outs[1], outs[2]):
        assert not rig.task.done
        assert rows(take(out)) == []
        rig.step(10)
    rig.step(10)
    assert rig.task.done
    assert [(mark.kind, mark.value) for mark in take(outs[0])] == [(1, 7), (3, 1)]
    for out in outs[1:]:
        assert [(mark.kind, mark.value) for mark in take(out)] == [(1, 7), (3, 1)]


@pytest.mark.parametrize("full", [0, 1])
def test_a_cut_end_follows_a_mark_that_only_some_channels_have(full: int) -> None:
    """Cancelled with a barrier under way: those that are without it still get it."""
    outs = [channel(4, 1), channel(4, 1)]
    stuffing = 0
    while outs[full].push(watermark(-1)):
        stuffing += 1
    rig = Rig(port("rebalance", outs)).feed(barrier(1), end())
    rig.step(100)
    rig.task.cancel()
    rig.step(100)
    assert not rig.task.done
    waited = take(outs[full])[stuffing:]
    rig.step(100)
    assert rig.task.done
    for marks in (waited + take(outs[full]), take(outs[1 - full])):
        assert [(mark.kind, mark.value) for mark in marks] == [(2, 1), (3, 0)]


# A record without a key.


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("bad", [0, 4, 7])
@pytest.mark.parametrize("fault", ["key", "hash"])
def test_a_record_without_a_key(mode: str, bad: int, fault: str) -> None:
    def key(row: int) -> Any:
        if row != bad:
            return row
        return [] if fault == "hash" else 1 // 0

    outs, dead = [channel(), channel()], channel()
    rig = Rig(port("hash", outs, key, mode), letters=dead).feed(list(range(8)), end())
    rig.step(100)
    got = sorted(rows(take(outs[0])) + rows(take(outs[1])))
    letters = rows(take(dead))
    kind = ZeroDivisionError if fault == "key" else TypeError
    if mode == "fail":
        assert (got, type(rig.task.failure)) == (list(range(bad)), kind)
    else:
        assert got == [row for row in range(8) if row != bad]
        assert [(row, type(error)) for row, error in letters] == ([(bad, kind)] if mode == "dead-letter" else [])
    assert rig.lane.in_flight == 0


def test_a_record_that_several_ports_refuse_gets_a_letter_from_each_within_their_credit() -> None:
    ports = [port("hash", [channel(), channel()], lambda row: [], "dead-letter") for _ in range(3)]
    dead = channel(8, 8)
    rig = Rig(*ports, letters=dead).feed(list(range(20)), end())
    letters: list[Any] = []
    while not rig.task.done:
        rig.step()
        letters.extend(rows(take(dead)))
    assert sorted(row for row, _ in letters + rows(take(dead))) == sorted(list(range(20)) * 3)
    assert dead.most_in_flight <= 8


@pytest.mark.parametrize("mode", MODES)
def test_what_is_not_an_exception_ends_the_task_in_every_mode(mode: str) -> None:
    def key(row: int) -> int:
        if row == 3:
            raise KeyboardInterrupt
        return row

    outs = [channel(), channel()]
    rig = Rig(port("hash", outs, key, mode)).feed(list(range(6)), end())
    rig.step(100)
    assert isinstance(rig.task.failure, KeyboardInterrupt)
    taken = [take(out) for out in outs]
    assert sorted(row for frames in taken for row in rows(frames)) == [0, 1, 2]
    assert [(frames[-1].kind, frames[-1].value) for frames in taken] == [(3, 0)] * 2


# How many records may come, and what they cost.


class Asked(Head):
    """Notes how many records it is asked for, and gives none."""

    def __init__(self, *_: Any) -> None:
        self.limits: list[int] = []

    def more(self, limit: int, now: int, side: Sideline) -> None:
        self.limits.append(limit)

    def hungry(self) -> bool:
        return False

    def drained(self) -> bool:
        return True


def asked(*ports: Port, letters: tuple[Port, ...] = ()) -> list[int]:
    head = Asked("asked", guard())
    Task("asked", head, [], [], [list(ports)], letters).run_until_idle()
    return head.limits


@pytest.mark.parametrize(("route", "room"), [("broadcast", 2), ("hash", 2), ("rebalance", 4)])
def test_room_is_the_credit_that_surely_suffices(route: str, room: int) -> None:
    outs = [channel(400, 8) for _ in range(3)]
    for out, left in zip(outs, (4, 2, 3), strict=True):
        out.push_rows([None] * (out.available() - left))
    assert asked(port(route, outs)) == [room]


@pytest.mark.parametrize(("route", "cut"), [("broadcast", 4), ("hash", 4), ("rebalance", 50)])
def test_a_frame_is_cut_to_a_quarter_of_the_window(route: str, cut: int) -> None:
    assert asked(port(route, [channel(16, 16), channel(200, 50), channel(40, 16)])) == [cut]


def test_the_least_of_all_ports_counts() -> None:
    ports = [port("forward", [channel(200, 50)]), port("forward", [channel(80, 20)])]
    assert asked(*ports) == [20]
    assert asked(*ports, letters=(port("forward", [channel(40, 10)]),)) == [10]


def test_a_broadcast_shares_its_records_and_does_not_copy_them() -> None:
    outs = [channel(64, 16) for _ in range(3)]
    Rig(port("broadcast", outs)).feed(list(range(16))).step(100)
    first, *others = [take(out)[0].rows for out in outs]
    assert all(other is first for other in others)


@given(
    st.sampled_from(["hash", "broadcast", "rebalance"]),
    st.integers(1, 4),
    st.lists(st.integers(0, 9), max_size=60),
    st.lists(st.booleans(), max_size=30),
)
def test_what_is_split_and_merged_again_is_the_whole(
    route: str, width: int, records: list[int], turns: list[bool]
) -> None:
    """Under any interleaving of the task that splits and the one that merges."""
    between, out = [channel(8, 4) for _ in range(width)], channel(4096, 1024)
    splits = Rig(port(route, between, lambda row: row)).feed(*([records] if records else []), end())
    merges = Task("merge", Pass("merge", guard()), between, [], [[port("forward", [out])]])
    for is_split in turns:
        (splits.task if is_split else merges).run_until_idle(1)
    while splits.step(100) + merges.run_until_idle():
        pass
    *frames, last = take(out)
    assert sorted(rows(frames)) == sorted(records * (width if route == "broadcast" else 1))
    assert (last.kind, last.value) == (3, 1)


# What is no port.


@pytest.mark.parametrize(("route", "width"), [("forward", 2), ("forward", 0), ("rebalance", 0), ("round-robin", 1)])
def test_a_route_that_leads_nowhere_is_refused(route: str, width: int) -> None:
    with pytest.raises(ValueError, match=f"no port routes '{route}' to {width} channels"):
        Port(route, [channel() for _ in range(width)])


def test_hashing_needs_a_key_a_guard_and_enough_groups() -> None:
    outs = [channel(), channel(), channel()]
    Port("hash", outs, Getter(), guard(), 3)
    for key, policy, groups in ((None, guard(), 3), (Getter(), None, 3), (Getter(), guard(), 2)):
        with pytest.raises(ValueError, match="a hash port needs a key, a guard and at least as many key groups"):
            Port("hash", outs, key, policy, groups)


def test_routes_by_number() -> None:
    assert [port(route, [channel()], str).route for route in ROUTES] == [0, 1, 2, 3]
