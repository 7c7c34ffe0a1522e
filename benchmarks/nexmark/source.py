"""The generator as a source of a flow: in partitions that can be resumed, as fast as they are taken or by the clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from benchmarks.nexmark.generator import Generator
from benchmarks.nexmark.records import Event
from engine import Reader, Source

BLOCK = 4096
"""Events that are made at once: enough for what a batch costs to be little, and few enough to lie in the cache."""


class Nexmark(Source[Event]):
    """`count` events of `generator` (None: without end), dealt out to `partitions` in turn, by `block` events.

    `paced`: event n is offered no sooner than n / rate seconds after `base_time`, by `clock` (seconds since the
    epoch). Events that the job holds up follow as fast as they are taken, and keep their times: so, where they come in
    order, now less its `date_time` is how late an event is. A stream that is to begin now has
    `base_time=int(time.time() * 1000)`.

    >>> source = Nexmark(Generator(), count=10)
    >>> reader = source.open("0")
    >>> len(reader.read(7)), len(reader.read(7)), reader.read(7)
    (7, 3, None)
    >>> resumed = source.open("0")
    >>> resumed.seek(7)
    >>> resumed.read(7) == Generator().events(7, 10)
    True
    """

    type = Event
    name = "nexmark"
    blocking = False
    resumable = True

    def __init__(
        self,
        generator: Generator,
        *,
        count: int | None = None,
        partitions: int = 1,
        block: int = BLOCK,
        paced: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.generator, self.count, self.number_of_partitions = generator, count, partitions
        self.block, self.paced, self.clock = block, paced, clock
        self.bounded = count is not None

    def partitions(self) -> Sequence[str]:
        return [str(partition) for partition in range(self.number_of_partitions)]

    def open(self, partition: str) -> NexmarkReader:
        return NexmarkReader(self, int(partition))


class NexmarkReader(Reader[Event]):
    """Reads one partition. Its position: how many of the partition's events it has given."""

    def __init__(self, source: Nexmark, partition: int) -> None:
        self._source, self._partition = source, partition
        self._position = 0
        self._ready: list[Event] = []
        """Events of the block at hand, from `_given` on."""
        self._given = 0

    def read(self, limit: int) -> Sequence[Event] | None:
        if self._given == len(self._ready) and not self._next_block():
            return None
        stop = min(self._given + limit, len(self._ready), self._given + self._due())
        events = self._ready[self._given : stop]
        self._position += len(events)
        self._given = stop
        return events

    def position(self) -> int:
        return self._position

    def seek(self, position: int) -> None:
        self._position, self._ready, self._given = position, [], 0

    def poll_after(self) -> float | None:
        return max(0.0, self._due_at(self._number()) - self._source.clock()) if self._source.paced else None

    def _next_block(self) -> bool:
        """Make what is left of the next block; False: there is no more."""
        start = self._number()
        stop = start - start % self._source.block + self._source.block
        if self._source.count is not None:
            stop = min(stop, self._source.count)
        self._ready, self._given = self._source.generator.events(start, max(start, stop)), 0
        return bool(self._ready)

    def _number(self) -> int:
        """Where the partition's next event stands in the whole stream."""
        block, offset = divmod(self._position, self._source.block)
        return (block * self._source.number_of_partitions + self._partition) * self._source.block + offset

    def _due(self) -> int:
        """How many of the events at hand may be given by now."""
        if not self._source.paced:
            return len(self._ready)
        since = self._source.clock() - self._due_at(self._number())
        return 0 if since < 0 else 1 + int(since * self._source.generator.rate)

    def _due_at(self, number: int) -> float:
        return self._source.generator.base_time / 1000 + number / self._source.generator.rate
