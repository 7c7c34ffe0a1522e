"""Job: a running flow. It starts the threads, watches them, stops them, and says how it went."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from cext.task import Task
from engine.errors import JobCancelled, JobError
from engine.metrics import JobMetrics, JobResult, State, snapshot
from engine.plan import Plan
from engine.worker import Worker

if TYPE_CHECKING:
    from engine.dataflow import Dataflow

_STUCK_SECONDS = 5.0
"""How long a cancelled job waits for a connector or a function that is inside a call of its own."""

_ABANDONED_SECONDS = 0.5
"""How long the others then have to close what they opened."""

_LOOK_SECONDS = 0.2
"""How often whoever waits for a cancelled job looks whether that time is over."""


class Job:
    """A flow that runs, as `Dataflow.start` returns it.

    Leaving it as a context manager waits for its end, or cancels it if the block raised.

    >>> from connectors.memory import collect, from_iterable
    >>> from engine import Dataflow
    >>> flow, got = Dataflow("job"), []
    >>> _ = flow.source(from_iterable(range(3))).sink(collect(got))
    >>> with flow.start() as job:
    ...     result = job.wait()
    >>> result.state, result.records_written
    ('finished', 3)
    """

    def __init__(self, flow: Dataflow) -> None:
        self.plan = Plan.of(flow)
        self.name = flow.name
        self._worker = Worker(self.plan, self._failed)
        self._lock = threading.RLock()  # a signal's handler may come while its thread holds it
        self._errors: list[BaseException] = []
        self._asked: State = "finished"
        self._threads: list[threading.Thread] = []
        self._running = 0
        self._ended = threading.Event()
        self._began = 0.0
        self._seconds = 0.0
        self._cancelled_at: float | None = None
        self._stuck: list[str] = []

    def start(self) -> Job:
        """Start every thread; called once."""
        if self._threads:
            raise RuntimeError(f"job {self.name!r} has been started; flow.start() makes another one")
        self._began = time.monotonic()
        self._running = len(self._worker.runners)
        for name, runner in self._worker.runners.items():
            thread = threading.Thread(target=self._run, args=(runner.run,), name=name, daemon=True)
            try:
                thread.start()
            except BaseException:  # no more threads to be had, or Ctrl-C: those that run must not go on alone
                self._running -= len(self._worker.runners) - len(self._threads)
                self.cancel()
                self._abandon()
                raise
            self._threads.append(thread)
        return self

    def _run(self, loop: Any) -> None:
        try:
            loop()
        except BaseException as error:
            with self._lock:
                self._errors.append(error)
            self.cancel()
        finally:
            with self._lock:
                self._running -= 1
                last = self._running == 0
            if last:
                self._end()

    def _end(self) -> None:
        with self._lock:
            if not self._ended.is_set():
                self._seconds = time.monotonic() - self._began
                self._stuck += self._worker.open_threads
                self._ended.set()

    def _failed(self, task: Task, error: BaseException) -> None:
        """A task has failed: read no more, and let what was read before it reach the sinks."""
        with self._lock:
            self._errors.append(error)
            self._stop_sources(whole=False)

    def _stop_sources(self, *, whole: bool) -> None:
        for source in self._worker.sources:
            source.stop(whole)
        self._worker.wake()

    @property
    def state(self) -> State:
        """running, finished, stopped, failed or cancelled."""
        if not self._ended.is_set():
            return "running"
        return "failed" if self._errors else self._asked

    def metrics(self) -> JobMetrics:
        """What it has done so far."""
        ended = self._ended.is_set()
        return snapshot(self._worker, self.state, self._seconds if ended else time.monotonic() - self._began)

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
                self._cancelled_at = self._cancelled_at or time.monotonic()
                for task in self._worker.tasks:
                    task.cancel()
                self._worker.wake()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end, at most `timeout` seconds; whether it has come."""
        until = math.inf if timeout is None else time.monotonic() + timeout
        while not self._ended.wait(max(0.0, min(_LOOK_SECONDS, until - time.monotonic()))):
            self._leave_the_stuck()
            if time.monotonic() >= until:
                break
        return self._ended.is_set()

    def _abandon(self) -> None:
        """Let every task end by itself, whatever those before and behind it do."""
        for task in self._worker.tasks:
            task.abandon()
        self._worker.wake()

    def _leave_the_stuck(self) -> None:
        """End a cancelled job without the threads that do not come back; the others close what they opened first."""
        with self._lock:
            waited = 0.0 if self._cancelled_at is None else time.monotonic() - self._cancelled_at
            if waited < _STUCK_SECONDS or self._ended.is_set():
                return
            self._abandon()
            if waited < _STUCK_SECONDS + _ABANDONED_SECONDS:
                return
            self._stuck = [thread.name for thread in self._threads if thread.is_alive()]
            self._end()

    def wait(self, timeout: float | None = None) -> JobResult:
        """Wait for the end and return the result; raise what made it fail, or TimeoutError after `timeout` seconds."""
        if not self.join(timeout):
            raise TimeoutError(f"job {self.name!r} still runs after {timeout} s")
        for thread in self._threads:
            if thread.name not in self._stuck:
                thread.join()
        result = self.metrics()
        error = self._error()
        if error is not None:
            if isinstance(error, JobError):
                error.result = result
            raise error
        return result

    def _error(self) -> BaseException | None:
        if self._errors:
            first, *others = self._errors
            for other in others:
                note = f"after that: {other}"
                if note not in getattr(first, "__notes__", ()):
                    first.add_note(note)
            return first
        if self._stuck:
            who = ", ".join(self._stuck)
            return JobCancelled(f"job {self.name!r} was cancelled, but a call of {who} did not come back; it was left")
        return JobCancelled(f"job {self.name!r} was cancelled") if self.state == "cancelled" else None

    def __enter__(self) -> Job:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.wait()
        finally:  # whether the block raised or the wait was interrupted; a job that has ended takes no notice
            self.cancel()
            self.join()


def run(flow: Dataflow, progress: bool | None) -> JobResult:
    """Start, show progress, pass signals on, wait."""
    from engine.progress import watch

    job = Job(flow)
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
