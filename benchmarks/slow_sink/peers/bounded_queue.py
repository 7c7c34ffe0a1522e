"""`multiprocessing.Queue(maxsize)`, with batches of 100."""

from __future__ import annotations

import multiprocessing
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.slow_sink.job import OFFERED
from benchmarks.slow_sink.peers.processes import consume, produce, run_pair
from benchmarks.slow_sink.profiles import Profile
from benchmarks.slow_sink.sampling import Run

BATCHES = 100


def run(profile: Profile, offered: float = OFFERED) -> Run:
    """Run it."""
    queue = multiprocessing.get_context("spawn").Queue(BATCHES)
    return run_pair("mp.Queue", profile, partial(put, queue), partial(get, queue), offered=offered)


def put(queue: Any, profile: Profile, folder: Path, offered: float) -> None:
    """The source's process."""
    produce(profile, folder, offered, queue.put)
    queue.put(None)


def get(queue: Any, profile: Profile, folder: Path, offered: float) -> None:
    """The sink's process."""
    consume(profile, folder, queue.get)
