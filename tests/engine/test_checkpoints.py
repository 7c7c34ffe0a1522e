"""Jobs that make checkpoints: whatever interrupts them, what they deliver is what an undisturbed run does."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cext.operator_state import OperatorState
from connectors.memory import collect, from_iterable
from engine import Dataflow, checkpointer, count, keeper, restarts, sum_
from engine.checkpoint_blobs import write_blob
from engine.checkpoint_files import LocalFiles
from engine.checkpoint_manifest import MANIFEST
from engine.checkpoint_store import Store, TakenOver
from engine.checkpoints import Checkpoints
from engine.control import Kept, NotKept
from engine.coordinator import TaskId
from engine.errors import CheckpointError, GraphError, OperatorError
from engine.job import MOST_FAILURES, Job
from engine.part import Part
from tests.engine.saved import Numbers, Shown

COUNT, KEYS, PARTS = 6_000, 7, 3


def numbered(state: int | None, number: int) -> tuple[int, tuple[int, int]]:
    """How many of its key there were so far."""
    return (state or 0) + 1, (number % KEYS, (state or 0) + 1)


def by_key(number: int) -> int:
    return number % KEYS


WANTED = Counter((key, n + 1) for key in range(KEYS) for n in range(PARTS * len(range(key, COUNT, KEYS))))


class Trouble:
    """Raises at each record that is a multiple of `every`, so many times in sum."""

    def __init__(self, every: int, times: int) -> None:
        self.every, self.times = every, times

    def __call__(self, number: int) -> int:
        if number % self.every == self.every - 1 and self.times > 0:
            self.times -= 1
            raise RuntimeError("planted")
        return number


def counting(sink: Shown, trouble: Callable[[int], int] | None = None, source: Numbers | None = None) -> Dataflow:
    flow = Dataflow("counting")
    numbers = flow.source(source or Numbers(COUNT, PARTS))
    if trouble is not None:
        numbers = numbers.map(trouble, type=int)
    numbers.key_by(by_key).stateful_map(numbered).sink(sink)
    return flow


def often(directory: Path, **others: Any) -> Checkpoints:
    return Checkpoints(into=str(directory), interval="1ms", **others)


@pytest.mark.parametrize("processes", [1, 2])
def test_undisturbed(tmp_path: Path, processes: int) -> None:
    sink = Shown()
    result = counting(sink).run(processes=processes, checkpoint=str(tmp_path))
    assert result.state == "finished"
    assert Counter(sink.rows) == WANTED


@pytest.mark.parametrize("times", [1, 4])
def test_a_failure_starts_it_anew_from_the_last_checkpoint(tmp_path: Path, times: int) -> None:
    sink = Shown()
    job = counting(sink, Trouble(1000, times)).start(checkpoint=often(tmp_path))
    assert job.wait().state == "finished"
    assert Counter(sink.rows) == WANTED
    assert sorted(set(sink.epochs)) == list(range(1, times + 2))


def test_nothing_is_seen_before_it_is_in_a_complete_checkpoint(tmp_path: Path) -> None:
    sink = Shown()

    def fail(number: int) -> int:
        assert sink.rows == []
        if number == COUNT - 1:
            raise RuntimeError("planted")
        return number

    with pytest.raises(OperatorError, match="planted"):
        counting(sink, fail).run(checkpoint=Checkpoints(into=str(tmp_path), interval="1h", restarts=0))
    assert sink.rows == []


def test_without_progress_it_gives_up_and_says_how_often_it_tried(tmp_path: Path) -> None:
    sink = Shown()
    with pytest.raises(OperatorError, match="planted") as e:
        counting(sink, Trouble(3000, 10**9)).run(checkpoint=Checkpoints(into=str(tmp_path), interval="1h", restarts=2))
    assert any("started anew 2 times" in note for note in e.value.__notes__)
    assert e.value.result is not None
    assert e.value.result.state == "failed"


@pytest.mark.parametrize(("before", "after"), [(1, 1), (1, 3), (3, 2)])
def test_a_job_that_was_stopped_goes_on_where_it_was(tmp_path: Path, before: int, after: int) -> None:
    sink = Shown()
    source = Numbers(COUNT, PARTS, at_once=1)
    job = counting(sink, None, source).start(processes=before, checkpoint=often(tmp_path))
    while not sink.rows:
        job.join(0.001)
    job.stop()
    assert job.wait().state in ("stopped", "finished")
    assert counting(sink).run(processes=after, checkpoint=often(tmp_path)).state == "finished"
    assert Counter(sink.rows) == WANTED


def test_a_finished_job_has_nothing_left_to_do(tmp_path: Path) -> None:
    sink = Shown()
    counting(sink).run(checkpoint=str(tmp_path))
    assert counting(sink).run(checkpoint=str(tmp_path)).records_read == 0
    assert Counter(sink.rows) == WANTED


def test_a_job_that_ends_before_its_start_returns_has_made_its_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = Part.start

    def start_and_end(part: Part, *args: Any) -> None:
        start(part, *args)
        for thread in part._threads:
            thread.join()

    monkeypatch.setattr(Part, "start", start_and_end)
    got: list[int] = []
    for _ in range(2):
        flow = Dataflow("short")
        flow.source(Numbers(10)).sink(collect(got))
        flow.run(checkpoint=str(tmp_path))
    assert got == list(range(10))


def test_new_partitions_are_read_from_their_beginning(tmp_path: Path) -> None:
    sink = Shown()
    counting(sink, None, Numbers(COUNT, 2)).run(checkpoint=str(tmp_path))
    assert counting(sink, None, Numbers(COUNT, 3)).run(checkpoint=str(tmp_path)).records_read == COUNT
    assert Counter(sink.rows) == WANTED


def test_who_would_take_in_the_totals_of_two_runs_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def run(parts: int) -> list[Any]:
        flow, sink = Dataflow("totals"), Shown()
        totals = flow.source(Numbers(10, parts)).key_by(by_key).aggregate(n=count(), name="of keys")
        totals.key_by().aggregate(n=sum_("n"), name="of all").map(lambda result: result.n).sink(sink)
        flow.run(checkpoint=str(tmp_path))
        return sink.rows[-1:]

    assert run(1) == [10]
    run(1)
    assert caplog.text == ""
    assert run(2) == [10 + 20]
    assert "operator 'of all' (test_checkpoints.py:" in caplog.text
    assert "has taken in the totals of 'of keys', and now takes in those of this run too" in caplog.text


class Listed(Numbers):
    """Whose partitions are those that are `there` now."""

    there: tuple[str, ...] = ()

    def partitions(self) -> tuple[str, ...]:
        return self.there


def test_a_partition_that_was_read_is_not_read_again_though_it_was_not_there_for_a_while(tmp_path: Path) -> None:
    sink, source = Shown(), Listed(10)
    read = []
    for there, processes in (("abcd", 1), ("ab", 2), ("", 1), ("bc", 1), ("abcde", 1)):
        source.there = tuple(there)
        flow = Dataflow("listed")
        flow.source(source).map(int, type=int).sink(sink)
        read.append(flow.run(processes=processes, checkpoint=str(tmp_path)).records_read)
    assert read == [40, 0, 0, 0, 10]


@pytest.mark.parametrize("processes", [1, 2])
def test_much_that_is_kept_at_the_end_is_there_for_the_next_run(tmp_path: Path, processes: int) -> None:
    sink = Shown()

    def counted(parts: int) -> int:
        flow = Dataflow("many keys")
        numbers = flow.source(Numbers(COUNT, parts))
        numbers.key_by(lambda number: f"{number:0600}").stateful_map(lambda n, _: ((n or 0) + 1, n or 0)).sink(sink)
        return flow.run(processes=processes, checkpoint=str(tmp_path)).records_read

    assert counted(1) == COUNT
    assert max(path.stat().st_size for path in tmp_path.rglob("stateful_map*.blob")) > keeper.LITTLE
    assert {path.parent.name[:6] for path in tmp_path.rglob("stateful_map*.blob")} == {"ended."}, "written once"
    assert counted(2) == COUNT
    assert Counter(sink.rows) == {0: COUNT, 1: COUNT}


def test_a_checkpoint_that_cannot_be_written_is_given_up_and_the_job_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failures = [0]

    def full(*arguments: Any) -> Any:
        if failures[0] < MOST_FAILURES - 1:
            failures[0] += 1
            raise OSError(28, "No space left on device")
        return write_blob(*arguments)

    monkeypatch.setattr(keeper, "write_blob", full)
    monkeypatch.setattr(checkpointer, "write_blob", full)
    sink = Shown()
    with caplog.at_level(logging.WARNING, "headgate"):
        assert counting(sink).run(checkpoint=often(tmp_path)).state == "finished"
    assert "was given up: OSError: [Errno 28] No space left on device" in caplog.text
    assert Counter(sink.rows) == WANTED


def test_a_source_that_cannot_go_on_is_refused(tmp_path: Path) -> None:
    flow = Dataflow("once")
    flow.source(from_iterable(iter([1]))).sink(collect([]))
    with pytest.raises(GraphError, match="cannot go on where it stopped"):
        flow.run(checkpoint=str(tmp_path))


@pytest.mark.parametrize("wrong", [{"into": ""}, {"into": 7}, {"into": "x", "keep": 0}, {"into": "x", "interval": 0}])
def test_wrong_wishes_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(GraphError, match=r"checkpoints go into|Checkpoints\."):
        Checkpoints(**wrong)


@pytest.mark.parametrize("times", [2, 5])
def test_an_attempt_that_cannot_even_begin_is_one_more_failure(
    times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full when the store is to be opened anew, say."""
    real, left = Store.renew, times

    def renew(store: Store) -> None:
        nonlocal left
        left -= 1
        if left >= 0:
            raise CheckpointError("no room")
        real(store)

    monkeypatch.setattr(Store, "renew", renew)
    monkeypatch.setattr(restarts, "FIRST_SECONDS", 0.001)
    sink = Shown()
    job = counting(sink, Trouble(1000, 1)).start(checkpoint=often(tmp_path, restarts=4))
    if times == 2:
        assert job.wait().state == "finished"
        assert Counter(sink.rows) == WANTED
        assert job._restarts.count == 3
        return
    with pytest.raises(OperatorError, match="planted") as error:
        job.wait()
    assert "after that: no room" in error.value.__notes__


def test_a_job_whose_checkpoints_were_taken_over_ends_and_does_not_take_them_back(tmp_path: Path) -> None:
    """As where there is no lock: two jobs would take them from each other for ever."""
    sink = Shown()
    with counting(sink, None, Numbers(COUNT, PARTS, until=COUNT // 2)).start(checkpoint=often(tmp_path)) as job:
        while not any(tmp_path.rglob(MANIFEST)):
            job.join(0.001)
        other = Store(str(tmp_path), "counting", files=LocalFiles(str(tmp_path)))
        with pytest.raises(TakenOver, match=r"was taken over by job 'counting', process \d+ on .*, since \d"):
            job.wait()
        assert job._restarts.count == 0
    other.check_epoch()
    other.close()


def test_stopping_while_it_waits_to_start_anew_ends_it(tmp_path: Path) -> None:
    sink = Shown()
    job: Job = counting(sink, Trouble(1000, 10**9)).start(checkpoint=Checkpoints(into=str(tmp_path), restarts=50))
    while job._restarts.count < 3:
        job.join(0.001)
    job.stop()
    with pytest.raises(CheckpointError, match="its last checkpoint could not be made: the job was about to be started"):
        job.wait()


def test_a_barrier_that_comes_before_the_word_of_its_checkpoint(tmp_path: Path) -> None:
    """Over a link it may; what is kept then waits, and only what was given up before is not kept."""
    said: list[Any] = []
    nobody = SimpleNamespace(plan=SimpleNamespace(tasks=[]))
    store = Store(str(tmp_path), "job")
    keeping = keeper.Keeper(cast(Any, nobody), store.ended, said.append, said.append)
    keeping.start()
    state = {"a": OperatorState({}, {"x": 1})}
    for checkpoint in (3, 2):
        keeping._take(TaskId(0, checkpoint), cast(Any, None), checkpoint, False, state)
    for checkpoint in (1, 3):
        keeping.begin(checkpoint, store.begin(checkpoint).place)
    keeping.end()
    keeping.thread.join()
    store.close()
    assert [(type(word), word.checkpoint) for word in said] == [(Kept, 3), (NotKept, 2)]


def test_what_is_kept_at_the_end_is_tried_again_until_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [0]

    def full(*arguments: Any) -> Any:
        failures[0] += 1
        if failures[0] <= 2:
            raise OSError(28, "No space left on device")
        return write_blob(*arguments)

    monkeypatch.setattr(keeper, "write_blob", full)
    monkeypatch.setattr(keeper, "LITTLE", 0)
    monkeypatch.setattr(keeper, "AGAIN_SECONDS", 0.001)
    sink = Shown()
    result = counting(sink).run(checkpoint=Checkpoints(into=str(tmp_path), interval="1h", restarts=0))
    assert result.state == "finished"
    assert failures[0] > 2
    assert Counter(sink.rows) == WANTED
