"""Checkpoint log: what comes of a job's checkpoints, kept in figures, and told as warnings where it is bad news."""

from __future__ import annotations

import logging

from msgspec.structs import replace

from engine.checkpoint_metrics import CheckpointMetrics
from engine.coordinator import Announce, GiveUp
from engine.restarts import Restarts

_logger = logging.getLogger("headgate")


class CheckpointLog:
    """Of the job `name`, which makes checkpoints `into` somewhere, goes on from number `last`, and is started anew as
    `restarts` says. Not for two threads at a time."""

    def __init__(self, name: str, into: str, last: int, restarts: Restarts) -> None:
        self.metrics = CheckpointMetrics(into, last)
        self._name, self._restarts = name, restarts

    def completed(self, checkpoint: Announce, size: int) -> None:
        """It lasts, with so many bytes of state."""
        self._restarts.progressed()
        now = self.metrics
        self.metrics = replace(
            now,
            last=checkpoint.checkpoint,
            seconds=checkpoint.seconds,
            bytes=size,
            made=now.made + 1,
            savepoint=checkpoint.savepoint or now.savepoint,
        )

    def given_up(self, checkpoint: GiveUp) -> None:
        """It is none."""
        what = f"checkpoint {checkpoint.checkpoint}" if checkpoint.savepoint is None else repr(checkpoint.savepoint)
        self.metrics = replace(self.metrics, given_up=self.metrics.given_up + 1, why=checkpoint.why)
        _logger.warning("job %r: %s was given up: %s", self._name, what, checkpoint.why)

    def restarts_in(self, seconds: float, error: BaseException) -> None:
        """The job is started anew after so long, since `error` came."""
        why = f"{type(error).__name__}: {error}".partition("\n")[0]
        self.metrics = replace(self.metrics, restarts=self._restarts.count, restart_because=why)
        last = self.metrics.last
        how = f"it goes on from checkpoint {last}" if last else "it begins again, as there is no checkpoint yet"
        _logger.warning("job %r: %s; in %.1f s %s (%s)", self._name, why, seconds, how, str(self._restarts))
