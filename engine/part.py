"""Part: one process's share of a job, as threads that are started, stopped and watched."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from cext.links import Links
from cext.task import Task
from engine.report import Report, report
from engine.worker import Worker

STUCK_SECONDS = 5.0
"""How long a cancelled job waits for a connector or a function that is inside a call of its own."""

ABANDONED_SECONDS = 0.5
"""How long the others then have to close what they opened."""


class Part:
    """The threads that run what `worker` built.

    `failed(error)` is called for each task that fails, in its thread; `ended()` once, when the last thread has
    ended, in that one, or when those that do not come back are left, in the one that looked.
    """

    def __init__(self, worker: Worker, failed: Callable[[BaseException], None], ended: Callable[[], None]) -> None:
        self.worker = worker
        self.stuck: list[str] = []
        """The threads that were left behind, by name."""
        self.faults: list[BaseException] = []
        """What ended a loop itself, not one of its tasks: nothing that went through it can go on."""
        self._failed, self._ended = failed, ended
        self._lock = threading.RLock()  # a signal's handler may come while its thread holds it
        self._threads: list[threading.Thread] = []
        self._links: Links | None = None
        self._close_links: Callable[[], None] = lambda: None
        self._running = 0
        self.is_over = False
        """Whether all its threads have ended, or were left."""
        self._began = 0.0
        self._cpu = time.process_time()
        self._cancelled_at: float | None = None

    def start(self, links: Links | None = None, drained: Callable[[], None] | None = None) -> None:
        """Start every thread; called once. `links` and `drained`: see `Worker.loops`."""
        self._links = links
        self._began = time.monotonic()
        runners = self.worker.loops(self._task_failed, links, drained)
        self._running = len(runners)
        for name, runner in runners.items():
            thread = threading.Thread(target=self._run, args=(runner.run,), name=name, daemon=True)
            try:
                thread.start()
            except BaseException:  # no more threads to be had, or Ctrl-C: those that run must not go on alone
                self._running -= len(runners) - len(self._threads)
                self.abandon()
                raise
            self._threads.append(thread)

    @property
    def has_started(self) -> bool:
        """Whether `start` was called."""
        return self._running > 0 or bool(self._threads)

    def when_links_are_free(self, close: Callable[[], None]) -> None:
        """Call `close()` once nobody uses the links: now, or when the thread that serves them comes back, if it was
        left behind."""
        with self._lock:
            is_held = self._running > 0 and next(iter(self.worker.runners), None) in self.stuck
            self._close_links = close if is_held else self._close_links
        if not is_held:
            close()

    def _run(self, loop: Any) -> None:
        try:
            loop()
        except BaseException as error:
            self.faults.append(error)
            self.cancel()
        finally:
            with self._lock:
                self._running -= 1
                last = self._running == 0
            if last:
                self._end()
                self._close_links()

    def _end(self) -> None:
        with self._lock:
            was_over, self.is_over = self.is_over, True
            if not was_over:
                self.stuck += self.worker.open_threads
        if not was_over:
            self._ended()

    def _task_failed(self, task: Task, error: BaseException) -> None:
        self._failed(error)

    def stop_sources(self, *, whole: bool) -> None:
        """Read no more; `whole`: what was read so far counts as the whole stream."""
        for source in self.worker.sources:
            source.stop(whole)
        self.worker.wake()

    def begin_checkpoint(self, checkpoint: int) -> None:
        """Have every source send the barrier of `checkpoint`, and tell all tasks that it comes."""
        for task in self.worker.tasks:
            task.expect_barrier(checkpoint)
        for source in self.worker.sources:
            source.request(checkpoint)
        self.worker.wake()

    def give_up_checkpoint(self, checkpoint: int) -> None:
        """Have nobody wait for the barrier of `checkpoint` any longer."""
        for task in self.worker.tasks:
            task.drop_barrier(checkpoint)
        self.worker.wake()

    def complete_checkpoint(self, checkpoint: int) -> None:
        """Have every sink show what belongs to `checkpoint`."""
        for sink in self.worker.sinks:
            sink.complete(checkpoint)
        self.worker.wake()

    def cancel(self) -> None:
        """Drop what is on its way."""
        with self._lock:
            self._cancelled_at = self._cancelled_at or time.monotonic()
            for task in self.worker.tasks:
                task.cancel()
            self.worker.wake()

    def abandon(self) -> None:
        """Let every task and link end by itself, whatever those before and behind it do."""
        self.cancel()
        for task in self.worker.tasks:
            task.abandon()
        self.close()

    def close(self) -> None:
        """Nobody in another process needs an answer any more."""
        if self._links is not None:
            self._links.close()
        self.worker.wake()

    def leave_the_stuck(self) -> None:
        """Once cancelled for long enough, end without the threads that do not come back; the others close first."""
        with self._lock:
            if not self.is_overdue() or self.is_over:
                return
            self.abandon()
            if not self.is_overdue(ABANDONED_SECONDS):
                return
            self.stuck += [thread.name for thread in self._threads if thread.is_alive()]
        self._end()

    def is_overdue(self, further: float = 0.0) -> bool:
        """Whether it was cancelled so long ago, and so many `further` seconds, that nothing is waited for any more."""
        return self._cancelled_at is not None and time.monotonic() - self._cancelled_at >= STUCK_SECONDS + further

    def join(self) -> None:
        """Wait for the threads that have ended, or are just about to."""
        for thread in self._threads:
            if thread.name not in self.stuck:
                thread.join()

    def report(self, seconds: float | None = None) -> Report:
        """What it has done so far, which took so many seconds; without a number, as many as since its start."""
        if seconds is None:
            seconds = time.monotonic() - self._began if self._began else 0.0
        return report(self.worker, seconds, time.process_time() - self._cpu)
