"""A job's memory: bounded while it runs however long that is, and gone when it is over."""

from __future__ import annotations

import gc
import itertools
import weakref
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from engine import Dataflow, JobCancelled, OperatorError, Settings, count
from tests.engine.helpers import Runner


class Tracked:
    """A record that is counted while it lives."""

    alive: ClassVar[int] = 0
    most: ClassVar[int] = 0

    def __init__(self, n: int) -> None:
        self.n = n
        Tracked.alive += 1
        Tracked.most = max(Tracked.most, Tracked.alive)

    def __del__(self) -> None:
        Tracked.alive -= 1


@pytest.fixture(autouse=True)
def _start_at_zero() -> None:
    gc.collect()
    Tracked.alive = Tracked.most = 0


def tracked(size: int) -> Iterator[Tracked]:
    return map(Tracked, range(size))


class Forgetful:
    """Takes the place of a sink's list, and keeps nothing."""

    def extend(self, records: list[Any]) -> None:
        pass


@pytest.mark.parametrize("size", [2_000, 30_000])
def test_no_more_records_live_than_may_be_in_flight(runner: Runner, size: int) -> None:
    flow, sink = runner.flow(settings=Settings(max_window=100)), runner.sink()
    sink.records = Forgetful()  # type: ignore[assignment]
    stream = flow.source(runner.source(lambda: tracked(size))).filter(lambda x: x.n % 3 > 0)
    stream.key_by(lambda x: x.n % 5, parallelism=2).map(lambda x: x).sink(sink)
    result = flow.run()
    assert result.records_read == size
    # The source may hold one read more, and each task the frame that it is at.
    assert Tracked.most <= result.bound + 500
    gc.collect()
    assert Tracked.alive == 0


def refs(flow: Dataflow, *others: Any) -> list[weakref.ref[Any]]:
    return [weakref.ref(each) for each in (flow, flow.graph, *flow.graph.nodes, *others)]


def alive(references: list[weakref.ref[Any]]) -> list[Any]:
    gc.collect()
    return [each() for each in references if each() is not None]


@pytest.mark.parametrize("how", ["finished", "failed", "cancelled", "never run"])
def test_nothing_is_left_when_a_flow_is_gone(runner: Runner, how: str) -> None:
    def build() -> tuple[list[weakref.ref[Any]], Any]:
        numbers = itertools.count() if how == "cancelled" else range(3000)
        flow, sink, source = runner.flow(), runner.sink(), runner.source(lambda: map(Tracked, numbers))

        def function(x: Tracked) -> Tracked:
            if how == "failed" and x.n == 2999:
                raise ValueError(x)
            return x

        stream = flow.source(source).map(function)
        stream.key_by(lambda x: x.n % 5).aggregate(n=count()).sink(runner.sink())
        stream.flat_map(lambda x: [x]).lookup_join({1: Tracked(1)}, on=lambda x: x.n).sink(sink)
        result: Any = None
        if how == "finished":
            result = flow.run()
        elif how == "failed":
            with pytest.raises(OperatorError):
                flow.run()
        elif how == "cancelled":
            job = flow.start()
            job.cancel()
            with pytest.raises(JobCancelled):
                job.wait()
            references = refs(flow, function, sink, source, job)
            return references, result
        return refs(flow, function, sink, source), result

    references, result = build()
    assert alive(references) == []
    assert Tracked.alive == 0
    assert result is None or result.records_read == 3000


def test_the_result_and_the_error_keep_no_flow_alive(runner: Runner) -> None:
    def fail(x: int) -> int:
        return 1 // x

    def build() -> tuple[list[weakref.ref[Any]], OperatorError]:
        flow, sink = runner.flow(), runner.sink()
        flow.source(runner.source([0])).map(fail).sink(sink)
        with pytest.raises(OperatorError) as caught:
            flow.run()
        error = caught.value
        assert error.__cause__ is not None
        error.__traceback__ = error.__cause__.__traceback__ = None  # whose frames hold it, as any traceback's do
        return refs(flow, sink), error

    references, error = build()
    assert alive(references) == []
    assert error.result is not None
    assert error.record == 0


def test_a_flow_that_ran_holds_none_of_its_records(runner: Runner) -> None:
    flow, sink = runner.flow(), runner.sink()
    sink.records = Forgetful()  # type: ignore[assignment]
    flow.source(runner.source(lambda: tracked(100))).key_by().reduce(lambda a, b: b).sink(sink)
    flow.run()
    del flow
    gc.collect()
    assert Tracked.alive == 0
