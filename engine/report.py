"""Report: the native counters of one process of a job, as they travel to whoever shows the whole."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence

import msgspec

from cext.chain import Lookup
from cext.head import Head
from cext.inlet import Inlet
from cext.keyed_process import KeyedProcess
from cext.links import Links
from cext.outlet import Outlet
from cext.sink import Sink as SinkHead
from cext.stream_lookup import StreamLookup
from cext.task import Task
from cext.windowed import Windowed
from engine.worker import Worker

_PAGE = os.sysconf("SC_PAGESIZE")


class Chained(msgspec.Struct, array_like=True, frozen=True):
    """What one chained operator of a task did."""

    name: str
    records_in: int
    records_out: int
    unmatched: int
    busy_ns: int


class TaskReport(msgspec.Struct, array_like=True, frozen=True):
    """What one instance of a task did; seconds in each state, and records. `delays`: a snapshot of a histogram, ns.
    `capped`: for how many seconds a link that feeds it could not have more under way (`cext.window.Window.capped`)."""

    planned: int
    """Where its task stands in the plan."""
    instance: int
    """Which one it is of that task's."""
    busy: float
    idle: float
    backpressured: float
    records_in: int
    records_out: int
    frames_in: int
    frames_out: int
    dropped: int
    queued: int
    written: int
    chain: tuple[Chained, ...]
    delays: list[tuple[int, int]]
    capped: float = 0.0
    encoding: float = 0.0
    """For how many seconds its process's common thread encoded what it gives to others: part of `busy`, unless it has a
    thread of its own."""
    decoding: float = 0.0
    """The same of what it takes from others."""
    watermark: int | None = None
    """The event time here, ms since the epoch; None: there is none yet."""
    late: int = 0
    """Records that came too late for their windows."""
    drifting: float = 0.0
    """For how many seconds, of those `idle`, inputs that had records were held for others further behind in time."""
    held: int = 0
    """Records taken in whose windows are not over, or that may still have partners in a join; those of a table."""
    unmatched: int = 0
    """Records that it looked up in a table made of a stream, and did not find."""


class LinkReport(msgspec.Struct, array_like=True, frozen=True):
    """What a process knows of one other: when it last heard of it (monotonic ns), the round trip, and refusals."""

    worker: int
    heard_at: int
    round_trip: int
    refused: int


class Report(msgspec.Struct, array_like=True, frozen=True):
    """One process at one moment. `in_flight`: records on all channels that it feeds, and `credit` for how many more;
    `passes` of its runner's loop.

    `seconds` that its part of the job has run, by its own clock; `cpu` seconds that it has used; bytes of `memory`.
    """

    worker: int = 0
    tasks: tuple[TaskReport, ...] = ()
    guards: dict[str, tuple[int, int]] = {}
    """For each operator how many records it skipped and sent to the dead letters."""
    fallbacks: dict[str, int] = {}
    """For each operator how many frames of its records went to other processes as pickles though their type allows for
    msgpack."""
    in_flight: int = 0
    most_in_flight: int = 0
    passes: int = 0
    links: tuple[LinkReport, ...] = ()
    refused: dict[str, int] = {}
    """What its sockets turned away, by reason."""
    credit: int = 0
    seconds: float = 0.0
    pid: int = 0
    cpu: float = 0.0
    memory: int = 0


def report(worker: Worker, seconds: float, cpu: float) -> Report:
    """The counters of `worker`, which has run for so long, as they are now; its threads go on meanwhile."""
    planned = list(enumerate(worker.plan.tasks))
    # Those downstream first: what they have taken, the others have given by the time that they are looked at.
    tasks = [
        _task(at, index, each, worker.halves.get((task, index), []))
        for at, task in reversed(planned)
        for index, each in worker.instances_of(task).items()
    ]
    first = next(iter(worker.runners.values()), None)
    links = first.links if first is not None else None
    return Report(
        worker.number,
        tuple(tasks),
        {
            node.name: (sum(each.skipped for each in guards), sum(each.lettered for each in guards))
            for node, guards in worker.guards.items()
            if guards
        },
        _fallbacks(worker),
        worker.in_flight,
        worker.most_in_flight,
        first.passes if first is not None else 0,
        () if links is None else tuple(LinkReport(*each) for each in links.state()),
        _refused(worker, links),
        worker.credit,
        seconds,
        os.getpid(),
        cpu,
        _memory(),
    )


def _fallbacks(worker: Worker) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for edge, codec in worker.codecs.items():
        counts[edge.producer.nodes[-1].name] += codec.fallbacks
    return dict(+counts)


def _memory() -> int:
    with open("/proc/self/statm", "rb") as pages:
        return int(pages.read().split()[1]) * _PAGE


def _refused(worker: Worker, links: Links | None) -> dict[str, int]:
    """Copies first: their owners go on counting in other threads."""
    counts = Counter(dict(worker.refused))
    for wire in () if links is None else links.wires.values():
        counts.update(dict(wire.peer.refused))
    return dict(counts)


def _held(head: Head) -> int:
    if isinstance(head, StreamLookup):
        return len(head.table)
    if isinstance(head, KeyedProcess):
        return head.held
    return head.windows.held if isinstance(head, Windowed) else 0


def _task(planned: int, instance: int, task: Task, halves: Sequence[Outlet | Inlet]) -> TaskReport:
    """`halves`: the ends here of its ways to and from other processes."""
    sink = task.head if isinstance(task.head, SinkHead) else None
    counters = task.counters()
    counters["dropped"] += sum(half.dropped for half in halves)
    return TaskReport(
        planned,
        instance,
        queued=sum(channel.in_flight for channel in task.input_channels),
        written=0 if sink is None else sink.written,
        chain=tuple(
            Chained(
                each.name,
                each.records_in,
                each.records_out,
                each.unmatched if isinstance(each, Lookup) else 0,
                each.busy_ns,
            )
            for each in task.chain
        ),
        delays=[] if sink is None else sink.latency.snapshot(),
        capped=max((channel.law.capped for channel in task.input_channels), default=0) / 1e9,
        encoding=sum(half.coding for half in halves if isinstance(half, Outlet)) / 1e9,
        decoding=sum(half.coding for half in halves if isinstance(half, Inlet)) / 1e9,
        watermark=task.event_time,
        late=task.head.late if isinstance(task.head, Windowed | KeyedProcess) else 0,
        held=_held(task.head),
        unmatched=task.head.lookup.unmatched if isinstance(task.head, StreamLookup) else 0,
        **counters,
    )
