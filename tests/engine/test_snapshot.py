"""Snapshots: what has happened between two of them, with reports that come when their workers send them."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from cext.histogram import Histogram
from engine.outline import OperatorOutline, Outline, TaskOutline
from engine.report import Chained, Report, TaskReport
from engine.snapshot import Recent, Snapshot

OUTLINE = Outline(
    (
        TaskOutline((OperatorOutline("read", "source", "source"),), (1,), (), 0, True),
        TaskOutline(
            (OperatorOutline("load", "sink", "sink"),),
            (2,),
            (0,),
            8192,
            True,
        ),
    ),
    8192,
)


def report(worker: int, seconds: float, records: int, delays: list[tuple[int, int]] | None = None) -> Report:
    """A worker that has worked half of the time."""
    half = seconds / 2
    counts = (records, records, 3, 3, 1, 7, records)
    done = TaskReport(worker - 1, 0, half, half, 0.0, *counts, (), delays or [], seconds / 4)
    guards = {"load": (records // 10, 0)} if worker == 2 else {}
    return Report(worker, (done,), guards, in_flight=7, seconds=seconds, pid=40 + worker, cpu=half)


def snapshot(seconds: float, *reports: Report) -> Snapshot:
    return Snapshot("job", 40, "running", seconds, OUTLINE, reports)


def test_what_has_happened_since_another() -> None:
    before = snapshot(10.0, report(1, 9.0, 1000), report(2, 9.5, 900))
    now = snapshot(12.0, report(1, 11.0, 5000), report(2, 11.0, 2400))
    lately = now.since(before)
    read, load = lately.metrics().operators
    assert lately.seconds == 2.0
    assert (read.records_out, read.rate_out) == (4000, 2000.0)  # by the clock of each worker
    assert (load.records_out, load.rate_out, load.skipped) == (1500, 1000.0, 150)
    assert (read.busy, read.idle, read.queued, lately.metrics().in_flight) == (0.5, 0.5, 7, 14)
    assert [each.cpu / each.seconds for each in lately.reports] == [0.5, 0.5]
    assert [each.capped for task in lately.metrics().tasks for each in task.instances] == [0.25, 0.25]


def test_a_worker_that_speaks_for_the_first_time_did_all_of_it_since() -> None:
    before = snapshot(1.0, Report(), report(2, 0.5, 10))
    now = snapshot(2.0, report(1, 0.5, 100), report(2, 1.5, 20))
    assert now.since(before).metrics()["read"].rate_out == 200.0


def test_a_worker_that_says_nothing_more_has_no_rate() -> None:
    silent = report(1, 1.0, 100)
    lately = snapshot(3.0, silent, report(2, 3.0, 200)).since(snapshot(2.0, silent, report(2, 2.0, 100)))
    assert [each.rate_out for each in lately.metrics().operators] == [0.0, 100.0]
    assert lately.metrics().tasks[0].instances[0].busy == 0.0


def test_a_chained_operator_and_its_task() -> None:
    outline = replace(
        OUTLINE,
        tasks=(TaskOutline((*OUTLINE.tasks[0].operators, OperatorOutline("m", "map", "chain")), (1,), (), 0, True),),
    )

    def at(seconds: float, records: int) -> Snapshot:
        done = TaskReport(
            *(0, 0, seconds, 0.0, 0.0, records, records, 0, 0, 0, 0, 0),
            chain=(Chained("m", records, records // 2, 0, int(seconds * 5e8)),),
            delays=[],
        )
        return Snapshot("job", 1, "running", seconds, outline, (Report(1, (done,), seconds=seconds),))

    read, mapped = at(3.0, 300).since(at(1.0, 100)).metrics().operators
    assert (read.rate_out, mapped.rate_in, mapped.rate_out) == (100.0, 100.0, 50.0)
    assert (read.busy, mapped.busy) == pytest.approx((0.5, 0.5))


def test_fallbacks_are_those_since() -> None:
    before, now = (snapshot(at, replace(report(1, at, 0), fallbacks={"read": int(at)})) for at in (2.0, 5.0))
    assert now.metrics()["read"].fallbacks == 5
    assert now.since(before).metrics()["read"].fallbacks == 3


def test_delays_are_those_of_what_was_written_since() -> None:
    """The last pair of a histogram is its maximum, which lies in a bucket that later has its edge."""
    delays, seen = Histogram(), []
    for delay, times in ((1_000_000, 1000), (500_000_000, 10), (2_000_000_000, 5)):
        delays.record(delay, times)
        seen.append(delays.snapshot())
    first, second, third = (snapshot(float(at), report(2, float(at), at, each)) for at, each in enumerate(seen, 1))
    assert second.since(first).metrics()["load"].p50 == pytest.approx(0.5, rel=0.05)
    assert third.since(second).metrics()["load"].p50 == pytest.approx(2.0, rel=0.05)
    assert third.since(third).metrics()["load"].p99 is None


def test_the_last_second() -> None:
    """Reports of every 100 ms, looked at every 200 ms at any phase: a steady rate is steady."""
    recent, rates = Recent(1.0), []
    for look in range(30):
        now = look * 0.2 + 0.07 * (look % 3)
        spoken = (now // 0.1) * 0.1 + 0.1
        lately = recent.add(snapshot(now, report(1, spoken, round(spoken * 1000)), report(2, spoken, 0)))
        rates.append(lately.metrics()["read"].rate_out)
        assert look < 8 or 0.7 <= lately.seconds <= 1.5
    assert rates == pytest.approx([1000.0] * 30)


def test_a_snapshot_travels() -> None:
    now = snapshot(1.0, report(1, 1.0, 10, [(5, 1)]), report(2, 1.0, 10))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(now), type=Snapshot) == now
