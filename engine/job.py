"""Job: a running flow. It starts threads and processes, watches them, stops them, and says how it went."""

from __future__ import annotations

import math
import os
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING

from cext.processing_time import Clock
from engine.attempt import Attempt
from engine.beacon import Beacon
from engine.checkpoint_log import CheckpointLog
from engine.checkpoints import Checkpoints, checked_checkpoints
from engine.coordinator import Announce, GiveUp
from engine.errors import CheckpointError, GraphError, JobCancelled, JobError, is_final
from engine.graph import users_place
from engine.last_checkpoint import LastCheckpoint
from engine.metrics import JobMetrics, JobResult, State
from engine.modules import in_worker
from engine.outline import Outline
from engine.part import STUCK_SECONDS
from engine.plan import Plan
from engine.restarts import Restarts
from engine.snapshot import Snapshot

if TYPE_CHECKING:
    from engine.checkpoint_store import Store
    from engine.dataflow import Dataflow
    from engine.placement import Placement

MOST_FAILURES = 5
"""How many checkpoints in a row may come to nothing before the job counts as failed."""

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

    def __init__(
        self,
        flow: Dataflow,
        processes: int | None = None,
        clock: Clock | None = None,
        checkpoint: str | Checkpoints | None = None,
    ) -> None:
        if in_worker():
            raise GraphError(
                f"flow {flow.name!r} is run while a worker process imports the module that it stands in",
                hint='put flow.run(...) under if __name__ == "__main__":',
            )
        self.plan = Plan.of(flow, processes, saves=checkpoint is not None)
        if clock is not None:
            _check_clock(clock, self.plan)
        self.name = flow.name
        self._flow, self._processes, self._clock = flow, processes, clock
        self._outline = Outline.of(self.plan)
        self._beacon = Beacon(self.name, self.snapshot, lambda savepoint: self.stop(savepoint=savepoint))
        self._lock = threading.RLock()  # a signal's handler may come while its thread holds it
        self._errors: list[BaseException] = []
        """Those of the present attempt."""
        self._earlier: list[BaseException] = []
        """Of each attempt that was followed by another one the first error."""
        self._asked: State = "finished"
        self._is_asked = threading.Event()
        self._restart: threading.Thread | None = None
        """Which makes the next attempt, while there is none."""
        self._cancelled_at = math.inf
        self._ended = threading.Event()
        self._told = False
        """Whether somebody has waited and had the error."""
        self._began = 0.0
        self._seconds = 0.0
        self._checkpoints = None if checkpoint is None else checked_checkpoints(checkpoint, self.plan)
        self._restarts = Restarts(0 if self._checkpoints is None else self._checkpoints.restarts)
        self._store = None if self._checkpoints is None else _open_store(self._checkpoints, self.name)
        self._log: CheckpointLog | None = None
        """Used under the lock."""
        try:
            self.attempt = self._new_attempt(None)
        except BaseException:
            if self._store is not None:
                self._store.close()
            raise
        self._last: LastCheckpoint | None = None
        """Once it is to be stopped. Used under the lock."""
        self._is_complete = False
        """Whether the checkpoint of its end lasts."""
        self._is_over = False
        """Whether all that is left is to let go of what it holds. Used under the lock."""
        if self._store is not None:
            self._log = CheckpointLog(self.name, self._store.files.root, self.attempt.checkpoint, self._restarts)

    def _new_attempt(self, placement: Placement | None) -> Attempt:
        saving = None
        if self._checkpoints is not None and self._store is not None:
            from engine.saving import Saving

            told = (self._given_up, self._completed, self._seen)
            last = 0 if self._log is None else self._log.metrics.last
            saving = Saving(self._checkpoints, self._store, self.plan, *told, at_least=last)
        parts = (self._flow, self.plan, self._processes, self._clock)
        return Attempt(*parts, self._failed, self._attempt_ended, saving, placement)

    def start(self) -> Job:
        """Start every thread and process; called once."""
        if self._began:
            raise RuntimeError(f"job {self.name!r} has been started; flow.start() makes another one")
        self._began = time.monotonic()
        self._beacon.start()
        try:
            self.attempt.start()
        except BaseException:
            self._beacon.close()
            if self._store is not None:
                self._store.close()
            raise
        return self

    # What happens, in the threads that see it.

    def _failed(self, attempt: Attempt, error: BaseException) -> None:
        """A task has failed, or a process: read no more, and let what was read before it reach the sinks.

        Where the job makes checkpoints, what is in none is read again, by its next attempt or the next run: nothing of
        it is to arrive, and nobody is to wait for another checkpoint, as none will be complete.
        """
        with self._lock:
            if attempt is not self.attempt:  # a call that was left behind has come back
                return
            self._errors.append(error)
            if self._starts_anew:
                attempt.give_way()
            elif self._checkpoints is None:
                attempt.stop_sources(whole=False)
            else:
                attempt.cancel()

    @property
    def _starts_anew(self) -> bool:
        """Whether a failure now is followed by another attempt."""
        return self._asked == "finished" and self._restarts.is_left and not any(map(is_final, self._errors))

    def _attempt_ended(self, attempt: Attempt) -> None:
        with self._lock:
            delay = self._delay(self._all_errors[0]) if self._all_errors else None
        if delay is None:
            self._end(attempt.successors)
        else:
            name = f"headgate-restart-{self._restarts.count}"
            self._restart = threading.Thread(target=self._start_anew, args=(delay,), name=name, daemon=True)
            self._restart.start()

    def _delay(self, error: BaseException) -> float | None:
        """Seconds until the job starts anew, now that `error` has come; None: it does not."""
        delay = self._restarts.failed() if self._starts_anew and not is_final(error) else None
        if delay is not None and self._log is not None:
            self._log.restarts_in(delay, error)
        return delay

    def _start_anew(self, delay: float) -> None:
        prepared = self.attempt.successors
        try:
            attempt = self._next_attempt(delay, prepared)
            with self._lock:
                self._earlier.append(self._all_errors[0])
                self._errors = []
                if attempt is not None and not self._is_asked.is_set():
                    self.attempt = attempt
                    attempt.start()
                    return
        except BaseException as error:
            self._errors.append(error)
        self._end(prepared)

    def _next_attempt(self, delay: float, prepared: Placement | None) -> Attempt | None:
        """Once it can be made: that it cannot, since a disk is full, say, is one more failure. None: no more is asked
        for."""
        assert self._store is not None
        while not self._is_asked.wait(delay):
            try:
                self._store.renew()
                return self._new_attempt(prepared)  # which reads the checkpoint: others need not wait for it
            except Exception as error:
                with self._lock:
                    again = self._delay(error)
                if again is None:
                    raise
                delay = again
        return None

    def _completed(self, checkpoint: Announce, size: int) -> None:
        assert self._log is not None
        with self._lock:
            self._log.completed(checkpoint, size)
            if checkpoint.is_last:
                self._is_complete = True
                self._asked = "finished" if self._asked == "stopped" else self._asked
            if self._last is not None:
                self._last.completed(checkpoint)

    def _seen(self, checkpoint: int) -> None:
        """Sinks show what checkpoints up to this one have."""
        with self._lock:
            if self._asked == "stopped" and self._last is not None and self._last.is_seen(checkpoint):
                self.attempt.cancel()

    def _given_up(self, checkpoint: GiveUp) -> None:
        assert self._log is not None
        with self._lock:
            self._log.given_up(checkpoint)
            if self._last is not None:
                if not self._last.given_up(checkpoint) and self._asked == "stopped":
                    self._failed(self.attempt, self._last.missing(self.name, self._log.metrics))
            elif checkpoint.failures >= MOST_FAILURES:
                many = f"{checkpoint.failures} checkpoints in a row could not be made"
                self._failed(self.attempt, CheckpointError(f"{many}; the last: {checkpoint.why}"))

    def _end(self, unused: Placement | None) -> None:
        """Of the job; `unused` has the workers of an attempt that there will not be."""
        if unused is not None:
            unused.close()
        with self._lock:
            if self._is_over:
                return
            self._is_over = True
            self._seconds = time.monotonic() - self._began
            if self._asked == "stopped" and not self._all_errors:
                self._check_last()
        self._beacon.close()
        if self._store is not None:
            self._close(self._store)  # which takes its time where the store is far away
        self._ended.set()

    def _check_last(self) -> None:
        if self._last is not None and self._log is not None and not self._last.number:
            self._errors.append(self._last.missing(self.name, self._log.metrics))

    def _close(self, store: Store) -> None:
        if self.attempt.stuck or self._restarts_elsewhere:
            store.leave()
        else:
            store.close()

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
        seconds = self._seconds if self._ended.is_set() or not self._began else time.monotonic() - self._began
        attempt = self.attempt
        return Snapshot(
            self.name,
            os.getpid(),
            self.state,
            seconds,
            self._outline,
            attempt.reports(seconds),
            attempt.silent,
            time.time_ns() // 10**6,
            None if self._log is None else self._log.metrics,
        )

    def stop(self, *, savepoint: str | None = None) -> None:
        """Read no more; what has been read is carried through to the sinks, aggregates emit what they have.

        A job that makes checkpoints instead makes one more and ends there, with nothing given that is not due: the next
        run goes on from it. `savepoint`: a name for that one, under which it is kept until somebody deletes it, and
        from which `Checkpoints(start_from=...)` can begin again, with any number of processes.

        Returns at once, and does nothing where the job has ended or is about to. Raises `CheckpointError`, and the job
        goes on, where it makes no checkpoints or the name cannot be had; where the savepoint cannot be made, `wait`
        raises it.
        """
        self._check_savepoint(savepoint)  # which may take its time where the store is far away
        with self._lock:
            is_ending = self._is_complete or self._is_over or (self._errors and not self._starts_anew)
            if self._asked != "finished" or is_ending:
                self._check_awaited(savepoint)
                return
            self._asked = "stopped"
            self._is_asked.set()
            if self._log is None:
                self.attempt.stop_sources(whole=True)
            else:
                self._last = LastCheckpoint(savepoint)
                self.attempt.save(savepoint)

    def _check_savepoint(self, name: str | None) -> None:
        if name is None:
            return
        if self._store is None:
            raise CheckpointError(
                f"job {self.name!r} makes no checkpoints, so there is none to keep as savepoint {name!r}",
                hint="run it with checkpoint=, or stop it without savepoint=",
            )
        self._store.check_name(name)

    def _check_awaited(self, savepoint: str | None) -> None:
        """CheckpointError where the job is being stopped already, and not with that savepoint."""
        awaited = None if self._last is None else self._last.savepoint
        if self._asked == "stopped" and not self._is_over and savepoint not in {None, awaited}:
            how = "without a savepoint" if awaited is None else f"with the savepoint {awaited!r}"
            raise CheckpointError(
                f"job {self.name!r} is being stopped already, {how}",
                hint="the next run goes on from its last checkpoint all the same",
            )

    def cancel(self) -> None:
        """Stop at once: what is on its way is dropped, sinks keep what they have committed.

        What is inside a call of its own (a write that blocks, a function that loops, a coroutine that never lets its
        event loop go on) has 5 s to come back from it; then its thread is left behind, and the job counts as ended.
        """
        with self._lock:
            if not self._is_over:
                self._asked = "cancelled"
                self._cancelled_at = min(self._cancelled_at, time.monotonic())
                self._is_asked.set()
                self.attempt.cancel()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end, at most `timeout` seconds; whether it has come."""
        until = math.inf if timeout is None else time.monotonic() + timeout
        while not self._ended.wait(max(0.0, min(_LOOK_SECONDS, until - time.monotonic()))):
            self._leave_the_stuck()
            if time.monotonic() >= until:
                break
        if not self._ended.is_set():
            return False
        self._beacon.join()
        return True

    def _leave_the_stuck(self) -> None:
        """Once cancelled for long enough, end without what does not come back: a call of the attempt's, or of the
        restart's, which reads checkpoints."""
        self.attempt.leave_the_stuck()
        if time.monotonic() - self._cancelled_at >= STUCK_SECONDS and self._restarts_elsewhere:
            self._end(None)

    @property
    def _restarts_elsewhere(self) -> bool:
        """Whether another thread makes the next attempt, and cannot be hurried."""
        restart = self._restart
        return restart is not None and restart.is_alive() and restart is not threading.current_thread()

    def wait(self, timeout: float | None = None) -> JobResult:
        """Wait for the end and return the result; raise what made it fail, or TimeoutError after `timeout` seconds."""
        if not self.join(timeout):
            raise TimeoutError(f"job {self.name!r} still runs after {timeout} s")
        self.attempt.join()
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
        return [*self._errors, *self.attempt.faults]

    def _error(self) -> BaseException | None:
        if self._all_errors:
            first, *others = self._all_errors
            notes = [f"after that: {other}" for other in others]
            if self._last is not None and self._last.number:
                notes.append(
                    f"checkpoint {self._last.number} lasts: the next run shows what of it is not to be seen yet"
                )
            if self._earlier:
                notes.append(
                    f"it was started anew {self._restarts.count} times before, at first after: {self._earlier[0]}"
                )
            for note in notes:
                if note not in getattr(first, "__notes__", ()):
                    first.add_note(note)
            return first
        if self.attempt.stuck:
            who = ", ".join(self.attempt.stuck)
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


def _open_store(checkpoints: Checkpoints, job: str) -> Store:
    from engine.checkpoint_store import Store  # which only a job that makes checkpoints needs
    from engine.resuming import check_start

    check_start(checkpoints)
    return Store(checkpoints.into, job, keep=checkpoints.keep)
