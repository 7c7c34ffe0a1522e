"""What a job costs while it waits, how late a record arrives, and whether memory grows: one process each.

python -m benchmarks.steady idle [--seconds 60]
python -m benchmarks.steady latency [--seconds 30] [--rate 1000] [--processes 1]
python -m benchmarks.steady memory [--records 10000000]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
from pathlib import Path

from cext.histogram import Histogram
from connectors.memory import discard, generate
from engine import Dataflow, Reader, Sink, SinkContext, Source, Writer, count

PAGE = resource.getpagesize()
KEYS = 1000
WARM_UP_NS = 1_000_000_000


class Silent(Source[int], Reader[int]):
    """Has nothing to read, and does not know when it will; in a thread of its own, as a socket would be."""

    bounded = False

    def open(self, partition: str) -> Reader[int]:
        return self

    def read(self, limit: int) -> list[int]:
        return []


class Ticks(Source[int], Reader[int]):
    """`rate` times a second, the moment at which this record was to be emitted, monotonic ns, be it late or not."""

    type = int
    blocking = False

    def __init__(self, rate: float, count: int) -> None:
        self.interval, self.left = 1e9 / rate, count
        self.start, self.given = 0, 0

    def open(self, partition: str) -> Reader[int]:
        self.start = time.monotonic_ns()
        return self

    def read(self, limit: int) -> list[int] | None:
        if self.left == 0:
            return None
        due = int((time.monotonic_ns() - self.start) / self.interval) - self.given
        count = max(0, min(limit, self.left, due))
        self.given += count
        self.left -= count
        return [self.start + int(i * self.interval) for i in range(self.given - count + 1, self.given + 1)]

    def poll_after(self) -> float:
        return max(0.0, (self.start + (self.given + 1) * self.interval - time.monotonic_ns()) / 1e9)


class Arrivals(Sink[int], Writer[int]):
    """Notes in a file how long after its intended time each record arrived, but for those of the first second."""

    blocking = False

    def __init__(self, path: str) -> None:
        self.path = path
        self.begin = 0

    def open(self, context: SinkContext) -> Writer[int]:
        self.delays = Histogram()
        return self

    def write(self, records: list[int]) -> None:
        now = time.monotonic_ns()
        self.begin = self.begin or now + WARM_UP_NS
        for intended in records:
            if intended >= self.begin:
                self.delays.record(max(0, now - intended))

    def finish(self) -> None:
        Path(self.path).write_text(json.dumps(self.delays.snapshot()))


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


def latency(seconds: float, rate: float, processes: int = 1) -> Histogram:
    """The delays, ns, from each record's intended time to its arrival at the sink, at `rate` records a second.

    Over 3 processes source, map and sink have one each, over 2 the sink has one of its own.
    """
    delays = Histogram()
    with tempfile.TemporaryDirectory() as directory:
        path = f"{directory}/delays.json"
        flow = Dataflow("latency")
        stream = flow.source(Ticks(rate, int(rate * (seconds + WARM_UP_NS / 1e9))))
        stream = stream.stage("map") if processes > 2 else stream
        stream = stream.map(abs)
        stream = stream.stage("sink") if processes > 1 else stream
        stream.sink(Arrivals(path))
        flow.run()
        delays.restore(json.loads(Path(path).read_text()))
    return delays


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
    parser.add_argument("--processes", type=int, choices=(1, 2, 3), default=1)
    parser.add_argument("--records", type=int, default=10_000_000)
    options = parser.parse_args()
    if options.what == "idle":
        print(f"idle: {idle(options.seconds or 60):.2%} of a core (reach < 1%)")
    elif options.what == "latency":
        delays = latency(options.seconds or 30, options.rate, options.processes)
        p50, p99, p9999 = (delays.percentile(p) / 1e6 for p in (50, 99, 99.99))
        most = delays.maximum / 1e6
        print(f"latency: p50 {p50:.2f} ms, p99 {p99:.2f} ms, p99.99 {p9999:.2f} ms, max {most:.2f} ms")
        print("reach: p99 < 5 ms in one process at 1,000/s; p99 < 10 ms, p99.99 < 50 ms over three at 100,000/s")
    else:
        print(f"memory: {memory(options.records) / 1e6:.1f} MB growth (reach < 20 MB)")


if __name__ == "__main__":
    main()
