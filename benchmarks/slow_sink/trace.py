"""Trace: counts that one end of a job writes down with their times, and hands over in a small file."""

from __future__ import annotations

from bisect import bisect_right
from pathlib import Path

import msgspec

STEP = 0.005
"""What comes sooner after the last note is not noted apart, seconds: so a trace stays small."""


class Trace(msgspec.Struct):
    """How often something had happened at each time, in monotonic seconds: all processes of a machine share that clock.

    `busy`: how many seconds of work it had taken by then; `calls`: in how many calls.
    """

    times: list[float] = []
    counts: list[int] = []
    busy: list[float] = []
    calls: list[int] = []

    def note(self, now: float, count: int, busy: float = 0.0, calls: int = 0) -> None:
        """From `now` on it is these."""
        if len(self.times) > 1 and now - self.times[-2] < STEP:
            for values in (self.times, self.counts, self.busy, self.calls):
                values.pop()
        self.times.append(now)
        self.counts.append(count)
        self.busy.append(busy)
        self.calls.append(calls)

    def count_at(self, now: float) -> int:
        """How many there were at that time."""
        found = bisect_right(self.times, now)
        return self.counts[found - 1] if found else 0

    def grown(self, since: float, until: float, what: str = "counts") -> float:
        """How much came in that time, as if what was noted together had come evenly since the note before."""
        return self._between(until, getattr(self, what)) - self._between(since, getattr(self, what))

    def _between(self, now: float, values: list[float]) -> float:
        found = bisect_right(self.times, now)
        if found == 0:
            return values[0] if values else 0.0
        if found == len(self.times):
            return values[-1]
        (before, after), (low, high) = self.times[found - 1 : found + 1], values[found - 1 : found + 1]
        return low + (high - low) * (now - before) / (after - before)


class SourceNotes(msgspec.Struct):
    """What a source noted: how many records it had given out, and when."""

    given: Trace = msgspec.field(default_factory=Trace)


class SinkNotes(msgspec.Struct):
    """What a sink noted.

    `start`: when its first write began; `written`: how many records; `seen`: a bit for each number that it saw;
    `doubled`: how many it saw again; `disordered`: how many did not follow the one before of their key.
    """

    start: float = 0.0
    written: Trace = msgspec.field(default_factory=Trace)
    seen: bytes = b""
    doubled: int = 0
    disordered: int = 0


def save(notes: SourceNotes | SinkNotes, path: Path) -> None:
    """Write `notes` into a file of its own."""
    path.write_bytes(msgspec.msgpack.encode(notes))


def load_source(folder: Path) -> SourceNotes:
    """What the source left in `folder`."""
    return msgspec.msgpack.decode((folder / "source").read_bytes(), type=SourceNotes)


def load_sinks(folder: Path) -> list[SinkNotes]:
    """What each sink left in `folder`."""
    return [msgspec.msgpack.decode(path.read_bytes(), type=SinkNotes) for path in sorted(folder.glob("sink-*"))]
