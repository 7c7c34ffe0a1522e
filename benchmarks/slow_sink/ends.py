"""The two ends of every job that is measured: a source that offers so many records a second, and a slow sink."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from benchmarks.slow_sink.profiles import Profile
from benchmarks.slow_sink.trace import SinkNotes, SourceNotes, save
from connectors.memory import generate
from engine import Reader, Sink, SinkContext, Source, Writer

KEYS = 100
LATE = 0.002
"""What a sleep may be late, seconds: so much a sink makes up for, and never for time in which it had no records."""


class Item(msgspec.Struct, array_like=True):
    """What the source's number becomes in `map`."""

    key: int
    number: int


class Counted(msgspec.Struct, array_like=True):
    """What reaches the sink: how often the key had come, and the greatest number that had come with it."""

    key: int
    times: int
    number: int


def as_item(number: int) -> Item:
    """Give a number its key."""
    return Item(number % KEYS, number)


class Offered(Source[int], Reader[int]):
    """Offers `rate` numbers a second for `seconds`, never more when held up, and notes when they were taken."""

    type = int
    blocking = False

    def __init__(self, rate: float, seconds: float, folder: Path) -> None:
        self.rate, self.seconds, self.folder = rate, seconds, folder

    def open(self, partition: str) -> Reader[int]:
        self.notes, self.given, self.start = SourceNotes(), 0, time.monotonic()
        self.numbers = generate(int, rate=self.rate, catch_up=False).open(partition)
        return self

    def read(self, limit: int) -> list[int] | None:
        now = time.monotonic()
        if now - self.start >= self.seconds:
            return None
        numbers = list(self.numbers.read(limit) or ())
        if numbers:
            self.given += len(numbers)
            self.notes.given.note(now, self.given)
        return numbers  # type: ignore[return-value]

    def poll_after(self) -> float | None:
        return self.numbers.poll_after()

    def close(self) -> None:
        save(self.notes, self.folder / "source")


class Paced(Sink[Counted]):
    """Takes records as fast as `profile` says."""

    def __init__(self, profile: Profile, folder: Path) -> None:
        self.profile, self.folder = profile, folder

    def open(self, context: SinkContext) -> Writer[Counted]:
        return PacedWriter(self.profile, context.index, self.folder)


class PacedWriter(Writer[Counted]):
    """One of the sinks; what it noted it leaves in a file."""

    def __init__(self, profile: Profile, index: int, folder: Path) -> None:
        self.profile, self.index, self.path = profile, index, folder / f"sink-{index}"
        self.notes = SinkNotes()
        self.seen = bytearray()
        self.last = [-1] * KEYS
        self.records = self.writes = 0
        self.busy = self.due = 0.0

    def write(self, records: list[Counted]) -> None:
        begin = time.monotonic()
        self.notes.start = self.notes.start or begin
        self.look(records)
        start = max(self.due, begin - self.notes.start - LATE)
        self.due = self.profile.finish(start, len(records), self.writes, self.index)
        time.sleep(max(0.0, self.notes.start + self.due - time.monotonic()))
        end = time.monotonic()
        self.records += len(records)
        self.writes += 1
        self.busy += end - begin
        self.notes.written.note(begin, self.records - len(records), self.busy - (end - begin), self.writes - 1)
        self.notes.written.note(end, self.records, self.busy, self.writes)

    def look(self, records: list[Counted]) -> None:
        """Is each here once, and in the order of its key?"""
        for record in records:
            key, number = record.key, record.number
            if number <= self.last[key] or record.times != number // KEYS + 1:
                self.notes.disordered += 1
            self.last[key] = number
            at, bit = number >> 3, 1 << (number & 7)
            if at >= len(self.seen):
                self.seen.extend(bytes(at + 1024 - len(self.seen)))
            self.notes.doubled += bool(self.seen[at] & bit)
            self.seen[at] |= bit

    def finish(self) -> None:
        self.notes.seen = bytes(self.seen)
        save(self.notes, self.path)

    abort = finish
