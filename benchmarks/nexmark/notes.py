"""What every competitor notes in each of its processes, at its begin and at its end, and what follows from it."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec


class Note(msgspec.Struct):
    """At a moment (monotonic seconds): the processor time of a process in seconds, and how many results it gave."""

    process: int
    at: float
    cpu: float
    results: int


@dataclass(frozen=True)
class Measured:
    """One run: from the first source that was opened to the last sink that ended, all processes together."""

    seconds: float
    cpu: float
    results: int

    @property
    def cores(self) -> float:
        """How many cores were busy, on average."""
        return self.cpu / self.seconds


def note(folder: Path, results: int = 0) -> None:
    """Note that work begins here or, with what it gave, has ended."""
    written = Note(os.getpid(), time.monotonic(), time.process_time(), results)
    path = folder / f"note-{written.process}-{time.monotonic_ns()}"
    path.write_bytes(msgspec.msgpack.encode(written))


def collect(folder: Path) -> Measured:
    """What was noted in `folder`; once."""
    paths = list(folder.glob("note-*"))
    notes = [msgspec.msgpack.decode(path.read_bytes(), type=Note) for path in paths]
    for path in paths:
        path.unlink()
    return measured(notes)


def measured(notes: Iterable[Note]) -> Measured:
    """What follows from the notes of all processes.

    >>> measured([Note(1, 10.0, 3.0, 0), Note(2, 10.5, 1.0, 0), Note(1, 12.0, 5.0, 7), Note(2, 12.0, 2.0, 5)])
    Measured(seconds=2.0, cpu=3.0, results=12)
    """
    processes = defaultdict(list)
    for each in notes:
        processes[each.process].append(each)
    spans = [(min(own, key=_when), max(own, key=_when)) for own in processes.values()]
    return Measured(
        max(last.at for _, last in spans) - min(first.at for first, _ in spans),
        sum(last.cpu - first.cpu for first, last in spans),
        sum(each.results for own in processes.values() for each in own),
    )


def _when(each: Note) -> float:
    return each.at
