"""Jobs in which a source skips barriers, as checkpoints are given up while it stands still."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from engine import Dataflow, keeper
from engine import job as of_job
from engine.checkpoint_blobs import write_blob
from engine.checkpoints import Checkpoints
from engine.errors import CheckpointError
from engine.job import Job
from engine.source import Reader, Source
from tests.engine.saved import Shown


class Steps(Source[int]):
    """`sign` times 1, 2, 3... until `end`; after the first ten it gives no more before `go`."""

    type = int
    resumable = True
    blocking = True

    def __init__(self, sign: int, go: threading.Event, end: threading.Event) -> None:
        self.sign, self.go, self.end = sign, go, end
        self.given = 0

    def partitions(self) -> Sequence[str]:
        return [""]

    def open(self, partition: str) -> Reader[int]:
        return _StepsReader(self)


class _StepsReader(Reader[int]):
    def __init__(self, source: Steps) -> None:
        self._source, self._at = source, 0

    def read(self, limit: int) -> Sequence[int] | None:
        if self._at == 10:
            self._source.go.wait()
        if self._source.end.is_set() and self._at >= self._source.given:
            return None
        self._at += 1
        self._source.given = max(self._source.given, self._at)
        return [self._source.sign * self._at]

    def position(self) -> int:
        return self._at

    def seek(self, position: int) -> None:
        self._at = position


def counted(state: int | None, number: int) -> tuple[int, tuple[int, int]]:
    return (state or 0) + 1, (number, (state or 0) + 1)


def wait_until(job: Job, what: Callable[[], bool]) -> None:
    while not what():
        assert not job.join(0.002)


def test_what_others_give_meanwhile_goes_on_and_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go, free, end, full, broken = (threading.Event() for _ in range(5))
    free.set()
    full.set()
    steady, slow, sink = Steps(1, free, end), Steps(-1, go, end), Shown()

    def write_or_fail(*args: Any) -> Any:
        if full.is_set():
            raise CheckpointError("planted")
        return write_blob(*args)

    def trouble(result: Any) -> Any:
        if broken.is_set():
            broken.clear()
            raise RuntimeError("planted")
        return result

    monkeypatch.setattr(keeper, "write_blob", write_or_fail)
    monkeypatch.setattr(of_job, "MOST_FAILURES", 10**9)
    flow = Dataflow("skipped")
    numbers = flow.source(steady).union(flow.source(slow))
    numbers.key_by(lambda number: number > 0).stateful_map(counted).map(trouble).sink(sink)
    with flow.start(checkpoint=Checkpoints(into=str(tmp_path), interval="1ms")) as job:

        def figures() -> Any:
            return job.metrics().checkpoints

        wait_until(job, lambda: figures().given_up >= 1)
        before = steady.given
        wait_until(job, lambda: steady.given > before + 5_000)  # more than there is room for on the way
        full.clear()
        go.set()
        wait_until(job, lambda: figures().made >= 2)
        broken.set()
        wait_until(job, lambda: figures().restarts == 1)
        made = figures().made
        wait_until(job, lambda: figures().made > made)
        end.set()
    for sign, source in ((1, steady), (-1, slow)):
        assert sorted(row for row in sink.rows if row[0] * sign > 0) == sorted(
            (sign * (n + 1), n + 1) for n in range(source.given)
        )
