"""What a job did, operator by operator: snapshots of the native counters, and the table that shows them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import msgspec

from cext.histogram import Histogram
from engine.graph import Node
from engine.operations import Split, ToSink
from engine.plan import Plan, TaskPlan
from engine.report import Report, TaskReport

_STATES = ("busy", "idle", "backpressured")
_SUMS = ("frames_in", "frames_out", "queued", "dropped")

State = Literal["running", "finished", "stopped", "failed", "cancelled"]


class OperatorMetrics(msgspec.Struct, frozen=True):
    """One operator, all its instances together.

    `busy`, `idle` (nothing to read) and `backpressured` (nowhere to write) are shares of the time, per instance;
    operators that share a task share its idle and back-pressured time, and only the first of them states it.
    `unmatched`, of a lookup_join: records without a match, whether they went on or not. `queued`: records on the
    operator's inputs that nobody has taken yet or whose fate is not final. `p50` and `p99`, of sinks: seconds from the
    source to the end of the write.
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
        for field, what in (
            ("skipped", "skipped"),
            ("dead_letters", "sent to the dead letters"),
            ("dropped", "dropped"),
            ("unmatched", "without a match"),
        ):
            shares = [(each.name, getattr(each, field)) for each in self.operators]
            if any(count for _, count in shares):
                who = ", ".join(f"{name} {count:,}" for name, count in shares if count)
                yield f"{getattr(self, field):,} records {what}: {who}"
        if self.refused:
            reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(self.refused.items()))
            yield f"{sum(self.refused.values()):,} messages and connections refused: {reasons}"
        rates = [each.records_out / self.seconds if self.seconds else None for each in self.operators]
        yield from table(TITLES, list(map(cells, self.operators, rates)))


JobResult = JobMetrics
"""What `Dataflow.run` and `Job.wait` return: the job's metrics once it has ended."""

TITLES = ("operator", "in", "out", "out/s", "busy", "idle", "back-pr.", "queued", "p50", "p99")


def cells(each: OperatorMetrics, rate: float | None, count: Callable[[float], str] = "{:,.0f}".format) -> list[str]:
    """One operator as a row of the table; `rate`: records a second that it gives, `count` writes numbers of records."""
    return [
        each.name,
        count(each.records_in),
        count(each.records_out),
        "" if rate is None else count(rate),
        *map(_percent, (each.busy, each.idle, each.backpressured)),
        "" if each.queued is None else count(each.queued),
        *map(_delay, (each.p50, each.p99)),
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


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f}%"


def _delay(seconds: float | None) -> str:
    return "" if seconds is None else f"{1e3 * seconds:.1f}ms" if seconds < 0.1 else f"{seconds:.2f}s"


def combine(plan: Plan, reports: Sequence[Report], state: State, seconds: float) -> JobMetrics:
    """The whole job, from what each of its processes reports."""
    instances: list[list[TaskReport]] = [[] for _ in plan.tasks]
    for each in reports:
        for task in each.tasks:
            instances[task.planned].append(task)
    pairs = zip(plan.tasks, instances, strict=True)
    operators = tuple(each for planned, tasks in pairs for each in _task(planned, tasks, reports))
    role = {node.name: node.operation.role for planned in plan.tasks for node in planned.nodes}
    return JobMetrics(
        state,
        seconds,
        operators,
        sum(each.in_flight for each in reports),
        sum(each.most_in_flight for each in reports),
        plan.bound,
        sum(each.records_out for each in operators if role[each.name] == "source"),
        sum(each.records_out for each in operators if role[each.name] == "sink"),
        dict(sum((Counter(each.refused) for each in reports), Counter())),
        sum(each.credit for each in reports),
    )


def _task(planned: TaskPlan, tasks: list[TaskReport], reports: Sequence[Report]) -> list[OperatorMetrics]:
    """The operators of one task; the first of them states what is the whole task's."""
    busy, idle, backpressured = (sum(getattr(task, what) for task in tasks) for what in _STATES)
    wall = (busy + idle + backpressured) or 1.0
    first, *rest = [_operator(node, tasks, reports, wall) for node in planned.nodes]
    delays = _delays(tasks)
    whole: dict[str, Any] = {
        "busy": max(0.0, busy / wall - sum(each.busy for each in rest)),  # what the task adds is its head's
        "idle": idle / wall,
        "backpressured": backpressured / wall,
        **{name: sum(getattr(task, name) for task in tasks) for name in _SUMS},
        "p50": delays.percentile(50) / 1e9 if delays.count else None,
        "p99": delays.percentile(99) / 1e9 if delays.count else None,
    }
    return [msgspec.structs.replace(first, **whole), *rest]


def _operator(node: Node, tasks: list[TaskReport], reports: Sequence[Report], wall: float) -> OperatorMetrics:
    """What one operator of a task did, as a chained operator, as the task's head, or as its router."""
    chained = [each for task in tasks for each in task.chain if each.name == node.name]
    into, out = (sum(getattr(task, what) for task in tasks) for what in ("records_in", "records_out"))
    if chained:
        counts = sum(each.records_in for each in chained), sum(each.records_out for each in chained)
    elif isinstance(node.operation, Split):
        counts = out, out
    elif isinstance(node.operation, ToSink):
        counts = into, sum(task.written for task in tasks)
    else:
        behind = [task.chain[0].records_in for task in tasks if task.chain]
        counts = into, sum(behind) if behind else out
    guards = [each.guards[node.name] for each in reports if node.name in each.guards]
    return OperatorMetrics(
        node.name,
        *counts,
        skipped=sum(skipped for skipped, _ in guards),
        dead_letters=sum(lettered for _, lettered in guards),
        unmatched=sum(each.unmatched for each in chained),
        busy=sum(each.busy_ns for each in chained) / 1e9 / wall,
    )


def _delays(tasks: list[TaskReport]) -> Histogram:
    """From the sources to here, in all instances of a sink."""
    merged, each = Histogram(), Histogram()
    for task in tasks:
        each.restore(task.delays)
        merged.merge(each)
    return merged
