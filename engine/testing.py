"""Testing: a clock that is moved by hand, a source that is fed by hand, and a flow that runs while it is told to."""

from __future__ import annotations

import time
from collections import deque
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from cext import processing_time
from cext.getter import Getter
from cext.instant import Instant
from cext.sink import Sink as SinkHead
from cext.task import Task
from engine.combine import combine
from engine.durations import Duration, nanoseconds
from engine.errors import GraphError
from engine.graph import users_place
from engine.metrics import JobMetrics, State
from engine.operations import FromSource
from engine.outline import Outline
from engine.plan import Plan
from engine.report import report
from engine.source import Reader, Source
from engine.worker import Worker, list_partitions

if TYPE_CHECKING:
    from engine.dataflow import Dataflow

T = TypeVar("T")

_INSTANT = Instant(Getter())
_LOOK_SECONDS = 0.0001


class ManualClock(processing_time.ManualClock):
    """Processing time that stands still until a test moves it: `flow.run(clock=clock)`, `Harness(flow, clock=clock)`.

    Windows and timers in processing time go by it, and become due as it is moved. Whatever else the engine waits for,
    such as `Settings.linger` and `idle_after`, goes by the machine's own clock. It belongs to one process. `time`:
    where it begins, a datetime with a zone or milliseconds since the epoch.

    >>> clock = ManualClock()
    >>> clock.advance("10s")
    >>> clock.set(datetime.fromisoformat("2024-05-01T12:00:00Z"))
    >>> clock.now
    1714564800000
    """

    def __new__(cls, time: datetime | int = 0) -> ManualClock:
        return super().__new__(cls, _INSTANT(time))

    @property
    def now(self) -> int:
        """What it shows, in milliseconds since the epoch."""
        return self.read()

    def set(self, time: datetime | int) -> None:
        """It is `time` from now on. ValueError where that is earlier than it is already."""
        self.move(_INSTANT(time))

    def advance(self, duration: Duration) -> None:
        """It is later by so much from now on."""
        milliseconds, rest = divmod(nanoseconds(duration), 10**6)
        if rest:
            raise ValueError(f"a clock moves by whole milliseconds, not by {duration!r}")
        self.move(self.now + milliseconds)


class Feed(Source[T]):
    """A source that gives what it is given, in the same process, until it is closed; `type`: that of its records.

    It may be fed from any thread, in a `Harness` or in a job that runs.
    """

    blocking = False
    at_home = True
    name = "feed"

    def __init__(self, *, type: type[T] | None = None) -> None:
        self.type = type
        self._waiting: deque[T] = deque()
        self._is_closed = False

    def give(self, *records: T) -> None:
        """These are next."""
        self._waiting.extend(records)

    def close(self) -> None:
        """There are no more."""
        self._is_closed = True

    @property
    def is_empty(self) -> bool:
        """Whether all that it was given has been read."""
        return not self._waiting

    def open(self, partition: str) -> Reader[T]:
        return _FeedReader(self._waiting, self)


class _FeedReader(Reader[T], Generic[T]):
    def __init__(self, waiting: deque[T], feed: Feed[T]) -> None:
        self._waiting, self._feed = waiting, feed

    def read(self, limit: int) -> list[T] | None:
        is_closed = self._feed._is_closed  # before the look, or what was given in between would be left
        records = [self._waiting.popleft() for _ in range(min(limit, len(self._waiting)))]
        return None if is_closed and not records else records

    def poll_after(self) -> float | None:
        return 0.0


class Harness:
    """Runs `flow` in the thread that calls, as far as it goes: what a test gave has gone all its way by then.

    `settle` goes on until nothing moves: all that the feeds were given has been read, and whatever is due at the time
    that `clock` shows is out. What fails is raised there. At the end of the block all sources end, windows give what is
    open, and sinks finish; if the block raised, all is dropped. Connectors are called in this thread, so those that
    wait for something hold it up. GraphError: `flow` cannot run, or has stages of its own, which are processes.

    >>> from connectors.memory import collect
    >>> from engine import Dataflow, Tumbling, count
    >>> flow, clicks, clock, got = Dataflow("clicks"), Feed(), ManualClock(), []
    >>> pages = flow.source(clicks).processing_time().key_by(str)
    >>> pages.window(Tumbling("1m")).aggregate(clicks=count()).sink(collect(got))
    >>> with Harness(flow, clock=clock) as job:
    ...     clicks.give("a", "b", "a")
    ...     job.settle()
    ...     assert got == [] and job.metrics()["window"].held == 3
    ...     clock.advance("1m")
    ...     job.settle()
    ...     print([(row.key, row.clicks) for row in got])
    [('a', 2), ('b', 1)]
    """

    def __init__(self, flow: Dataflow, *, clock: ManualClock | None = None) -> None:
        self._plan = Plan.of(flow)
        if self._plan.workers:
            raise GraphError(
                f"{users_place()}: a Harness runs a flow in one process, but {flow.name!r} has stages of its own"
            )
        self._worker = Worker(self._plan, list_partitions(self._plan), clock=clock)
        self._tasks = self._worker.tasks[::-1]  # those nearest the sinks first
        operations = [task.nodes[0].operation for task in self._plan.tasks]
        sources = [each.source for each in operations if isinstance(each, FromSource)]
        self._feeds = [each for each in sources if isinstance(each, Feed)]
        self._state: State = "running"

    def settle(self) -> None:
        """Go on until nothing moves; raise what fails."""
        while self._step() or (self._failure is None and self._is_waiting()):
            pass
        failure = self._failure
        if failure is not None:
            self._end("failed")
            raise failure

    def metrics(self) -> JobMetrics:
        """What has been done so far; nothing in it is about time that went by."""
        return combine(Outline.of(self._plan), (report(self._worker, 0.0, 0.0),), self._state, 0.0)

    @property
    def _failure(self) -> BaseException | None:
        return next((task.failure for task in self._tasks if task.failure is not None), None)

    def _step(self) -> bool:
        """Let each task do what it can; whether any could."""
        return sum(task.run_until_idle() for task in self._tasks) > 0

    def _is_waiting(self) -> bool:
        """Whether something goes on by itself before long: a feed is to be read, a batch to be written, a coroutine."""
        if all(feed.is_empty for feed in self._feeds) and not any(map(_goes_on, self._tasks)):
            return False
        time.sleep(_LOOK_SECONDS)
        return True

    def _end(self, state: State) -> None:
        """Let all sources end, whole if all went well, and what follows them."""
        self._state = state
        for source in self._worker.sources:
            source.stop(state == "finished")
        while not all(task.done for task in self._tasks):
            if not self._step():
                time.sleep(_LOOK_SECONDS)

    def __enter__(self) -> Harness:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._state == "running" and error is None:
            self.settle()
            self._end("finished")
            if self._failure is not None:
                self._state = "failed"
                raise self._failure
        elif self._state == "running":
            for task in self._tasks:
                task.cancel()
            self._end("cancelled")


def _goes_on(task: Task) -> bool:
    head: Any = task.head
    return not task.done and (head.waiting or (isinstance(head, SinkHead) and head.deadline() >= 0))
