"""What a job did, operator by operator and instance by instance, and the table that shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import msgspec

from engine.bottleneck import Finding, find
from engine.checkpoint_metrics import CheckpointMetrics

_TELLING_SECONDS = 1.0
"""In a shorter run what is measured is how it starts and ends."""

State = Literal["running", "finished", "stopped", "failed", "cancelled"]


class OperatorMetrics(msgspec.Struct, frozen=True):
    """One operator, all its instances together.

    `busy`, `idle` (nothing to read) and `backpressured` (nowhere to write) are shares of the time, per instance;
    operators that share a task share its idle and back-pressured time, and only the first of them states it.
    `unmatched`, of a lookup_join: records without a match, whether they went on or not. `queued`: records on the
    operator's inputs that nobody has taken yet or whose fate is not final. `p50` and `p99`, of sinks: seconds from the
    source to the end of the write. `rate_in` and `rate_out`: records a second, each instance's by the clock of its own
    process. `kind`: "source", "map", "sink" and so on.

    Records go to other processes as msgpack where their type says all about them. `pickled_because`: why they go as
    pickles, which are larger and slower, if they do; `fallbacks`: else how many frames did since some record in them
    was not what the stream's type says.

    `watermark`: the event time here, the least of those instances that have one, in milliseconds since the epoch; an
    outer interval join tells those behind it of less (see the plan).
    `late`: records that came too late for their windows, or for a join. `held`: records that wait for event time to
    pass: those of windows that are not over, of which aggregates keep less, and those that may still meet others in a
    join; of a process the keys that have state, and records that wait for their turn; of a lookup_join the records of
    its table, where that is a stream.
    """

    name: str
    records_in: int
    records_out: int
    skipped: int
    dead_letters: int
    unmatched: int
    busy: float
    idle: float | None = None
    backpressured: float | None = None
    frames_in: int | None = None
    frames_out: int | None = None
    queued: int | None = None
    dropped: int = 0
    p50: float | None = None
    p99: float | None = None
    rate_in: float = 0.0
    rate_out: float = 0.0
    kind: str = ""
    fallbacks: int = 0
    pickled_because: str | None = None
    watermark: int | None = None
    late: int = 0
    held: int = 0


class InstanceMetrics(msgspec.Struct, frozen=True):
    """One instance of a task. `busy`, `idle` and `backpressured` are shares of its time; all 0: it has ended."""

    worker: int
    """The number of the process that it runs in; 0: the program's own."""
    busy: float = 0.0
    idle: float = 0.0
    backpressured: float = 0.0
    rate_in: float = 0.0
    rate_out: float = 0.0
    queued: int = 0
    capped: float = 0.0
    """The share of its time in which a link from another process had as many records under way as `max_window` or
    `max_window_bytes` of the `Settings` allow, and yet both its ends waited for each other."""
    seconds: float = 0.0
    """How long it ran."""
    coding: float = 0.0
    """The share of its time that encoding and decoding its records for other processes took of its process's common
    thread: part of `busy`, unless it has a thread of its own."""
    drift: float = 0.0
    """The share of its time, part of `idle`, in which inputs had records that it did not take, since another one was
    more than `max_drift` of the `Settings` behind in event time."""


class TaskMetrics(msgspec.Struct, frozen=True):
    """Operators that run as one, and each instance of them.

    `after`: the tasks that feed it, by where they stand in `JobMetrics.tasks`; `bound`: the most records on all its
    inputs; `own_thread`: whether each instance has a thread of its own, or shares that of its process.
    """

    operators: tuple[str, ...]
    after: tuple[int, ...]
    bound: int
    own_thread: bool
    instances: tuple[InstanceMetrics, ...]


class JobMetrics(msgspec.Struct, frozen=True):
    """A whole job at one moment.

    `in_flight`: records between sources and sinks now; `most_in_flight`: the sum of each channel's greatest so far;
    `bound`: what explain() says, which neither ever passes; `credit`: records that may be pushed
    into all channels now. `refused`: how many messages and connections the processes
    turned away, by reason; among them connections that broke off while they were needed, be it that the network cut
    them, or that what came on them was too long.
    """

    state: State
    seconds: float
    operators: tuple[OperatorMetrics, ...]
    in_flight: int
    most_in_flight: int
    bound: int
    records_read: int
    records_written: int
    refused: dict[str, int] = {}
    credit: int = 0
    tasks: tuple[TaskMetrics, ...] = ()
    checkpoints: CheckpointMetrics | None = None
    """None: the job makes none."""

    @property
    def bottleneck(self) -> Finding | None:
        """Which operator sets the pace of the others and why; None where there is nothing to say, as in a short run."""
        return find(self)

    @property
    def skipped(self) -> int:
        """Records that operators with on_error="skip" could not handle."""
        return sum(each.skipped for each in self.operators)

    @property
    def dead_letters(self) -> int:
        """Records that went to the dead letters."""
        return sum(each.dead_letters for each in self.operators)

    @property
    def dropped(self) -> int:
        """Records that were on their way when the job failed or was cancelled, the one that it failed at among them.

        Once such a job has ended, and where each record becomes at most one, `records_read` is the sum of
        `records_written` (dead letters count where they end up, written or dropped), of the records that operators kept
        back (filtered, unmatched in an inner join, taken into an aggregate), `skipped` and `dropped`. Bad records of a
        source are not among those read, nor is what the source had in hand behind one that failed the job. Of a
        record that becomes several, or a batch, what has gone on does not count as dropped; and what a call that never
        came back held is not counted at all.
        """
        return sum(each.dropped for each in self.operators)

    @property
    def unmatched(self) -> int:
        """Records for which a lookup_join found no match: "left" passed them on with None, "inner" did not."""
        return sum(each.unmatched for each in self.operators)

    @property
    def late(self) -> int:
        """Records that came too late for their windows."""
        return sum(each.late for each in self.operators)

    def __getitem__(self, name: str) -> OperatorMetrics:
        """The operator called `name`."""
        for each in self.operators:
            if each.name == name:
                return each
        raise KeyError(f"no operator {name!r}; there are {', '.join(each.name for each in self.operators)}")

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        rate = self.records_read / self.seconds if self.seconds else 0.0
        yield (
            f"{self.state} after {self.seconds:.2f} s: {self.records_read:,} records read ({rate:,.0f}/s), "
            f"{self.records_written:,} written, at most {self.most_in_flight:,} in flight (bound {self.bound:,})"
        )
        if self.checkpoints is not None:
            yield str(self.checkpoints)
        for field, what in (
            ("skipped", "skipped"),
            ("dead_letters", "sent to the dead letters"),
            ("dropped", "dropped"),
            ("unmatched", "without a match"),
            ("late", "too late for their windows"),
        ):
            shares = [(each.name, getattr(each, field)) for each in self.operators]
            if any(count for _, count in shares):
                who = ", ".join(f"{name} {count:,}" for name, count in shares if count)
                yield f"{getattr(self, field):,} records {what}: {who}"
        pickled = [f"{each.name} ({why})" for each in self.operators if (why := _why_pickled(each))]
        if pickled:
            yield f"sent to other processes as pickles: {', '.join(pickled)}"
        if self.refused:
            reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(self.refused.items()))
            yield f"{sum(self.refused.values()):,} messages and connections refused: {reasons}"
        if self.bottleneck is not None and self.seconds >= _TELLING_SECONDS:
            yield self.bottleneck.sentence
        rates = [each.records_out / self.seconds if self.seconds else None for each in self.operators]
        yield from table(TITLES, list(map(cells, self.operators, rates)))


JobResult = JobMetrics
"""What `Dataflow.run` and `Job.wait` return: the job's metrics once it has ended."""

TITLES = ("operator", "in", "out", "out/s", "busy", "idle", "back-pr.", "queued", "p50", "p99")


_SHORTEST_NAME = len(TITLES[0])


def cells(each: OperatorMetrics, rate: float | None, count: Callable[[float], str] = "{:,.0f}".format) -> list[str]:
    """One operator as a row of the table; `rate`: records a second that it gives, `count` writes numbers of records."""
    return [
        each.name,
        count(each.records_in),
        count(each.records_out),
        "" if rate is None else count(rate),
        *map(_percent, (each.busy, each.idle, each.backpressured)),
        "" if each.queued is None else count(each.queued),
        *map(delay, (each.p50, each.p99)),
    ]


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of a plain-text table, as narrow as can be: the first column to the left, the others to the right."""
    widths = [max(len(line[i]) for line in (titles, *rows)) for i in range(len(titles))]
    for line in (titles, ["-" * width for width in widths], *rows):
        first, *others = (
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        yield " ".join([first, *others]).rstrip()


def _why_pickled(each: OperatorMetrics) -> str | None:
    frames = f"{each.fallbacks:,} frames with records that are not what its type says" if each.fallbacks else None
    return each.pickled_because or frames


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f}%"


def delay(seconds: float | None) -> str:
    """A duration as a cell of a table."""
    return "" if seconds is None else f"{1e3 * seconds:.1f}ms" if seconds < 0.1 else f"{seconds:.2f}s"


def short_count(count: float) -> str:
    """A number of records in few characters."""
    return f"{count:,.0f}" if count < 1e6 else f"{count / 1e6:,.1f}M"


def shortened(name: str, width: int) -> str:
    """`name` in at most `width` characters, without its middle where it is longer; its ends tell most."""
    width = max(width, _SHORTEST_NAME)
    if len(name) <= width:
        return name
    head = width // 2
    return f"{name[:head]}…{name[head + 1 - width :]}"
