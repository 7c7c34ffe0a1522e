"""The job that is killed: a count of each key, without an end; as a program, it says when records come to its sink.

It stands by itself, since each worker imports it: the test's own imports would take as long as Headgate's.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from connectors.memory import discard, generate
from engine import Dataflow
from engine.checkpoints import Checkpoints
from engine.job import Job


def counting(keys: int) -> Dataflow:
    """Counts the numbers of each of so many keys."""
    flow = Dataflow("recovery")
    numbers = flow.source(generate(int, count=10**9)).key_by(lambda number: number % keys)
    numbers.stateful_map(lambda state, number: ((state or 0) + 1, number)).sink(discard())
    return flow


def eventually(condition: Callable[[], bool]) -> None:
    """Return once it holds."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def records_flow(job: Job) -> None:
    """Return once records have come to its sinks since its last start."""
    eventually(lambda: job.metrics().records_written > 0)


if __name__ == "__main__":
    running = counting(1_000).start(processes=2, checkpoint=Checkpoints(into=sys.argv[1], interval="200ms"))
    records_flow(running)
    print("records", flush=True)
    running.wait()
