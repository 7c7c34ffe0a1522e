"""Checkpoints: how often a job notes how far it is, and where, so that it can go on from there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.durations import Duration, nanoseconds
from engine.errors import GraphError
from engine.operations import FromSource

if TYPE_CHECKING:
    from engine.plan import Plan


@dataclass(frozen=True, kw_only=True)
class Checkpoints:
    """Where and how often a job makes checkpoints; a plain path or URL stands for `Checkpoints(into=...)`.

    `into`: a directory, or a URL that fsspec knows, of this job alone. `interval`: from the beginning of one to that of
    the next; `pause`: at least so long between the end of one and the beginning of the next; `timeout`: one that is not
    complete by then is given up. `keep`: how many of the last are kept. `restarts`: how often in a row the job is
    started anew from the last one, after it has failed or lost a process, without a new one in between.

    >>> Checkpoints(into="state/flights", interval="1m").keep
    3
    """

    into: str
    interval: Duration = "10s"
    pause: Duration = 0
    timeout: Duration = "10m"
    keep: int = 3
    restarts: int = 5

    def __post_init__(self) -> None:
        if not isinstance(self.into, str) or not self.into:
            raise GraphError(
                f"checkpoints go into a directory or a URL, got {self.into!r}", hint='e.g. "state/flights"'
            )
        for name in ("interval", "timeout"):
            if nanoseconds(getattr(self, name)) == 0:
                raise GraphError(f"Checkpoints.{name} must be more than zero")
        for name, least in (("keep", 1), ("restarts", 0)):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < least:
                raise GraphError(f"Checkpoints.{name} is a whole number from {least}, not {getattr(self, name)!r}")

    def seconds(self, name: str) -> float:
        """One of its durations."""
        return nanoseconds(getattr(self, name)) / 1e9


def checked_checkpoints(wanted: str | Checkpoints, plan: Plan) -> Checkpoints:
    """As a job takes them; GraphError where `plan` has a source that cannot go on where it stopped."""
    for task in plan.tasks:
        operation = task.nodes[0].operation
        if isinstance(operation, FromSource) and not operation.source.resumable:
            raise GraphError(
                f"{task.nodes[0]} cannot go on where it stopped, so a job that reads it can make no checkpoints",
                hint="its readers would need position() and seek(), and the source resumable = True",
            )
    return wanted if isinstance(wanted, Checkpoints) else Checkpoints(into=wanted)
