"""Progress: a live table while a job runs, with rich where it is installed, else a line a second."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from engine.metrics import TITLES, JobMetrics, row

if TYPE_CHECKING:
    from engine.job import Job

_TABLE_SECONDS = 0.2
_LINE_SECONDS = 1.0


def watch(job: Job, wanted: bool | None) -> None:
    """Return when `job` has ended; until then show on stderr how it goes, and at the end what it did.

    `wanted`: None shows it where stderr is a terminal.
    """
    if not shows(wanted):
        job.join()
        return
    if sys.stderr.isatty() and _rich_is_there():
        _show_table(job)
    else:
        _show_lines(job)
    print(job.metrics(), file=sys.stderr, flush=True)


def shows(wanted: bool | None) -> bool:
    """Whether progress is shown."""
    return sys.stderr.isatty() if wanted is None else wanted


def _rich_is_there() -> bool:
    try:
        import rich  # noqa: F401
    except ImportError:
        return False
    return True


def _show_lines(job: Job) -> None:
    before, at = job.metrics(), time.monotonic()
    while not job.join(_LINE_SECONDS):
        now, later = job.metrics(), time.monotonic()
        print(_line(job.name, before, now, later - at), file=sys.stderr, flush=True)
        before, at = now, later


def _line(name: str, before: JobMetrics, now: JobMetrics, seconds: float) -> str:
    read = (now.records_read - before.records_read) / seconds
    written = (now.records_written - before.records_written) / seconds
    busiest = max(now.operators, key=lambda each: each.busy)
    return (
        f"{name}: {now.seconds:.0f} s, {now.records_read:,} read ({read:,.0f}/s), {now.records_written:,} written "
        f"({written:,.0f}/s), {now.in_flight:,} in flight, busiest {busiest.name}"
    )


def _show_table(job: Job) -> None:
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(stderr=True), auto_refresh=False, transient=True) as live:
        before = job.metrics()
        while not job.join(_TABLE_SECONDS):
            now = job.metrics()
            live.update(_table(job.name, before, now), refresh=True)
            before = now


def _table(name: str, before: JobMetrics, now: JobMetrics) -> Any:
    from rich.table import Table

    seconds = max(1e-9, now.seconds - before.seconds)
    title = f"{name}: {now.seconds:.1f} s, {now.in_flight:,} of at most {now.bound:,} records in flight"
    drawn = Table(title=title, box=None, padding=(0, 1))  # narrow enough for 80 columns
    for heading in TITLES:
        drawn.add_column(heading, no_wrap=True, justify="left" if heading == "operator" else "right")
    for old, new in zip(before.operators, now.operators, strict=True):
        cells = list(row(new, now.seconds))
        cells[3] = f"{(new.records_out - old.records_out) / seconds:,.0f}"
        drawn.add_row(*cells)
    return drawn
