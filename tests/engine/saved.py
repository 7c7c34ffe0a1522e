"""A source that can go on where it was and a sink that delivers exactly once, for jobs that make checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.sink import Sink, SinkContext, Writer
from engine.source import Reader, Source


class Numbers(Source[int]):
    """0, 1, 2... up to `count` in each of so many partitions, at most `at_once` in a read; below `until`, if that is
    set, as if more had still to come."""

    type = int
    resumable = True
    blocking = False

    def __init__(self, count: int, parts: int = 1, at_once: int = 64, until: int | None = None) -> None:
        self.count, self.parts, self.at_once, self.until = count, parts, at_once, until

    def partitions(self) -> Sequence[str]:
        return [f"part {number}" for number in range(self.parts)]

    def open(self, partition: str) -> Reader[int]:
        return _NumbersReader(self)


class _NumbersReader(Reader[int]):
    def __init__(self, source: Numbers) -> None:
        self._source, self._at = source, 0

    def read(self, limit: int) -> Sequence[int] | None:
        if self._at == self._source.count:
            return None
        end = self._source.count if self._source.until is None else self._source.until
        begin, self._at = self._at, min(self._at + min(limit, self._source.at_once), end)
        return range(begin, self._at)

    def position(self) -> int:
        return self._at

    def seek(self, position: int) -> None:
        self._at = position


class Shown(Sink[Any]):
    """What is committed comes into `rows`, once, however often it is committed; what is only prepared does not."""

    at_home = True
    blocking = False
    delivery = "exactly once"

    def __init__(self) -> None:
        self.rows: list[Any] = []
        self.committed: set[tuple[int, int]] = set()
        self.epochs: list[int] = []

    def open(self, context: SinkContext) -> Writer[Any]:
        return _ShowingWriter(self, context)


class _ShowingWriter(Writer[Any]):
    def __init__(self, sink: Shown, context: SinkContext) -> None:
        self._sink, self._recovery, self._rows = sink, context.recovery, list[Any]()
        if self._recovery is not None:
            sink.epochs.append(self._recovery.epoch)
            for prepared in self._recovery.prepared:
                self.commit(prepared)

    def write(self, records: list[Any]) -> None:
        (self._sink.rows if self._recovery is None else self._rows).extend(records)

    def prepare(self, checkpoint: int) -> Any:
        assert self._recovery is not None
        prepared, self._rows = ((self._recovery.epoch, checkpoint), self._rows), []
        return prepared

    def commit(self, prepared: Any) -> None:
        which, rows = prepared
        if which not in self._sink.committed:
            self._sink.committed.add(which)
            self._sink.rows += rows
