"""Jobs whose store does not answer, or not for long: nobody waits for it longer than for anything else."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import Dataflow, JobCancelled, keeper, part
from engine import job as of_job
from engine.checkpoint_blobs import _file_name
from engine.checkpoint_files import LocalFiles
from engine.checkpoint_store import Pending, Store, TakenOver
from engine.checkpoints import Checkpoints
from engine.errors import CheckpointError
from engine.settings import Settings
from engine.sink import Sink, SinkContext, Writer
from tests.engine.saved import Numbers, Shown
from tests.engine.test_checkpoint_store import fill, make, number_of
from tests.engine.test_checkpoints import COUNT, PARTS, WANTED, Trouble, counting, often

LONG = 30.0
"""Seconds in which everything that is not stuck ends."""


class Hanging:
    """The first call comes back when `answer` is set, all others at once."""

    def __init__(self, call: Any) -> None:
        self.call = call
        self.came, self.answer = threading.Event(), threading.Event()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self.came.is_set():
            self.came.set()
            self.answer.wait()
        return self.call(*args, **kwargs)


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (part, of_job):
        monkeypatch.setattr(module, "STUCK_SECONDS", 0.2)


@pytest.fixture
def hanging(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hanging]:
    owner, name = request.param
    call = Hanging(getattr(owner, name))
    monkeypatch.setattr(owner, name, lambda *args, **kwargs: call(*args, **kwargs))  # noqa: PLW0108 - it is bound
    yield call
    call.answer.set()
    for thread in threading.enumerate():
        if thread.name in {"headgate-keeper", "headgate-checkpoints"} or thread.name.startswith("headgate-restart"):
            thread.join()


WRITE, COMMIT, RENEW = (keeper, "write_blob"), (Pending, "commit"), (Store, "renew")


@pytest.mark.usefixtures("hurry")
@pytest.mark.parametrize(
    ("hanging", "who"), [(WRITE, "headgate-keeper"), (COMMIT, "headgate-checkpoints")], indirect=["hanging"]
)
def test_a_cancelled_job_leaves_what_does_not_come_back(tmp_path: Path, hanging: Hanging, who: str) -> None:
    job = counting(Shown(), None, Numbers(COUNT, PARTS, until=10)).start(checkpoint=often(tmp_path))
    assert hanging.came.wait(LONG)
    job.cancel()
    with pytest.raises(JobCancelled, match=f"was cancelled, but a call of {who} did not come back; it was left"):
        job.wait(LONG)
    hanging.answer.set()
    sink = Shown()
    assert counting(sink).run(checkpoint=str(tmp_path)).state == "finished"
    assert Counter(sink.rows) == WANTED


@pytest.mark.usefixtures("hurry")
@pytest.mark.parametrize("hanging", [WRITE, COMMIT], indirect=True)
def test_a_restart_goes_on_without_what_does_not_come_back(tmp_path: Path, hanging: Hanging) -> None:
    """Which then commits nothing."""
    sink, planted = Shown(), iter([RuntimeError("planted")])

    def trouble(number: int) -> int:
        if hanging.came.wait(0.001):
            for error in planted:
                raise error
        return number

    job = counting(sink, trouble, Numbers(COUNT, PARTS, at_once=1)).start(checkpoint=often(tmp_path))
    assert job.wait(LONG).state == "finished"
    assert Counter(sink.rows) == WANTED
    hanging.answer.set()


@pytest.mark.usefixtures("hurry")
@pytest.mark.parametrize("hanging", [RENEW], indirect=True)
def test_a_job_that_is_cancelled_while_it_starts_anew_does_not_wait_for_the_store(
    tmp_path: Path, hanging: Hanging
) -> None:
    job = counting(Shown(), Trouble(10, 1)).start(checkpoint=Checkpoints(into=str(tmp_path), interval="1h"))
    assert hanging.came.wait(LONG)
    job.cancel()
    assert job.join(LONG)


def test_a_checkpoint_of_an_earlier_life_is_none(tmp_path: Path) -> None:
    with Store(str(tmp_path), "shop") as store:
        make(store, 1)
        late = store.begin(2)
        fill(late, 2)
        store.renew()
        with pytest.raises((TakenOver, CheckpointError), match="of epoch 1, can commit nothing more"):
            late.commit()
        assert number_of(store) == 1


def test_nor_is_one_whose_commit_was_all_but_done(tmp_path: Path) -> None:
    class System:
        def __getattr__(self, name: str) -> Any:
            return getattr(os, name)

        def rename(self, old: str, new: str) -> None:
            if "000000000002" in new:
                store.renew()
            os.rename(old, new)

    store = Store(str(tmp_path), "shop", files=LocalFiles(str(tmp_path), System()))
    make(store, 1)
    late = store.begin(2)
    fill(late, 2)
    with pytest.raises(CheckpointError, match="cannot commit a checkpoint"):
        late.commit()
    assert number_of(store) == 1


class AtLeastOnce(Sink[int]):
    """Which holds up no end for a checkpoint."""

    at_home = True
    blocking = False

    def __init__(self) -> None:
        self.rows: list[int] = []

    def open(self, context: SinkContext) -> Writer[int]:
        return _AtLeastOnceWriter(self.rows)


class _AtLeastOnceWriter(Writer[int]):
    def __init__(self, rows: list[int]) -> None:
        self._rows = rows

    def write(self, records: list[int]) -> None:
        self._rows += records


def spread(number: int) -> int:
    return number


def much(state: str | None, number: int) -> tuple[str, int]:
    return "x" * 2_000, number


def test_a_worker_that_writes_what_it_keeps_at_its_end_is_not_lost(tmp_path: Path) -> None:
    flow, sink = Dataflow("much", settings=Settings(silence="1s", beat="100ms")), AtLeastOnce()
    flow.source(Numbers(2_000)).key_by(spread).stateful_map(much, name="much").sink(sink)
    folder = tmp_path / "checkpoints" / "ended.000001"
    job = of_job.Job(flow, 2, None, Checkpoints(into=str(tmp_path), interval="1h", restarts=0))
    folder.mkdir()
    blocked = folder / _file_name("much", 1, keeper.STATE)
    os.mkfifo(blocked)
    with job.start():
        fd = os.open(blocked, os.O_RDONLY)  # comes back when the worker opens it to write
        blocked.unlink()
        try:
            assert not job.join(1.5)
        finally:
            os.close(fd)
        assert job.wait(LONG).state == "finished"
    assert sorted(sink.rows) == list(range(2_000))


@pytest.mark.parametrize("hanging", [(Store, "close")], indirect=True)
def test_a_store_that_is_slow_to_close_stops_nobody_who_asks(tmp_path: Path, hanging: Hanging) -> None:
    job = counting(Shown()).start(checkpoint=str(tmp_path))
    assert hanging.came.wait(LONG)
    assert job.metrics().records_read == PARTS * COUNT
    job.stop()
    job.cancel()
    assert not job.join(0.01)
    hanging.answer.set()
    assert job.wait(LONG).state == "finished"
