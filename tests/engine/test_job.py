"""Job: start, wait, stop, cancel, the context manager, and what the counters say meanwhile."""

from __future__ import annotations

import io
import itertools
import operator
import signal
import sys
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

import engine.part
from engine import (
    ConnectorError,
    Dataflow,
    Job,
    JobCancelled,
    JobError,
    OperatorError,
    Settings,
    collect,
    count,
)
from tests.engine.helpers import TIGHT, ListSink, ListSource, Nothing, Raise, Runner


class Gate:
    """Lets `free` records through, then holds whoever brings the next one until it is opened."""

    def __init__(self, free: int = 0) -> None:
        self.free = free
        self.reached, self.opened = threading.Event(), threading.Event()

    def __call__(self, record: Any) -> Any:
        if self.free:
            self.free -= 1
            return record
        self.reached.set()
        assert self.opened.wait(50), "nobody opened the gate"
        return record


def counting() -> Iterator[Any]:
    return itertools.count()


def idle() -> Iterator[Any]:
    yield from range(3)
    yield from itertools.repeat(Nothing())


def held(runner: Runner, free: int = 5, **options: Any) -> tuple[Dataflow, ListSink, Gate]:
    """An endless flow whose sink holds after `free` records."""
    gate = Gate(free)
    flow, sink = runner.flow(**options), runner.sink(refuse=gate, batch=1)
    flow.source(runner.source(counting)).map(lambda x: x).sink(sink, name="out")
    return flow, sink, gate


def test_a_job_runs_while_its_starter_goes_on(runner: Runner) -> None:
    flow, sink, gate = held(runner)
    job = flow.start()
    assert gate.reached.wait(50)
    assert (job.name, job.state) == ("test", "running")
    metrics = job.metrics()
    assert metrics.state == "running"
    assert (metrics.records_written, metrics["out"].records_out) == (5, 5)
    assert 0 < metrics.in_flight <= metrics.most_in_flight <= metrics.bound
    assert metrics.records_read > 5
    assert not job.join(0)
    with pytest.raises(TimeoutError, match=r"^job 'test' still runs after 0.01 s$"):
        job.wait(0.01)
    assert job.state == "running"
    job.stop()
    gate.opened.set()
    result = job.wait()
    assert (result.state, job.state) == ("stopped", "stopped")
    assert result.records_read == result.records_written == len(sink.records)
    assert sink.records == list(range(len(sink.records)))
    assert sink.ends == ["finish"]
    assert job.join(0)


def test_a_full_job_is_full_and_no_more(runner: Runner) -> None:
    """With the sink held, the source reads what there is credit for, and then nothing."""
    flow, gate = runner.flow(settings=Settings(max_window=10)), Gate(5)
    sink = ListSink(blocking=True, refuse=gate, batch=1)  # in a thread of its own, so that only it is held
    flow.source(runner.source(counting)).map(lambda x: x).sink(sink)
    job = flow.start()
    assert gate.reached.wait(50)
    while job.metrics().in_flight < 20:  # two channels of ten
        assert job.state == "running"
    assert job.metrics().in_flight == job.metrics().bound == 20
    job.cancel()
    gate.opened.set()
    with pytest.raises(JobCancelled):
        job.wait()


def test_stop_makes_aggregates_give_what_they_have(runner: Runner) -> None:
    flow, sink, seen = runner.flow(), runner.sink(), threading.Event()

    def look(x: int) -> None:
        if x > 1000:
            seen.set()

    stream = flow.source(runner.source(counting)).inspect(look).key_by(lambda x: x % 3, parallelism=2)
    stream.aggregate(n=count(), all=collect()).sink(sink)
    job = flow.start()
    assert seen.wait(50)
    assert sink.records == []
    job.stop()
    result = job.wait()
    assert result.state == "stopped"
    assert sorted(x for row in sink.records for x in row.all) == list(range(result.records_read))


def test_stop_may_come_at_any_time_and_again(runner: Runner) -> None:
    flow, sink = runner.flow(), runner.sink()
    flow.source(runner.source(counting)).sink(sink)
    job = flow.start()
    job.stop()
    job.stop()
    assert job.wait().state == "stopped"
    assert sink.records == list(range(len(sink.records)))
    job.stop()
    assert job.state == "stopped"


def test_stop_and_cancel_after_the_end_change_nothing(runner: Runner) -> None:
    flow = runner.flow()
    flow.source(runner.source(range(3))).sink(runner.sink())
    job = flow.start()
    first = job.wait()
    job.stop()
    job.cancel()
    assert job.state == first.state == "finished"
    assert job.wait() == first
    assert job.metrics().seconds == first.seconds


def test_cancel_drops_what_is_on_its_way(runner: Runner) -> None:
    flow, sink, gate = held(runner)
    job = flow.start()
    assert gate.reached.wait(50)
    job.cancel()
    job.cancel()
    gate.opened.set()
    with pytest.raises(JobCancelled, match=r"^job 'test' was cancelled$") as caught:
        job.wait()
    result = caught.value.result
    assert result is not None
    assert (result.state, job.state) == ("cancelled", "cancelled")
    assert (result.in_flight, sink.ends) == (0, ["abort"])
    assert len(sink.records) <= 6
    assert result.records_read == result.records_written + result.dropped
    with pytest.raises(JobCancelled):
        job.wait()


def test_cancel_at_once(runner: Runner) -> None:
    for _ in range(20):
        flow, sink = runner.flow(), runner.sink()
        source = runner.source(counting)
        flow.source(source).key_by().reduce(max).sink(sink)
        job = flow.start()
        job.cancel()
        with pytest.raises(JobCancelled):
            job.wait()
        assert sink.records == []
        assert sink.ends in ([], ["abort"])
        assert all(reader.closed == 1 for reader in source.readers)


def test_cancel_after_stop(runner: Runner) -> None:
    flow, _, gate = held(runner)
    job = flow.start()
    assert gate.reached.wait(50)
    job.stop()
    job.cancel()
    job.stop()
    gate.opened.set()
    with pytest.raises(JobCancelled):
        job.wait()
    assert job.state == "cancelled"


def test_an_aggregate_gives_nothing_when_cancelled(runner: Runner) -> None:
    flow, sink = runner.flow(), runner.sink()
    flow.source(runner.source(idle)).key_by().reduce(max).sink(sink)
    job = flow.start()
    while job.metrics()["reduce"].records_in < 3:
        assert job.state == "running"
    job.cancel()
    with pytest.raises(JobCancelled):
        job.wait()
    assert sink.records == []


def test_leaving_the_block_waits_for_the_end(runner: Runner) -> None:
    flow, sink = runner.flow(), runner.sink()
    flow.source(runner.source(range(5000))).sink(sink)
    with flow.start() as job:
        pass
    assert job.state == "finished"
    assert sink.records == list(range(5000))


def test_leaving_the_block_raises_what_the_job_failed_of(runner: Runner) -> None:
    flow = runner.flow()
    flow.source(runner.source([0])).map(lambda x: 1 // x).sink(runner.sink())
    with pytest.raises(OperatorError), flow.start():
        pass


def test_a_block_that_raises_cancels_the_job(runner: Runner) -> None:
    flow, sink, gate = held(runner)
    gate.opened.set()
    with pytest.raises(KeyError, match="mine"), flow.start() as job:
        raise KeyError("mine")
    assert job.state == "cancelled"
    assert sink.ends in ([], ["abort"])


def test_a_job_is_started_once(runner: Runner) -> None:
    flow = runner.flow()
    flow.source(runner.source([1])).sink(runner.sink())
    job = flow.start()
    with pytest.raises(RuntimeError, match="has been started"):
        job.start()
    job.wait()


def test_a_flow_may_run_again_and_again(runner: Runner) -> None:
    flow, sink = runner.flow(), runner.sink()
    flow.source(runner.source(range(10))).key_by().fold(int, lambda s, x: s + x).sink(sink)
    assert [flow.run().records_read for _ in range(3)] == [10, 10, 10]
    assert sink.records == [((), 45)] * 3


def test_a_flow_may_run_again_after_it_failed(runner: Runner) -> None:
    failing = [True]

    def fail_once(x: int) -> int:
        if failing:
            failing.clear()
            raise ValueError(x)
        return x

    flow, sink = runner.flow(), runner.sink()
    flow.source(runner.source(range(10))).map(fail_once).sink(sink)
    with pytest.raises(OperatorError):
        flow.run()
    assert flow.run().state == "finished"
    assert sink.records == list(range(10))


def test_a_source_that_fails_beside_one_that_does_not(runner: Runner) -> None:
    flow, sink = runner.flow(), runner.sink()
    good, bad = runner.source(idle, bounded=False), runner.source([Raise(OSError("gone"))])
    flow.source(good).union(flow.source(bad, name="bad")).sink(sink)
    with pytest.raises(ConnectorError, match=r"source 'bad' \(.*\) failed: OSError: gone") as caught:
        flow.run()
    assert sink.records == list(range(len(sink.records)))
    assert sink.ends == ["abort"]
    assert [reader.closed for reader in (*good.readers, *bad.readers)] in ([1, 1], [1])
    assert caught.value.result is not None
    assert caught.value.result.state == "failed"


def test_a_failed_job_that_is_cancelled_has_failed(runner: Runner) -> None:
    gate = Gate()
    flow, sink = runner.flow(), runner.sink()
    numbers = flow.source(runner.source([1]))
    numbers.map(lambda x: 1 // 0).sink(sink)
    # In a thread of its own, so that the other branch goes on while this one is held.
    numbers.sink(ListSink(blocking=True, refuse=gate))
    job = flow.start()
    assert gate.reached.wait(50)
    while not sink.ends:
        assert job.state == "running"
    job.cancel()
    gate.opened.set()
    with pytest.raises(OperatorError) as caught:
        job.wait()
    assert job.state == "failed"
    assert caught.value.result is not None
    assert caught.value.result.state == "failed"


def test_a_function_may_stop_its_own_job(runner: Runner) -> None:
    jobs: list[Job] = []
    ready = threading.Event()

    def stop_at_100(x: int) -> int:
        assert ready.wait(50)
        if x == 100:
            jobs[0].stop()
            assert jobs[0].metrics().state == "running"
        return x

    flow, sink = runner.flow(), runner.sink()
    flow.source(runner.source(counting)).map(stop_at_100).sink(sink)
    jobs.append(flow.start())
    ready.set()
    assert jobs[0].wait().state == "stopped"
    assert sink.records == list(range(len(sink.records)))


def test_counters_only_grow_and_never_pass_the_bound(runner: Runner) -> None:
    flow = runner.flow(settings=Settings(max_window=50))
    flow.source(runner.source(range(30_000))).flat_map(lambda x: [x, x]).key_by(lambda x: x % 3).map(str).sink(
        runner.sink(batch=7)
    )
    job = flow.start()
    before = job.metrics()
    while not job.join(0):
        now = job.metrics()
        assert now.in_flight <= now.bound
        assert before.most_in_flight <= now.most_in_flight <= now.bound
        assert before.records_read <= now.records_read
        assert before.records_written <= now.records_written <= 2 * now.records_read
        assert before.seconds <= now.seconds
        before = now
    result = job.wait()
    assert (result.records_read, result.records_written) == (30_000, 60_000)
    assert (result.in_flight, result.skipped, result.dropped) == (0, 0, 0)


def test_shares_of_time_add_up(runner: Runner) -> None:
    flow = runner.flow()
    flow.source(runner.source(range(20_000))).map(str).flat_map(lambda x: [x]).sink(runner.sink())
    for each in flow.run().operators:
        if each.idle is not None and each.backpressured is not None:
            assert 0 <= each.busy <= 1
            assert abs(each.busy + each.idle + each.backpressured - 1) < 0.01


def test_many_jobs_at_once(runner: Runner) -> None:
    jobs = []
    for n in range(8):
        flow, sink = runner.flow(f"job {n}", settings=Settings(max_window=16)), runner.sink()
        flow.source(runner.source(range(2000))).map(partial(operator.add, n)).sink(sink)
        jobs.append((n, flow.start(), sink))
    for n, job, sink in jobs:
        assert job.wait().state == "finished"
        assert sink.records == list(range(n, 2000 + n))


def test_one_flow_may_run_twice_at_once(runner: Runner) -> None:
    flow, sink = runner.flow(settings=Settings(max_window=16)), runner.sink()
    flow.source(runner.source(range(2000))).key_by().fold(int, lambda s, x: s + x).sink(sink)
    for job in [flow.start(), flow.start()]:
        job.wait()
    assert sink.records == [((), 1999000)] * 2


def test_a_flow_inside_a_flow(runner: Runner) -> None:
    def total(n: int) -> int:
        return runner.through(range(n), lambda s: s.key_by().fold(int, lambda a, x: a + x))[0][1]  # type: ignore[no-any-return]

    assert runner.through([3, 10], lambda s: s.map(total)) == [3, 45]


def test_run_in_another_thread_leaves_signals_alone(runner: Runner) -> None:
    handlers: list[Any] = []

    def look(x: int) -> int:
        handlers.append(signal.getsignal(signal.SIGINT))
        return x

    flow, sink = runner.flow(), runner.sink()
    flow.source(runner.source([1])).map(look).sink(sink)
    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=flow.run)
    thread.start()
    thread.join()
    assert (sink.records, handlers) == ([1], [before])


@pytest.mark.parametrize("fail", [False, True])
def test_run_puts_the_handlers_back(runner: Runner, fail: bool) -> None:
    handlers: list[Any] = []

    def look(x: int) -> int:
        handlers.extend(signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM))
        return 1 // x

    flow = runner.flow()
    flow.source(runner.source([0 if fail else 1])).map(look).sink(runner.sink())
    outside = signal.signal(signal.SIGINT, signal.default_int_handler)
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        flow.run()
    except JobError:
        assert fail
    finally:
        after = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        signal.signal(signal.SIGINT, outside)
    assert after == before
    assert not set(handlers) & set(before)


def test_threads_have_names_that_say_what_they_do(runner: Runner) -> None:
    gate, names = Gate(), set()
    flow = runner.flow()
    flow.source(runner.source([1]), name="in").map(str, name="m").sink(runner.sink(refuse=gate), name="out")
    before = threading.enumerate()
    with flow.start():
        assert gate.reached.wait(50)
        names = {thread.name for thread in threading.enumerate() if thread not in before}
        gate.opened.set()
    assert names <= {"headgate", "headgate-in-0", "headgate-out-0", "headgate-top"}
    assert ("headgate-out-0" in names) == runner.blocking


@pytest.mark.parametrize("where", ["sink", "function"])
def test_a_call_that_does_not_come_back_is_left_behind_by_cancel(
    runner: Runner, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine.part, "STUCK_SECONDS", 0.05)
    gate = Gate()
    flow = runner.flow()
    stream = flow.source(runner.source(counting))
    sink = runner.sink(refuse=gate if where == "sink" else None)
    (stream if where == "sink" else stream.map(gate)).sink(sink, name="out")
    before = threading.enumerate()
    job = flow.start()
    mine = [thread for thread in threading.enumerate() if thread not in before]
    assert gate.reached.wait(50)
    job.cancel()
    who = "headgate-out-0" if where == "sink" and runner.blocking else "headgate"
    with pytest.raises(JobCancelled, match=f"job 'test' was cancelled, but a call of .*{who}.* did not come back") as e:
        job.wait()
    assert e.value.result is not None
    assert (e.value.result.state, job.state) == ("cancelled", "cancelled")
    assert all(thread.daemon for thread in mine)
    gate.opened.set()
    for thread in mine:
        thread.join()
    assert sink.ends in ([], ["abort"])
    assert job.state == "cancelled"


def test_a_fault_of_ours_in_a_thread_reaches_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = Runner("inline", blocking=False)

    def broken(*_: Any) -> None:
        raise AssertionError("our own fault")

    monkeypatch.setattr(Job, "_failed", broken)
    flow = runner.flow()
    flow.source(runner.source([1])).map(lambda x: 1 // 0).sink(runner.sink())
    job = flow.start()
    with pytest.raises(AssertionError, match="our own fault"):
        job.wait()
    assert job.state == "failed"


@pytest.mark.parametrize("progress", [True, False, None])
def test_progress_goes_to_stderr_and_only_if_wanted(
    runner: Runner, progress: bool | None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.progress._LINE_SECONDS", 0.001)
    flow, _, gate = held(runner, settings=TIGHT)

    def lines() -> str:
        return capsys.readouterr().err

    thread = threading.Thread(target=lambda: flow.run(progress=progress))
    jobs: list[Job] = []
    monkeypatch.setattr("engine.job.Job.start", _remembering(jobs))
    thread.start()
    assert gate.reached.wait(50)
    shown = ""
    while progress and "in flight, busiest" not in shown:
        shown += lines()
    jobs[0].stop()
    gate.opened.set()
    thread.join()
    out = capsys.readouterr()
    assert out.out == ""
    if not progress:
        assert out.err == ""


class Terminal(io.StringIO):
    """Stands in for a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("rich", [True, False])
def test_progress_on_a_terminal(runner: Runner, rich: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if rich:
        pytest.importorskip("rich")
    else:
        monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.setattr("engine.progress._LINE_SECONDS", 0.001)
    monkeypatch.setattr("engine.progress._TABLE_SECONDS", 0.001)
    monkeypatch.setattr("sys.stderr", terminal := Terminal())

    def until_shown(x: int) -> None:
        """The sink goes on once something has been drawn."""
        while "in flight" not in terminal.getvalue():
            assert threading.main_thread().is_alive()

    flow, sink = runner.flow("shown"), runner.sink(refuse=until_shown)
    flow.source(runner.source([1])).sink(sink)
    flow.run()
    shown = terminal.getvalue()
    assert ("back-pr." in shown.split("finished after")[0]) == rich
    assert "shown: " in shown
    assert "finished after " in shown
    assert sink.records == [1]


def test_a_job_whose_threads_cannot_start_leaves_none(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    flow = runner.flow()
    flow.source(ListSource(counting, blocking=True)).sink(ListSink(blocking=True))
    start = threading.Thread.start
    started: list[threading.Thread] = []

    def fail_third(self: threading.Thread) -> None:
        if len(started) == 2:
            raise RuntimeError("can't start new thread")
        started.append(self)
        start(self)

    monkeypatch.setattr(threading.Thread, "start", fail_third)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        flow.start()
    for thread in started:
        thread.join(30)
        assert not thread.is_alive()


def _remembering(jobs: list[Job]) -> Any:
    start = Job.start

    def remember(self: Job) -> Job:
        jobs.append(self)
        return start(self)

    return remember


def test_the_suite_runs_on_the_main_thread() -> None:
    """Or the tests of signals would test nothing."""
    assert threading.current_thread() is threading.main_thread()
    assert sys.getswitchinterval() > 0
