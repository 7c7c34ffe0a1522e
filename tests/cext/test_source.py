"""Sources: never more asked for than there is credit, and every reader closed once, whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cext.channel import Channel
from cext.guard import Guard, Sideline
from cext.port import Port
from cext.source import Source
from cext.task import Task
from cext.window import Window

MODES = ["fail", "skip", "dead-letter"]
MS = 1_000_000


class Bad:
    """Stands for a record that could not be read."""

    def __init__(self, raw: Any) -> None:
        self.raw = raw
        self.error = ValueError(raw)


class Nothing:
    """In a script: nothing comes now."""


class Reader:
    """Reads from a script: records, `Bad` ones, `Nothing`, and errors, which it raises."""

    def __init__(self, script: Sequence[Any], per_read: int = 1_000_000, hint: float | None = None) -> None:
        self.script, self.per_read, self.hint = list(script), per_read, hint
        self.asked: list[int] = []
        self.closed = 0
        self.close_error: BaseException | None = None

    def read(self, limit: int) -> Sequence[Any] | None:
        assert not self.closed, "read after close"
        assert limit >= 1
        self.asked.append(limit)
        rows: list[Any] = []
        while self.script and len(rows) < min(limit, self.per_read):
            if self.script[0] is Nothing:
                del self.script[0]
                return rows
            if isinstance(self.script[0], BaseException):
                if rows:
                    return rows
                raise self.script.pop(0)
            rows.append(self.script.pop(0))
        return rows if rows or self.script else None

    def poll_after(self) -> float | None:
        assert not self.closed, "poll_after after close"
        return self.hint

    def close(self) -> None:
        self.closed += 1
        if self.close_error is not None:
            raise self.close_error


@dataclass
class Rig:
    """A source, and the readers that it has opened, in order."""

    parts: dict[str, Reader]
    in_turn: bool = False
    mode: str = "fail"
    opened: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.guard = Guard(self.mode, None, lambda record, error: (record, error))
        self.source = Source("source", self.guard, self.open, list(self.parts), self.in_turn, Bad)
        self.side = Sideline()

    def open(self, partition: str) -> Reader:
        self.opened.append(partition)
        return self.parts[partition]

    def more(self, limit: int = 100, now: int = 1) -> list[Any] | None:
        return self.source.more(limit, now, self.side)


def one(*script: Any, **options: Any) -> Rig:
    mode = options.pop("mode", "fail")
    return Rig({"": Reader(script, **options)}, mode=mode)


# What is read.


def test_a_reader_is_asked_for_as_many_as_there_is_credit_for() -> None:
    rig = one(*range(20))
    assert [rig.more(limit) for limit in (1, 5, 7, 100)] == [
        [0],
        [1, 2, 3, 4, 5],
        list(range(6, 13)),
        list(range(13, 20)),
    ]
    assert rig.parts[""].asked == [1, 5, 7, 100]
    assert (rig.source.records_in, rig.source.exhausted) == (20, False)


@pytest.mark.parametrize("kind", [list, tuple, "".join])
def test_any_sequence_of_records_will_do(kind: Callable[[Any], Any]) -> None:
    rig = one()
    rig.parts[""].read = lambda limit: kind("abc")  # type: ignore[method-assign]
    assert rig.more() == ["a", "b", "c"]


def test_bounded_partitions_are_read_one_after_the_other_in_order() -> None:
    rig = Rig({"a": Reader([1, 2]), "b": Reader([]), "c": Reader([3])})
    got = [rig.more() for _ in range(7)]
    assert got == [[1, 2], [], [], [3], [], None, None]
    assert rig.opened == ["a", "b", "c"]
    assert (rig.source.exhausted, rig.source.whole) == (True, True)
    assert [reader.closed for reader in rig.parts.values()] == [1, 1, 1]


def test_the_next_partition_is_opened_when_the_one_before_has_ended() -> None:
    rig = Rig({"a": Reader([1]), "b": Reader([2])})
    rig.more()
    assert rig.opened == ["a"]
    rig.more()
    assert (rig.opened, rig.parts["a"].closed) == (["a"], 1)
    rig.more()
    assert rig.opened == ["a", "b"]


def test_in_turn_every_partition_has_its_turn() -> None:
    rig = Rig({name: Reader([name] * 4, per_read=1) for name in "abc"}, in_turn=True)
    got = "".join(row for _ in range(12) for row in rig.more() or [])
    assert rig.opened == ["a", "b", "c"]
    assert sorted(got[:3]) == sorted(got[3:6]) == sorted(got[9:]) == ["a", "b", "c"]


def test_in_turn_a_quiet_partition_holds_nobody_up() -> None:
    rig = Rig({"quiet": Reader([Nothing] * 100), "busy": Reader(range(50), per_read=5)}, in_turn=True)
    assert [row for _ in range(10) for row in rig.more() or []] == list(range(50))


def test_no_partition_is_a_whole_stream_of_nothing() -> None:
    rig = Rig({})
    assert rig.more() is None
    assert (rig.source.exhausted, rig.source.whole) == (True, True)


@given(
    st.dictionaries(st.sampled_from("abcd"), st.lists(st.integers() | st.just(Nothing), max_size=12), max_size=4),
    st.booleans(),
    st.integers(1, 5),
    st.lists(st.integers(1, 9), min_size=1, max_size=10),
)
def test_every_partition_is_read_to_its_end_in_order(
    scripts: dict[str, list[Any]], in_turn: bool, per_read: int, limits: list[int]
) -> None:
    rig = Rig(
        {
            name: Reader([(name, each) if each is not Nothing else each for each in script], per_read)
            for name, script in scripts.items()
        },
        in_turn,
    )
    got: list[Any] = []
    now = 1
    for turn in range(1000):
        rows = rig.more(limits[turn % len(limits)], now)
        assert rows is None or len(rows) <= limits[turn % len(limits)]
        got.extend(rows or [])
        if rig.source.exhausted:
            break
        now = max(now, rig.source.deadline())
    wanted = {name: [each for each in script if each is not Nothing] for name, script in scripts.items()}
    assert {name: [row for part, row in got if part == name] for name in scripts} == wanted
    assert [reader.closed for reader in rig.parts.values()] == [1] * len(scripts)
    if not in_turn:
        assert got == [(name, each) for name, script in wanted.items() for each in script]


# When nothing comes.


def test_it_backs_off_ever_longer_and_begins_anew_with_the_first_record() -> None:
    rig = one(*[Nothing] * 8, 1, *[Nothing] * 3)
    now, waits = 1000 * MS, []
    for _ in range(8):
        assert rig.more(now=now) is None
        waits.append((rig.source.deadline() - now) / MS)
        asked = len(rig.parts[""].asked)
        assert rig.more(now=rig.source.deadline() - 1) is None
        assert len(rig.parts[""].asked) == asked  # too soon, so it was not asked
        now = rig.source.deadline()
    assert waits == [1, 2, 4, 8, 16, 16, 16, 16]
    assert rig.more(now=now) == [1]
    assert rig.source.deadline() == -1
    rig.more(now=now)
    assert rig.source.deadline() == now + 1 * MS


def test_a_reader_may_say_when_to_ask_again() -> None:
    rig = one(Nothing, Nothing, hint=0.25)
    rig.more(now=1000 * MS)
    assert rig.source.deadline() == 1250 * MS


@pytest.mark.parametrize("hint", [0.0, -3.0, 1e-9])
def test_a_hint_in_the_past_is_no_licence_to_spin(hint: float) -> None:
    rig = one(Nothing, hint=hint)
    rig.more(now=1000 * MS)
    assert rig.source.deadline() == 1001 * MS


def test_of_several_hints_the_soonest_counts_and_without_one_it_backs_off() -> None:
    rig = Rig({"a": Reader([Nothing] * 9, hint=0.5), "b": Reader([Nothing] * 9, hint=0.1)}, in_turn=True)
    rig.more(now=1000 * MS)
    assert rig.source.deadline() == 1100 * MS
    rig.parts["a"].hint = None
    rig.more(now=1100 * MS)
    assert rig.source.deadline() == 1102 * MS


def test_a_partition_that_ends_is_no_lull() -> None:
    rig = Rig({"a": Reader([]), "b": Reader([1])})
    assert rig.more() == []
    assert rig.source.deadline() == -1
    assert rig.more() == [1]


# Records that could not be read.


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("bad", [(0,), (3,), (5,), (0, 3, 5), tuple(range(6))])
def test_a_bad_record_keeps_its_place(mode: str, bad: tuple[int, ...]) -> None:
    script = [Bad(i) if i in bad else i for i in range(6)]
    rig = one(*script, mode=mode)
    rows = rig.more()
    if mode == "fail":
        assert rows == list(range(bad[0]))
        assert rig.side.failure is script[bad[0]].error  # type: ignore[union-attr]
    else:
        assert rows == [i for i in range(6) if i not in bad]
        assert rig.side.failure is None
        letters = [(i, script[i].error) for i in bad] if mode == "dead-letter" else []  # type: ignore[union-attr]
        assert rig.side.letters == letters
        assert (rig.guard.skipped, rig.guard.lettered) == (
            len(bad) * (mode == "skip"),
            len(bad) * (mode == "dead-letter"),
        )
    assert rig.source.deadline() == -1


# Readers that do wrong.


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("error", [OSError("disk"), KeyboardInterrupt()])
def test_what_a_reader_raises_ends_the_job_whatever_the_policy(mode: str, error: BaseException) -> None:
    rig = one(1, 2, error, 3, mode=mode)
    assert rig.more() == [1, 2]
    assert (rig.more(), rig.side.failure) == ([], error)
    assert rig.parts[""].closed == 0
    rig.source.close(False)
    assert rig.parts[""].closed == 1


@pytest.mark.parametrize("mode", MODES)
def test_a_reader_that_returns_more_than_it_was_asked_for_is_stopped(mode: str) -> None:
    rig = one(mode=mode)
    rig.parts[""].read = lambda limit: [0] * (limit + 1)  # type: ignore[method-assign]
    assert rig.more(7) == []
    assert str(rig.side.failure) == "Reader.read(7) returned 8 records, more than asked for"
    assert rig.source.records_in == 0


@pytest.mark.parametrize("rows", [5, iter([1]), {1: 2}.items().__iter__()])
def test_a_reader_that_returns_no_sequence_is_stopped(rows: Any) -> None:
    rig = one()
    rig.parts[""].read = lambda limit: rows  # type: ignore[method-assign]
    assert rig.more() == []
    assert isinstance(rig.side.failure, TypeError)


def test_a_partition_that_cannot_be_opened_ends_the_job() -> None:
    rig = Rig({"a": Reader([1]), "b": Reader([2])}, in_turn=True)
    rig.parts.pop("b")
    assert rig.more() == []
    assert isinstance(rig.side.failure, KeyError)
    rig.source.close(False)
    assert rig.parts["a"].closed == 1


def test_a_poll_after_that_raises_ends_the_job() -> None:
    rig = one(Nothing)
    rig.parts[""].poll_after = lambda: 1 // 0  # type: ignore[method-assign]
    assert rig.more() == []
    assert isinstance(rig.side.failure, ZeroDivisionError)


# Closing.


def test_every_reader_is_closed_though_others_raise() -> None:
    rig = Rig({name: Reader([1]) for name in "abcd"}, in_turn=True)
    rig.more()
    errors = [ValueError("a"), ValueError("c")]
    rig.parts["a"].close_error, rig.parts["c"].close_error = errors
    with pytest.raises(ValueError, match="a"):
        rig.source.close(True)
    assert [reader.closed for reader in rig.parts.values()] == [1] * 4
    rig.source.close(True)
    assert [reader.closed for reader in rig.parts.values()] == [1] * 4


def test_a_reader_that_fails_to_close_at_its_end_is_not_closed_again() -> None:
    rig = one(1)
    rig.parts[""].close_error = OSError("close")
    assert rig.more() == [1]
    assert rig.more() == []
    assert rig.side.failure is rig.parts[""].close_error
    rig.source.close(False)
    assert rig.parts[""].closed == 1


scripts = st.lists(
    st.lists(
        st.one_of(
            st.integers(),
            st.just(Nothing),
            st.builds(Bad, st.integers()),
            st.builds(OSError, st.just("script")),
        ),
        max_size=8,
    ),
    max_size=4,
)


@given(scripts, st.booleans(), st.sampled_from(MODES), st.sets(st.integers(0, 3)), st.integers(0, 12), st.booleans())
@settings(deadline=None)
def test_whatever_happens_each_reader_is_closed_once_and_never_read_again(
    parts: list[list[Any]], in_turn: bool, mode: str, closing: set[int], steps: int, cancel: bool
) -> None:
    """In a task, cancelled or stopped after some steps; `Reader` itself asserts that nothing follows `close`."""
    readers = {str(i): Reader(script, hint=0) for i, script in enumerate(parts)}
    for at in closing & set(range(len(parts))):
        readers[str(at)].close_error = OSError("close")
    rig = Rig(readers, in_turn, mode)
    out, dead = Channel(Window(0.1, 4, 4), 4), Channel(Window(0.1, 4, 4), 4)
    task = Task("task", rig.source, [], [], [[Port("forward", [out])]], [Port("forward", [dead])])

    def turn() -> None:
        task.run_until_idle(1)
        for each in (out, dead):
            each.validate()
            for frame in iter(each.pop, None):
                each.give_back(frame.records)

    for _ in range(steps):
        turn()
    if cancel:
        task.cancel()
    else:
        rig.source.stop(True)
    for _ in range(30):
        turn()
    assert task.done
    assert all(readers[name].closed == 1 for name in rig.opened)
    assert all(readers[name].closed == 0 for name in set(readers) - set(rig.opened))
    assert task.failure is None or isinstance(task.failure, (OSError, ValueError))


# Stopping.


@pytest.mark.parametrize("whole", [True, False])
def test_a_stopped_source_asks_no_more_and_says_how_to_take_what_it_gave(whole: bool) -> None:
    rig = one(*range(100), per_read=3)
    out = Channel(Window(0.1, 64, 32), 16)
    task = Task("task", rig.source, [], [], [[Port("forward", [out])]])
    task.run_until_idle(2)
    rig.source.stop(whole)
    task.run_until_idle()
    assert task.done
    frames = list(iter(out.pop, None))
    assert [row for frame in frames for row in frame.rows] == [0, 1, 2, 3, 4, 5]
    assert (frames[-1].kind, frames[-1].value) == (3, whole)
    assert (len(rig.parts[""].asked), rig.parts[""].closed) == (2, 1)
    assert (rig.source.exhausted, rig.source.whole) == (True, whole)


def test_a_reader_may_stop_its_source() -> None:
    rig = one()

    def read(limit: int) -> list[int]:
        rig.source.stop(False)
        return [1]

    rig.parts[""].read = read  # type: ignore[method-assign]
    assert (rig.more(), rig.more()) == ([1], None)
    assert (rig.source.exhausted, rig.source.whole) == (True, False)


def test_a_source_without_credit_is_not_asked() -> None:
    rig = one(*range(1000))
    out = Channel(Window(0.1, 8, 8), 8)
    task = Task("task", rig.source, [], [], [[Port("forward", [out])]])
    task.run_until_idle()
    assert (out.in_flight, sum(rig.parts[""].asked)) == (8, 8)
    asked = len(rig.parts[""].asked)
    task.run_until_idle(100)
    assert len(rig.parts[""].asked) == asked
    assert out.most_in_flight == 8


def test_a_source_takes_no_frames() -> None:
    rig = one(1)
    assert (rig.source.hungry(), rig.source.drained()) == (False, True)


# In a task: what comes out, and in which order.


def channel(most: int = 4096, frame: int = 1024) -> Channel:
    return Channel(Window(0.1, most, 2 * frame), frame)


def task_of(rig: Rig, out: Channel, dead: Channel | None = None) -> Task:
    letters = [] if dead is None else [Port("forward", [dead])]
    return Task("task", rig.source, [], [], [[Port("forward", [out])]], letters)


def take(out: Channel) -> list[Any]:
    """All records that lie there, and (kind, value) of marks; their credit goes back."""
    seen: list[Any] = []
    for frame in iter(out.pop, None):
        out.give_back(frame.records)
        seen += frame.rows or [(frame.kind, frame.value)]
    return seen


@pytest.mark.parametrize(
    ("script", "records", "failure"),
    [
        ([1, 2, Bad(3), 4], [1, 2], "3"),
        ([1, Nothing, Bad(3), 4], [1], "3"),
        ([Bad(3), 4], [], "3"),
        ([1, 2, OSError("disk"), 3], [1, 2], "disk"),
        ([1, KeyboardInterrupt("stop"), 3], [1], "stop"),
    ],
)
def test_what_came_before_a_failure_is_delivered_and_nothing_after_it(
    script: list[Any], records: list[Any], failure: str
) -> None:
    rig, out = one(*script), channel()
    task = task_of(rig, out)
    while not task.done:
        task.run_until_idle()
    assert take(out) == [*records, (3, 0)]
    assert str(task.failure) == failure
    assert rig.parts[""].closed == 1


@given(st.integers(1, 40), st.integers(1, 12), st.lists(st.integers(0, 3), max_size=20))
def test_it_never_asks_for_more_than_credit_and_a_frame(most: int, frame: int, takes: list[int]) -> None:
    rig, out = one(*range(100)), channel(most, frame)
    read, task = rig.parts[""].read, task_of(rig, out)

    def watched(limit: int) -> Sequence[Any] | None:
        assert 1 <= limit <= min(out.available(), frame)
        return read(limit)

    rig.parts[""].read = watched  # type: ignore[method-assign]
    seen: list[Any] = []
    for frames in [*takes, *[1000] * 101]:
        task.run_until_idle()
        out.validate()
        for _ in range(frames):
            if (popped := out.pop()) is None:
                break
            out.give_back(popped.records)
            seen += popped.rows
    assert (seen, task.done, task.failure) == (list(range(100)), True, None)
    assert out.most_in_flight <= most


@pytest.mark.parametrize("mode", ["skip", "dead-letter"])
def test_a_read_of_bad_records_alone_is_no_lull(mode: str) -> None:
    """Nothing waits: neither the letters, which know when they came, nor the next read."""
    rig = Rig({"": Reader([Bad(1), Bad(2), 3], per_read=1)}, mode=mode)
    out, dead = channel(), channel()
    task_of(rig, out, dead).run_until_idle()
    assert take(out) == [3, (3, 1)]
    frames = [frame for frame in iter(dead.pop, None) if frame.records]
    letters = [record for frame in frames for record, _ in frame.rows]
    assert letters == ([1, 2] if mode == "dead-letter" else [])
    assert all(frame.born > 0 for frame in frames)


def test_letters_never_overdraw_their_credit() -> None:
    rig, out, dead = one(*map(Bad, range(50)), mode="dead-letter"), channel(), channel(5, 5)
    task = task_of(rig, out, dead)
    seen: list[Any] = []
    while not task.done or dead.in_flight:
        task.run_until_idle()
        dead.validate()
        seen += take(dead)
    assert [record for record, _ in seen[:-1]] == list(range(50))
    assert (seen[-1], dead.most_in_flight) == ((3, 1), 5)


@pytest.mark.parametrize("in_turn", [True, False])
@pytest.mark.parametrize("has_credit", [True, False])
def test_cancel_closes_what_is_open_and_cuts_the_stream(in_turn: bool, has_credit: bool) -> None:
    rig, out = Rig({name: Reader([1, Nothing] * 99, hint=3600) for name in "ab"}, in_turn), channel(64, 16)
    task = task_of(rig, out)
    task.run_until_idle(1)
    if not has_credit:
        out.push_rows([None] * out.available())
    task.cancel()
    task.run_until_idle()
    assert (task.done, task.failure, take(out)[-1]) == (True, None, (3, 0))
    assert [reader.closed for reader in rig.parts.values()] == [1, int(in_turn)]


@pytest.mark.parametrize("whole", [True, False])
def test_a_close_that_raises_at_the_end_fails_the_job(whole: bool) -> None:
    rig, out = Rig({name: Reader([Nothing] * 9, hint=3600) for name in "abc"}, in_turn=True), channel()
    for name in "ac":
        rig.parts[name].close_error = OSError(name)
    task = task_of(rig, out)
    task.run_until_idle()
    rig.source.stop(whole)
    task.run_until_idle()
    assert (task.done, str(task.failure), take(out)) == (True, "a", [(3, 0)])
    assert [reader.closed for reader in rig.parts.values()] == [1] * 3


def test_the_first_failure_is_the_one_that_is_told() -> None:
    rig, out = one(1, OSError("read")), channel()
    rig.parts[""].close_error = OSError("close")
    task = task_of(rig, out)
    task.run_until_idle()
    assert (str(task.failure), take(out), rig.parts[""].closed) == ("read", [1, (3, 0)], 1)


def test_without_credit_nothing_is_opened() -> None:
    rig, out = one(1), channel(4, 4)
    out.push_rows([None] * 4)
    task = task_of(rig, out)
    assert (task.run_until_idle(), rig.opened) == (0, [])
    take(out)
    task.run_until_idle()
    assert (rig.opened, take(out)) == ([""], [1, (3, 1)])


@pytest.mark.parametrize("whole", [True, False])
def test_a_stopped_source_needs_no_credit_to_end(whole: bool) -> None:
    rig, out = one(*range(100)), channel(8, 8)
    task = task_of(rig, out)
    task.run_until_idle()
    assert out.available() == 0
    rig.source.stop(whole)
    task.run_until_idle()
    assert task.done
    assert [(frame.kind, frame.value) for frame in iter(out.pop, None)][-1] == (3, whole)
    assert rig.parts[""].closed == 1


def test_a_reader_may_use_its_list_again() -> None:
    """A frame may lie in several channels for long; what a reader does with its own list is no business of theirs."""
    rows = [1, 2, 3]
    rig, out = one(), channel()

    def read(limit: int) -> list[int] | None:
        rows[:] = [row + 3 for row in rows]
        return rows if rows[0] < 12 else None

    rig.parts[""].read = read  # type: ignore[method-assign]
    task_of(rig, out).run_until_idle()
    assert take(out) == [4, 5, 6, 7, 8, 9, 10, 11, 12, (3, 1)]
