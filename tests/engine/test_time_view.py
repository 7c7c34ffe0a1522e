"""What the live views show of event time, at 80 columns."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from connectors.memory import collect
from engine import Dataflow, JobMetrics, OperatorMetrics, Tumbling, count
from engine.progress import table_lines
from engine.time_view import moment, span, time_line, times
from engine.view import lines
from tests.engine.helpers import ListSource, Nothing

NOON = 1_714_564_800_000


def operator(name: str, kind: str, **more: Any) -> OperatorMetrics:
    return OperatorMetrics(name, 0, 0, 0, 0, 0, 0.0, kind=kind, **more)


def job(*operators: OperatorMetrics) -> JobMetrics:
    return JobMetrics("running", 2.0, operators, 0, 0, 100, 0, 0)


WINDOWS = job(
    operator("read", "source"),
    operator("event_time", "event_time", watermark=NOON - 1500),
    operator("window", "window", watermark=NOON - 150_000, late=3, held=12_345),
    operator("deduplicate", "deduplicate", late=0, held=7),
    operator("write", "sink", watermark=NOON - 150_000),
)


def test_each_operator_that_makes_event_time_or_waits_for_it() -> None:
    assert times(WINDOWS, NOON, 80) == [
        "event time          has come to behind late   held",
        "----------- ------------------- ------ ---- ------",
        "event_time  2024-05-01 11:59:58   1.5s    0      0",
        "window      2024-05-01 11:57:30   2.5m    3 12,345",
        "deduplicate                               0      7",
    ]
    assert times(job(operator("read", "source")), NOON, 80) == []


def test_the_whole_job_in_one_line() -> None:
    (line,) = time_line(WINDOWS, NOON)
    assert line == "event time 2024-05-01 11:57:30, 2.5m behind; 3 late, 12,352 held"
    assert list(time_line(job(operator("read", "source")), NOON)) == []
    assert list(time_line(job(operator("window", "window", held=5)), NOON)) == ["0 late, 5 held"]
    assert table_lines("job", WINDOWS, WINDOWS, 80, NOON)[1] == line


def test_nothing_is_wider_than_80_columns() -> None:
    long = [replace(each, name=each.name * 20, held=123_456_789, late=10**12) for each in WINDOWS.operators]
    shown = times(job(*long), NOON + 10**13, 80)
    assert max(map(len, shown)) == 80
    assert all("…" in line for line in shown[2:])


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "0.0s"),
        (1234, "1.2s"),
        (119_000, "119.0s"),
        (150_000, "2.5m"),
        (9_000_000, "2.5h"),
        (10**9, "11.6d"),
        (-500, "-0.5s"),
    ],
)
def test_so_much_time_in_few_characters(milliseconds: int, text: str) -> None:
    assert span(milliseconds) == text


def test_an_event_time_beyond_all_years() -> None:
    assert moment(1 << 60) == f"{1 << 60} ms"
    assert moment(0) == "1970-01-01 00:00:00"


def test_a_job_that_runs() -> None:
    def hits() -> Any:
        yield NOON
        while not told:
            yield Nothing()

    told: list[str] = []
    flow, rows = Dataflow("shown"), list[Any]()

    counts = flow.source(ListSource(hits, type=int, poll_after=0.001)).event_time(lambda at: at)
    counts.key_by().window(Tumbling("1h")).aggregate(n=count()).sink(collect(rows))
    with flow.start() as running:
        while True:
            snapshot = running.snapshot()
            if snapshot.metrics()["window"].watermark is not None:
                break
        told += lines(snapshot, snapshot, 80)
    assert max(map(len, told)) <= 80
    window = next(line for line in told if line.startswith("window ") and "2024-05-01 12:00:00" in line)
    assert window.split()[-2:] == ["0", "1"]
    assert window.split()[-3].endswith("d")  # so many days ago
