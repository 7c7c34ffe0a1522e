"""Tasks that fail or are cancelled at every point there is, with little room: nothing owed, and one end."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cext.chain import Filter, Inspect, Map, Operator, Router
from cext.channel import Channel
from cext.frame import Frame, barrier, end, watermark
from cext.getter import Getter
from cext.guard import Guard, Sideline
from cext.head import Batch, Expand, Head, Pass
from cext.port import Port
from cext.source import Source
from cext.task import Task
from cext.window import Window

NAMES = {1: "watermark", 2: "barrier", 3: "end"}
WHOLE, CUT = ("end", 1), ("end", 0)


def guard(mode: str = "fail") -> Guard:
    return Guard(mode)


def channel_of(most: int = 64, frame: int = 64) -> Channel:
    return Channel(Window(0.1, most, frame), frame)


def forward(*channels: Channel) -> list[Port]:
    return [Port("forward", [channel]) for channel in channels]


def feed(channel: Channel, *items: list[Any] | Frame) -> Channel:
    """Put lists of records and marks, all of which must fit."""
    for item in items:
        if isinstance(item, list):
            channel.push_rows(item)
        else:
            assert channel.push(item)
    return channel


def shown(frame: Frame) -> list[Any]:
    """Its records, or its mark as (name, value)."""
    return frame.rows if frame.records else [(NAMES[frame.kind], frame.value)]


def drain(channel: Channel, frames: int = 1 << 30) -> list[Any]:
    """Up to `frames` frames, their credit given back."""
    out: list[Any] = []
    for frame in itertools.islice(iter(channel.pop, None), frames):
        out += shown(frame)
        channel.give_back(frame.records)
        channel.validate()
    return out


def run(task: Task, outputs: list[Channel]) -> list[list[Any]]:
    """Step until nothing moves though all that comes out is taken; what came out of each output."""
    out: list[list[Any]] = [[] for _ in outputs]
    moved = True
    while moved:
        moved = task.run_until_idle() > 0
        for got, channel in zip(out, outputs, strict=True):
            more = drain(channel)
            got += more
            moved = moved or bool(more)
    return out


def assert_nothing_owed(task: Task) -> None:
    for lane in task.input_channels:
        lane.validate()
        assert lane.in_flight == 0


def burn(seconds: float) -> None:
    """Be busy without letting time pass unused."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


class Watched(Head):
    """A head that notes what is asked of `inner`; call number `broken` of those that may fail does fail."""

    def __new__(cls, inner: Head, broken: int = -1) -> Watched:
        return super().__new__(cls, inner.name, inner.guard)

    def __init__(self, inner: Head, broken: int = -1) -> None:
        self.inner = inner
        self.broken = broken
        self.calls: list[str] = []
        self.closed_whole: list[bool] = []

    def note(self, name: str) -> None:
        self.calls.append(name)
        if len(self.calls) - 1 == self.broken:
            raise OSError(name)

    def hungry(self) -> bool:
        self.note("hungry")
        return self.inner.hungry()

    def accept(self, lane: Channel, frame: Frame, now: int) -> None:
        self.inner.accept(lane, frame, now)
        self.count_in(frame.records)
        self.note("accept")

    def more(self, limit: int, now: int, side: Sideline) -> list[Any] | None:
        self.note("more")
        self.born = self.inner.born
        return self.inner.more(limit, now, side)

    def settle(self) -> None:
        self.note("settle")
        self.inner.settle()

    def drained(self) -> bool:
        self.note("drained")
        return self.inner.drained()

    def finish(self, whole: bool) -> None:
        self.note("finish")
        self.inner.finish(whole)

    def close(self, whole: bool) -> None:
        self.closed_whole.append(whole)
        self.note("close")
        self.inner.close(whole)

    def discard(self) -> int:
        return self.inner.discard()


# Marks and records keep their order, whatever the room.


def heads() -> dict[str, tuple[Head, Callable[[int], list[int]]]]:
    """Heads that hold on to a frame, and what each makes of a record."""
    return {
        "expand": (Expand("expand", guard(), range), lambda n: list(range(n))),
        "batch": (Batch("batch", guard(), lambda rows: [n for n in rows for _ in range(n)], 1), lambda n: [n] * n),
        "pass": (Pass("pass", guard()), lambda n: [n]),
    }


@pytest.mark.parametrize("most", [1, 2, 3, 64])
@pytest.mark.parametrize("name", ["expand", "batch", "pass"])
def test_a_mark_waits_for_all_that_lies_before_it(name: str, most: int) -> None:
    head, made = heads()[name]
    script: list[Any] = [[3, 0, 5], watermark(1), [2], barrier(1), watermark(4), [0, 0], watermark(5), [30], end()]
    outputs = [channel_of(most, 1) for _ in range(4)]
    ports = [*forward(*outputs[:2]), Port("broadcast", outputs[2:])]
    task = Task("task", head, [feed(channel_of(), *script)], [], [ports])
    expected = [
        each
        for item in script
        for each in ([out for n in item for out in made(n)] if isinstance(item, list) else shown(item))
    ]
    assert run(task, outputs) == [expected] * 4
    assert_nothing_owed(task)
    assert all(channel.most_in_flight <= most for channel in outputs)


@given(st.lists(st.integers(0, 2), max_size=80), st.integers(1, 2))
def test_full_rings_lose_no_mark_whoever_is_slow(order: list[int], most: int) -> None:
    """Nothing but marks, over three channels; `order` says who takes a frame next."""
    script: list[Any] = [watermark(1), [7], *map(watermark, range(2, 20)), barrier(1), [8], barrier(2), end()]
    expected = [each for item in script for each in (item if isinstance(item, list) else shown(item))]
    outputs = [channel_of(most, 1) for _ in range(3)]
    ports = [*forward(outputs[0]), Port("broadcast", outputs[1:])]
    task = Task("task", Pass("pass", guard()), [feed(channel_of(), *script)], [], [ports])
    seen: list[list[Any]] = [[], [], []]
    for which in [*order, *itertools.chain(*[(0, 1, 2)] * len(expected))]:
        task.run_until_idle()
        assert task.run_until_idle() == 0
        seen[which] += drain(outputs[which], 1)
    assert seen == [expected] * 3
    assert task.done


def half_way(*script: Any, head: Head | None = None) -> tuple[Task, list[Channel]]:
    """A task whose first mark has reached the first of three channels, for the second is full."""
    outputs = [channel_of(), feed(channel_of(1, 1), watermark(0), watermark(0)), channel_of()]
    ports = [*forward(outputs[0]), Port("rebalance", outputs[1:])]
    task = Task("task", head or Pass("pass", guard()), [feed(channel_of(), *script)], [], [ports])
    task.run_until_idle()
    assert [channel.frames for channel in outputs] == [1, 2, 0]
    return task, outputs


def test_a_task_that_waits_for_a_slot_is_backpressured_and_takes_nothing() -> None:
    task, outputs = half_way(watermark(1), [7], end())
    before = task.counters()["backpressured"]
    burn(0.005)
    assert task.run_until_idle() == 0
    assert task.frames_in == 1
    assert task.counters()["backpressured"] >= before + 0.005
    assert drain(outputs[1], 1) == [("watermark", 0)]
    seen = run(task, outputs)
    assert seen[0] == [("watermark", 1), 7, WHOLE]
    assert (seen[1] + seen[2]).count(7) == 1


# Failures.


def explode(value: Any) -> Any:
    if value == 5:
        raise ValueError(value)
    return value


def failing(place: str, lanes: list[Channel], out: Channel) -> Task:
    """A task that fails at record 5."""
    head: Head = Pass("pass", guard())
    chain: list[Operator] = []
    router = None
    outputs = [forward(out)]
    if place == "head":
        head = Expand("expand", guard(), lambda n: [explode(n)])
    elif place == "chain":
        chain = [
            Map("before", guard(), int),
            Filter("all", guard(), lambda n: explode(n) >= 0),
            Map("map", guard(), int),
        ]
    elif place == "inspect":
        chain = [Inspect("inspect", guard(), explode)]
    elif place == "router":
        router = Router(guard(), (lambda n: explode(n) < 0,))
        outputs = [forward(channel_of()), forward(out)]
    elif place == "port":
        outputs = [[Port("hash", [out], Getter(explode), guard())]]
    return Task("task", head, lanes, chain, outputs, router=router)


PLACES = ["head", "chain", "inspect", "router", "port"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("most", [1, 4, 64])
def test_after_a_failure_what_went_before_is_delivered_and_a_cut_end_follows(place: str, most: int) -> None:
    lanes, out = (
        [feed(channel_of(), list(range(10)), watermark(1), [10, 11], barrier(1)), channel_of()],
        channel_of(most, 1),
    )
    task = failing(place, lanes, out)
    assert run(task, [out])[0] == [0, 1, 2, 3, 4]
    assert type(task.take_failure()) is ValueError
    assert task.take_failure() is None
    assert not task.done
    assert_nothing_owed(task)
    dropped = task.dropped
    feed(lanes[1], list(range(20)), watermark(2), [1], barrier(1), [5])
    assert run(task, [out])[0] == []
    assert_nothing_owed(task)
    assert task.dropped == dropped + 22
    feed(lanes[0], [5], end())
    feed(lanes[1], end())
    assert run(task, [out])[0] == [CUT]
    assert task.done
    assert task.dropped == dropped + 23
    assert task.take_failure() is None
    assert_nothing_owed(task)


@pytest.mark.parametrize("place", PLACES)
def test_what_a_failure_leaves_of_its_frame_is_counted_as_dropped(place: str) -> None:
    """With room for one record at a time: the record that failed, and what the task had not taken in hand."""
    out = channel_of(1, 1)
    task = failing(place, [feed(channel_of(), list(range(10)), [10, 11], end())], out)
    assert run(task, [out])[0] == [0, 1, 2, 3, 4, CUT]
    assert task.dropped + 5 == 12


@pytest.mark.parametrize("mode", ["skip", "dead-letter"])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_no_policy_swallows_what_is_not_an_exception(place: str, mode: str, error: type[BaseException]) -> None:
    def fatal(value: int) -> int:
        if value == 5:
            raise error
        return value

    out, letters = channel_of(), channel_of()
    head: Head = Expand("expand", guard(mode), lambda n: [fatal(n)]) if place == "head" else Pass("pass", guard())
    chain: list[Operator] = [Map("map", guard(mode), fatal)] if place == "chain" else []
    chain += [Inspect("inspect", guard(mode), fatal)] if place == "inspect" else []
    router = Router(guard(mode), (fatal,)) if place == "router" else None
    port = Port("hash", [out], Getter(fatal if place == "port" else None), guard(mode))
    outputs = [[port], []] if router else [[port]]
    lane = feed(channel_of(), [1, 2, 5, 6], end())
    task = Task("task", head, [lane], chain, outputs, forward(letters), router)
    assert run(task, [out, letters]) == [[1, 2, CUT], [CUT]]
    assert type(task.failure) is error
    assert_nothing_owed(task)


def test_the_rest_of_an_expansion_is_dropped_with_a_failure() -> None:
    def some(n: int) -> Iterator[int]:
        yield from range(n)
        raise ValueError(n)

    out = channel_of(2, 1)
    task = Task("task", Expand("expand", guard(), some), [feed(channel_of(), [3, 4], end())], [], [forward(out)])
    assert run(task, [out])[0] == [0, 1, 2, CUT]
    assert task.dropped == 1  # of the first something has gone on
    assert_nothing_owed(task)


# At every point: a failure of the head, a cancellation.


class Scene:
    """A task with two lanes, an expanding head, a chain, marks, tight outputs and dead letters."""

    def __init__(self, broken: int = -1) -> None:
        self.lanes = [channel_of(), channel_of()]
        feed(self.lanes[0], [3, 1, 4], watermark(2), [1, 5], barrier(1), [9], end())
        feed(self.lanes[1], [2, 6], watermark(4), barrier(1), [5, 3], end())
        self.outputs = [channel_of(2, 1) for _ in range(4)]
        self.letters = channel_of(2, 1)
        self.head = Watched(Expand("expand", guard(), range), broken)
        ports = [*forward(self.outputs[0]), Port("broadcast", self.outputs[1:3])]
        ports.append(Port("hash", self.outputs[3:], Getter(lambda n: n), guard()))
        chain = [Map("map", guard("dead-letter"), lambda n: 12 // n)]
        self.task = Task("task", self.head, self.lanes, chain, [ports], forward(self.letters))
        self.channels = [*self.outputs, self.letters]
        self.seen: list[list[Any]] = [[] for _ in self.channels]

    def go(self, steps: int = 1 << 30) -> int:
        """Take up to `steps` steps, and drain one frame of one channel after each; how many were taken."""
        taken = idle = 0
        while taken < steps and not self.task.done and idle < 3 * len(self.channels):
            which = (taken + idle) % len(self.channels)
            moved = self.task.run_until_idle(1)
            self.seen[which] += [
                each if type(each) is not ZeroDivisionError else "0" for each in drain(self.channels[which], 1)
            ]
            idle = 0 if moved else idle + 1
            taken += moved
        return taken

    def drain(self) -> None:
        for seen, channel in zip(self.seen, self.channels, strict=True):
            seen += [each if type(each) is not ZeroDivisionError else "0" for each in drain(channel)]


def whole_scene() -> tuple[Scene, int]:
    scene = Scene()
    steps = scene.go()
    scene.drain()
    assert scene.task.done
    assert all(seen[-1] == WHOLE for seen in scene.seen)
    return scene, steps


def assert_cut_short(scene: Scene, complete: Scene, *, may_be_whole: bool) -> None:
    assert scene.task.done
    for seen, full in zip(scene.seen, complete.seen, strict=True):
        assert seen[:-1] == full[: len(seen) - 1]
        assert seen[-1] == CUT or (may_be_whole and seen == full)
        assert CUT not in seen[:-1]
        assert WHOLE not in seen[:-1]
    assert len({seen[-1] for seen in scene.seen}) == 1
    assert len(scene.head.closed_whole) == 1
    assert_nothing_owed(scene.task)
    for channel in scene.channels:
        channel.validate()
        assert channel.in_flight == 0


def test_a_cancellation_at_any_point_leaves_nothing_owed_and_one_end() -> None:
    complete, steps = whole_scene()
    wholes = 0
    for n in range(steps + 1):
        scene = Scene()
        assert scene.go(n) == n
        scene.task.cancel()
        scene.go()
        scene.drain()
        assert_cut_short(scene, complete, may_be_whole=True)
        assert scene.task.failure is None
        assert scene.head.closed_whole == [scene.seen[0][-1] == WHOLE]
        wholes += scene.head.closed_whole == [True]
    assert 0 < wholes < steps / 2  # only those that came when the end was on its way


def test_a_failure_of_the_head_at_any_call_leaves_nothing_owed_and_one_end() -> None:
    complete, _ = whole_scene()
    kinds = set()
    for n in range(len(complete.head.calls)):
        scene = Scene(broken=n)
        scene.go()
        scene.drain()
        kinds.add(scene.head.calls[n])
        assert_cut_short(scene, complete, may_be_whole=False)
        error = scene.task.take_failure()
        assert type(error) is OSError
        assert error.args == (scene.head.calls[n],)
    assert kinds == {"hungry", "accept", "more", "settle", "drained", "finish", "close"}


@pytest.mark.parametrize("frames", range(3))
def test_a_mark_that_some_have_had_goes_on_to_the_others_when_the_task_is_cancelled(frames: int) -> None:
    head = Watched(Pass("pass", guard()))
    task, outputs = half_way(watermark(1), [1, 2], watermark(2), end(), head=head)
    seen = drain(outputs[1], frames)
    task.cancel()
    out = run(task, outputs)
    marks = [("watermark", 1), CUT]
    assert [out[0], seen + out[1], out[2]] == [marks, [("watermark", 0)] * 2 + marks, marks]
    assert head.closed_whole == [False]
    assert_nothing_owed(task)
    assert task.dropped == 2


@pytest.mark.parametrize("whole", [True, False])
def test_an_end_that_some_have_had_goes_on_as_it_is(whole: bool) -> None:
    task, outputs = half_way(end(whole))
    task.cancel()
    assert [out[-1] for out in run(task, outputs)] == [("end", whole)] * 3


def test_a_cut_end_waits_for_a_slot_too() -> None:
    out = feed(channel_of(1, 1), watermark(0), watermark(0))
    task = Task("task", Pass("pass", guard()), [feed(channel_of(), [1], end())], [], [forward(out)])
    task.cancel()
    task.run_until_idle()
    assert not task.done
    assert run(task, [out])[0] == [("watermark", 0), ("watermark", 0), CUT]
    assert_nothing_owed(task)


# Dead letters.


def refuse(value: Any) -> Any:
    raise ValueError(value)


@pytest.mark.parametrize("hashes", [1, 2, 3])
@pytest.mark.parametrize("room", range(1, 8))
def test_dead_letters_stay_within_credit_though_each_of_several_ports_refuses_a_record(hashes: int, room: int) -> None:
    most = hashes * room
    outputs, letters, plain = [channel_of(4, 2) for _ in range(hashes)], channel_of(most, 1), channel_of(32, 8)
    ports = [Port("hash", [out], Getter(refuse), guard("dead-letter")) for out in outputs]
    lane = feed(channel_of(), list(range(40)), end())
    task = Task("task", Pass("pass", guard()), [lane], [], [[*ports, *forward(plain)]], forward(letters))
    seen: list[Any] = []
    while not task.done:
        assert task.run_until_idle() > 0
        letters.validate()
        assert letters.in_flight <= most
        seen += drain(letters)
        for out in (*outputs, plain):
            drain(out)
    seen += drain(letters)
    assert [error.args[0] for error in seen[:-1]] == sorted(list(range(40)) * hashes) or hashes > 1
    assert sorted(error.args[0] for error in seen[:-1]) == sorted(list(range(40)) * hashes)
    assert_nothing_owed(task)


@pytest.mark.parametrize("most", [1, 2, 5])
def test_dead_letters_of_every_operator_reach_all_their_ports_in_order(most: int) -> None:
    def odd(remainder: int) -> Callable[[int], int]:
        return lambda n: explode(5) if n % 5 == remainder else n

    outs, letters = [channel_of(3, 1), channel_of(3, 1)], [channel_of(most, 1), channel_of(2 * most, 1)]
    strict = guard("dead-letter")
    chain = [
        Map("map", strict, odd(0)),
        Inspect("inspect", strict, odd(1)),
        Filter("filter", strict, lambda n: odd(2)(n) > -1),
    ]
    outputs = [forward(outs[0]), forward(outs[1])]
    router = Router(strict, (lambda n: odd(3)(n) < 0,))
    head = Expand("expand", strict, lambda n: [n] if n < 20 else explode(5))
    lane = feed(channel_of(), list(range(25)), watermark(3), end())
    task = Task("task", head, [lane], chain, outputs, forward(*letters), router)
    seen = run(task, [*outs, *letters])
    marks = [("watermark", 3), WHOLE]
    assert seen[:2] == [marks, [*range(4, 20, 5), *marks]]
    for each in seen[2:]:
        assert len(each) == 21 + len(marks)
        assert each[-2:] == marks
    assert strict.lettered == 21


# Time.


def sum_of_states(task: Task) -> float:
    counters = task.counters()
    return float(counters["busy"] + counters["idle"] + counters["backpressured"])


def test_time_between_steps_belongs_to_what_the_task_waits_for() -> None:
    """It is the thread that is busy then, with other tasks."""
    lane, out = feed(channel_of(), [1, 2]), channel_of(2, 2)
    task = Task("task", Pass("pass", guard()), [lane], [], [forward(out)])
    assert task.run_until_idle(1) == 1
    before = task.counters()
    burn(0.02)
    after = task.counters()
    assert after["backpressured"] - before["backpressured"] >= 0.02
    assert (after["busy"], after["idle"]) == (before["busy"], before["idle"])


# Open frames.


class Trickle:
    """A reader that gives one record a call, and nothing where a record is None."""

    def __init__(self, records: list[int | None]) -> None:
        self.records = iter([[] if record is None else [record] for record in records])

    def read(self, limit: int) -> list[int] | None:
        return next(self.records, None)

    def poll_after(self) -> float | None:
        return 3600

    def close(self) -> None:
        pass


def trickle(records: list[int | None], outputs: list[Channel]) -> Task:
    source = Source("source", guard(), lambda _: Trickle(records), [""], False, type(None))
    return Task("source", source, [], [], [forward(*outputs)], linger=1 << 60)


def test_open_frames_leave_when_another_output_is_out_of_credit() -> None:
    """Or what waits in them could never come, if the one who must give credit waits for it."""
    wide, narrow = channel_of(), channel_of(3, 1)
    task = trickle([1, 2, 3, 4, 5], [wide, narrow])
    assert task.run_until_idle(3) == 3
    assert (wide.frames, narrow.frames) == (0, 3)
    assert task.run_until_idle() == 0
    assert (wide.frames, wide.in_flight) == (1, 3)
    assert drain(wide) == [1, 2, 3]
    assert drain(narrow) == [1, 2, 3]


def test_an_open_frame_leaves_before_a_mark() -> None:
    lane, out = feed(channel_of(), [1], [2], watermark(1), [3]), channel_of()
    task = Task("task", Pass("pass", guard()), [lane], [], [forward(out)], linger=1 << 60)
    assert task.run_until_idle(2) == 2
    assert out.frames == 0
    assert task.run_until_idle(2) == 2
    assert drain(out) == [1, 2, ("watermark", 1)]


@settings(max_examples=50)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=12), st.integers(1, 16), st.integers(1, 8))
def test_lanes_take_turns(sizes: list[int], most: int, frame: int) -> None:
    """With room for everybody, no lane is two frames ahead of another that has something."""
    lanes, out = [channel_of(), channel_of(), channel_of()], channel_of(most, frame)
    for number, lane in enumerate(lanes):
        feed(lane, *([(number, at)] * size for at, size in enumerate(sizes)), end())
    task = Task("task", Pass("pass", guard()), lanes, [], [forward(out)])
    seen = run(task, [out])[0]
    assert seen.pop() == WHOLE
    ranks = [at for _, at in seen]
    assert ranks == sorted(ranks)
    assert_nothing_owed(task)
