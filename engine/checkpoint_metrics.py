"""What a job's checkpoints and restarts have come to, in figures and in a line of text."""

from __future__ import annotations

import msgspec


class CheckpointMetrics(msgspec.Struct, frozen=True):
    """Of a job that makes checkpoints `into` a directory or URL.

    `last`: the number of the last complete one, 0 where there is none yet; where this run has made it, `seconds` from
    its beginning until it lasted, and `bytes` of state in it. `savepoint`: the last savepoint that this run has made.
    `made` and `given_up`: how many this run has made, and given up, the last of these because of `why`. `restarts`: how
    often the job was started anew, and `restart_because`: what had happened the last time. What operators have done is
    counted from the last start on.
    """

    into: str
    last: int = 0
    seconds: float = 0.0
    bytes: int = 0
    made: int = 0
    given_up: int = 0
    why: str | None = None
    savepoint: str | None = None
    restarts: int = 0
    restart_because: str | None = None

    def __str__(self) -> str:
        parts = [self.short]
        if self.given_up:
            parts.append(f"the last given up: {self.why}")
        if self.restarts:
            parts.append(f"the last restart after: {self.restart_because}")
        return "; ".join(parts)

    @property
    def short(self) -> str:
        """The figures, in a part of a line.

        >>> CheckpointMetrics("state", last=7, seconds=0.25, bytes=3_400_000, made=2, restarts=1).short
        'checkpoint 7 in 0.25 s, 3.2 MiB; 1 restart'
        """
        last = f"checkpoint {self.last}" if self.last else "no checkpoint yet"
        how = f" in {self.seconds:.2f} s, {_size(self.bytes)}" if self.made else ""
        given_up = f", {self.given_up:,} given up" if self.given_up else ""
        restarts = f"; {self.restarts:,} restart{'s' * (self.restarts > 1)}" if self.restarts else ""
        return f"{last}{how}{given_up}{restarts}"


def _size(size: float) -> str:
    if size < 1000:
        return f"{size} bytes"
    for unit in ("KiB", "MiB"):
        size /= 1024
        if size < 1000:
            return f"{size:,.1f} {unit}"
    return f"{size / 1024:,.1f} GiB"
