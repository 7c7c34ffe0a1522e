"""What a job costs while it waits, how late a record arrives, and whether memory grows: one process each.

python -m benchmarks.steady idle [--seconds 60]
python -m benchmarks.steady latency [--seconds 30] [--rate 1000]
python -m benchmarks.steady memory [--records 10000000]
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from pathlib import Path

from cext.histogram import Histogram
from connectors.memory import discard, generate
from engine import Dataflow, Reader, Sink, SinkContext, Source, Writer, count

PAGE = resource.getpagesize()
KEYS = 1000


class Silent(Source[int], Reader[int]):
    """Has nothing to read, and does not know when it will; in a thread of its own, as a socket would be."""

    bounded = False

    def open(self, partition: str) -> Reader[int]:
        return self

    def read(self, limit: int) -> list[int]:
        return []


class Arrivals(Sink[int], Writer[int]):
    """Notes how long after its intended time each record arrived, from the first one on."""

    blocking = False

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.start = 0.0
        self.delays = Histogram()

    def open(self, context: SinkContext) -> Writer[int]:
        return self

    def write(self, records: list[int]) -> None:
        now = time.monotonic()
        self.start = self.start or now
        for number in records:
            self.delays.record(max(0, round(1e9 * (now - self.start - number / self.rate))))


def idle(seconds: float) -> float:
    """The share of a core that a job uses whose source has nothing to read."""
    flow = Dataflow("idle")
    flow.source(Silent()).map(abs).sink(discard())
    with flow.start() as job:
        job.join(0.5)
        cpu, wall = time.process_time(), time.monotonic()
        job.join(seconds)
        share = (time.process_time() - cpu) / (time.monotonic() - wall)
        job.stop()
    return share


def latency(seconds: float, rate: float) -> Histogram:
    """The delays, ns, from each record's intended time to its arrival at the sink, at `rate` records a second."""
    arrivals = Arrivals(rate)
    flow = Dataflow("latency")
    flow.source(generate(int, rate=rate, count=int(rate * seconds))).map(abs).sink(arrivals)
    flow.run()
    return arrivals.delays


def memory(records: int) -> int:
    """Bytes by which the process grows over map + key_by + count of `records`, after the first tenth of them."""
    sizes: list[int] = []

    def note(number: int) -> int:
        if number in {records // 10, records - 1}:
            sizes.append(int(Path(f"/proc/{os.getpid()}/statm").read_text().split()[1]) * PAGE)
        return number

    flow = Dataflow("memory")
    flow.source(generate(note, count=records)).map(abs).key_by(lambda number: number % KEYS).aggregate(
        times=count()
    ).sink(discard())
    flow.run()
    return sizes[-1] - sizes[0]


def main() -> None:
    """Measure one of them and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("idle", "latency", "memory"))
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--rate", type=float, default=1000)
    parser.add_argument("--records", type=int, default=10_000_000)
    options = parser.parse_args()
    if options.what == "idle":
        print(f"idle: {idle(options.seconds or 60):.2%} of a core (reach < 1%)")
    elif options.what == "latency":
        delays = latency(options.seconds or 30, options.rate)
        p50, p99 = (delays.percentile(p) / 1e6 for p in (50, 99))
        print(f"latency: p50 {p50:.2f} ms, p99 {p99:.2f} ms, max {delays.maximum / 1e6:.2f} ms (reach p99 < 5 ms)")
    else:
        print(f"memory: {memory(options.records) / 1e6:.1f} MB growth (reach < 20 MB)")


if __name__ == "__main__":
    main()
