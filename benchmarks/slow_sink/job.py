"""The job that is measured: source -> map -> key_by -> count -> sink, over one, two or three processes."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.slow_sink.ends import Counted, Offered, Paced, as_item
from benchmarks.slow_sink.profiles import Profile
from benchmarks.slow_sink.sampling import Run, Sample, sample
from engine import Dataflow, Job, Settings, count, max_

OFFERED = 100_000.0
TARGET_SECONDS = 0.2
SETTINGS = Settings(beat="20ms")  # so that samples every 50 ms are true


def build(profile: Profile, processes: int, folder: Path, offered: float = OFFERED) -> Dataflow:
    """The flow; each stage has a process: the sink the last one, the count the last but one."""
    flow = Dataflow("slow-sink", settings=SETTINGS)
    items = flow.source(Offered(offered, profile.seconds, folder), name="source").map(as_item, name="map")
    if processes == 3:
        items = items.stage("count")
    counted = items.key_by("key").aggregate(
        times=count(), number=max_("number"), emit="update", type=Counted, name="count"
    )
    if processes > 1:
        counted = counted.stage("load")
    if profile.sinks > 1:
        counted = counted.rebalance(profile.sinks)
    counted.sink(Paced(profile, folder), name="sink")
    return flow


def run(profile: Profile, processes: int, offered: float = OFFERED) -> Run:
    """Run it to its end, and look at it meanwhile."""
    with tempfile.TemporaryDirectory() as name:
        with build(profile, processes, Path(name), offered).start() as job:
            samples = sample(job.join, lambda memory: _look(job, memory))
            result = job.wait()
        found = Run.load("headgate", profile, Path(name), samples)
    return replace(found, bound=result.bound, most_in_flight=result.most_in_flight)


def _look(job: Job, memory: int) -> Sample:
    metrics = job.metrics()
    return Sample(time.monotonic(), memory, metrics.in_flight, metrics.credit)
