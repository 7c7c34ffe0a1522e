"""Jobs held in other ways than by `run`: two at once, in a thread, asked to end before they began, never waited for."""

from __future__ import annotations

import gc
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from connectors.memory import collect, generate
from engine import Dataflow, HeadgateError, JobCancelled, JobResult, OperatorError, Settings
from engine.job import Job
from tests.faults import far
from tests.faults.conftest import Leftovers, eventually
from tests.faults.wire import TCP, addresses_of

pytestmark = pytest.mark.timeout(80)


def counting(count: int | None = 1000) -> tuple[Dataflow, list[int]]:
    flow = Dataflow("counting")
    got: list[int] = []
    flow.source(generate(int, count=count)).map(abs).stage("load").map(abs).sink(collect(got))
    return flow, got


def held_at_start(folder: Path) -> tuple[Dataflow, far.Gate]:
    gate = far.Gate(folder / "gate")
    flow = Dataflow("held")
    stream = flow.source(far.Numbers(folder, count=1000)).map(far.SlowToLoad(gate))
    stream.stage("load").sink(far.Lines(folder / "lines"))
    return flow, gate


def test_two_jobs_at_once_do_not_know_each_other(tmp_path: Path) -> None:
    flow, got = counting()
    other, gate = held_at_start(tmp_path)
    with other.start() as held, flow.start() as job:
        assert job.wait(30).records_written == 1000
        assert held.state == "running"
        gate.open()
        assert held.wait(30).records_written == 1000
    assert got == list(range(1000))


def test_one_flow_runs_twice_at_once() -> None:
    flow, got = counting()
    with flow.start() as one, flow.start() as two:
        assert [job.wait(30).records_written for job in (one, two)] == [1000, 1000]
    assert sorted(got) == sorted([*range(1000)] * 2)


def test_a_job_runs_in_a_thread() -> None:
    flow, got = counting()
    results: list[JobResult] = []
    thread = threading.Thread(target=lambda: results.append(flow.run()))
    thread.start()
    thread.join(40)
    assert [each.state for each in results] == ["finished"]
    assert got == list(range(1000))


@pytest.mark.parametrize("is_loading", [False, True])
def test_a_job_that_is_stopped_before_it_began_reads_nothing(tmp_path: Path, is_loading: bool) -> None:
    flow, gate = held_at_start(tmp_path)
    with flow.start() as job:
        if is_loading:
            eventually(lambda: len(gate.waiting) == 2, "workers never began to load")
        job.stop()
        gate.open()
        result = job.wait(30)
    assert (result.state, result.records_read, result.records_written) == ("stopped", 0, 0)
    assert (tmp_path / "lines").read_text() == "finish\n"


@pytest.mark.parametrize("is_loading", [False, True])
def test_a_job_that_is_cancelled_before_it_began_waits_for_nobody(tmp_path: Path, is_loading: bool) -> None:
    flow, gate = held_at_start(tmp_path)
    with flow.start() as job:
        if is_loading:
            eventually(lambda: len(gate.waiting) == 2, "workers never began to load")
        job.cancel()
        with pytest.raises(JobCancelled, match=r"job 'held' was cancelled$"):
            job.wait(30)  # though nobody opens the gate
    assert not (tmp_path / "lines").exists()


def test_metrics_are_there_before_the_start_and_after_the_end() -> None:
    flow, _ = counting()
    job = Job(flow)
    before = job.metrics()
    assert (before.state, before.seconds, before.records_read) == ("running", 0.0, 0)
    with job.start():
        assert job.metrics().seconds > 0
        result = job.wait(30)
    assert job.metrics() == result
    job.stop()
    job.cancel()
    assert job.metrics() == result


def test_a_job_that_nobody_waits_for_leaves_nothing(leftovers: Leftovers) -> None:
    flow, got = counting()
    flow.start()
    gc.collect()
    eventually(lambda: len(got) == 1000, "it never ended")
    eventually(lambda: not any(each.name.startswith("headgate") for each in threading.enumerate()), "threads stay")
    leftovers.await_none()


def test_a_block_that_raises_cancels(leftovers: Leftovers) -> None:
    flow, _ = counting(None)
    with pytest.raises(ZeroDivisionError), flow.start() as job:  # noqa: PT012
        eventually(lambda: job.metrics().records_read, "nothing was read")
        _ = 1 // 0
    assert job.state == "cancelled"
    assert not leftovers.all


def test_a_block_that_had_the_error_does_not_get_it_again() -> None:
    bad = Dataflow("bad")
    bad.source(generate(int, count=1000)).map(far.Raises("stop")).stage("load").sink(collect([]))
    with bad.start() as job, pytest.raises(OperatorError):
        job.wait(30)
    with pytest.raises(OperatorError), bad.start():
        pass


def is_open(address: str) -> bool:
    with suppress(OSError), socket.create_connection((TCP, int(address.rpartition(":")[2])), 10):
        return True
    return False


@pytest.mark.parametrize("blocking", [False, True], ids=["loop", "thread"])
def test_a_cancelled_job_that_leaves_a_call_behind_listens_no_more(tmp_path: Path, blocking: bool) -> None:
    """But on the ports that the thread it left still has."""
    gate = far.Gate(tmp_path / "gate")
    sink = far.Lines(tmp_path / "lines", gate)
    sink.at_home, sink.blocking = True, blocking
    flow = Dataflow("stuck", settings=Settings(listen=TCP))
    flow.source(far.Numbers(tmp_path)).stage("there").map(abs).sink(sink)
    with flow.start() as job:
        eventually(lambda: gate.waiting, "the sink was never reached")
        control, home, *_ = addresses_of(job)
        assert is_open(control)
        job.cancel()
        with pytest.raises(JobCancelled, match=r"a call of headgate.* did not come back"):
            job.wait(30)
    left = [control, home] if blocking else [control]
    eventually(lambda: not any(map(is_open, left)), f"{left} are still open")
    gate.open()
    eventually(lambda: "abort" in (tmp_path / "lines").read_text(), "the write never came back")
    eventually(lambda: not any(each.name.startswith("headgate") for each in threading.enumerate()), "threads stay")


def test_a_place_for_sockets_with_too_long_a_path_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    flow, _ = counting()
    with pytest.raises(HeadgateError, match="hint: set TMPDIR to a directory with a shorter path"):
        flow.run()
    assert not list(deep.iterdir())


def test_a_worker_that_cannot_be_started_fails_the_job_and_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.placement import LocalPlacement

    start = LocalPlacement.start

    def second_fails(self: LocalPlacement, index: int, bootstrap: bytes) -> Any:
        if index == 2:
            raise HeadgateError("no more processes")
        return start(self, index, bootstrap)

    monkeypatch.setattr(LocalPlacement, "start", second_fails)
    flow, got = counting()
    with pytest.raises(HeadgateError, match="no more processes"):
        flow.run()
    assert got == []
