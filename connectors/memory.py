"""Sources and sinks that live in the program's own memory: iterables, generated records, a list, nothing."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence, Set
from itertools import islice
from typing import Any, TypeVar

from connectors.memory_sinks import collect, discard
from engine.errors import ConnectorError, GraphError
from engine.source import Reader, Source
from engine.types import returned_by

__all__ = ["collect", "discard", "from_iterable", "generate"]

T = TypeVar("T")

TAKE_SECONDS = 0.001
"""How long a blocking iterable is asked for more before what it gave is passed on: the engine's `linger`."""

STALL_SECONDS = 0.02
"""How late a record may be before it counts as held up; the engine's own back-off stays under it."""


def from_iterable(
    items: Iterable[T] | Callable[[], Iterable[T]],
    *,
    type: type[T] | None = None,
    name: str = "from_iterable",
    blocking: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> Source[T]:
    """Read the items of an iterable, or of what a function without arguments returns, in order.

    A list, or a function that makes a new iterator each time, can be run again; an iterator or a generator is
    used up by the first run, and a second one raises `ConnectorError`. It is read in the process that runs the
    job, whatever the number of processes. One that raises has the items before
    delivered, and then ends the job with a `ConnectorError` whose `__cause__` is what it raised.

    Say `blocking=True` where the next item may have to be waited for (a socket, a queue): it is read in a
    thread of its own, and what it gave in 1 ms by `clock` (seconds) is passed on. A job that is stopped stops
    when the next item has come.

    Resumable, by the number of items, unless it is an iterator (which has no beginning to return to) or a set (which
    has no order): a job that goes on passes over as many items as its checkpoint has.

    >>> source = from_iterable(["red", "green", "blue"], type=str)
    >>> reader = source.open("")
    >>> reader.read(2), reader.read(2), reader.read(2)
    (['red', 'green'], ['blue'], None)
    """
    if not (isinstance(items, Iterable) or callable(items)):
        raise GraphError(f"from_iterable wanted an iterable, or a function that returns one, came {items!r}")
    source: Source[T] = _FromIterable(items, clock if blocking else None)
    source.type, source.name, source.blocking = type, name, blocking
    return source


class _FromIterable(Source[T]):
    at_home = True

    def __init__(self, items: Any, clock: Callable[[], float] | None) -> None:
        self._items, self._clock = items, clock
        self._used_up = False
        self.resumable = not isinstance(items, Iterator | Set)

    def open(self, partition: str) -> Reader[T]:
        if self._used_up:
            raise ConnectorError(
                f"{self.name} was run before, and an iterator gives its items only once: {self._items!r}",
                hint="pass a list, or a function that returns a new iterator each time",
            )
        items = self._iterator()
        self._used_up = isinstance(self._items, Iterator)
        return _IterableReader(self.name, items, self._clock)

    def _iterator(self) -> Iterator[T]:
        try:
            items = self._items if isinstance(self._items, Iterable) else self._items()
            if isinstance(items, Iterable):
                return iter(items)
        except Exception as error:
            raise ConnectorError(f"{self.name}: {self._items!r} raised {error!r}") from error
        raise ConnectorError(f"{self.name}: wanted an iterable from {self._items!r}, came {items!r}")


class _Delivering(Reader[T]):
    """Delivers the records that came before a failure, and raises `ConnectorError` when asked again."""

    def __init__(self) -> None:
        self._delivered = 0
        self._failure: Exception | None = None

    def read(self, limit: int) -> Sequence[T] | None:
        records: list[T] = []
        if self._failure is None:
            try:
                if not self._read_into(records, limit):
                    return None
            except Exception as error:
                self._failure = error
            self._delivered += len(records)
        if self._failure is not None and not records:
            raise ConnectorError(f"{self._culprit()} raised {self._failure!r}") from self._failure
        return records

    def position(self) -> int:
        return self._delivered

    def _read_into(self, records: list[T], limit: int) -> bool:
        """Append up to `limit` records; False: it has ended."""
        raise NotImplementedError

    def _culprit(self) -> str:
        """Say who was asked for record number `_delivered`."""
        raise NotImplementedError


class _IterableReader(_Delivering[T]):
    def __init__(self, name: str, items: Iterator[T], clock: Callable[[], float] | None) -> None:
        super().__init__()
        self._name, self._items, self._clock = name, items, clock

    def _read_into(self, records: list[T], limit: int) -> bool:
        some = islice(self._items, limit)
        if self._clock is None:
            records.extend(some)  # which keeps what came before an item that raises
        else:
            self._wait_for_some(some, records, self._clock)
        return bool(records)

    @staticmethod
    def _wait_for_some(some: Iterator[T], records: list[T], clock: Callable[[], float]) -> None:
        end = clock() + TAKE_SECONDS
        for item in some:
            records.append(item)
            if clock() >= end:
                return

    def seek(self, position: int) -> None:
        try:
            there = sum(1 for _ in islice(self._items, position))
        except Exception as error:
            raise ConnectorError(f"{self._name}: {self._items!r} raised {error!r} before item {position}") from error
        if there < position:
            raise ConnectorError(
                f"{self._name}: wanted to go on behind item {position}, and there are only {there}",
                hint="give the job the items that it read, or begin without the checkpoint",
            )
        self._delivered = position

    def _culprit(self) -> str:
        return f"{self._name}: {self._items!r}, asked for item {self._delivered},"

    def close(self) -> None:
        if isinstance(self._items, Generator):
            self._items.close()  # so that its `finally` runs here, not whenever it is collected


def generate(
    function: Callable[[int], T],
    *,
    rate: float | None = None,
    count: int | None = None,
    type: type[T] | None = None,
    catch_up: bool = True,
    clock: Callable[[], float] = time.monotonic,
    name: str = "generate",
) -> Source[T]:
    """Make records by calling `function` with 0, 1, 2 and so on: `count` of them, or without end.

    `rate` records a second are offered, by `clock` (seconds), or with None as many as are asked for. When the
    job holds them up, `catch_up=True` keeps each record's intended time, so that those held up follow as fast
    as they are taken; with False, a record over 20 ms late starts the schedule anew, so that they never come
    faster than the rate.

    `type` is what `function` says that it returns, unless given. Where `function` raises, the records before
    are delivered, and then the job ends with a `ConnectorError` whose `__cause__` is what it raised. In a job of
    several processes it may run in any of them. Resumable, by the number; the schedule of a rate starts anew.

    >>> def square(number: int) -> int:
    ...     return number * number
    >>> source = generate(square, count=4)
    >>> source.type, source.bounded
    (<class 'int'>, True)
    >>> reader = source.open("")
    >>> reader.read(3), reader.read(3), reader.read(3)
    ([0, 1, 4], [9], None)
    """
    if not callable(function):
        raise GraphError(f"generate wanted a function of the record's number, came {function!r}")
    if rate is not None and not 0 < rate < math.inf:
        raise GraphError(f"generate wanted a rate of more than 0 records a second, came {rate!r}")
    if count is not None and count < 0:
        raise GraphError(f"generate wanted a count of 0 records or more, came {count!r}")
    source = _Generate(function, rate, count, catch_up, clock)
    source.type, source.name = type or returned_by(function), name
    return source


class _Generate(Source[T]):
    blocking = False
    resumable = True

    def __init__(
        self,
        function: Callable[[int], T],
        rate: float | None,
        count: int | None,
        catch_up: bool,
        clock: Callable[[], float],
    ) -> None:
        self.function, self.rate, self.count, self.catch_up, self.clock = function, rate, count, catch_up, clock
        self.bounded = count is not None

    def open(self, partition: str) -> Reader[T]:
        return _GenerateReader(self)


class _GenerateReader(_Delivering[T]):
    def __init__(self, source: _Generate[T]) -> None:
        super().__init__()
        self._source = source
        # Record `first` is due at `start`, and the others at the rate's distance from it.
        self._first, self._start = 0, source.clock()

    def _read_into(self, records: list[T], limit: int) -> bool:
        if self._source.count is not None:
            limit = min(limit, self._source.count - self._delivered)
        if limit <= 0:  # below it where the job goes on from beyond what was once the end
            return False
        stop = self._delivered + min(limit, self._due(limit))
        records.extend(map(self._source.function, range(self._delivered, stop)))
        return True

    def _due(self, limit: int) -> int:
        """How many records are due by now; `limit` without a rate."""
        if self._source.rate is None:
            return limit
        now = self._source.clock()
        late = now - self._due_at(self._delivered, self._source.rate)
        if late < 0:
            return 0
        if late > STALL_SECONDS and not self._source.catch_up:
            self._first, self._start = self._delivered, now
        # At least 1, whatever rounding says: the next one's time has come.
        return max(1, 1 + int((now - self._start) * self._source.rate) - (self._delivered - self._first))

    def _due_at(self, number: int, rate: float) -> float:
        return self._start + (number - self._first) / rate

    def seek(self, position: int) -> None:
        self._delivered = self._first = position
        self._start = self._source.clock()

    def poll_after(self) -> float | None:
        if self._source.rate is None:
            return None
        return max(0.0, self._due_at(self._delivered, self._source.rate) - self._source.clock())

    def _culprit(self) -> str:
        return f"{self._source.name}: {self._source.function!r}, called for record {self._delivered},"
