"""A sink that slows down, in one process: who waits, how much is in flight, how soon the source follows.

    python -m benchmarks.slow_sink [--seconds 10] [--offered 100000] [--fast 20000] [--slow 2000]

Source -> map -> sink: the source offers `offered` records a second, the sink writes `fast` records a second for two
seconds and `slow` from then on. Every 50 ms the job's counters are sampled.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

from connectors.memory import generate
from engine import Dataflow, JobMetrics, Sink, SinkContext, Writer

SAMPLE_SECONDS = 0.05
WINDOW_SECONDS = 0.5
SETTLE_SECONDS = 1.0


class Paced(Sink[int], Writer[int]):
    """Takes `rate` records a second, and never makes up for time in which it had none."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.seen = 0
        self.out_of_order = 0
        self.due = 0.0

    def open(self, context: SinkContext) -> Writer[int]:
        return self

    def write(self, records: list[int]) -> None:
        now = time.monotonic()
        self.due = max(self.due, now - 0.002) + len(records) / self.rate  # a sleep may end up to 2 ms late
        time.sleep(max(0.0, self.due - now))
        for record in records:
            self.out_of_order += record != self.seen  # every number once, in order: nothing is lost or doubled
            self.seen += 1


@dataclass(frozen=True)
class Sample:
    """The job at one moment, seconds after its start."""

    at: float
    read: int
    written: int
    in_flight: int
    sink_busy_seconds: float

    @classmethod
    def of(cls, metrics: JobMetrics) -> Sample:
        """Take what is needed from the job's counters."""
        busy = metrics["sink"].busy * metrics.seconds
        return cls(metrics.seconds, metrics.records_read, metrics.records_written, metrics.in_flight, busy)


@dataclass(frozen=True)
class Report:
    """What a run showed. Rates are over windows of 0.5 s, from one second after the step to the end."""

    greatest_source_rate: float
    sink_rate: float
    most_in_flight: int
    settled_in_flight: int
    bound: int
    sink_busy: float
    lost_or_doubled: int

    @property
    def source_over_sink(self) -> float:
        """The source's greatest rate, as a multiple of what the sink can take."""
        return self.greatest_source_rate / self.sink_rate

    def __str__(self) -> str:
        return (
            f"source / sink rate, greatest: {self.source_over_sink:.3f} (reach <= 1.1)\n"
            f"most in flight / bound: {self.most_in_flight:,} / {self.bound:,} (reach <= 1)\n"
            f"in flight once settled: {self.settled_in_flight:,}\n"
            f"sink busy: {self.sink_busy:.1%} (reach >= 97%)\n"
            f"lost or doubled: {self.lost_or_doubled} (reach 0)"
        )


def measure(seconds: float, offered: float, fast: float, slow: float, fast_seconds: float = 2.0) -> Report:
    """Run the job for `fast_seconds` with a fast sink and `seconds` with a slow one."""
    sink = Paced(fast)
    flow = Dataflow("slow-sink")
    flow.source(generate(int, rate=offered, catch_up=False), name="source").map(lambda x: x, name="map").sink(sink)
    samples: list[Sample] = []
    with flow.start() as job:
        while not job.join(SAMPLE_SECONDS):
            samples.append(Sample.of(job.metrics()))
            if samples[-1].at >= fast_seconds:
                sink.rate = slow
            if samples[-1].at >= fast_seconds + seconds:
                break
        job.stop()
        result = job.wait()
    settled = [sample for sample in samples if sample.at >= fast_seconds + SETTLE_SECONDS]
    return Report(
        greatest_source_rate=_greatest_rate(settled),
        sink_rate=slow,
        most_in_flight=max(sample.in_flight for sample in samples),
        settled_in_flight=settled[-1].in_flight,
        bound=result.bound,
        sink_busy=(settled[-1].sink_busy_seconds - settled[0].sink_busy_seconds) / (settled[-1].at - settled[0].at),
        lost_or_doubled=sink.out_of_order + abs(result.records_read - sink.seen),
    )


def _greatest_rate(samples: list[Sample]) -> float:
    """The greatest number of records read within a window, per second."""
    greatest = 0.0
    for i, first in enumerate(samples):
        last = next((each for each in samples[i + 1 :] if each.at - first.at >= WINDOW_SECONDS), None)
        if last is not None:
            greatest = max(greatest, (last.read - first.read) / (last.at - first.at))
    return greatest


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("seconds", 10.0), ("offered", 100_000.0), ("fast", 20_000.0), ("slow", 2_000.0)):
        parser.add_argument(f"--{name}", type=float, default=default)
    print(measure(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
