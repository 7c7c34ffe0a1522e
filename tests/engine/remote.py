"""What the flows of tests run in other processes, which import this module: so it takes no test library."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from engine import Reader, Sink, SinkContext, Source, Writer
from tests.line_file import LineFile


class Reading(msgspec.Struct):
    sensor: str
    value: int


@dataclass
class Loose:
    """A record that no codec knows: it goes as a pickle."""

    value: Any


def reading(i: int) -> Reading:
    return Reading(f"s{i % 7}", i)


def sensor_total(total: int, each: Reading) -> int:
    return total + each.value


def with_process(x: Any) -> tuple[Any, int]:
    return x, os.getpid()


def with_lock(i: int) -> Any:
    return (i, threading.Lock()) if i == 20 else i


class Brittle:
    """A record that can be sent; number 20 cannot be read."""

    def __init__(self, number: int) -> None:
        if number == 20:
            raise ValueError("it broke on its way")
        self.number = number

    def __reduce__(self) -> Any:
        return Brittle, (self.number,)


def brittle(i: int) -> Brittle:
    record = Brittle(0)
    record.number = i
    return record


def slowly(x: Any) -> Any:
    time.sleep(0.02)
    return x


class SlowToSend:
    """A record that takes its time to encode."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> Any:
        return SlowToSend, (slowly(self.number),)


class SlowToRead(SlowToSend):
    """A record that takes its time to decode."""

    def __reduce__(self) -> Any:
        return _read_slowly, (self.number,)


def _read_slowly(number: int) -> SlowToRead:
    return SlowToRead(slowly(number))


class MakesRecords(Source[Any], Reader[Any]):
    """`count` records made by `make`, on a thread of its own."""

    name = "makes_records"

    def __init__(self, make: Any, count: int) -> None:
        self.make, self.left = make, count

    def open(self, partition: str) -> MakesRecords:
        return MakesRecords(self.make, self.left)

    def read(self, limit: int) -> list[Any] | None:
        taken = min(limit, self.left)
        self.left -= taken
        return [self.make(i) for i in range(taken)] or None


class Ignores(Sink[Any], Writer[Any]):
    """Takes records and does nothing with them, on a thread of its own."""

    name = "load"

    def open(self, context: SinkContext) -> Ignores:
        return self

    def write(self, records: list[Any]) -> None:
        pass


class SlowSink(Sink[Any], Writer[Any]):
    """Takes its time for each record, on a thread of its own, as sinks do that say nothing else."""

    name = "load"

    def open(self, context: SinkContext) -> SlowSink:
        return self

    def write(self, records: list[Any]) -> None:
        for each in records:
            slowly(each)


def now_and_then_a_float(i: int) -> Any:
    return i if i % 10 else float(i)


def swollen(size: int, i: int) -> bytes:
    return i.to_bytes(4, "big") + bytes(size)


def number_of(data: bytes) -> int:
    return int.from_bytes(data[:4], "big")


def inverse(x: int) -> int:
    return 100 // (x - 13)


class Ranges(Source[tuple[str, int]], Reader[tuple[str, int]]):
    """Partitions of (name, 0), (name, 1) and so on, each read in pieces of its own length."""

    blocking = False
    name = "ranges"

    def __init__(self, names: str, count: int) -> None:
        self.names, self.count = names, count

    def partitions(self) -> list[str]:
        return list(self.names)

    def open(self, partition: str) -> Ranges:
        reader = Ranges(partition, self.count)
        reader.at = 0
        return reader

    at = 0

    def read(self, limit: int) -> list[tuple[str, int]] | None:
        if self.at == self.count:
            return None
        end = min(self.count, self.at + min(limit, 7))
        records = [(self.names, i) for i in range(self.at, end)]
        self.at = end
        return records


class Ticks(Source[tuple[int, int]], Reader[tuple[int, int]]):
    """(key, time) every `pace` ms up to `until`, as fast as they are wanted or, if `slow`, one in 2 ms."""

    blocking = False
    name = "ticks"

    def __init__(self, until: int, pace: int, slow: bool = False) -> None:
        self.until, self.pace, self.slow = until, pace, slow
        self.at = 0
        self.has_given = False

    def open(self, partition: str) -> Ticks:
        return Ticks(self.until, self.pace, self.slow)

    def read(self, limit: int) -> list[tuple[int, int]] | None:
        if self.at >= self.until:
            return None
        if self.slow and self.has_given:
            self.has_given = False
            return []
        self.has_given = True
        begin, self.at = self.at, min(self.until, self.at + self.pace * (1 if self.slow else limit))
        return [(time // self.pace % 8, time) for time in range(begin, self.at, self.pace)]

    def poll_after(self) -> float | None:
        return 0.002


def time_of(tick: tuple[int, int]) -> int:
    return tick[1]


def key_of(tick: tuple[int, int]) -> int:
    return tick[0]


class Written(Sink[Any]):
    """Appends to a file of each process the records that its writers get, and how they ended."""

    name = "written"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self, context: SinkContext) -> LineFile:
        return LineFile(self.folder / f"{os.getpid()}-{context.index}")
