"""View: a snapshot of a running job as lines of text, for a terminal of any width from 80 on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from textwrap import wrap

from engine.layout import worker_name
from engine.metrics import JobMetrics, OperatorMetrics, TaskMetrics, delay, short_count, shortened, table
from engine.report import Report
from engine.snapshot import Snapshot
from engine.time_view import times

BUSY, BACKPRESSURED, IDLE = "█", "▒", "·"

SILENT_SECONDS = 1.0
"""A worker speaks ten times a second; one that has said nothing for so long is stopped, starved or cut off."""

_OPERATORS = ("operator", "where", "in/s", "out/s", "queued", "of", "p99", "busy", "")
_PROCESSES = ("process", "pid", "CPU", "memory", "heard", "round trip", "refused")
_SHORTEST_BAR, _LONGEST_BAR, _LONGEST_NAME = 10, 40, 32


def lines(now: Snapshot, lately: Snapshot, width: int) -> list[str]:
    """All that there is to see. Rates, shares and delays are those of `lately`, which comes of `Snapshot.since`."""
    event_time = times(now.metrics(), now.at, width)
    return [
        *head(now, width),
        "",
        *wrap(sentence(lately), width),
        "",
        *operators(lately.metrics(), width),
        f"{BUSY} busy  {BACKPRESSURED} back-pressured: nowhere to write  {IDLE} idle: nothing to read, or no turn",
        "",
        *([*event_time, ""] if event_time else ()),
        *processes(lately),
    ]


def head(now: Snapshot, width: int) -> Iterator[str]:
    """Which job this is and how much it has done."""
    whole = now.metrics()
    state = f": {now.state} for {now.seconds:.1f} s"
    yield shortened(now.name, width - len(state)) + state
    used = whole.in_flight / whole.bound if whole.bound else 0.0
    yield (
        f"{whole.records_read:,} read, {whole.records_written:,} written; "
        f"{whole.in_flight:,} in flight, {100 * used:.0f} % of {whole.bound:,}"
    )
    if now.checkpoints is not None:
        yield now.checkpoints.short
    lost = [("skipped", whole.skipped), ("dead letters", whole.dead_letters), ("dropped", whole.dropped)]
    if any(count for _, count in lost):
        yield ", ".join(f"{count:,} {what}" for what, count in lost if count)


def sentence(lately: Snapshot) -> str:
    """Which operator is the bottleneck, and why; first of all, who has fallen silent."""
    silent = [
        f"{worker_name(worker)} has said nothing for {seconds:.1f} s"
        for worker, seconds in sorted(lately.silent.items())
        if seconds >= SILENT_SECONDS
    ]
    found = lately.metrics().bottleneck
    what = "nothing runs yet" if found is None else found.sentence
    return "; ".join([*silent, what])


def operators(lately: JobMetrics, width: int) -> list[str]:
    """A row for each operator; names and bars give way where it is narrow, numbers never."""
    rows = [
        [each.name, *_cells(each, task, at == 0)]
        for task in lately.tasks
        for at, each in enumerate(map(lately.__getitem__, task.operators))
    ]
    numbers = max(map(len, table(("", *_OPERATORS[1:]), [("", *row[1:]) for row in rows]))) + 1
    longest = max(len("operator"), *(len(row[0]) for row in rows))
    bar = max(_SHORTEST_BAR, min(_LONGEST_BAR, width - numbers - min(longest, _LONGEST_NAME)))
    bars = [_bar(lately[row[0]], bar) for row in rows]
    for row in rows:
        row[0] = shortened(row[0], width - numbers - bar)
    titles, dashes, *plain = table(_OPERATORS[:-1], [row[:-1] for row in rows])
    return [titles, dashes, *(f"{line:{len(dashes)}} {bar}".rstrip() for line, bar in zip(plain, bars, strict=True))]


def processes(lately: Snapshot) -> Iterator[str]:
    """A row for each process."""
    reports = sorted((each for each in lately.reports if each.pid), key=lambda each: each.worker)
    yield from table(_PROCESSES, [_process(each, lately) for each in reports])


def places(workers: Sequence[int]) -> str:
    """Where so many instances run: "home", "worker 1", "workers 1-3", "worker 2 x4"; "" before any is heard of."""
    numbers = sorted(set(workers))
    times = f" x{len(workers)}" if len(workers) > len(numbers) else ""
    if len(numbers) <= 1:
        return "".join(map(worker_name, numbers)) + times
    runs = all(b - a == 1 for a, b in pairwise(numbers))
    listed = f"{numbers[0]}-{numbers[-1]}" if runs else ",".join(map(str, numbers))
    return f"workers {listed}{times}"


def _cells(each: OperatorMetrics, task: TaskMetrics, first: bool) -> list[str]:
    """`first`: the operator that says what is its whole task's."""
    return [
        places([instance.worker for instance in task.instances]),
        "" if each.kind == "source" else short_count(each.rate_in),
        short_count(each.rate_out),
        *((f"{each.queued or 0:,}", f"{task.bound:,}") if first and task.bound else ("", "")),
        delay(each.p99),
        f"{100 * each.busy:.0f}%",
        "",
    ]


def _bar(each: OperatorMetrics, width: int) -> str:
    """The shares of its time; of an operator that shares a task with the one above, only what it adds."""
    busy = round(each.busy * width)
    if each.idle is None or each.backpressured is None:
        return BUSY * busy
    waits = min(round(each.backpressured * width), width - busy)
    return BUSY * busy + BACKPRESSURED * waits + IDLE * (width - busy - waits)


def _process(each: Report, lately: Snapshot) -> list[str]:
    trips = [link.round_trip for link in each.links if link.round_trip]
    silent = lately.silent.get(each.worker)
    return [
        worker_name(each.worker),
        str(each.pid),
        f"{100 * each.cpu / each.seconds:.0f}%" if each.seconds else "",
        f"{each.memory / 2**20:.0f} MiB",
        "" if silent is None else f"{silent:.1f} s ago",
        f"{max(trips) / 1e6:.1f} ms" if trips else "",
        f"{sum(each.refused.values()):,}",
    ]
