"""Checkpoints that are there and cannot be read now, or no longer: a job never takes them for none."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine import OperatorError, restarts
from engine.checkpoint_blobs import Unreadable
from engine.checkpoint_files import LocalFiles
from engine.checkpoint_manifest import MANIFEST
from engine.checkpoint_store import Store
from engine.job import Job
from tests.engine.saved import Numbers, Shown
from tests.engine.test_checkpoint_store import make, number_of
from tests.engine.test_checkpoints import COUNT, PARTS, WANTED, Trouble, counting, often


@pytest.mark.parametrize("suffix", [MANIFEST, ".blob"])
def test_nobody_goes_back_since_the_latest_cannot_be_read_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    with Store(str(tmp_path), "shop") as store:
        make(store, 1)
        make(store, 2)
        with monkeypatch.context() as patched:
            fail_reading(patched, "000000000002", suffix, times=10)
            with pytest.raises(Unreadable, match=rf"0002\.000001/.*{suffix} cannot be read: .*\n  hint: try"):
                store.latest()
        assert number_of(store) == 2


def fail_reading(monkeypatch: pytest.MonkeyPatch, *parts: str, times: int) -> None:
    """Of files whose path has all these parts, so many `times`."""
    left, real = iter(range(times)), LocalFiles.read

    def read(files: LocalFiles, path: str) -> Iterator[bytes]:
        if all(part in path for part in parts) and next(left, None) is not None:
            raise OSError(errno.EIO, "Input/output error")
        return real(files, path)

    monkeypatch.setattr(LocalFiles, "read", read)


def failing(directory: Path, sink: Shown, then: Callable[[], None]) -> Job:
    """A job that has made two checkpoints, does `then`, and fails once after that; it has two restarts."""
    numbers, trouble = Numbers(COUNT, PARTS, until=COUNT // 2), Trouble(COUNT, 0)
    job = counting(sink, trouble, numbers).start(checkpoint=often(directory, restarts=2))
    while (made := job.metrics().checkpoints) is None or made.made < 2:
        job.join(0.001)
    then()
    trouble.times, numbers.until = 1, None
    return job


def test_a_restart_tries_again_where_it_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(restarts, "FIRST_SECONDS", 0.001)
    sink = Shown()
    job = failing(tmp_path, sink, lambda: fail_reading(monkeypatch, ".blob", times=1))
    assert job.wait().state == "finished"
    assert Counter(sink.rows) == WANTED
    assert "Input/output error" in caplog.text
    assert "is not used" not in caplog.text


def test_a_restart_goes_on_from_nothing_before_the_last_that_it_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restarts, "FIRST_SECONDS", 0.001)
    renew, torn = Store.renew, list[Path]()

    def tear(store: Store) -> None:
        renew(store)
        if not torn:
            torn.append(max((tmp_path / "checkpoints").glob(f"*/{MANIFEST}")))
            torn[0].write_bytes(b"?")

    job = failing(tmp_path, Shown(), lambda: monkeypatch.setattr(Store, "renew", tear))
    with pytest.raises(OperatorError, match="planted") as failed:
        job.wait()
    last = int(torn[0].parent.name[:12])
    assert f"checkpoint {last} of this job is gone from {tmp_path} or not whole" in str(failed.value.__notes__)
    assert f"any more: {last - 1} is the last" in str(failed.value.__notes__)
