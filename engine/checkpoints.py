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

    A job goes on from the last that is there, if any. `start_from`: the savepoint in `into` that it begins at instead;
    once it has made checkpoints after that, it goes on from these, so this may stay in a program or a command line.
    `drop`: operators whose state a changed flow goes on without, where they are no longer there or no longer fit it.
    `again`: sinks that may write again what they have shown since the checkpoint that the job goes on from, or begins
    without: those rows were taken out, or may be there twice. A table into which rows are inserted refuses that else.

    >>> Checkpoints(into="state/flights", interval="1m").keep
    3
    """

    into: str
    interval: Duration = "10s"
    pause: Duration = 0
    timeout: Duration = "10m"
    keep: int = 3
    restarts: int = 5
    start_from: str | None = None
    drop: tuple[str, ...] = ()
    again: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.into, str) or not self.into:
            raise GraphError(
                f"checkpoints go into a directory or a URL, got {self.into!r}", hint='e.g. "state/flights"'
            )
        for name in ("interval", "pause", "timeout"):
            try:
                length = nanoseconds(getattr(self, name))
            except (TypeError, ValueError) as error:
                raise GraphError(f"Checkpoints.{name}: {error}") from error
            if length == 0 and name != "pause":
                raise GraphError(f"Checkpoints.{name} must be more than zero")
        for name, least in (("keep", 1), ("restarts", 0)):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < least:
                raise GraphError(f"Checkpoints.{name} is a whole number from {least}, not {getattr(self, name)!r}")
        for name in ("drop", "again"):
            names = getattr(self, name)
            if isinstance(names, str) or not all(isinstance(each, str) for each in names):
                hint = f"write {name}=({names!r},)" if isinstance(names, str) else f"e.g. {name}=('totals',)"
                raise GraphError(f"Checkpoints.{name} wants the names of operators, got {names!r}", hint=hint)

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
