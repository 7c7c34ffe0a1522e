"""A source and a sink over lists, whose inputs may hold faults, and the runner that tests build their flows with."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from engine import Dataflow, Reader, Settings, Sink, SinkContext, Source, Stream, Writer

Items = Iterable[Any] | Callable[[], Iterable[Any]]


class Raise:
    """In a source's items: `read` raises `error` there, once what stands before has been taken."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


class Nothing:
    """In a source's items: a `read` that gives nothing now."""


class ListSource(Source[Any]):
    """Gives `items` anew each time it is opened: a list, or a function that makes an iterable.

    A mapping gives partitions with items each. `per_read` caps what one `read` returns.
    """

    name = "list"

    def __init__(
        self,
        items: Items | dict[str, Items],
        *,
        blocking: bool = False,
        type: Any = None,
        bounded: bool = True,
        per_read: int | None = None,
        poll_after: float | None = None,
    ) -> None:
        self.parts = items if isinstance(items, dict) else {"": items}
        self.blocking, self.type, self.bounded = blocking, type, bounded
        self.per_read, self.wait = per_read, poll_after
        self.readers: list[ListReader] = []

    def partitions(self) -> Sequence[str]:
        return list(self.parts)

    def open(self, partition: str) -> Reader[Any]:
        items = self.parts[partition]
        reader = ListReader(iter(items() if callable(items) else items), self)
        self.readers.append(reader)
        return reader

    @property
    def reads(self) -> int:
        """How often any reader was asked."""
        return sum(reader.reads for reader in self.readers)


class ListReader(Reader[Any]):
    """Reads one partition of a ListSource, and counts who calls what."""

    def __init__(self, items: Iterator[Any], source: ListSource) -> None:
        self.items, self.source = items, source
        self.reads = self.closed = 0
        self.largest_limit = 0
        self.threads: set[int] = set()
        self.ahead: Any = None

    def read(self, limit: int) -> list[Any] | None:
        assert limit >= 1
        assert not self.closed, "read after close"
        self.reads += 1
        self.largest_limit = max(self.largest_limit, limit)
        self.threads.add(threading.get_ident())
        if isinstance(self.ahead, Raise):
            raise self.ahead.error
        records: list[Any] = []
        for item in islice(self.items, min(limit, self.source.per_read or limit)):
            if isinstance(item, Nothing):
                return records
            if isinstance(item, Raise):
                self.ahead = item
                return records
            records.append(item)
        return records or None

    def poll_after(self) -> float | None:
        return self.source.wait

    def close(self) -> None:
        self.closed += 1


class ListSink(Sink[Any]):
    """Appends to `records`, whichever of its writers gets them; `refuse(record)` may raise; `calls` is its diary."""

    name = "into"

    def __init__(
        self, *, blocking: bool = False, batch: int = 0, refuse: Callable[[Any], object] | None = None
    ) -> None:
        self.blocking, self.batch_records = blocking, batch
        self.refuse = refuse
        self.records: list[Any] = []
        self.calls: list[str] = []
        self.batches: list[int] = []
        self.contexts: list[SinkContext] = []

    def open(self, context: SinkContext) -> Writer[Any]:
        self.calls.append("open")
        self.contexts.append(context)
        return ListWriter(self)

    @property
    def ends(self) -> list[str]:
        """The calls of `finish` and `abort`."""
        return [call for call in self.calls if call in {"finish", "abort"}]


class ListWriter(Writer[Any]):
    """One writer of a ListSink."""

    def __init__(self, sink: ListSink) -> None:
        self.sink = sink
        self.over = False

    def write(self, records: list[Any]) -> None:
        assert records, "an empty write"
        assert not self.over, "write after the end"
        self.sink.calls.append("write")
        if self.sink.refuse is not None:
            for record in records:
                self.sink.refuse(record)
        self.sink.batches.append(len(records))
        self.sink.records.extend(records)

    def finish(self) -> None:
        self._end("finish")

    def abort(self) -> None:
        self._end("abort")

    def _end(self, how: str) -> None:
        assert not self.over, f"{how} after the end"
        self.over = True
        self.sink.calls.append(how)


@dataclass
class Runner:
    """One way to run a flow: makes its connectors of the kind that goes there."""

    name: str
    blocking: bool
    settings: Settings = field(default_factory=Settings)

    def source(self, items: Items | dict[str, Items], **options: Any) -> ListSource:
        """A source of `items`."""
        return ListSource(items, blocking=self.blocking, **options)

    def sink(self, **options: Any) -> ListSink:
        """An empty sink."""
        return ListSink(blocking=self.blocking, **options)

    def flow(self, name: str = "test", **options: Any) -> Dataflow:
        """An empty flow with this runner's settings, unless others are given."""
        return Dataflow(name, **{"settings": self.settings, **options})

    def through(
        self, items: Items, build: Callable[[Stream[Any]], Stream[Any]], settings: Settings | None = None
    ) -> list[Any]:
        """What comes out where `items` go into `build`; the job must end well and keep its promises."""
        flow = self.flow(settings=settings or self.settings)
        sink = self.sink()
        build(flow.source(self.source(items))).sink(sink)
        result = flow.run()
        assert result.state == "finished"
        assert result.in_flight == 0
        assert result.most_in_flight <= result.bound
        assert result.records_written == len(sink.records)
        assert set(sink.ends) == {"finish"}
        return sink.records


TIGHT = Settings(max_window=1, frame_records=1)
"""One record in flight on each channel."""
