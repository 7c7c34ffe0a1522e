"""Progress: a live table while a job runs, with rich where it is installed, else a line a second."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from msgspec.structs import replace

from engine.metrics import TITLES, JobMetrics, cells, short_count, shortened, table
from engine.snapshot import Recent
from engine.time_view import time_line

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
    recent = Recent(_LINE_SECONDS)
    recent.add(job.snapshot())
    while not job.join(_LINE_SECONDS):
        now = job.snapshot()
        print(_line(job.name, now.metrics(), recent.add(now).metrics()), file=sys.stderr, flush=True)


def _line(name: str, now: JobMetrics, lately: JobMetrics) -> str:
    read, written = (
        sum(each.rate_out for each in lately.operators if each.kind == kind) for kind in ("source", "sink")
    )
    kept = "" if now.checkpoints is None else f", {now.checkpoints.short}"
    busiest = max(lately.operators, key=lambda each: each.busy)
    return (
        f"{name}: {now.seconds:.0f} s, {now.records_read:,} read ({read:,.0f}/s), {now.records_written:,} written "
        f"({written:,.0f}/s), {now.in_flight:,} in flight, busiest {busiest.name}{kept}"
    )


def _show_table(job: Job) -> None:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(stderr=True)
    with Live(console=console, auto_refresh=False, transient=True) as live:
        recent = Recent()
        recent.add(job.snapshot())
        while not job.join(_TABLE_SECONDS):
            now = job.snapshot()
            lines = table_lines(job.name, now.metrics(), recent.add(now).metrics(), console.width, now.at)
            live.update(Text("\n".join(lines), no_wrap=True, overflow="crop"), refresh=True)


def table_lines(name: str, now: JobMetrics, lately: JobMetrics, width: int, at: int = 0) -> list[str]:
    """The live table, at most `width` wide, from about 75 on: names give way, and numbers are never cut.

    How many records went in and out is from the beginning; rates, shares and delays are those of `lately`. `at`: when
    that was so, in milliseconds since the epoch.
    """
    rows = [
        cells(replace(new, records_in=whole.records_in, records_out=whole.records_out), new.rate_out, short_count)
        for whole, new in zip(now.operators, lately.operators, strict=True)
    ]
    numbers = max(map(len, table(("", *TITLES[1:]), [("", *row[1:]) for row in rows])))
    for row in rows:
        row[0] = shortened(row[0], width - numbers)
    state = f": {now.seconds:.1f} s, {now.in_flight:,} of at most {now.bound:,} records in flight"
    kept = [] if now.checkpoints is None else [now.checkpoints.short]
    return [shortened(name, width - len(state)) + state, *kept, *time_line(now, at), "", *table(TITLES, rows)]
