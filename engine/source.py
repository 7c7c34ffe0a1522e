"""The source protocol: what a connector that brings records in promises, and what it may rely on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from engine.errors import InputError

T_co = TypeVar("T_co", covariant=True)


class BadRecord:
    """Stands, in what `Reader.read` returns, in the place of a record that could not be read.

    What happens next is the source's `on_error`: "fail" delivers every record before this one and then
    raises `error`; "skip" counts it; "dead-letter" sends `raw` and `error` to `Dataflow.dead_letters`.

    >>> BadRecord(b"{oops", "events.jsonl:17", "malformed JSON").error.place
    'events.jsonl:17'
    """

    __slots__ = ("error", "raw")

    def __init__(self, raw: Any, place: str, reason: str, *, hint: str | None = None) -> None:
        self.raw = raw
        self.error = InputError(f"{place}: {reason}", hint=hint, place=place, raw=raw)


class Reader(Generic[T_co]):
    """Reads one partition of a source. Every method is called from one and the same thread.

    `close` is called exactly once, whatever happened, and nothing after it.
    """

    def read(self, limit: int) -> Sequence[T_co | BadRecord] | None:
        """Return up to `limit` records (at least 1 may be asked): never more, for `limit` is credit.

        An empty sequence means "nothing now" and the engine asks again after `poll_after`; None means
        that the partition has ended. A record that cannot be read is a `BadRecord` in its place.
        Anything raised ends the job once the records returned before it are delivered: raise
        `ConnectorError` with what was wanted, what came and where.

        A reader whose source says `blocking` may wait in here, but no longer than about 100 ms, so that
        the job can be stopped.
        """
        raise NotImplementedError

    def poll_after(self) -> float | None:
        """Seconds until it is worth asking again after an empty `read`, taken as 1 ms where it is less.

        None: the engine backs off, from 1 to 16 ms.
        """
        return None

    def position(self) -> Any:
        """Where the next read goes on, behind all records given so far: what `seek` will be given, in plain data.

        Called where the source is `resumable` and the job makes checkpoints, between two reads.
        """
        raise NotImplementedError

    def seek(self, position: Any) -> None:
        """Go on from a `position` that an earlier reader of this partition told; called before the first `read`.

        Raise `ConnectorError` where that is no longer possible, as when a file has become shorter.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Let go of files and connections."""


class Source(Generic[T_co]):
    """Where records come from: a description that is built with the graph, opened when the job runs.

    A source of your own is a few lines:

    >>> import time
    >>> class Clock(Source[float], Reader[float]):
    ...     type = float
    ...     bounded = False
    ...     def open(self, partition):
    ...         return self
    ...     def read(self, limit):
    ...         return [time.time()]
    """

    type: Any = None
    """The type of the records, or None where it is not known."""

    blocking: bool = True
    """True: `open` and `read` may wait (a database, a socket), so they get a thread of their own."""

    bounded: bool = True
    """True: it ends, and its partitions are read one after the other, in order. False: all are read in turn."""

    resumable: bool = False
    """True: its readers have `position` and `seek`, so a job that makes checkpoints can go on from one."""

    at_home: bool = False
    """True: it reads memory of the process that runs the job, so it runs there, whatever the number of processes."""

    name: str = "source"
    """What the operator is called in plans, counters and errors unless the user names it."""

    def partitions(self) -> Sequence[str]:
        """Name the parts that may be read independently (files, table ranges, topic partitions).

        Called once, when the job starts, in the process that starts it. Raise `ConnectorError` if there are none.
        """
        return ("",)

    def open(self, partition: str) -> Reader[T_co]:
        """Start reading `partition`. Called in the thread and process that will read it."""
        raise NotImplementedError
