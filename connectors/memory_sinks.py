"""Sinks that live in the program's own memory: a list, nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from engine.errors import GraphError
from engine.sink import Recovery, Sink, SinkContext, Writer

T = TypeVar("T")


def collect(into: list[T]) -> Sink[T]:
    """Append each record to the list `into`, in the process that runs the job, whatever the number of processes.

    Exactly once in a job that makes checkpoints, as long as the program lives: records are appended when their
    checkpoint is complete. A program that is killed takes the list with it, and one that goes on from the checkpoint
    collects what follows.

    >>> rows: list[str] = []
    >>> writer = collect(rows).open(SinkContext("sink"))
    >>> writer.write(["a", "b"])
    >>> writer.finish()
    >>> rows
    ['a', 'b']
    """
    if not isinstance(into, list):
        raise GraphError(f"collect wanted a list to append to, came {into!r}")
    return _Collect(into)


class _Collect(Sink[T], Writer[T]):
    at_home = True
    blocking = False
    name = "collect"
    delivery = "exactly once"

    def __init__(self, into: list[T]) -> None:
        self._into = into
        self.prepared: dict[tuple[int, int, int], list[T]] = {}
        """By instance, epoch and checkpoint: what was prepared and not committed, for a writer after this one too."""

    def open(self, context: SinkContext) -> Writer[T]:
        return self if context.recovery is None else _CollectOnce(self, self._into, context, context.recovery)

    def write(self, records: list[T]) -> None:
        self._into.extend(records)


class _CollectOnce(Writer[T]):
    """Keeps records from sight until their checkpoint is complete."""

    def __init__(self, sink: _Collect[T], into: list[T], context: SinkContext, recovery: Recovery) -> None:
        self._sink, self._into, self._index, self._epoch = sink, into, context.index, recovery.epoch
        self._records: list[T] = []
        for token in recovery.prepared:
            self.commit(token)
        for key in [key for key in sink.prepared if key[0] % context.parallelism == context.index]:
            if key[1] < self._epoch:
                del sink.prepared[key]

    def write(self, records: list[T]) -> None:
        self._records.extend(records)

    def prepare(self, checkpoint: int) -> list[int]:
        token = [self._index, self._epoch, checkpoint]
        self._sink.prepared[self._index, self._epoch, checkpoint], self._records = self._records, []
        return token

    def commit(self, prepared: Sequence[int]) -> None:
        instance, epoch, checkpoint = prepared
        self._into.extend(self._sink.prepared.pop((instance, epoch, checkpoint), ()))


class Discard(Sink[Any], Writer[Any]):
    """What `discard` gives: a sink that only counts."""

    blocking = False
    name = "discard"

    def __init__(self) -> None:
        self.records = 0
        """How many records it has let go, in this process."""

    def open(self, context: SinkContext) -> Writer[Any]:
        return self

    def write(self, records: list[Any]) -> None:
        self.records += len(records)


def discard() -> Discard:
    """Let records go, for a branch that nobody wants or a job whose pace is to be measured; only count them.

    >>> sink = discard()
    >>> sink.open(SinkContext("sink")).write(["a", "b"])
    >>> sink.records
    2
    """
    return Discard()
