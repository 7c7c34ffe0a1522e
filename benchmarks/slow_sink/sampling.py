"""Sampling: what is seen from outside while a job runs, every 50 ms: its memory and, of ours, its counters."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.slow_sink.profiles import Profile
from benchmarks.slow_sink.trace import SinkNotes, SourceNotes, load_sinks, load_source

SAMPLE_SECONDS = 0.05
FAMILY_SECONDS = 0.25
_PAGE = resource.getpagesize()


@dataclass(frozen=True, slots=True)
class Sample:
    """One look: monotonic seconds, bytes, and records; `in_flight` and `credit` as the job's own counters have them."""

    at: float
    memory: int
    in_flight: int = 0
    credit: int = 0


@dataclass(frozen=True)
class Run:
    """All that is known of one run.

    `who` ran; `bound` and `most_in_flight`: records, where there is such a thing as a bound.
    """

    who: str
    profile: Profile
    source: SourceNotes
    sinks: list[SinkNotes]
    samples: list[Sample] = field(default_factory=list)
    bound: int | None = None
    most_in_flight: int | None = None

    @classmethod
    def load(cls, who: str, profile: Profile, folder: Path, samples: list[Sample]) -> Run:
        """With what source and sinks left in `folder`."""
        return cls(who, profile, load_source(folder), load_sinks(folder), samples)

    @property
    def start(self) -> float:
        """When the profile began: with the first write."""
        return min(sink.start for sink in self.sinks)

    def in_flight(self, at: float) -> int:
        """Records given out by the source and not yet written, at that monotonic time."""
        return self.source.given.count_at(at) - sum(sink.written.count_at(at) for sink in self.sinks)

    def given(self, since: float, until: float) -> float:
        """Records that the source gave out between two times of the profile."""
        return self.source.given.grown(self.start + since, self.start + until)

    def written(self, since: float, until: float, what: str = "counts") -> float:
        """Records (or "calls") that the sinks wrote between two times of the profile."""
        return sum(sink.written.grown(self.start + since, self.start + until, what) for sink in self.sinks)


def sample(join: Callable[[float], bool], look: Callable[[int], Sample]) -> list[Sample]:
    """Look every 50 ms, with the memory as an argument, until `join(timeout)` says that all is over."""
    memory, samples, due = Memory(), [], time.monotonic()
    while not join(max(0.001, due - time.monotonic())):
        if time.monotonic() >= due:
            samples.append(look(memory.bytes()))
            due = max(due + SAMPLE_SECONDS, time.monotonic())
    return samples


class Memory:
    """Resident bytes of this process and all that come from it; who these are is looked up now and then."""

    def __init__(self) -> None:
        self._family: list[int] = []
        self._looked = 0.0

    def bytes(self) -> int:
        """How many now."""
        if time.monotonic() - self._looked > FAMILY_SECONDS:
            self._family, self._looked = family(), time.monotonic()
        return sum(map(_resident, self._family))


def family() -> list[int]:
    """The ids of this process and of its descendants."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            children.setdefault(int(path.read_text().rpartition(")")[2].split()[1]), []).append(int(path.parent.name))
        except OSError:  # it has just ended
            continue
    found = [os.getpid()]
    for parent in found:
        found += children.get(parent, ())
    return found


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return 0
