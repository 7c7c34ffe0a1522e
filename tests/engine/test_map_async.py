"""map_async: coroutines, many at a time, none of them more than asked for, all of them ended with the job."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import engine.part
from engine import GraphError, JobCancelled, OperatorError, Settings, Stream
from engine.plan import Plan
from tests.engine.helpers import TIGHT, Nothing, Runner


async def double(x: int) -> int:
    return 2 * x


async def double_later(x: int) -> int:
    for _ in range(x % 5):
        await asyncio.sleep(0)
    return 2 * x


@pytest.mark.parametrize("function", [double, double_later])
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("concurrency", [1, 3, 1000])
@pytest.mark.parametrize("settings", [Settings(), TIGHT])
def test_every_record_once(runner: Runner, function: Any, ordered: bool, concurrency: int, settings: Settings) -> None:
    out = runner.through(
        range(300), lambda s: s.map_async(function, concurrency=concurrency, ordered=ordered), settings
    )
    expected = [2 * x for x in range(300)]
    assert (out if ordered or concurrency == 1 else sorted(out)) == expected


class Overtaking:
    """The first record waits until all others have gone through."""

    def __init__(self, count: int) -> None:
        self.others = count - 1
        self.gone: asyncio.Event | None = None

    async def __call__(self, x: int) -> int:
        self.gone = self.gone or asyncio.Event()
        if x == 0:
            await self.gone.wait()
        else:
            self.others -= 1
            if self.others == 0:
                self.gone.set()
        return x


def test_ordered_waits_for_the_first(runner: Runner) -> None:
    assert runner.through(range(20), lambda s: s.map_async(Overtaking(20))) == list(range(20))


def test_unordered_lets_others_pass(runner: Runner) -> None:
    out = runner.through(range(20), lambda s: s.map_async(Overtaking(20), ordered=False))
    assert sorted(out) == list(range(20))


def test_unordered_results_leave_while_others_are_under_way(runner: Runner) -> None:
    """The first coroutine ends only once the sink has the second one's result."""
    loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def wait_for_the_sink(x: int) -> int:
        if x == 0:
            loops.append((asyncio.get_running_loop(), asyncio.Event()))
            await loops[0][1].wait()
        return x

    def seen(x: int) -> None:
        if x == 1:
            loops[0][0].call_soon_threadsafe(loops[0][1].set)

    flow, sink = runner.flow(), runner.sink(refuse=seen)
    flow.source(runner.source([0, 1])).map_async(wait_for_the_sink, ordered=False).sink(sink)
    flow.run()
    assert sink.records == [1, 0]


@pytest.mark.parametrize("concurrency", [1, 2, 7, 50])
def test_the_bound_is_held_and_reached(runner: Runner, concurrency: int) -> None:
    running, most = 0, 0
    barrier: list[asyncio.Barrier] = []

    async def together(x: int) -> int:
        nonlocal running, most
        if not barrier:
            barrier.append(asyncio.Barrier(concurrency))
        running += 1
        most = max(most, running)
        await barrier[0].wait()  # nobody goes on before `concurrency` of them are here
        running -= 1
        return x

    items = range(10 * concurrency)
    assert runner.through(items, lambda s: s.map_async(together, concurrency=concurrency)) == list(items)
    assert most == concurrency


def test_the_window_never_shrinks_below_what_may_be_under_way(runner: Runner) -> None:
    flow = runner.flow(settings=Settings(max_window=100))
    flow.source(runner.source([])).map_async(double, concurrency=300, name="calls").sink(runner.sink())
    into = next(edge for edge in Plan.of(flow).edges if edge.consumer.name == "calls")
    assert (into.consumer.batch, into.most) == (300, 600)


def test_calls_under_way_count_as_in_flight(runner: Runner) -> None:
    asked = threading.Event()
    release: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def held(x: int) -> int:
        if not release:
            release.append((asyncio.get_running_loop(), asyncio.Event()))
        if x == 4:
            asked.set()
        await release[0][1].wait()
        return x

    flow, sink = runner.flow(), runner.sink()
    flow.source(runner.source(range(5))).map_async(held, name="held").sink(sink)
    with flow.start() as job:
        assert asked.wait(30)
        assert job.metrics().in_flight == 5
        assert job.metrics()["held"].queued == 5
        release[0][0].call_soon_threadsafe(release[0][1].set)
    assert sink.records == list(range(5))


@pytest.mark.parametrize("ordered", [True, False])
def test_a_call_that_takes_too_long_is_that_records_error(runner: Runner, ordered: bool) -> None:
    async def never(x: int) -> int:
        if x % 2:
            await asyncio.Event().wait()
        return x

    flow, sink, late = runner.flow(), runner.sink(), runner.sink()
    stream = flow.source(runner.source(range(6)))
    stream.map_async(never, timeout="5ms", ordered=ordered, on_error="dead-letter").sink(sink)
    flow.dead_letters.sink(late)
    flow.run()
    assert sorted(sink.records) == [0, 2, 4]
    assert sorted((letter.record, letter.error) for letter in late.records) == [
        (x, "TimeoutError: no result within 0.005 s") for x in (1, 3, 5)
    ]


def test_a_timeout_of_the_functions_own_keeps_its_text(runner: Runner) -> None:
    async def own(x: int) -> int:
        raise TimeoutError("the server said so")

    flow = runner.flow()
    flow.source(runner.source([1])).map_async(own, timeout="1h").sink(runner.sink())
    with pytest.raises(OperatorError, match="TimeoutError: the server said so"):
        flow.run()


async def halve(x: int) -> int:
    await asyncio.sleep(0)
    return 100 // x


def test_fail_delivers_what_stood_before(runner: Runner) -> None:
    flow, sink = runner.flow(), runner.sink()
    flow.source(runner.source([1, 2, 0, 4])).map_async(halve).sink(sink)
    with pytest.raises(OperatorError) as caught:
        flow.run()
    assert sink.records == [100, 50]
    assert sink.ends == ["abort"]
    assert "operator 'map_async halve' (test_map_async.py:" in str(caught.value)
    assert "failed in halve (" in str(caught.value)
    assert "ZeroDivisionError: integer division or modulo by zero; the record was 0" in str(caught.value)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("concurrency", [1, 2, 100])
def test_skip_goes_on(runner: Runner, concurrency: int) -> None:
    flow, sink = runner.flow(), runner.sink()
    items = [0, 1, 0, 2, 0]
    flow.source(runner.source(items)).map_async(halve, concurrency=concurrency, on_error="skip").sink(sink)
    assert flow.run().skipped == 3
    assert sink.records == [100, 50]


def test_what_cannot_be_awaited(runner: Runner) -> None:
    flow = runner.flow()
    flow.source(runner.source([1])).map_async(lambda x: x).sink(runner.sink())
    with pytest.raises(OperatorError, match="TypeError: object int can't be used in"):
        flow.run()


def test_a_function_that_raises_before_it_gives_a_coroutine(runner: Runner) -> None:
    flow = runner.flow()
    flow.source(runner.source([1])).map_async(lambda x: 1 // 0).sink(runner.sink())  # type: ignore[arg-type,return-value]
    with pytest.raises(OperatorError, match=r"failed in lambda .*: ZeroDivisionError"):
        flow.run()


@pytest.mark.parametrize("error", [asyncio.CancelledError("mine"), SystemExit(3), KeyboardInterrupt()], ids=repr)
def test_what_is_no_exception_fails_the_job_whatever_the_policy(runner: Runner, error: BaseException) -> None:
    async def bad(x: int) -> int:
        if x == 2:
            raise error
        return x

    flow, sink = runner.flow(on_error="skip"), runner.sink()
    flow.source(runner.source(range(5))).map_async(bad).sink(sink)
    with pytest.raises(OperatorError, match=type(error).__name__):
        flow.run()
    assert sink.records == [0, 1]


def test_a_coroutine_that_never_returns_is_cancelled_with_the_job(runner: Runner) -> None:
    started, cleaned = threading.Event(), []

    async def for_ever(x: int) -> int:
        try:
            started.set()
            await asyncio.Event().wait()
        finally:
            cleaned.append(x)
        return x

    flow, sink = runner.flow(), runner.sink()
    flow.source(runner.source(range(3))).map_async(for_ever, concurrency=2).sink(sink)
    job = flow.start()
    assert started.wait(30)
    job.cancel()
    with pytest.raises(JobCancelled):
        job.wait()
    assert sorted(cleaned) in ([0], [0, 1])
    assert sink.ends == ["abort"]
    assert job.metrics().in_flight == 0
    assert job.metrics().dropped >= 1


class Blocking:
    """A coroutine function that blocks its event loop until `opened`."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()

    async def __call__(self, x: int) -> int:
        self.reached.set()
        assert self.opened.wait(50), "nobody let it go on"
        return x


def test_a_coroutine_that_blocks_its_loop_holds_up_nobody_else(runner: Runner) -> None:
    blocking, flow, held, other = Blocking(), runner.flow(), runner.sink(), runner.sink()
    flow.source(runner.source(range(3))).map_async(blocking).map(abs).sink(held)
    flow.source(runner.source(itertools.count, bounded=False)).sink(other)
    job = flow.start()
    assert blocking.reached.wait(50)
    job.cancel()
    while not other.ends:
        assert job.state == "running"
    assert not job.join(0)
    assert held.ends == []
    blocking.opened.set()
    with pytest.raises(JobCancelled, match=r"was cancelled$"):
        job.wait()
    assert (held.ends, other.ends, job.metrics().in_flight) == (["abort"], ["abort"], 0)


def test_a_coroutine_that_does_not_come_back_is_named(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.part, "STUCK_SECONDS", 0.05)
    blocking = Blocking()
    flow, sink = runner.flow(), runner.sink()
    flow.source(runner.source(range(3))).map_async(blocking, name="held").sink(sink)
    before = threading.enumerate()
    job = flow.start()
    assert blocking.reached.wait(50)
    mine = [thread for thread in threading.enumerate() if thread not in before]
    job.cancel()
    with pytest.raises(JobCancelled, match="cancelled, but a call of headgate-held did not come back"):
        job.wait()
    assert [thread.name for thread in mine if thread.is_alive()] == ["headgate-held"]
    blocking.opened.set()
    for thread in mine:
        thread.join()


def test_without_a_thread_for_its_loop_the_job_fails(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start

    def fail(self: threading.Thread) -> None:
        if self.name == "headgate-held":
            raise RuntimeError("can't start new thread")
        start(self)

    monkeypatch.setattr(threading.Thread, "start", fail)
    flow, sink = runner.flow(), runner.sink()
    flow.source(runner.source(range(3))).map_async(double, name="held").sink(sink)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        flow.run()
    assert sink.ends == ["abort"]


def test_stop_waits_for_the_calls_under_way(runner: Runner) -> None:
    started = threading.Event()
    release: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def held(x: int) -> int:
        release.append((asyncio.get_running_loop(), asyncio.Event()))
        started.set()
        await release[-1][1].wait()
        return x

    flow, sink = runner.flow(), runner.sink()
    flow.source(runner.source([7], bounded=False)).map_async(held).sink(sink)
    job = flow.start()
    assert started.wait(30)
    job.stop()
    assert not job.join(0.01)
    release[0][0].call_soon_threadsafe(release[0][1].set)
    assert job.wait().state in {"stopped", "finished"}
    assert sink.records == [7]


def ones_and_then_nothing() -> Iterator[Any]:
    yield from (1, 1, 1)
    while True:
        yield Nothing()


def test_a_failure_elsewhere_lets_the_calls_end(runner: Runner) -> None:
    flow, sink = runner.flow(), runner.sink()
    numbers = flow.source(runner.source(ones_and_then_nothing, bounded=False))
    numbers.map_async(double_later).sink(sink)
    numbers.map(lambda x: 1 // 0).sink(runner.sink())
    with pytest.raises(OperatorError):
        flow.run()
    assert sink.records == [2, 2, 2]
    assert sink.ends == ["abort"]


def test_instances_have_loops_of_their_own(runner: Runner) -> None:
    loops: set[int] = set()

    async def note(x: int) -> int:
        loops.add(id(asyncio.get_running_loop()))
        return x

    flow, sink = runner.flow(settings=TIGHT), runner.sink()
    flow.source(runner.source(range(100))).rebalance(3).map_async(note).sink(sink)
    flow.run()
    assert sorted(sink.records) == list(range(100))
    assert len(loops) == 3


def test_a_few_records_are_spread_over_the_instances(runner: Runner) -> None:
    """Each of them waits until all are under way, which takes as many instances."""
    begun: list[int] = []

    async def meet(x: int) -> int:
        begun.append(x)
        while len(begun) < 4:
            await asyncio.sleep(0.001)
        return x

    def build(stream: Stream[int]) -> Stream[int]:
        return stream.rebalance(4).map_async(meet, concurrency=1, timeout="1m")

    assert sorted(runner.through(range(4), build)) == [0, 1, 2, 3]


def test_no_loop_is_started_for_an_empty_stream(runner: Runner) -> None:
    async def unused(x: int) -> int:
        raise AssertionError

    assert runner.through([], lambda s: s.map_async(unused)) == []


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"concurrency": 0}, "map_async wants a concurrency of at least 1, got 0"),
        ({"concurrency": 2.5}, "map_async wants a concurrency of at least 1, got 2.5"),
        ({"timeout": "soon"}, 'map_async\'s timeout: wanted a duration like "200ms", "10s" or "1h", got \'soon\''),
        ({"timeout": []}, "map_async's timeout: wanted a duration"),
        ({"timeout": -1}, "map_async's timeout: a duration is not below zero, got -1"),
    ],
)
def test_wrong_options(runner: Runner, options: Any, text: str) -> None:
    stream = runner.flow().source(runner.source([]))
    with pytest.raises(GraphError, match=rf"^test_map_async.py:\d+: {text}"):
        stream.map_async(double, **options)
