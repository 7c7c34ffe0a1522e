"""What a job did, operator by operator: snapshots of the native counters, and the table that shows them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import msgspec

from cext.chain import Lookup
from cext.head import Head
from cext.histogram import Histogram
from cext.sink import Sink as SinkHead
from cext.task import Task
from engine.graph import Node
from engine.operations import Split, ToSink
from engine.plan import TaskPlan
from engine.worker import Worker

State = Literal["running", "finished", "stopped", "failed", "cancelled"]


class OperatorMetrics(msgspec.Struct, frozen=True):
    """One operator, all its instances together.

    `busy`, `idle` (nothing to read) and `backpressured` (nowhere to write) are shares of the time, per instance;
    operators that share a task share its idle and back-pressured time, and only the first of them states it.
    `queued`: records on the operator's inputs that nobody has taken yet or whose fate is not final. `p50` and `p99`,
    of sinks: seconds from the source to the end of the write.
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
    `bound`: what explain() says, which neither ever passes.
    """

    state: State
    seconds: float
    operators: tuple[OperatorMetrics, ...]
    in_flight: int
    most_in_flight: int
    bound: int
    records_read: int
    records_written: int

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
        back (filtered, unmatched, taken into an aggregate), `skipped` and `dropped`. Bad records of a source are not
        among those read, nor is what the source had in hand behind one that failed the job. Of a record that becomes
        several, or a batch, what has gone on does not count as dropped; and what a call that never came back held is
        not counted at all.
        """
        return sum(each.dropped for each in self.operators)

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
        for what, count in (
            ("skipped", self.skipped),
            ("sent to the dead letters", self.dead_letters),
            ("dropped", self.dropped),
        ):
            if count:
                who = ", ".join(f"{each.name} {_share(each, what):,}" for each in self.operators if _share(each, what))
                yield f"{count:,} records {what}: {who}"
        yield from table(TITLES, [row(each, self.seconds) for each in self.operators])


def _share(each: OperatorMetrics, what: str) -> int:
    return {"skipped": each.skipped, "dropped": each.dropped}.get(what, each.dead_letters)


JobResult = JobMetrics
"""What `Dataflow.run` and `Job.wait` return: the job's metrics once it has ended."""

TITLES = ("operator", "in", "out", "out/s", "busy", "idle", "back-pr.", "queued", "p50", "p99")


def row(each: OperatorMetrics, seconds: float) -> tuple[str, ...]:
    """One operator as the cells of a table."""
    return (
        each.name,
        f"{each.records_in:,}",
        f"{each.records_out:,}",
        f"{each.records_out / seconds:,.0f}" if seconds else "",
        _percent(each.busy),
        _percent(each.idle),
        _percent(each.backpressured),
        "" if each.queued is None else f"{each.queued:,}",
        _delay(each.p50),
        _delay(each.p99),
    )


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of a plain-text table: the first column to the left, the others to the right."""
    widths = [max(len(line[i]) for line in (titles, *rows)) for i in range(len(titles))]
    for line in (titles, ["-" * width for width in widths], *rows):
        first, *others = (
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        yield "  ".join([first, *others]).rstrip()


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}%"


def _delay(seconds: float | None) -> str:
    return "" if seconds is None else f"{1e3 * seconds:.2f} ms" if seconds < 1 else f"{seconds:.2f} s"


def snapshot(worker: Worker, state: State, seconds: float) -> JobMetrics:
    """The counters of `worker` as they are now; the job's threads go on meanwhile."""
    # Those downstream first: what they have taken, the others have given by the time that they are looked at.
    found = {planned: _task(worker, planned) for planned in reversed(worker.plan.tasks)}
    operators = tuple(each for planned in worker.plan.tasks for each in found[planned])
    role = {node.name: node.operation.role for planned in worker.plan.tasks for node in planned.nodes}
    return JobMetrics(
        state,
        seconds,
        operators,
        worker.in_flight,
        worker.most_in_flight,
        worker.plan.bound,
        sum(each.records_out for each in operators if role[each.name] == "source"),
        sum(each.records_out for each in operators if role[each.name] == "sink"),
    )


def _task(worker: Worker, planned: TaskPlan) -> list[OperatorMetrics]:
    """The operators of one task; the first of them states what is the whole task's."""
    tasks = worker.tasks_of(planned)
    counters = [task.counters() for task in tasks]
    total = {name: sum(each[name] for each in counters) for name in counters[0]}
    wall = (total["busy"] + total["idle"] + total["backpressured"]) or 1.0
    first, *rest = [_operator(worker, node, tasks, total, wall) for node in planned.nodes]
    delays = _delays([task.head for task in tasks])
    whole: dict[str, Any] = {
        "busy": max(0.0, total["busy"] / wall - sum(each.busy for each in rest)),  # what the task adds is its head's
        "idle": total["idle"] / wall,
        "backpressured": total["backpressured"] / wall,
        "frames_in": total["frames_in"],
        "frames_out": total["frames_out"],
        "queued": sum(channel.in_flight for task in tasks for channel in task.input_channels),
        "dropped": total["dropped"],
        "p50": delays.percentile(50) / 1e9 if delays.count else None,
        "p99": delays.percentile(99) / 1e9 if delays.count else None,
    }
    return [msgspec.structs.replace(first, **whole), *rest]


def _operator(worker: Worker, node: Node, tasks: list[Task], total: dict[str, Any], wall: float) -> OperatorMetrics:
    """What one operator of a task did, as a chained operator, as the task's head, or as its router."""
    chained = [each for task in tasks for each in task.chain if each.name == node.name]
    heads = [task.head for task in tasks if task.head.name == node.name]
    if chained:
        counts = sum(each.records_in for each in chained), sum(each.records_out for each in chained)
    elif isinstance(node.operation, Split):
        counts = total["records_out"], total["records_out"]
    elif isinstance(node.operation, ToSink):
        counts = total["records_in"], sum(head.written for head in heads if isinstance(head, SinkHead))
    else:
        behind = [task.chain[0].records_in for task in tasks if task.chain]
        counts = total["records_in"], sum(behind) if behind else total["records_out"]
    return OperatorMetrics(
        node.name,
        *counts,
        skipped=sum(guard.skipped for guard in worker.guards[node]),
        dead_letters=sum(guard.lettered for guard in worker.guards[node]),
        unmatched=sum(each.unmatched for each in chained if isinstance(each, Lookup)),
        busy=sum(each.busy_ns for each in chained) / 1e9 / wall,
    )


def _delays(heads: list[Head]) -> Histogram:
    merged = Histogram()
    for head in heads:
        if isinstance(head, SinkHead):
            merged.merge(head.latency)
    return merged
