"""Slowed: any sink, made to take no more than so many records a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from engine import Sink, SinkContext, Writer

T = TypeVar("T")

BATCH_SECONDS = 0.02
"""How much of its time a slowed sink takes at once: little, so that its pace is smooth."""


class Slowed(Sink[T]):
    """Writes to `sink`, `rate` records a second.

    A sleep that took too long is made up for, but only up to one batch: time in which nothing came is lost.
    """

    def __init__(
        self,
        sink: Sink[T],
        rate: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.sink, self.rate, self.clock, self.sleep = sink, rate, clock, sleep
        self.batch_records = max(1, round(rate * BATCH_SECONDS))
        self.name = f"{sink.name} at {rate:,g}/s"

    def check(self, type: Any) -> None:
        self.sink.check(type)

    def open(self, context: SinkContext) -> Writer[T]:
        return _SlowedWriter(self, self.sink.open(context))


class _SlowedWriter(Writer[T]):
    def __init__(self, slowed: Slowed[T], writer: Writer[T]) -> None:
        self._slowed, self._writer = slowed, writer
        self._free = slowed.clock()  # when everything given so far may have been written

    def write(self, records: list[T]) -> None:
        slowed = self._slowed
        begin = max(self._free, slowed.clock() - BATCH_SECONDS)
        self._writer.write(records)
        self._free = begin + len(records) / slowed.rate
        slowed.sleep(max(0.0, self._free - slowed.clock()))

    def finish(self) -> None:
        self._writer.finish()

    def abort(self) -> None:
        self._writer.abort()
