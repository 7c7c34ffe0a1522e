"""Slowed: any sink, taking no more than so many records a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from engine import Sink, SinkContext, Writer

T = TypeVar("T")

BATCH_SECONDS = 0.02
"""How much of its time a slowed sink takes at once, so that its pace is smooth."""


class Slowed(Sink[T]):
    """Writes to `sink`, `rate` records a second on average.

    What it did not write while it had nothing to do is lost for good: it never bursts to make up for it.
    """

    def __init__(self, sink: Sink[T], rate: float) -> None:
        self.sink, self.rate = sink, rate
        self.blocking = True
        self.batch_records = max(1, round(rate * BATCH_SECONDS))
        self.name = f"{sink.name} at {rate:,.0f}/s"

    def check(self, type: Any) -> None:  # noqa: A002
        self.sink.check(type)

    def open(self, context: SinkContext) -> Writer[T]:
        return _SlowedWriter(self.sink.open(context), self.rate)


class _SlowedWriter(Writer[T]):
    def __init__(
        self,
        writer: Writer[T],
        rate: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._writer, self._rate, self._clock, self._sleep = writer, rate, clock, sleep
        self._next = clock()  # when the next record may be written

    def write(self, records: list[T]) -> None:
        # A sleep that took too long is made up for; more than one batch's time was idleness.
        self._next = max(self._next, self._clock() - BATCH_SECONDS) + len(records) / self._rate
        self._sleep(max(0.0, self._next - self._clock()))
        self._writer.write(records)

    def finish(self) -> None:
        self._writer.finish()

    def abort(self) -> None:
        self._writer.abort()
