"""A job that goes on though its database goes away, its disk is full or a checkpoint is damaged; and two at once."""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from connectors.files import json_lines_file
from engine import Dataflow
from engine.errors import CheckpointError
from tests.connectors.conftest import postgres, running_postgres  # noqa: F401 - fixtures
from tests.faults.conftest import eventually
from tests.faults.counted import Row, Slow, count_up, counted, often, wanted
from tests.faults.test_jobs_go_on import check
from tests.faults.timed import key_of

if TYPE_CHECKING:
    from tests.connectors.postgres_server import PostgresServer

pytestmark = pytest.mark.timeout(60)

COUNT = 5_000


def manifests(folder: Path) -> list[Path]:
    """The oldest first: folders are called by number and epoch. They come and go while a job runs."""
    return sorted(folder.glob("kept/*/*/manifest.json"))


def await_checkpoints(folder: Path, more: int = 2) -> None:
    """Until so many more than there are now have been made, though only the last ones are kept."""
    seen = set(manifests(folder))
    wanted = len(seen) + more

    def made() -> bool:
        seen.update(manifests(folder))
        return len(seen) >= wanted

    eventually(made, "no checkpoints were made")


def test_a_server_that_goes_away_and_comes_back(
    tmp_path: Path,
    postgres: PostgresServer,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("HEADGATE_TEST_MARK")  # the server stays
    with counted(tmp_path, COUNT, postgres.conninfo()).start(checkpoint=often(tmp_path)) as job:
        for _ in range(2):
            await_checkpoints(tmp_path)
            postgres.stop()
            job.join(0.3)
            postgres.start()
        await_checkpoints(tmp_path)
        (tmp_path / "hurry").touch()
        assert job.wait(40).state == "finished"
    check(tmp_path, COUNT, postgres)


def test_a_database_that_stays_locked_for_too_long(tmp_path: Path) -> None:
    from connectors.sqlite import sqlite_table

    (tmp_path / "hurry").touch()
    with closing(sqlite3.connect(tmp_path / "out.db", isolation_level=None)) as db:
        flow = Dataflow("locked")
        rows = flow.source(Slow(300, tmp_path / "hurry")).key_by(key_of).stateful_map(count_up, type=Row)
        rows.sink(sqlite_table(tmp_path / "out.db", "t", timeout=0.1))
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("BEGIN IMMEDIATE")
        with flow.start(checkpoint=often(tmp_path)) as job:
            eventually(lambda: job._restarts.count > 1, "the lock was never met")
            db.execute("COMMIT")
            assert job.wait(40).state == "finished"
        assert [Row(*row) for row in db.execute("SELECT * FROM t ORDER BY part, number")] == wanted(300)


@contextmanager
def small_disk(path: Path) -> Iterator[None]:
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "headgate-test", str(path)]
    if subprocess.run(mount, capture_output=True, timeout=20, check=False).returncode:
        pytest.skip("needs the right to mount a file system, to have a full one")
    try:
        yield
    finally:
        subprocess.run(["umount", str(path)], timeout=20, check=True)


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as full:
        while True:
            full.write(b"x" * 4096)


def into_file(folder: Path, count: int) -> Dataflow:
    flow = Dataflow("into file")
    rows = flow.source(Slow(count, folder / "hurry")).key_by(key_of).stateful_map(count_up, type=Row)
    rows.sink(json_lines_file(folder / "out.jsonl"))
    return flow


def file_rows(folder: Path) -> list[Row]:
    return sorted(Row(*json.loads(line)) for line in (folder / "out.jsonl").read_text().splitlines())


def test_a_full_disk_under_the_checkpoints(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The job goes on without; once there is room again the next one is made."""
    with small_disk(tmp_path / "kept"), caplog.at_level(logging.WARNING, "headgate"):
        filler = tmp_path / "kept" / "filler"
        with into_file(tmp_path, COUNT).start(checkpoint=often(tmp_path)) as job:
            await_checkpoints(tmp_path)
            with pytest.raises(OSError, match="No space left"):
                fill(filler)
            eventually(lambda: "was given up" in caplog.text, "the full disk was never met")
            filler.unlink()
            await_checkpoints(tmp_path)
            (tmp_path / "hurry").touch()
            assert job.wait(40).state == "finished"
        assert "No space left on device" in caplog.text
    assert file_rows(tmp_path) == wanted(COUNT)


def test_a_full_disk_under_the_sink_and_the_checkpoints(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Attempts fail one after the other, until there is room."""
    disk = tmp_path / "disk"
    with small_disk(disk), caplog.at_level(logging.WARNING, "headgate"):
        with into_file(disk, COUNT).start(checkpoint=often(disk)) as job:
            await_checkpoints(disk)
            with pytest.raises(OSError, match="No space left"):
                fill(disk / "filler")
            eventually(lambda: "(restart 2 of 20)" in caplog.text, "the full disk was never met")
            (disk / "filler").unlink()
            await_checkpoints(disk)
            (disk / "hurry").touch()
            assert job.wait(40).state == "finished"
        assert "No space left on device" in caplog.text
        assert file_rows(disk) == wanted(COUNT)


def _flip(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0x40]) + data[middle + 1 :]


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


@pytest.mark.parametrize("damage", [_flip, _cut])
@pytest.mark.parametrize("what", ["blob", "manifest"])
def test_a_checkpoint_that_was_damaged_is_named_and_the_one_before_it_used(
    what: str, damage: Callable[[bytes], bytes], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    job = into_file(tmp_path, COUNT).start(checkpoint=often(tmp_path))
    await_checkpoints(tmp_path, 3)
    job.stop()
    job.wait(40)
    last = manifests(tmp_path)[-1].parent
    blobs = sorted(last.glob("*.blob"), key=lambda path: path.stat().st_size)
    damaged = blobs[-1] if what == "blob" else last / "manifest.json"
    damaged.write_bytes(damage(damaged.read_bytes()))
    (tmp_path / "hurry").touch()
    with caplog.at_level(logging.WARNING, "headgate"):
        assert into_file(tmp_path, COUNT).run(checkpoint=often(tmp_path)).state == "finished"
    assert "a checkpoint is not used" in caplog.text
    assert f"{last.name}/{damaged.name}" in caplog.text
    assert file_rows(tmp_path) == wanted(COUNT)


def test_two_jobs_on_one_directory(tmp_path: Path) -> None:
    with into_file(tmp_path, COUNT).start(checkpoint=often(tmp_path)) as job:
        await_checkpoints(tmp_path)
        with pytest.raises(CheckpointError, match=rf"kept is in use by job 'into file', process {os.getpid()}"):
            into_file(tmp_path, COUNT).run(checkpoint=often(tmp_path))
        (tmp_path / "hurry").touch()
        assert job.wait(40).state == "finished"
    assert file_rows(tmp_path) == wanted(COUNT)
