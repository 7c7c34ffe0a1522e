"""A source that has nothing: it is asked seldom, and stops at once."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from cext.guard import Guard, Sideline
from cext.source import Source as SourceHead
from engine import Reader
from engine.source import BadRecord
from tests.engine.helpers import ListReader, ListSource, Nothing, Runner


def nothing() -> Iterator[Any]:
    return itertools.repeat(Nothing())


class Told(ListSource):
    """Says when it is about to be left alone."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.resting = threading.Event()

    def open(self, partition: str) -> Reader[Any]:
        reader = super().open(partition)
        assert isinstance(reader, ListReader)

        def poll_after() -> float | None:
            self.resting.set()
            return self.wait

        reader.poll_after = poll_after  # type: ignore[method-assign]
        return reader


@pytest.mark.parametrize("partitions", [1, 5])
def test_an_idle_source_is_asked_as_often_as_it_says_and_stops_at_once(runner: Runner, partitions: int) -> None:
    flow, sink = runner.flow(), runner.sink()
    parts: Any = {str(i): nothing for i in range(partitions)}
    source = Told(parts, blocking=runner.blocking, bounded=False, poll_after=3600)
    flow.source(source).key_by().reduce(max, emit="update").sink(sink)
    job = flow.start()
    assert source.resting.wait(50)
    # Each look at the counters, and each signal that comes to nothing, is no reason to ask again.
    for _ in range(100):
        job.metrics()
        job.attempt.part.worker.wake()
    job.stop()
    result = job.wait()
    assert result.state == "stopped"
    assert source.reads == partitions
    assert [reader.closed for reader in source.readers] == [1] * partitions
    assert (result.records_read, sink.calls) == (0, ["open", "finish"])


def test_cancel_does_not_wait_for_the_next_look_either(runner: Runner) -> None:
    flow = runner.flow()
    source = Told(nothing, blocking=runner.blocking, bounded=False, poll_after=3600)
    flow.source(source).sink(runner.sink())
    job = flow.start()
    assert source.resting.wait(50)
    job.cancel()
    assert job.join()
    assert source.reads == 1
    assert source.readers[0].closed == 1


def test_what_was_read_does_not_wait_for_more(runner: Runner) -> None:
    """A source that goes quiet has its records written: half a frame, half a batch, several tasks on."""
    written = threading.Event()
    flow = runner.flow()
    sink = runner.sink(batch=1000, refuse=lambda x: written.set() if x == 2 else None)
    source = runner.source(lambda: itertools.chain(range(3), nothing()), bounded=False, poll_after=3600)
    flow.source(source).flat_map(lambda x: [x]).key_by(lambda x: x, parallelism=3).map(lambda x: x).rebalance(1).sink(
        sink
    )
    job = flow.start()
    assert written.wait(50)
    job.stop()
    assert job.wait().records_written == 3


def ask(head: SourceHead, now: int) -> None:
    assert head.more(10, now, Sideline()) is None


def head_of(source: ListSource) -> SourceHead:
    return SourceHead("in", Guard("fail"), source.open, [""], False, BadRecord)


def test_without_a_word_of_its_own_it_is_asked_after_1_to_16_ms() -> None:
    source = ListSource(nothing)
    head = head_of(source)
    now = 0
    asked_at: list[int] = []
    while len(asked_at) < 8:
        before = source.reads
        ask(head, now)
        if source.reads > before:
            asked_at.append(now)
        now += 500_000
    milliseconds = [t / 1e6 for t in asked_at]
    assert [later - sooner for sooner, later in itertools.pairwise(milliseconds)] == [1, 2, 4, 8, 16, 16, 16]
    head.close(True)


def test_records_set_its_patience_back() -> None:
    source = ListSource(lambda: iter([Nothing(), Nothing(), 1, Nothing(), Nothing()]))
    head = head_of(source)
    ask(head, 0)
    ask(head, 1_000_000)
    assert head.more(10, 3_000_000, Sideline()) == [1]
    assert head.deadline() == -1
    ask(head, 3_000_000)
    assert head.deadline() == 4_000_000


@pytest.mark.parametrize(("says", "waits"), [(0.0, 1e6), (-3.0, 1e6), (0.0001, 1e6), (0.25, 0.25e9), (60, 60e9)])
def test_what_it_says_counts_from_1_ms_up(says: float, waits: float) -> None:
    source = ListSource(nothing, poll_after=says)
    head = head_of(source)
    ask(head, 1_000)
    assert head.deadline() == 1_000 + waits
    ask(head, 999 + int(waits))
    assert source.reads == 1
    ask(head, 1_000 + int(waits))
    assert source.reads == 2
