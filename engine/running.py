"""Running: a job from start to end in the user's thread, with progress on the terminal, and signals passed on."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from cext.processing_time import Clock
from engine.checkpoints import Checkpoints
from engine.job import Job
from engine.metrics import JobResult

if TYPE_CHECKING:
    from engine.dataflow import Dataflow


def run(
    flow: Dataflow,
    progress: bool | None,
    processes: int | None = None,
    clock: Clock | None = None,
    checkpoint: str | Checkpoints | None = None,
) -> JobResult:
    """Start, show progress, pass signals on, wait."""
    from engine.progress import watch

    job = Job(flow, processes, clock, checkpoint)
    with _signals(job), job.start():
        watch(job, progress)
        return job.wait()


@contextmanager
def _signals(job: Job) -> Iterator[None]:
    """The first SIGINT or SIGTERM drains, the second cancels; outside the main thread signals are not ours.

    One that is ignored stays ignored, as SIGINT is in a program that a shell runs in the background.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    seen = []

    def handle(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        if len(seen) == 1:
            job.stop()
        else:
            job.cancel()

    wanted = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handle) for number in wanted}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:  # None: it was not Python that had set it
                signal.signal(number, handler)
