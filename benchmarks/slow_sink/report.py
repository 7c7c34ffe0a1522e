"""Report: the table of figures beside those to reach, and the samples as CSV."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.slow_sink.figures import Figures
from benchmarks.slow_sink.job import TARGET_SECONDS
from benchmarks.slow_sink.sampling import SAMPLE_SECONDS, Run
from engine.metrics import table

RATE_WINDOW = 0.2
"""Over how many seconds the rates of a row are taken."""

COLUMNS = ("who", "seconds", "source_rate", "sink_rate", "in_flight", "credit", "delay_records", "memory_mb")

_ROWS: tuple[tuple[str, str, Callable[[Figures], str]], ...] = (
    ("most in flight, records", "", lambda each: f"{each.most_in_flight:,}"),
    (
        "most in flight / bound",
        "<= 1",
        lambda each: f"{each.most_in_flight / each.bound:.2f}" if each.bound else "no bound",
    ),
    ("source follows after", "<= 0.5 s", lambda each: _seconds(each.follow)),
    (f"in flight, settled / (rate x {TARGET_SECONDS} s + batch)", "<= 1.3", lambda each: _number(each.settled)),
    ("sink busy while it is the bottleneck", ">= 98 %", lambda each: f"{each.busy:.1%}"),
    ("back to 90 % of full rate after", "< 0.5 s", lambda each: _seconds(each.recover)),
    ("memory growth", "< 5 MB", lambda each: f"{each.growth / 1e6:.1f} MB"),
    ("lost / doubled / out of order", "0 / 0 / 0", lambda each: f"{each.lost} / {each.doubled} / {each.disordered}"),
)


def text(runs: Sequence[Run]) -> str:
    """What the runs of one profile showed, one column a run."""
    figures = [Figures.of(run) for run in runs]
    rows = [[what, reach, *map(show, figures)] for what, reach, show in _ROWS]
    return "\n".join(table(["", "reach", *(run.who for run in runs)], rows))


def write_csv(path: Path, runs: Sequence[Run]) -> None:
    """All samples of all runs."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for run in runs:
            writer.writerows((run.who, *(f"{value:.6g}" for value in row)) for row in rows(run))


def rows(run: Run) -> Iterator[tuple[float, ...]]:
    """One sample each: `COLUMNS` without who ran; as long as the profile lasts."""
    for each in run.samples:
        at = each.at - run.start
        if RATE_WINDOW <= at <= run.profile.seconds - SAMPLE_SECONDS:
            given, written = (grown(at - RATE_WINDOW, at) / RATE_WINDOW for grown in (run.given, run.written))
            in_flight = run.in_flight(each.at)
            yield at, given, written, in_flight, each.credit, written * TARGET_SECONDS, each.memory / 1e6


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else "never" if seconds == float("inf") else f"{seconds:.2f} s"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
