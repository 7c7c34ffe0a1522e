"""Workers killed, stopped, starved or ended by their user's function, in each phase of a job: who was lost, and why."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from connectors.memory import collect
from engine import Dataflow, JobCancelled, JobError, OperatorError, Settings, WorkerLost
from engine.job import Job
from tests.faults import far
from tests.faults.conftest import eventually

pytestmark = pytest.mark.timeout(80)

PHASES = ("starting", "running", "draining")
SIGNALS = (signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM)


def pids(job: Job) -> dict[int, int]:
    """The process of each worker."""
    crew = job.attempt.crew
    assert crew is not None
    return {number: slot.pid for number, slot in list(crew._slots.items())}


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


class Staged:
    """A job in two processes, the source in worker 1 and the sink in worker 2, and the gates in it."""

    def __init__(self, folder: Path, settings: Settings | None = None) -> None:
        self.loading, self.writing = far.Gate(folder / "loading"), far.Gate(folder / "writing")
        self.numbers, self.path = far.Numbers(folder), folder / "lines"
        self.flow = Dataflow("staged", settings=settings)
        stream = self.flow.source(self.numbers).stage("load").map(far.SlowToLoad(self.loading), name="slow")
        stream.sink(far.Lines(self.path, self.writing))

    @contextmanager
    def running(self) -> Iterator[Job]:
        """Until the sink has been written to."""
        self.loading.open()
        self.writing.open()
        with self.flow.start() as job:
            self.await_writes(job)
            yield job

    def await_writes(self, job: Job) -> None:
        before = job.metrics().records_written
        eventually(lambda: job.metrics().records_written > before or job.state != "running", "nothing was written")
        if job.state != "running":
            job.wait()

    @contextmanager
    def in_phase(self, phase: str) -> Iterator[Job]:
        if phase == "starting":
            with self.flow.start() as job:
                eventually(lambda: len(self.loading.waiting) == 2, "workers never began to load")
                yield job
            return
        with self.running() as job:
            if phase == "draining":
                self.writing.close()
                eventually(lambda: self.writing.waiting, "the sink was never held back")
                job.stop()
                eventually(lambda: self.numbers.is_closed, "the source was never told to stop")
            yield job

    def rows(self) -> list[str]:
        return self.path.read_text().splitlines() if self.path.exists() else []


@pytest.mark.parametrize("worker", [1, 2])
@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("phase", PHASES)
def test_a_killed_worker_is_named_with_how_it_ended(
    tmp_path: Path, phase: str, number: signal.Signals, worker: int
) -> None:
    if worker == 1 and number is not signal.SIGKILL:
        pytest.skip("worker 1 differs only in what it does")
    staged = Staged(tmp_path)
    with staged.in_phase(phase) as job:
        os.kill(pids(job)[worker], number)
        staged.writing.open()
        with pytest.raises(WorkerLost, match=f"worker-{worker} ended: killed by {number.name}") as error:
            job.wait(30)
    assert error.value.worker == worker
    assert error.value.result is not None
    assert error.value.result.state == "failed"
    assert not [note for note in getattr(error.value, "__notes__", ()) if "worker-" in note], "one loss, one name"
    rows = staged.rows()
    assert rows[: len(rows) - 1] == [str(i) for i in range(len(rows) - 1)], "what a sink has is what came, in order"
    if (phase, worker) != (
        "draining",
        1,
    ):  # where all of the stream may have reached the sink, which is then right to finish
        assert rows[-1:] != ["finish"]


def test_a_stopped_worker_counts_as_lost_after_the_silence_that_is_set(tmp_path: Path) -> None:
    staged = Staged(tmp_path, Settings(silence="1s"))
    with staged.running() as job:
        os.kill(pids(job)[2], signal.SIGSTOP)
        with pytest.raises(WorkerLost, match=r"worker-2 said nothing for 1 s \(stopped, or starved\)") as error:
            job.wait(30)
    assert error.value.worker == 2


def test_a_stopped_worker_stops_the_source_and_when_it_wakes_up_all_goes_on(tmp_path: Path) -> None:
    staged = Staged(tmp_path, Settings(max_window=200))
    with staged.running() as job:
        pid = pids(job)[2]
        os.kill(pid, signal.SIGSTOP)
        eventually(lambda: is_stopped(pid), "it was never stopped")
        read = settled(job)
        assert read <= job.metrics().bound + len(staged.rows()), "what the stopped worker last said is out of date"
        os.kill(pid, signal.SIGCONT)
        eventually(lambda: job.metrics().records_read > read, "the source never went on")
        job.stop()
        result = job.wait(30)
    assert result.state == "stopped"
    assert staged.rows() == [*map(str, range(result.records_read)), "finish"]


def settled(job: Job) -> int:
    """What the source has read once it reads no more, by what a worker that still speaks says ten times over."""
    crew = job.attempt.crew
    assert crew is not None
    last, heard, same = -1, 0.0, 0

    def again() -> bool:
        nonlocal last, heard, same
        at, now = crew.supervision.members[1].heard_at, job.metrics().records_read
        if at > heard:
            same = same + 1 if now == last else 0
            last, heard = now, at
        return same >= 10

    eventually(again, "the source was never held back")
    return last


def test_a_stalled_sink_in_the_last_process_stops_the_source_in_the_first(tmp_path: Path) -> None:
    gate = far.Gate(tmp_path / "gate")
    flow = Dataflow("stalled", settings=Settings(max_window=300))
    stream = flow.source(far.Numbers(tmp_path)).map(abs).stage("middle").map(abs)
    stream.stage("last").sink(far.Lines(tmp_path / "lines", gate))
    with flow.start() as job:
        eventually(lambda: gate.waiting, "the sink was never reached")
        read = settled(job)
        now = job.metrics()
        assert now.records_written == 0
        assert 0 < read <= now.bound
        gate.open()
        eventually(lambda: job.metrics().records_read > 2 * now.bound, "the source never went on")
        job.stop()
        result = job.wait(30)
    assert result.state == "stopped"
    assert result.in_flight == result.dropped == 0
    assert result.records_read == result.records_written


def test_a_worker_that_is_slow_to_start_holds_up_the_others_until_it_is_ready(tmp_path: Path) -> None:
    staged = Staged(tmp_path)
    staged.writing.open()
    with staged.in_phase("starting") as job:
        assert job.state == "running"
        assert job.metrics().records_read == 0
        staged.loading.open()
        staged.await_writes(job)
        job.stop()
        assert job.wait(30).state == "stopped"


def failing(function: Callable[[int], int], settings: Settings | None = None) -> tuple[Dataflow, list[int]]:
    """A flow of two processes in which the first runs `function` over 0, 1, 2 and so on; the rows that come out."""
    got: list[int] = []
    flow = Dataflow("failing", settings=settings)
    flow.source(far.Numbers(Path("/nowhere"), at_home=False)).map(function, name="odd").stage("load").sink(collect(got))
    return flow, got


def test_a_starved_worker_counts_as_lost() -> None:
    flow, _ = failing(far.keep_the_gil, Settings(silence="1s"))
    with pytest.raises(WorkerLost, match="worker-1 said nothing for 1 s") as error:
        flow.run()
    assert "in keep_the_gil" in str(error.value), "its last words say where it is"


def test_a_function_that_spins_lets_its_worker_speak_and_is_left_when_the_job_is_cancelled() -> None:
    flow, got = failing(far.spin, Settings(silence="2s", frame_records=10))
    with flow.start() as job:
        eventually(lambda: got, "nothing came")
        assert not job.join(3), "it speaks, so it is not lost"
        job.cancel()
        with pytest.raises(JobCancelled, match="a call of worker-1: headgate did not come back"):
            job.wait(30)


def test_a_function_that_ends_its_process_is_a_lost_worker_with_its_last_words() -> None:
    flow, _ = failing(far.exit_hard)
    with pytest.raises(WorkerLost, match=r"(?s)worker-1 ended: exit code 3.its last words:.*goodbye"):
        flow.run()


def test_a_function_that_calls_sys_exit_fails_as_it_would_in_one_process() -> None:
    flow, _ = failing(far.exit_softly)
    with pytest.raises(OperatorError, match=r"'odd' .*SystemExit: 3"):
        flow.run()


@pytest.mark.parametrize("which", far.ERRORS)
def test_whatever_a_function_raises_is_told_at_home(which: str) -> None:
    flow, got = failing(far.Raises(which))
    with pytest.raises(JobError, match="operator 'odd'") as raised:
        flow.run()
    error = raised.value
    assert isinstance(error, OperatorError)
    assert error.operator == "odd"
    assert error.record == 100
    assert any("in worker-1:" in note and "far.py" in note for note in error.__notes__)
    assert got == list(range(100))
    if which not in {"locked", "fussy"}:  # whose like cannot be had here
        assert isinstance(error.__cause__, type(far.ERRORS[which]()))
