"""Job: a running flow. It starts threads and processes, watches them, stops them, and says how it went."""

from __future__ import annotations

import math
import os
import secrets
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import TYPE_CHECKING

from cext.processing_time import Clock
from engine.beacon import Beacon
from engine.errors import GraphError, JobCancelled, JobError
from engine.graph import users_place
from engine.layout import HOME
from engine.metrics import JobMetrics, JobResult, State
from engine.modules import in_worker
from engine.outline import Outline
from engine.part import Part
from engine.plan import Plan
from engine.snapshot import Snapshot
from engine.worker import Worker, list_partitions

if TYPE_CHECKING:
    from engine.crew import Crew
    from engine.dataflow import Dataflow

_LOOK_SECONDS = 0.2
"""How often whoever waits for a cancelled job looks whether that time is over."""


class Job:
    """A flow that runs, as `Dataflow.start` returns it.

    Leaving it as a context manager waits for its end, or cancels it if the block raised. What made it fail is raised
    then, unless the block has had it from `wait` already.

    >>> from connectors.memory import collect, from_iterable
    >>> from engine import Dataflow
    >>> flow, got = Dataflow("job"), []
    >>> _ = flow.source(from_iterable(range(3))).sink(collect(got))
    >>> with flow.start() as job:
    ...     result = job.wait()
    >>> result.state, result.records_written
    ('finished', 3)
    """

    def __init__(self, flow: Dataflow, processes: int | None = None, clock: Clock | None = None) -> None:
        if in_worker():
            raise GraphError(
                f"flow {flow.name!r} is run while a worker process imports the module that it stands in",
                hint='put flow.run(...) under if __name__ == "__main__":',
            )
        self.plan = Plan.of(flow, processes)
        if clock is not None:
            _check_clock(clock, self.plan)
        self.name = flow.name
        self._outline = Outline.of(self.plan)
        self._beacon = Beacon(self.name, self.snapshot)
        self._lock = threading.RLock()  # a signal's handler may come while its thread holds it
        self._errors: list[BaseException] = []
        self._asked: State = "finished"
        self._ended = threading.Event()
        self._told = False
        """Whether somebody has waited and had the error."""
        self._began = 0.0
        self._seconds = 0.0
        self._part = Part(self._worker(clock), self._failed, self._part_ended)
        self._crew = self._make_crew(flow, processes) if self.plan.workers else None

    def _worker(self, clock: Clock | None) -> Worker:
        partitions = list_partitions(self.plan)
        if not self.plan.workers:
            return Worker(self.plan, partitions, clock=clock)
        return Worker(self.plan, partitions, HOME, secrets.randbits(63))

    def _make_crew(self, flow: Dataflow, processes: int | None) -> Crew:
        from engine.crew import Crew  # which only a job of several processes needs

        return Crew(flow, processes, self._part, self._failed, self._end)

    def start(self) -> Job:
        """Start every thread and process; called once."""
        if self._began:
            raise RuntimeError(f"job {self.name!r} has been started; flow.start() makes another one")
        self._began = time.monotonic()
        self._beacon.start()
        try:
            (self._crew or self._part).start()
        except BaseException:
            self._beacon.close()
            raise
        return self

    def _part_ended(self) -> None:
        if self._crew is not None:
            self._crew.home_ended()
        else:
            self._end()

    def _end(self) -> None:
        with self._lock:
            if not self._ended.is_set():
                self._seconds = time.monotonic() - self._began
                self._beacon.close()
                self._ended.set()

    def _failed(self, error: BaseException) -> None:
        """A task has failed, or a process: read no more, and let what was read before it reach the sinks."""
        with self._lock:
            self._errors.append(error)
            self._stop_sources(whole=False)

    def _stop_sources(self, *, whole: bool) -> None:
        self._part.stop_sources(whole=whole)
        if self._crew is not None:
            self._crew.stop_sources(whole=whole)

    @property
    def state(self) -> State:
        """running, finished, stopped, failed or cancelled."""
        if not self._ended.is_set():
            return "running"
        return "failed" if self._all_errors else self._asked

    def metrics(self) -> JobMetrics:
        """What it has done so far."""
        return self.snapshot().metrics()

    def snapshot(self) -> Snapshot:
        """What its processes have reported so far."""
        crew, now = self._crew, time.monotonic()
        seconds = self._seconds if self._ended.is_set() or not self._began else now - self._began
        return Snapshot(
            self.name,
            os.getpid(),
            self.state,
            seconds,
            self._outline,
            (self._part.report(seconds), *(crew.supervision.reports if crew is not None else ())),
            crew.supervision.silent(now) if crew is not None else {},
            time.time_ns() // 10**6,
        )

    def stop(self) -> None:
        """Read no more; what has been read is carried through to the sinks, aggregates emit what they have."""
        with self._lock:
            if self._asked == "finished" and not self._errors and not self._ended.is_set():
                self._asked = "stopped"
                self._stop_sources(whole=True)

    def cancel(self) -> None:
        """Stop at once: what is on its way is dropped, sinks keep what they have committed.

        What is inside a call of its own (a write that blocks, a function that loops, a coroutine that never lets its
        event loop go on) has 5 s to come back from it; then its thread is left behind, and the job counts as ended.
        """
        with self._lock:
            if not self._ended.is_set():
                self._asked = "cancelled"
                self._part.cancel()
                if self._crew is not None:
                    self._crew.cancel()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end, at most `timeout` seconds; whether it has come."""
        until = math.inf if timeout is None else time.monotonic() + timeout
        while not self._ended.wait(max(0.0, min(_LOOK_SECONDS, until - time.monotonic()))):
            self._part.leave_the_stuck()
            if time.monotonic() >= until:
                break
        if not self._ended.is_set():
            return False
        self._beacon.join()
        return True

    def wait(self, timeout: float | None = None) -> JobResult:
        """Wait for the end and return the result; raise what made it fail, or TimeoutError after `timeout` seconds."""
        if not self.join(timeout):
            raise TimeoutError(f"job {self.name!r} still runs after {timeout} s")
        self._part.join()
        if self._crew is not None:
            self._crew.join()
        result = self.metrics()
        error = self._error()
        if error is not None:
            if isinstance(error, JobError):
                error.result = result
            self._told = True
            raise error
        return result

    @property
    def _all_errors(self) -> list[BaseException]:
        return [*self._errors, *self._part.faults]

    def _error(self) -> BaseException | None:
        if self._all_errors:
            first, *others = self._all_errors
            for other in others:
                note = f"after that: {other}"
                if note not in getattr(first, "__notes__", ()):
                    first.add_note(note)
            return first
        stuck = [*self._part.stuck, *(self._crew.supervision.stuck if self._crew is not None else ())]
        if stuck:
            who = ", ".join(stuck)
            return JobCancelled(f"job {self.name!r} was cancelled, but a call of {who} did not come back; it was left")
        return JobCancelled(f"job {self.name!r} was cancelled") if self.state == "cancelled" else None

    def __enter__(self) -> Job:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None and not self._told:
                self.wait()
        finally:  # whether the block raised or the wait was interrupted; a job that has ended takes no notice
            self.cancel()
            self.join()


def _check_clock(clock: Clock, plan: Plan) -> None:
    place = users_place()
    if not isinstance(clock, Clock):
        raise GraphError(
            f"{place}: wanted a clock, got {clock!r}", hint="write clock=ManualClock(), of engine.testing, or nothing"
        )
    if plan.workers:
        raise GraphError(
            f"{place}: a clock is moved by hand in the process that it is in, "
            f"but this job has {len(plan.workers)} more",
            hint="run it without processes= and stages of their own",
        )


def run(flow: Dataflow, progress: bool | None, processes: int | None = None, clock: Clock | None = None) -> JobResult:
    """Start, show progress, pass signals on, wait."""
    from engine.progress import watch

    job = Job(flow, processes, clock)
    with _signals(job), job.start():
        watch(job, progress)
        return job.wait()


@contextmanager
def _signals(job: Job) -> Iterator[None]:
    """The first SIGINT or SIGTERM drains, the second cancels; outside the main thread signals are not ours.

    One that is ignored stays ignored, as SIGINT is in a program that a shell runs in the background.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    seen = []

    def handle(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        if len(seen) == 1:
            job.stop()
        else:
            job.cancel()

    wanted = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handle) for number in wanted}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:  # None: it was not Python that had set it
                signal.signal(number, handler)
