"""When a job fails or is cancelled every record that was read is accounted for, wherever it was at that moment."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import BadRecord, Dataflow, JobError, JobMetrics, OutputError, Settings, Stream
from tests.engine.helpers import TIGHT, ListSink, ListSource, Runner

SIZE = 150


@dataclass
class Tally:
    """Functions that raise at one number, and what they kept back."""

    poison: int
    kept_back: list[int] = field(default_factory=list)

    def same(self, x: int) -> int:
        if x == self.poison:
            raise ValueError(x)
        return x

    async def later(self, x: int) -> int:
        return self.same(x)

    def keep(self, x: int) -> bool:
        if self.same(x) % 3:
            return True
        self.kept_back.append(x)
        return False

    def batch(self, rows: list[int]) -> Iterator[int]:
        return map(self.same, rows)

    def number(self, state: None, x: int) -> tuple[None, int]:
        return None, self.same(x)


Add = Callable[[Stream[Any], Tally, Any], Sequence[Stream[Any]]]

KINDS: dict[str, Add] = {
    "map": lambda s, t, p: [s.map(t.same, on_error=p)],
    "filter": lambda s, t, p: [s.filter(t.keep, on_error=p)],
    "inspect": lambda s, t, p: [s.inspect(t.same, on_error=p)],
    "flat_map": lambda s, t, p: [s.flat_map(lambda x: [t.same(x)], on_error=p)],
    "generator": lambda s, t, p: [s.flat_map(lambda x: (t.same(y) for y in (x,)), on_error=p)],
    "map_batch": lambda s, t, p: [s.map_batch(lambda rows: list(t.batch(rows)), size=7, on_error=p)],
    "lazy batch": lambda s, t, p: [s.map_batch(t.batch, size=7, on_error=p)],
    "map_async": lambda s, t, p: [s.map_async(t.later, concurrency=5, on_error=p)],
    "unordered": lambda s, t, p: [s.map_async(t.later, concurrency=5, ordered=False, on_error=p)],
    "lookup": lambda s, t, p: [s.lookup_join({1: 1}, on=lambda x: t.same(x) % 2, into=lambda x, _: x, on_error=p)],
    "state": lambda s, t, p: [s.key_by(lambda x: x % 5).stateful_map(t.number, on_error=p)],
    "fold": lambda s, t, p: [
        s.key_by(lambda x: 0).fold(int, lambda _, x: t.same(x), emit="update").map(lambda x: x[1])
    ],
    "key": lambda s, t, p: [s.key_by(t.same, parallelism=2).map(abs, on_error=p)],
    "rebalance": lambda s, t, p: [s.rebalance(2).map(t.same, on_error=p)],
    "split": lambda s, t, p: s.split(lambda x: t.same(x) % 2 == 0, on_error=p),
}
POLICIES: list[Any] = ["fail", "fail", "skip", "dead-letter"]

numbers = st.integers(0, 2 * SIZE)
steps = st.tuples(st.sampled_from(sorted(KINDS)), st.integers(0, 20), numbers, st.sampled_from(POLICIES))
limits = st.builds(
    Settings, frame_records=st.sampled_from([1, 2, 7, 1024]), max_window=st.sampled_from([1, 2, 64, 8192])
)


def accounted(result: JobMetrics, kept_back: int) -> int:
    """All the ends that a record of `result` may have had."""
    return result.records_written + result.skipped + result.dropped + kept_back


def ended(flow: Dataflow) -> JobMetrics:
    """Run to whatever end."""
    job = flow.start()
    assert job.join(50)
    with contextlib.suppress(JobError):
        job.wait()
    return job.metrics()


@given(
    program=st.lists(steps, max_size=6),
    limits=limits,
    refused=numbers,
    policy=st.sampled_from(POLICIES),
    threads=st.lists(st.booleans(), min_size=1, max_size=4),
)
def test_every_record_has_one_end(
    program: list[tuple[str, int, int, Any]], limits: Settings, refused: int, policy: Any, threads: list[bool]
) -> None:
    flow, tallies = Dataflow("dropped", settings=limits), [Tally(refused)]
    ends = [
        flow.source(ListSource(range(start, start + SIZE), blocking=threads[start % len(threads)]))
        for start in (0, SIZE)
    ]
    ends = [ends[0].union(ends[1])]
    lettering = policy == "dead-letter"
    for kind, at, poison, mode in program:
        tallies.append(Tally(poison))
        ends += KINDS[kind](ends.pop(at % len(ends)), tallies[-1], mode)
        lettering |= mode == "dead-letter" and kind != "fold"
    for i, stream in enumerate(ends):
        sink = ListSink(blocking=threads[i % len(threads)], refuse=tallies[0].same, batch=10 * (i % 2))
        stream.sink(sink, on_error=policy)
    if lettering:
        flow.dead_letters.sink(ListSink())
    result = ended(flow)
    assert result.state in {"finished", "failed"}
    assert result.in_flight == 0
    assert result.records_read == accounted(result, sum(len(each.kept_back) for each in tallies))
    assert result.state == "failed" or result.dropped == 0


@pytest.mark.parametrize("settings", [Settings(), TIGHT, Settings(frame_records=7, max_window=64)])
@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("cancel_at", [1, 50, 140])
def test_a_cancelled_job_accounts_for_every_record(
    runner: Runner, kind: str, cancel_at: int, settings: Settings
) -> None:
    """A function behind the operator cancels the job from within."""
    jobs: list[Any] = []
    ready = threading.Event()

    def cancel(x: int) -> int:
        assert ready.wait(50)
        if x == cancel_at:
            jobs[0].cancel()
        return x

    flow, tally = runner.flow(settings=settings), Tally(-1)
    for stream in KINDS[kind](flow.source(runner.source(range(SIZE))), tally, "fail"):
        stream.map(cancel).sink(runner.sink())
    jobs.append(flow.start())
    ready.set()
    jobs[0].join(50)
    result = jobs[0].metrics()
    assert result.state == "cancelled"
    assert result.in_flight == 0
    assert result.records_read == accounted(result, len(tally.kept_back))


@pytest.mark.parametrize("batch", [0, 1, 4, 100])
def test_a_batch_that_a_sink_could_not_write_is_dropped(runner: Runner, batch: int) -> None:
    def refuse(x: int) -> None:
        if x == 30:
            raise OSError("disk full")

    flow, sink = runner.flow(), runner.sink(refuse=refuse, batch=batch)
    flow.source(runner.source(range(60))).sink(sink, name="out")
    result = ended(flow)
    assert result.records_read == len(sink.records) + result.dropped
    assert result["out"].dropped == result.dropped


def test_what_a_sink_set_aside_before_an_outage_is_not_dropped_too(runner: Runner) -> None:
    def refuse(x: int) -> None:
        if x == 7:
            raise OSError("gone")
        if x in (2, 3):
            raise OutputError("not this one")

    flow, sink = runner.flow(), runner.sink(refuse=refuse, batch=10)
    flow.source(runner.source(range(10))).sink(sink, on_error="skip")
    result = ended(flow)
    assert (sink.records, result.skipped, result.dropped) == ([0, 1, 4, 5, 6], 2, 3)


def test_what_a_source_read_behind_a_bad_record_counts_as_not_read(runner: Runner) -> None:
    flow, sink = runner.flow(), runner.sink()
    flow.source(runner.source([1, 2, BadRecord(b"?", "here", "bad"), 3, 4])).sink(sink)
    result = ended(flow)
    assert (sink.records, result.records_read, result.dropped) == ([1, 2], 2, 0)


def test_a_record_of_which_something_has_gone_on_is_not_dropped(runner: Runner) -> None:
    def expand(x: int) -> Iterator[int]:
        yield x
        raise ValueError(x)

    flow, sink = runner.flow(), runner.sink()
    flow.source(runner.source([1, 2, 3])).flat_map(expand).sink(sink)
    result = ended(flow)
    assert (sink.records, result.records_read, result.dropped) == ([1], 3, 2)
