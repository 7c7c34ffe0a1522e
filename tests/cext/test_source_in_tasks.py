"""The source's head: what it asks its readers for, when it asks again, and that each of them is closed once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cext.chain import Map
from cext.channel import Channel
from cext.guard import Guard, Sideline
from cext.port import Port
from cext.source import Source
from cext.task import Task
from cext.window import Window

NEVER = 1 << 62  # a window whose first period begins then is never adapted
MS = 1_000_000
WHOLE, CUT = (3, 1), (3, 0)
LONG = 3600.0  # an hour: no test lasts until then

Answer = Sequence[Any] | BaseException | None


class Bad:
    """Stands where a record could not be read."""

    def __init__(self, raw: Any) -> None:
        self.raw = raw
        self.error = ValueError(f"bad {raw}")


class Reader:
    """Gives `answers`, one a read, then None; notes every call."""

    def __init__(self, *answers: Answer, hint: float | None = LONG, on_close: BaseException | None = None) -> None:
        self.answers = deque(answers)
        self.hint = hint
        self.on_close = on_close
        self.limits: list[int] = []
        self.opened = self.closed = 0

    def read(self, limit: int) -> Sequence[Any] | None:
        assert not self.closed
        self.limits.append(limit)
        answer = self.answers.popleft() if self.answers else None
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def poll_after(self) -> float | None:
        assert not self.closed
        return self.hint

    def close(self) -> None:
        self.closed += 1
        if self.on_close is not None:
            raise self.on_close


class Counting(Reader):
    """Gives as many as it is asked for, up to `end`; notes what credit there was."""

    def __init__(self, end: int, to: Channel) -> None:
        super().__init__()
        self.left, self.end, self.to = iter(range(end)), end, to
        self.credits: list[int] = []

    def read(self, limit: int) -> Sequence[Any] | None:
        self.limits.append(limit)
        self.credits.append(self.to.available())
        return list(islice(self.left, limit)) or None


def channel(most: int = 4096, frame: int = 1024) -> Channel:
    return Channel(Window(0.1, most, frame, now=NEVER), frame)


def source(*readers: Reader | BaseException, guard: Guard | None = None, in_turn: bool = False) -> Source:
    """One partition for each reader; an exception in a reader's place is raised by open()."""

    def open_reader(partition: str) -> Reader:
        reader = readers[int(partition)]
        if isinstance(reader, BaseException):
            raise reader
        reader.opened += 1
        return reader

    return Source("in", guard or Guard("fail"), open_reader, [str(at) for at in range(len(readers))], in_turn, Bad)


def task_of(head: Source, out: Channel, letters: Channel | None = None, frame_records: int = 1024) -> Task:
    ports = [] if letters is None else [Port("forward", [letters])]
    return Task("in", head, [], [], [[Port("forward", [out])]], ports, frame_records=frame_records)


def pop_all(out: Channel) -> list[Any]:
    """All records that lie there, and (kind, value) of marks; their credit goes back."""
    seen: list[Any] = []
    while (frame := out.pop()) is not None:
        out.give_back(frame.records)
        seen += frame.rows or [(frame.kind, frame.value)]
    return seen


def run(*readers: Reader | BaseException, **options: Any) -> tuple[list[Any], Task]:
    """All that comes out of a source with credit in plenty."""
    out = channel()
    task = task_of(source(*readers, **options), out)
    task.run_until_idle()
    return pop_all(out), task


def more(head: Source, now: int, limit: int = 10) -> list[Any] | None:
    side = Sideline()
    rows = head.more(limit, now, side)
    assert side.failure is None
    return rows


# How many it asks for.


@given(most=st.integers(1, 40), frame=st.integers(1, 12), take=st.lists(st.integers(0, 3), max_size=20))
def test_it_never_asks_for_more_than_credit_and_a_frame(most: int, frame: int, take: list[int]) -> None:
    out = channel(most, frame)
    reader = Counting(100, out)
    task = task_of(source(reader), out, frame_records=frame)
    seen: list[Any] = []
    for frames in [*take, *[1000] * 102]:
        task.run_until_idle()
        out.validate()
        for _ in range(frames):
            if (popped := out.pop()) is None:
                break
            out.give_back(popped.records)
            seen += popped.rows
    assert seen == list(range(100))
    assert task.done
    assert all(1 <= limit <= min(credit, frame) for limit, credit in zip(reader.limits, reader.credits, strict=True))
    assert out.most_in_flight <= most


def test_without_credit_it_does_not_ask_at_all() -> None:
    out = channel(8, 8)
    reader = Counting(100, out)
    task = task_of(source(reader), out)
    task.run_until_idle()
    assert sum(reader.limits) == 8 == out.in_flight
    calls = len(reader.limits)
    assert task.run_until_idle() == 0
    assert len(reader.limits) == calls


def test_it_opens_nothing_before_there_is_credit() -> None:
    out = channel(4, 4)
    out.push_rows([None] * 4)
    reader = Reader([1])
    task = task_of(source(reader), out)
    assert task.run_until_idle() == 0
    assert reader.opened == 0
    pop_all(out)
    task.run_until_idle()
    assert (reader.opened, reader.closed, pop_all(out)) == (1, 1, [1, WHOLE])


def test_letters_need_credit_too() -> None:
    out, letters = channel(), channel(4, 4)
    letters.push_rows([None])
    reader = Counting(10, letters)
    task_of(source(reader), out, letters).run_until_idle(1)
    assert reader.limits == [1]  # a quarter of the letters' window


def test_a_reader_that_returns_more_than_asked_for_fails_the_job() -> None:
    reader = Reader([1], [2] * 1025)
    rows, task = run(reader, guard=Guard("skip", lambda record, error: RuntimeError(str(error))))
    assert rows == [1, CUT]
    assert str(task.failure) == "Reader.read(1024) returned 1025 records, more than asked for"
    assert reader.closed == 1


@pytest.mark.parametrize("rows", [(1, 2), range(1, 3), deque([1, 2]), {1: "a", 2: "b"}.keys()])
def test_records_may_come_in_any_sequence(rows: Any) -> None:
    assert run(Reader(rows, ()))[0] == [1, 2]
    assert run(Reader(rows, None))[0] == [1, 2, WHOLE]


@pytest.mark.parametrize("rows", [7, iter([1])])
def test_what_has_no_length_fails_the_job(rows: Any) -> None:
    reader = Reader([1], rows)
    seen, task = run(reader)
    assert seen == [1, CUT]
    assert isinstance(task.failure, TypeError)
    assert reader.closed == 1


def test_it_counts_records_and_notes_when_they_came() -> None:
    out = channel()
    task = task_of(source(Reader([1, 2], [3])), out)
    task.run_until_idle()
    assert task.counters()["records_in"] == 3
    frame = out.pop()
    assert frame is not None
    assert frame.born > 0


# When it asks again.


def test_it_backs_off_from_one_to_sixteen_ms_while_nothing_comes() -> None:
    reader = Reader(*[[]] * 7, [1], [], hint=None)
    head, now, pauses = source(reader), 1000, []
    for _ in range(7):
        assert more(head, now) is None
        pauses.append(head.deadline() - now)
        assert more(head, head.deadline() - 1) is None
        now = head.deadline()
    assert pauses == [MS, 2 * MS, 4 * MS, 8 * MS, 16 * MS, 16 * MS, 16 * MS]
    assert len(reader.limits) == 7
    assert more(head, now) == [1]
    assert head.deadline() == -1
    assert more(head, now) is None
    assert head.deadline() == now + MS  # from the beginning
    head.close(False)


@pytest.mark.parametrize(("hint", "pause"), [(0.25, 250 * MS), (0.0, MS), (-1, MS), (1e-6, MS), (2, 2000 * MS)])
def test_a_reader_says_when_to_ask_again_but_not_within_a_millisecond(hint: float, pause: int) -> None:
    head = source(Reader([], [], hint=hint))
    for now in (1000, 1000 + pause):
        assert more(head, now) is None
        assert head.deadline() == now + pause
    head.close(False)


@pytest.mark.parametrize(("hints", "pause"), [((3, 2, 5), 2000 * MS), ((3, None), MS), ((None, None), MS)])
def test_the_most_eager_reader_counts_and_one_without_a_hint_backs_off(hints: Any, pause: int) -> None:
    readers = [Reader([], hint=hint) for hint in hints]
    head = source(*readers, in_turn=True)
    assert more(head, 1000) is None
    assert head.deadline() == 1000 + pause
    assert [len(reader.limits) for reader in readers] == [1] * len(readers)
    head.close(False)


def test_an_idle_task_does_not_ask_before_its_time() -> None:
    reader = Reader([1], [], [2])
    out = channel()
    task = task_of(source(reader), out)
    assert task.run_until_idle() == 1
    assert [task.run_until_idle() for _ in range(5)] == [0] * 5
    assert len(reader.limits) == 2
    assert pop_all(out) == [1]  # it does not wait for a fuller frame


def test_a_reader_whose_poll_after_raises_fails_the_job() -> None:
    class Failing(Reader):
        def poll_after(self) -> float:
            raise OSError("no clock")

    reader = Failing([1], [])
    rows, task = run(reader)
    assert (rows, str(task.failure), reader.closed) == ([1, CUT], "no clock", 1)


# Bad records.


def letter(record: Any, error: BaseException) -> Any:
    return "letter", record, str(error)


def with_bad(mode: str, *answers: Answer) -> tuple[list[Any], list[Any], Task, Guard]:
    out, letters, guard = channel(), channel(), Guard(mode, None, letter)
    reader = Reader(*answers)
    task = task_of(source(reader, guard=guard), out, letters)
    task.run_until_idle()
    assert reader.closed == 1
    return pop_all(out), pop_all(letters), task, guard


def test_fail_delivers_what_came_before_the_bad_record() -> None:
    rows, letters, task, _ = with_bad("fail", [1], [2, 3, Bad(4), 5, Bad(6)], [7])
    assert (rows, letters, str(task.failure)) == ([1, 2, 3, CUT], [CUT], "bad 4")


def test_fail_does_not_go_on_after_a_read_that_begins_with_a_bad_record() -> None:
    rows, _, task, _ = with_bad("fail", [Bad(1), 2], [3])
    assert (rows, str(task.failure)) == ([CUT], "bad 1")


def test_fail_does_not_ask_the_next_reader_after_a_bad_record() -> None:
    readers = [Reader([1]), Reader([Bad(2)])]
    rows, task = run(*readers, in_turn=True)
    assert (rows, str(task.failure)) == ([CUT], "bad 2")
    assert [(reader.limits, reader.closed) for reader in readers] == [([], 1), ([1024], 1)]


@pytest.mark.parametrize("mode", ["skip", "dead-letter"])
@pytest.mark.parametrize("answer", [[1, Bad(2), 3, Bad(4), 5], (1, Bad(2), 3, Bad(4), 5)])
def test_bad_records_are_set_aside_in_order(mode: str, answer: Sequence[Any]) -> None:
    rows, letters, task, guard = with_bad(mode, answer, [Bad(6)], [7])
    assert rows == [1, 3, 5, 7, WHOLE]
    aside = [letter(raw, ValueError(f"bad {raw}")) for raw in (2, 4, 6)]
    assert letters == [*(aside if mode == "dead-letter" else []), WHOLE]
    assert (guard.skipped, guard.lettered) == ((3, 0) if mode == "skip" else (0, 3))
    assert task.failure is None


@pytest.mark.parametrize("mode", ["skip", "dead-letter"])
def test_a_read_of_bad_records_alone_is_not_an_empty_one(mode: str) -> None:
    """Nothing waits: neither the letters nor the next read."""
    reader = Reader([Bad(1)], [Bad(2)], [3], [])
    out, letters = channel(), channel()
    task = task_of(source(reader, guard=Guard(mode, None, letter)), out, letters)
    task.run_until_idle()
    assert len(reader.limits) == 4
    assert pop_all(out) == [3]
    assert [raw for _, raw, _ in pop_all(letters)] == ([1, 2] if mode == "dead-letter" else [])
    task.cancel()
    task.run_until_idle()


def test_letters_never_overdraw_their_credit() -> None:
    class OnlyBad(Reader):
        def read(self, limit: int) -> Sequence[Any]:
            self.limits.append(limit)
            return [Bad(limit)] * limit

    reader, out, letters = OnlyBad(), channel(), channel(5, 5)
    task = task_of(source(reader, guard=Guard("dead-letter", None, letter)), out, letters)
    for turn in range(1, 5):
        task.run_until_idle()
        letters.validate()
        assert letters.counters[0] == 5 * turn == sum(reader.limits)
        pop_all(letters)
    task.cancel()
    task.run_until_idle()
    assert reader.closed == 1


def test_letters_of_a_bad_read_know_when_they_came() -> None:
    out, letters = channel(), channel()
    task_of(source(Reader([Bad(1)]), guard=Guard("dead-letter", None, letter)), out, letters).run_until_idle()
    frame = letters.pop()
    assert frame is not None
    assert frame.born > 0


@given(
    st.lists(st.lists(st.booleans(), min_size=1, max_size=4), max_size=8),
    st.sampled_from(["fail", "skip", "dead-letter"]),
)
def test_good_and_bad_make_up_the_whole(shape: list[list[bool]], mode: str) -> None:
    count = iter(range(1000))
    reads = [[Bad(next(count)) if is_bad else next(count) for is_bad in each] for each in shape]
    flat = [row for each in reads for row in each]
    rows, letters, task, _ = with_bad(mode, *reads)
    firsts = [at for at, row in enumerate(flat) if isinstance(row, Bad)]
    if mode == "fail" and firsts:
        assert rows == [*flat[: firsts[0]], CUT]
        assert str(task.failure) == f"bad {firsts[0]}"
        return
    assert rows == [*(row for row in flat if not isinstance(row, Bad)), WHOLE]
    assert [each[1] for each in letters[:-1]] == (firsts if mode == "dead-letter" else [])


def test_a_bad_record_does_not_reach_the_chain() -> None:
    out = channel()
    head = source(Reader([1, 2, Bad(3), 4]))
    double = Map("double", Guard("fail"), lambda row: 2 * row)
    task = Task("in", head, [], [double], [[Port("forward", [out])]])
    task.run_until_idle()
    assert (pop_all(out), str(task.failure)) == ([2, 4, CUT], "bad 3")


# Partitions.


def test_bounded_partitions_are_read_one_after_the_other() -> None:
    log: list[str] = []

    class Logging(Reader):
        name = ""

        def read(self, limit: int) -> Sequence[Any] | None:
            log.append(f"read {self.name}")
            return super().read(limit)

        def close(self) -> None:
            log.append(f"close {self.name}")
            super().close()

    readers = [Logging([1], [2]), Logging(), Logging([3])]
    for name, reader in zip("abc", readers, strict=True):
        reader.name = name
    rows, _ = run(*readers)
    assert rows == [1, 2, 3, WHOLE]
    assert log == [*["read a"] * 3, "close a", "read b", "close b", *["read c"] * 2, "close c"]
    assert [reader.opened for reader in readers] == [1, 1, 1]


def test_a_bounded_partition_that_waits_holds_back_the_next() -> None:
    readers = [Reader([1], [], [2]), Reader([3])]
    rows, _ = run(*readers)
    assert rows == [1]
    assert [reader.opened for reader in readers] == [1, 0]


def test_in_turn_all_are_open_and_none_waits_for_another() -> None:
    readers = [Reader(["a"] * 3, ["a"], ["a"]), Reader(*[[]] * 99), Reader(["c"], ["c"], ["c"])]
    rows, task = run(*readers, in_turn=True)
    assert [reader.opened for reader in readers] == [1, 1, 1]
    assert sorted(rows) == ["a"] * 5 + ["c"] * 3
    assert "c" in rows[:4]
    assert [reader.closed for reader in readers] == [1, 0, 1]
    task.cancel()
    task.run_until_idle()
    assert readers[1].closed == 1


@given(st.lists(st.lists(st.lists(st.integers(), min_size=1, max_size=3), max_size=4), max_size=4), st.booleans())
def test_every_partition_is_read_to_its_end(shape: list[list[list[int]]], in_turn: bool) -> None:
    readers = [Reader(*[[(at, row) for row in rows] for rows in each]) for at, each in enumerate(shape)]
    rows, task = run(*readers, in_turn=in_turn)
    assert rows.pop() == WHOLE
    for at, each in enumerate(shape):
        assert [row for part, row in rows if part == at] == [row for read in each for row in read]
    assert in_turn or [part for part, _ in rows] == sorted(part for part, _ in rows)
    assert all((reader.opened, reader.closed) == (1, 1) for reader in readers)
    assert (task.done, task.failure) == (True, None)


def test_no_partition_is_an_empty_stream() -> None:
    rows, task = run()
    assert (rows, task.done, task.failure) == ([WHOLE], True, None)


# The end, and that each reader is closed once.

CASES: list[Callable[[], list[Any]]] = [
    lambda: [Reader([1], OSError("gone")), Reader([2])],
    lambda: [Reader([1], KeyboardInterrupt("gone")), Reader([2])],
    lambda: [Reader([1], on_close=OSError("gone")), Reader([2])],
    lambda: [Reader([1]), OSError("gone"), Reader([2])],
]


@pytest.mark.parametrize("readers", [case() for case in CASES])
def test_a_failure_comes_after_the_records_read_before_it(readers: list[Any]) -> None:
    rows, task = run(*readers, guard=Guard("skip"))
    assert rows == [1, CUT]
    assert str(task.failure) == "gone"
    assert task.done
    assert readers[0].closed == 1
    assert (readers[-1].opened, readers[-1].closed) == (0, 0)


@pytest.mark.parametrize(
    ("readers", "read"),
    [
        ([Reader([1], [2]), Reader([3], OSError("gone")), Reader([4])], 2),
        ([Reader([], [], []), Reader([3], on_close=OSError("gone")), Reader([], [])], 1),
        ([Reader([]), Reader([3], [4] * 2000)], 1),
    ],
)
def test_when_one_fails_all_that_are_open_are_closed(readers: list[Reader], read: int) -> None:
    rows, task = run(*readers, in_turn=True)
    assert rows[-1] == CUT
    assert len(rows) > read
    assert task.failure is not None
    assert [reader.closed for reader in readers] == [1] * len(readers)


def test_when_one_cannot_be_opened_those_opened_before_are_closed() -> None:
    readers: list[Any] = [Reader([1]), Reader([2]), PermissionError("not yours"), Reader([3])]
    described: list[Any] = []

    def describe(record: Any, error: BaseException) -> BaseException:
        described.append((record, error))
        return RuntimeError("described")

    rows, task = run(*readers, in_turn=True, guard=Guard("fail", describe))
    assert (rows, str(task.failure)) == ([CUT], "described")
    assert [(record, str(error)) for record, error in described] == [(None, "not yours")]
    opened = [reader for reader in readers if isinstance(reader, Reader)]
    assert [(reader.opened, reader.closed) for reader in opened] == [(1, 1), (1, 1), (0, 0)]


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("in_turn", [True, False])
def test_stop_ends_the_stream_where_it_is(whole: bool, in_turn: bool) -> None:
    readers = [Reader([1], []), Reader([], [])]
    head, out = source(*readers, in_turn=in_turn), channel()
    task = task_of(head, out)
    task.run_until_idle()
    assert not head.exhausted
    calls = [len(reader.limits) for reader in readers]
    head.stop(whole)
    task.run_until_idle()
    assert pop_all(out) == [1, WHOLE if whole else CUT]
    assert (task.done, task.failure, head.exhausted, head.whole) == (True, None, True, whole)
    assert [len(reader.limits) for reader in readers] == calls
    assert all(reader.closed == reader.opened for reader in readers)


def test_stop_before_the_first_step_opens_nothing() -> None:
    reader, out = Reader([1]), channel()
    head = source(reader)
    head.stop(True)
    task_of(head, out).run_until_idle()
    assert (reader.opened, pop_all(out)) == (0, [WHOLE])


def test_stop_from_within_read_counts_what_that_read_gives() -> None:
    class Stopping(Reader):
        def read(self, limit: int) -> Sequence[Any] | None:
            head.stop(True)
            return super().read(limit)

    reader, out = Stopping([1, 2], [3]), channel()
    head = source(reader)
    task_of(head, out).run_until_idle()
    assert (pop_all(out), reader.closed) == ([1, 2, WHOLE], 1)


@pytest.mark.parametrize("in_turn", [True, False])
def test_cancel_closes_what_is_open_and_cuts_the_stream(in_turn: bool) -> None:
    readers = [Reader([1], []), Reader([])]
    out = channel()
    task = task_of(source(*readers, in_turn=in_turn), out)
    task.run_until_idle()
    task.cancel()
    task.run_until_idle()
    assert pop_all(out) == [1, CUT]
    assert (task.done, task.failure) == (True, None)
    assert all(reader.closed == reader.opened for reader in readers)


def test_cancel_without_credit_closes_the_readers_too() -> None:
    out = channel(5, 4)
    reader = Counting(100, out)
    task = task_of(source(reader), out)
    task.run_until_idle()
    assert out.available() == 0
    task.cancel()
    task.run_until_idle()
    assert (task.done, reader.closed) == (True, 1)
    assert pop_all(out) == [0, 1, 2, 3, 4, CUT]


@pytest.mark.parametrize("whole", [True, False])
def test_a_close_that_raises_at_the_end_closes_the_others_and_fails_the_job(whole: bool) -> None:
    readers = [Reader([], on_close=OSError("first")), Reader([], on_close=OSError("second")), Reader([])]
    out = channel()
    head = source(*readers, in_turn=True, guard=Guard("skip", lambda record, error: RuntimeError(str(error))))
    task = task_of(head, out)
    task.run_until_idle()
    head.stop(whole)
    task.run_until_idle()
    assert [reader.closed for reader in readers] == [1, 1, 1]
    assert isinstance(task.failure, RuntimeError)
    assert str(task.failure) == "first"
    assert pop_all(out) == [CUT]
    assert task.done


def test_the_first_failure_is_the_one_that_is_told() -> None:
    reader = Reader([1], OSError("read"), on_close=OSError("close"))
    rows, task = run(reader)
    assert (rows, str(task.failure), reader.closed) == ([1, CUT], "read", 1)


def test_a_cancelled_task_does_not_fail_over_a_close_that_raises() -> None:
    reader, out = Reader([], on_close=OSError("close")), channel()
    task = task_of(source(reader), out)
    task.run_until_idle()
    task.cancel()
    task.run_until_idle()
    assert (task.done, task.failure, pop_all(out), reader.closed) == (True, None, [CUT], 1)


def plans() -> Iterator[tuple[str, bool]]:
    for how in ("run", "cancel", "stop whole", "stop cut"):
        for in_turn in (True, False):
            yield how, in_turn


@given(
    st.lists(
        st.lists(st.sampled_from([[1], [1, 2], [Bad(0)], [], OSError("gone"), [0] * 99]), max_size=4),
        min_size=1,
        max_size=4,
    ),
    st.lists(st.booleans(), min_size=4, max_size=4),
    st.sampled_from(list(plans())),
    st.integers(0, 12),
)
def test_whatever_happens_each_opened_reader_is_closed_once(
    scripts: list[list[Any]], closing: list[bool], plan: tuple[str, bool], steps: int
) -> None:
    how, in_turn = plan
    readers = [
        Reader(*script, hint=LONG, on_close=OSError("close") if fails else None)
        for script, fails in zip(scripts, closing, strict=False)
    ]
    head, out = source(*readers, in_turn=in_turn), channel(16, 16)
    task = task_of(head, out)
    task.run_until_idle(steps)
    if how == "cancel":
        task.cancel()
    elif how != "run":
        head.stop(how == "stop whole")
    for _ in range(20):
        task.run_until_idle()
        pop_all(out)
    if how == "run" and not task.done:
        task.cancel()
        task.run_until_idle()
    assert task.done
    assert all(reader.closed == reader.opened <= 1 for reader in readers)
