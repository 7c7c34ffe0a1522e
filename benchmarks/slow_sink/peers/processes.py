"""Two processes by hand: what both do, whatever is between them, and how they are started and looked at."""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.slow_sink.ends import Counted, Offered, PacedWriter, as_item
from benchmarks.slow_sink.job import OFFERED
from benchmarks.slow_sink.profiles import Profile
from benchmarks.slow_sink.sampling import Run, Sample, sample
from engine import JobError

BATCH = 100
END_SECONDS = 60.0
"""How long after its profile a peer may still take to end."""

Side = Callable[[Profile, Path, float], None]
"""One process of a peer: with the profile, the folder for notes and sockets, and the rate that is offered."""


class Counts:
    """The map and the count, by hand."""

    def __init__(self) -> None:
        self.times: dict[int, int] = {}

    def __call__(self, number: int) -> Counted:
        item = as_item(number)
        times = self.times[item.key] = self.times.get(item.key, 0) + 1
        return Counted(item.key, times, item.number)


def produce(profile: Profile, folder: Path, offered: float, send: Callable[[list[Counted]], Any]) -> None:
    """Send all that the source offers, counted, in batches."""
    reader, count = Offered(offered, profile.seconds, folder).open(""), Counts()
    batch: list[Counted] = []
    while (numbers := reader.read(BATCH - len(batch))) is not None:
        batch += map(count, numbers)  # type: ignore[arg-type]
        if len(batch) == BATCH:
            send(batch)
            batch = []
        elif not numbers:
            time.sleep(max(0.001, reader.poll_after() or 0.0))
    send(batch)
    reader.close()


def consume(profile: Profile, folder: Path, receive: Callable[[], list[Counted] | None]) -> None:
    """Write all that comes."""
    writer = PacedWriter(profile, 0, folder)
    while (records := receive()) is not None:
        writer.write(records)
    writer.finish()


def run_pair(who: str, profile: Profile, *sides: Side, offered: float = OFFERED) -> Run:
    """Run each side in a process of its own, and look at their memory meanwhile; JobError if one fails."""
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        processes = [spawn.Process(target=side, args=(profile, folder, offered), daemon=True) for side in sides]
        for process in processes:
            process.start()
        until = time.monotonic() + profile.seconds + END_SECONDS
        try:
            samples = sample(lambda timeout: _ended(processes, timeout, until), lambda m: Sample(time.monotonic(), m))
        finally:
            for process in processes:
                process.kill()
                process.join()
        codes = [process.exitcode for process in processes]
        if any(codes):
            raise JobError(f"{who} failed: its processes ended with {codes}")
        return Run.load(who, profile, folder, samples)


def _ended(processes: list[Any], timeout: float, until: float) -> bool:
    alive = [process for process in processes if process.exitcode is None]
    if alive:
        alive[0].join(timeout)
    return not alive or any(process.exitcode for process in processes) or time.monotonic() > until
