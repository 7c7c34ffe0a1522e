"""How the source follows the sink: a line a second while the job runs, and what they come to."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from engine import Dataflow, Job, JobMetrics

TITLES = "second   read/s  flights/s  cancelled/s  in flight"


def follow(flow: Dataflow, seconds: float = 1.0) -> JobMetrics:
    """Run `flow`; every so many `seconds` print what was read and loaded a second, and what is on its way.

    Ctrl-C stops reading and loads what has been read; a second one drops it.
    """
    print(TITLES, flush=True)
    with flow.start() as job:
        samples = [job.metrics()]
        try:
            _watch(job, samples, seconds)
        except KeyboardInterrupt:
            print("stopping: what has been read is still loaded", flush=True)
            job.stop()
            _watch(job, samples, seconds)
        result = job.wait()
    print(*summary(samples, result), sep="\n")
    return result


def _watch(job: Job, samples: list[JobMetrics], seconds: float) -> None:
    while not job.join(seconds):
        samples.append(job.metrics())
        print(line(*samples[-2:]), flush=True)


def line(before: JobMetrics, now: JobMetrics) -> str:
    """What happened between two samples."""
    read, flights, cancelled = rates(before, now)
    return f"{now.seconds:6.0f} {read:8,.0f} {flights:10,.0f} {cancelled:12,.0f} {now.in_flight:10,}"


def rates(before: JobMetrics, now: JobMetrics) -> tuple[float, float, float]:
    """Records a second that were read, loaded into `flights`, and loaded into `cancelled`, between two samples."""
    read, flights, cancelled = (
        (now[name].records_out - before[name].records_out) / (now.seconds - before.seconds)
        for name in ("read flights", "load flights", "load cancelled")
    )
    return read, flights, cancelled


def summary(samples: list[JobMetrics], result: JobMetrics) -> Iterator[str]:
    """The run in two sentences; its first half, in which the channels fill and settle, is left out of the first."""
    settled = samples[len(samples) // 2 :]
    if len(settled) > 1:
        read, flights, _ = rates(settled[0], settled[-1])
        most = max(rates(*pair)[0] for pair in pairwise(settled))
        yield f"second half: {read:,.0f} read/s, {most:,.0f} at the most, for {flights:,.0f} flights/s"
    yield f"never more than {result.most_in_flight:,} records in flight; the plan allows {result.bound:,}"
