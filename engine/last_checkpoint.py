"""The last checkpoint: what a job that is stopped waits for, and what it says if it comes to nothing."""

from __future__ import annotations

from engine.checkpoint_metrics import CheckpointMetrics
from engine.coordinator import Announce, GiveUp
from engine.errors import CheckpointError

MOST_TRIES = 5
"""How often it may be given up before the job ends without; one that was under way when the job was stopped counts."""


class LastCheckpoint:
    """Of a job that was stopped; perhaps the savepoint of that name. Not for two threads at a time."""

    def __init__(self, savepoint: str | None = None) -> None:
        self.savepoint = savepoint
        self.number = 0
        """Its number, once it lasts."""
        self._given_up = 0

    def completed(self, checkpoint: Announce) -> None:
        """A checkpoint lasts."""
        if self.savepoint in {None, checkpoint.savepoint}:
            self.number = checkpoint.checkpoint

    def is_seen(self, checkpoint: int) -> bool:
        """Whether it is so by now, when sinks show what checkpoints up to this one have."""
        return 0 < self.number <= checkpoint

    def given_up(self, checkpoint: GiveUp) -> bool:
        """A checkpoint is given up; whether the job waits for another one."""
        self._given_up += 1
        return self._given_up < MOST_TRIES

    def missing(self, job: str, metrics: CheckpointMetrics) -> CheckpointError:
        """The error of a job that has ended without."""
        what = "its last checkpoint" if self.savepoint is None else f"the savepoint {self.savepoint!r}"
        why = metrics.why if self._given_up else metrics.restart_because
        what_it_did = "" if self._given_up else "the job was about to be started anew, after "
        last = metrics.last
        return CheckpointError(
            f"job {job!r} was stopped, but {what} could not be made: {what_it_did}{why}",
            hint=f"the next run goes on from checkpoint {last}" if last else "the next run begins again",
        )
