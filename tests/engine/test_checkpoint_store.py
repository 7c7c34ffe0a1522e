"""The store of checkpoints: whatever stops it, at whatever step, the last complete checkpoint is there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import CheckpointError, cli
from engine.checkpoint_blobs import read_blob, write_blob
from engine.checkpoint_files import Files, LocalFiles
from engine.checkpoint_listing import Found, checkpoints, latest, order_of, verify
from engine.checkpoint_manifest import MANIFEST, Blob, encode
from engine.checkpoint_removal import delete
from engine.checkpoint_store import Pending, Store
from tests.engine.simulated_disk import Crash, Disk

ROOT = "/jobs/shop"


def state(number: int) -> dict[tuple[str, int, str], list[bytes]]:
    """What the checkpoint of that number holds, in pieces."""
    return {
        ("count", 0, "groups"): [b"groups of ", b"%d" % number * number],
        ("count", 1, "groups"): [],
        ("source a/b", 0, "position"): [b"%d" % number],
    }


def fill(pending: Pending, number: int, files: Files | None = None) -> None:
    for (operator, instance, name), chunks in state(number).items():
        pending.add(write_blob(pending.place, operator, instance, name, chunks, files))


def make(store: Store, number: int, savepoint: str | None = None) -> None:
    pending = store.begin(number, savepoint)
    fill(pending, number, store.files)
    pending.commit()


def content(store: Store, found: Found) -> dict[tuple[str, int, str], bytes]:
    assert found.manifest is not None
    blobs = found.manifest.blobs
    return {(b.operator, b.instance, b.name): b"".join(read_blob(store.files, found.folder, b)) for b in blobs}


def number_of(store: Store) -> int:
    """That of the latest checkpoint, which must hold what it was given; 0 if there is none."""
    found, refused = store.latest()
    assert refused == []
    if found is None:
        return 0
    assert found.manifest is not None
    number = found.manifest.number
    assert content(store, found) == {key: b"".join(chunks) for key, chunks in state(number).items()}
    return number


def on(disk: Disk) -> Store:
    return Store(ROOT, "shop", keep=2, files=LocalFiles(ROOT, disk))


class Told:
    """What a program had been told before it stopped."""

    def __init__(self) -> None:
        self.begun = self.committed = self.epoch = 0
        self.saved = False


def program(disk: Disk, told: Told) -> None:
    """A job's checkpoints, a savepoint, a restart, and more checkpoints, of which old ones have to go."""
    for numbers in (range(1, 4), range(4, 7)):
        store = on(disk)
        told.epoch = store.epoch
        for number in numbers:
            told.begun = number
            make(store, number)
            told.committed = number
            if number == 2:
                make(store, number, "by-hand")
                told.saved = True


def steps() -> int:
    disk = Disk()
    program(disk, Told())
    return disk.steps


STEPS = steps()


def check(disk: Disk, told: Told) -> None:
    """The store holds what it had promised, and goes on."""
    store = on(disk)
    assert store.epoch > told.epoch
    assert told.committed <= number_of(store) <= told.begun
    for folder in ("checkpoints", "savepoints"):
        assert all(MANIFEST in store.files.names(f"{folder}/{name}") for name in store.files.names(folder))
    assert not any(verify(store.files, each) for each in store.checkpoints()), "one that was half removed is listed"
    if told.saved:
        saved = store.savepoint("by-hand")
        assert content(store, saved)["source a/b", 0, "position"] == b"2"
    make(store, told.begun + 1)
    assert number_of(store) == told.begun + 1
    assert len(store.files.names("checkpoints")) <= 2


@pytest.mark.parametrize("how", ["kept", "lost", "some"])
def test_a_crash_at_any_step_leaves_the_last_complete_checkpoint(how: str) -> None:
    assert STEPS > 100
    for step in range(1, STEPS + 1):
        disk, told = Disk(), Told()
        disk.crash_at = step
        with pytest.raises(Crash):
            program(disk, told)
        for seed in range(3 if how == "some" else 1):
            check(disk.after_a_crash(how, seed), told)


@settings(max_examples=60)
@given(steps=st.lists(st.integers(1, STEPS), min_size=2, max_size=4), seed=st.integers(0, 2**32))
def test_crashes_one_after_the_other(steps: list[int], seed: int) -> None:
    disk, committed = Disk(), 0
    for number, step in enumerate(steps):
        told = Told()
        disk.crash_at = disk.steps + step
        with suppress(Crash):
            store = on(disk)
            assert number_of(store) >= committed
            for next_one in range(number_of(store) + 1, number_of(store) + 9):
                told.begun = next_one
                make(store, next_one)
                committed = next_one
        disk = disk.after_a_crash("some", seed + number)
    assert number_of(on(disk)) >= committed


def refused_of(work: Callable[[], None]) -> CheckpointError | None:
    try:
        work()
    except CheckpointError as refusal:
        return refusal
    return None


@pytest.mark.parametrize("stays", [True, False], ids=["for good", "once"])
def test_a_full_disk_at_any_step_fails_that_checkpoint_and_no_other(stays: bool) -> None:
    for step in range(1, STEPS + 1):
        disk, told = Disk(), Told()
        disk.fail = lambda now: now >= step if stays else now == step  # noqa: B023 - called in this round
        refusal = refused_of(lambda: program(disk, told))  # noqa: B023 - called in this round
        if refusal is None:
            assert told.committed == 6  # what failed was to remove old ones
        else:
            assert re.search(rf"cannot .*{ROOT}.*: No space left on device\n  hint: make room", str(refusal))
        disk.fail = lambda _: False
        check(disk, told)


def test_a_blob_that_failed_half_written_can_be_written_again() -> None:
    disk = Disk()
    opened = on(disk)
    place = opened.ended
    opened.files.make_folder(place.folder)
    for step in range(1, 4):
        at = disk.steps + step
        disk.fail = at.__eq__
        with pytest.raises(CheckpointError, match=r"cannot write a checkpoint's state to .*No space left"):
            write_blob(place, "op", 0, "state", [b"long" * 10], opened.files)
    blob = write_blob(place, "op", 0, "state", [b"short"], opened.files)
    assert b"".join(read_blob(opened.files, place.folder, blob)) == b"short"


def test_a_checkpoint_that_failed_is_given_up_and_the_next_one_is_made() -> None:
    disk = Disk()
    store = on(disk)
    make(store, 1)
    pending = store.begin(2)
    fill(pending, 2, store.files)
    disk.fail = lambda _: True
    with pytest.raises(CheckpointError, match=r"cannot commit a checkpoint in /jobs/shop/checkpoints/0+2\.0+1: No"):
        pending.commit()
    disk.fail = lambda _: False
    pending.abort()
    pending.abort()
    assert [each.folder for each in store.checkpoints()] == ["checkpoints/000000000001.000001"]
    with pytest.raises(CheckpointError, match="checkpoint 2 is committed or given up already"):
        pending.commit()
    make(store, 2)
    assert number_of(store) == 2


def test_a_checkpoint_is_committed_though_older_ones_stay(caplog: pytest.LogCaptureFixture) -> None:
    disk = Disk()
    store = on(disk)
    make(store, 1)
    make(store, 2)
    pending = store.begin(3)
    fill(pending, 3, store.files)
    publish = store.files.publish

    def full_from_now_on(path: str, data: bytes) -> None:
        publish(path, data)
        disk.fail = lambda _: True

    store.files.publish = full_from_now_on  # type: ignore[method-assign]
    assert pending.commit().number == 3
    assert "checkpoints that are too old are left for now: cannot remove /jobs/shop/checkpoints/" in caplog.text
    disk.fail = lambda _: False
    store.files.publish = publish  # type: ignore[method-assign]
    assert number_of(store) == 3
    make(store, 4)
    assert [each.manifest and each.manifest.number for each in store.checkpoints()] == [3, 4]


# ------------------------------------------------------------------------------------- what is corrupt


def two() -> tuple[Disk, Store]:
    disk = Disk()
    store = on(disk)
    make(store, 1)
    make(store, 2)
    return disk, store


def of_the_second(disk: Disk) -> dict[str, bytes]:
    return {path: file.content for path, file in disk.files().items() if "/000000000002." in path}


def test_any_one_byte_that_changes_is_found() -> None:
    disk, store = two()
    contents = of_the_second(disk)
    assert len(contents) == 4
    for path, content in contents.items():
        for at in range(len(content)):
            changed = bytearray(content)
            changed[at] ^= 1 << at % 8
            refused_for(disk, store, path, bytes(changed))


def test_a_file_that_is_cut_short_or_longer_is_found() -> None:
    disk, store = two()
    for path, content in of_the_second(disk).items():
        for end in range(len(content)):
            refused_for(disk, store, path, content[:end])
        refused_for(disk, store, path, content + b"\n")


def refused_for(disk: Disk, store: Store, path: str, content: bytes) -> None:
    """With that content the second checkpoint is refused, with the file's name, and the first one used."""
    file = disk.files()[path]
    before, file.content = file.content, content
    found, refused = store.latest()
    file.content = before
    assert found is not None
    assert found.manifest is not None
    assert found.manifest.number == 1
    (wrong,) = refused
    assert wrong.startswith(path), (wrong, path)


def test_a_blob_that_is_missing_is_named_with_whose_it_is() -> None:
    disk, store = two()
    path = next(path for path in of_the_second(disk) if "count" in path)
    disk.unlink(path)
    found, (wrong,) = store.latest()
    assert found is not None
    assert wrong.startswith(f"{path} is missing: it had the state 'groups' of operator 'count', instance ")
    second = store.checkpoints()[-1]
    assert second.manifest is not None
    with pytest.raises(CheckpointError, match="is missing"):
        content(store, second)


def test_nothing_whole_is_nothing() -> None:
    disk, store = two()
    for path, file in disk.files().items():
        file.content = b"" if path.endswith(MANIFEST) else file.content
    found, refused = store.latest()
    assert found is None
    assert [MANIFEST in wrong for wrong in refused] == [True, True]


def test_a_manifest_of_a_later_format_says_what_to_do() -> None:
    disk, store = two()
    path = next(path for path in of_the_second(disk) if path.endswith(MANIFEST))
    second = store.checkpoints()[-1].manifest
    assert second is not None
    disk.files()[path].content = encode(msgspec.structs.replace(second, format=2))
    _, (wrong,) = store.latest()
    assert wrong.endswith(
        "has format 2, and this Headgate reads formats up to 1\n  hint: run the job with the version of Headgate that "
        "made it, or a later one"
    )


def test_an_epoch_that_cannot_be_read_is_still_passed() -> None:
    disk = Disk()
    for number in (1, 2, 3):
        make(on(disk), number)
    disk.files()[f"{ROOT}/epoch.json"].content = b"{"
    assert on(disk).epoch == 4


# --------------------------------------------------------------------------------- which are kept


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(str(tmp_path / "a" / "b"), "shop", keep=2) as opened:
        yield opened


def numbers(store: Store) -> list[int]:
    return [order_of(each.folder)[1] for each in store.checkpoints() if each.folder.startswith("checkpoints/")]


def test_the_last_ones_are_kept(store: Store) -> None:
    for number in (1, 2, 3, 4):
        make(store, number)
    assert numbers(store) == [3, 4]


def test_a_directory_that_could_not_be_opened_is_not_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    before = os.listdir("/proc/self/fd")
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(CheckpointError, match=r"cannot open the checkpoints in .*: No space left on device"):
            Store(str(tmp_path), "shop")
    assert os.listdir("/proc/self/fd") == before
    Store(str(tmp_path), "shop").close()


def test_savepoints_stay_until_they_are_deleted(store: Store) -> None:
    make(store, 1, "before-the-move")
    assert number_of(store) == 1
    for number in (2, 3, 4):
        make(store, number)
    assert number_of(store) == 4
    with pytest.raises(CheckpointError, match="savepoints/before-the-move is there already"):
        store.begin(5, "before-the-move")
    with pytest.raises(CheckpointError, match=r"there is no savepoint 'x' in .*\n  hint: there are: before-the-move"):
        store.savepoint("x")
    with pytest.raises(CheckpointError, match=r"a savepoint cannot be called '../x'\n  hint: use letters"):
        store.begin(5, "../x")
    saved = store.savepoint("before-the-move")
    assert content(store, saved)["source a/b", 0, "position"] == b"1"
    with pytest.raises(CheckpointError, match=r"a savepoint cannot be called '12'\n  hint: .*no number"):
        store.begin(5, "12")


def keep_ended(store: Store) -> Blob:
    """As a task does that comes to its end."""
    store.files.make_folder(store.ended.folder)
    blob = write_blob(store.ended, "table", 0, "state", [b"much"], store.files)
    return msgspec.structs.replace(blob, folder=store.ended.folder)


def test_what_a_task_kept_at_its_end_stays_with_the_last_checkpoint_that_has_it(store: Store) -> None:
    def with_ended(number: int) -> None:
        pending = store.begin(number)
        pending.add(ended)
        pending.commit()

    ended = keep_ended(store)
    make(store, 1)
    with_ended(2)
    store.renew()
    unused = keep_ended(store)
    with_ended(3)
    found, refused = store.latest()
    assert found is not None
    assert refused == []
    assert content(store, found) == {("table", 0, "state"): b"much"}
    Path(store.files.root, store.checkpoints()[0].folder, MANIFEST).write_bytes(b"?")
    for number in (4, 5):
        make(store, number)
    there = Path(store.files.root, "checkpoints")
    assert [path.name for path in there.glob("ended.*")] == ["ended.000002"], "the job may have use for its own"
    assert unused.folder == store.ended.folder
    store.close()
    assert not list(there.glob("ended.*"))


def test_what_a_checkpoint_that_cannot_be_read_may_have_stays(store: Store) -> None:
    ended = keep_ended(store)
    pending = store.begin(1)
    pending.add(ended)
    pending.commit()
    make(store, 2)
    manifest = Path(store.files.root, store.checkpoints()[0].folder, MANIFEST)
    content, blob = manifest.read_bytes(), Path(store.files.root, ended.folder or "", ended.file)
    manifest.write_bytes(b"?")
    store.renew()
    assert blob.read_bytes() == b"much"
    manifest.write_bytes(content)
    assert verify(store.files, store.checkpoints()[0]) is None
    blob.write_bytes(b"more")
    assert "ended.000001/table-state-0" in (verify(store.files, store.checkpoints()[0]) or "")


def test_a_corrupt_checkpoint_among_them_goes_when_its_time_has_come(store: Store) -> None:
    for number in (1, 2):
        make(store, number)
    Path(store.files.root, store.checkpoints()[-1].folder, MANIFEST).write_bytes(b"?")
    make(store, 3)
    assert numbers(store) == [1, 2, 3]
    make(store, 4)
    assert numbers(store) == [3, 4]


def test_what_makes_no_sense(store: Store) -> None:
    with pytest.raises(CheckpointError, match="wanted to keep 1 checkpoint or more, came 0"):
        Store(store.files.root, "shop", keep=0)
    pending = store.begin(1)
    blob = write_blob(pending.place, "map", 0, "x", [b""])
    pending.add(blob)
    with pytest.raises(CheckpointError, match="the state 'x' of 'map', instance 0, came twice"):
        pending.add(blob)


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match=r"cannot open the checkpoints in .*/file/x: Not a directory\n  hint: ch"):
        Store(str(tmp_path / "file" / "x"), "shop")


@settings(max_examples=50)
@given(
    keys=st.lists(st.tuples(st.text(max_size=40), st.integers(0, 99), st.text(max_size=40)), max_size=8, unique=True),
    pieces=st.lists(st.binary(max_size=50), max_size=5),
)
def test_operators_may_be_called_anything(keys: list[tuple[str, int, str]], pieces: list[bytes]) -> None:
    keys = [key for key in keys if max(key[0] + key[2] + " ") < "\ud800" or max(key[0] + key[2] + " ") > "\udfff"]
    store = on(Disk())
    pending = store.begin(1)
    for key in keys:
        pending.add(write_blob(pending.place, *key, pieces, store.files))
    pending.commit()
    found, _ = store.latest()
    assert found is not None
    assert content(store, found) == dict.fromkeys(keys, b"".join(pieces))


# ------------------------------------------------------------------------ one job at a time

OTHER = """
import sys
from engine.checkpoint_store import Store
store = Store(sys.argv[1], "other")
print("ready", flush=True)
sys.stdin.read()
"""


def test_two_at_once_are_refused_and_a_dead_one_is_taken_over(tmp_path: Path) -> None:
    root = str(tmp_path)
    command = [sys.executable, "-c", OTHER, root]
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(Path(__file__).parents[2])]))
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"ready\n"
        message = rf"{root} is in use by job 'other', process {other.pid} on .*, since .* UTC\n  hint: let that job end"
        with pytest.raises(CheckpointError, match=message):
            Store(root, "shop")
        other.kill()
    with Store(root, "shop") as store:
        assert store.epoch == 2
        with pytest.raises(CheckpointError, match="is in use by job 'shop'"):
            Store(root, "shop")
    with Store(root, "shop") as store:
        assert store.epoch == 3


def test_who_opened_before_can_commit_nothing_more() -> None:
    disk = Disk()
    zombie = on(disk)
    make(zombie, 1)
    pending = zombie.begin(2)
    fill(pending, 2, zombie.files)
    late = zombie.begin(9)
    successor = on(disk)  # which also removes what the other had begun
    assert number_of(successor) == 1
    message = (
        r"/jobs/shop was taken over by job 'shop', process .* \(epoch 2\); this job, of epoch 1, can commit nothing"
    )
    for each in (pending, late):
        with pytest.raises(CheckpointError, match=message if each is late else "cannot commit|was taken over"):
            each.commit()
    make(successor, 2)
    assert number_of(successor) == 2


def test_who_opened_before_removes_nothing_of_a_savepoint_that_has_the_same_name() -> None:
    disk = Disk()
    zombie = on(disk)
    pending = zombie.begin(1, "kept")
    successor = on(disk)
    make(successor, 1, "kept")
    for late in (pending.abort, lambda: zombie.begin(2, "other")):
        with pytest.raises(CheckpointError, match="was taken over by job 'shop'"):
            late()
    assert successor.savepoint("kept").manifest is not None


def test_blobs_are_written_by_many_threads(store: Store) -> None:
    pending = store.begin(1)
    blobs: list[Blob] = []

    def write(instance: int) -> None:
        blobs.append(write_blob(pending.place, "map", instance, "x", [b"%d" % instance] * 100))

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for blob in blobs:
        pending.add(blob)
    assert pending.commit().size == 800
    found, _ = store.latest()
    assert found is not None
    assert content(store, found) == {("map", n, "x"): b"%d" % n * 100 for n in range(8)}


# ---------------------------------------------------------------------------------------- elsewhere


def test_checkpoints_under_a_url() -> None:
    pytest.importorskip("fsspec")
    url = "memory://jobs/shop"
    with Store(url, "shop", keep=2) as store:
        for number in (1, 2, 3):
            make(store, number)
        make(store, 3, "kept")  # of two that are as late the checkpoint is the latest
        assert (store.epoch, number_of(store), numbers(store)) == (1, 3, [2, 3])
        given_up = store.begin(5)
        fill(given_up, 5)
        given_up.abort()
        store.begin(6).place  # noqa: B018 - and never completed
        fill(store.begin(7), 7)
        with Store(url, "shop") as successor:
            assert (successor.epoch, number_of(successor)) == (2, 3)
            assert content(successor, successor.savepoint("kept"))["source a/b", 0, "position"] == b"3"
            with pytest.raises(CheckpointError, match="memory://jobs/shop was taken over by job 'shop'"):
                make(store, 8)
            blob = successor.checkpoints()[-2].manifest
            assert blob is not None
            successor.files.remove(f"{successor.checkpoints()[-2].folder}/{blob.blobs[0].file}")
            found, (wrong,) = successor.latest()
            assert found is not None
            assert "is missing" in wrong
            make(successor, 9)
            assert delete(url, "kept") == "deleted memory://jobs/shop/savepoints/kept"
            assert [each.folder for each in checkpoints(successor.files)] == [
                "checkpoints/000000000002.000001",
                "checkpoints/000000000003.000001",
                "checkpoints/000000000009.000002",
            ]


def test_a_url_that_cannot_be_used() -> None:
    pytest.importorskip("fsspec")
    with pytest.raises(CheckpointError, match=r"checkpoints cannot be kept under nowhere://x: Protocol not known"):
        Store("nowhere://x", "shop")


def test_without_fsspec_a_url_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(CheckpointError, match=r"checkpoints under s3://x need fsspec\n  hint: pip install headgate"):
        Store("s3://x", "shop")


def test_a_file_url_is_a_directory(tmp_path: Path) -> None:
    with Store(f"file://{tmp_path}/x", "shop") as store:
        make(store, 1)
        assert isinstance(store.files, LocalFiles)
    assert latest(LocalFiles(f"{tmp_path}/x"))[0] is not None


# ---------------------------------------------------------------------------------------- the command


def headgate(*arguments: str) -> tuple[int, str]:
    """The exit code and what it prints."""
    from click.testing import CliRunner

    done = CliRunner().invoke(cli._commands(), ["checkpoints", *arguments])
    return done.exit_code, done.output


def test_the_command_lists_verifies_and_looks_inside(store: Store) -> None:
    pytest.importorskip("click")
    for number in (1, 2):
        make(store, number)
    make(store, 3, "by-hand")
    root = store.files.root
    code, text = headgate(root)
    assert code == 0
    rows = [line.split() for line in text.splitlines()[2:5]]
    assert [(row[0], row[1], row[-1]) for row in rows] == [
        ("1", "shop", "complete"),
        ("2", "shop", "complete"),
        ("by-hand", "shop", "complete"),
    ]
    code, text = headgate(root, "2", "--verify")
    assert code == 0
    assert [line.split() for line in text.splitlines()[-2:]] == [
        ["count", "2", "2", "12"],
        ["source", "a/b", "1", "1", "1"],
    ]
    second = store.checkpoints()[1]
    assert second.manifest is not None
    Path(root, second.folder, second.manifest.blobs[0].file).write_bytes(b"?")
    assert headgate(root)[0] == 0
    code, text = headgate(root, "--verify")
    assert code == 1
    assert "has 1 bytes and had 12 when it was written; it has the state 'groups' of operator 'count'" in text
    as_json = json.loads(headgate(root, "--verify", "--json")[1])
    assert [(each["name"], each["wrong"] is None) for each in as_json] == [("1", True), ("2", False), ("by-hand", True)]


def test_the_command_says_what_the_next_run_goes_on_from(store: Store) -> None:
    pytest.importorskip("click")
    root = store.files.root
    make(store, 1)
    make(store, 2, "by-hand")
    assert headgate(root)[1].splitlines()[-1].startswith("the next run goes on from by-hand; --verify reads all of it")
    for found in reversed(store.checkpoints()):
        last = headgate(root, "--verify")[1].splitlines()[-1]
        assert last == f"the next run goes on from {found.name}"
        Path(root, found.folder, MANIFEST).write_bytes(b"?")
    assert headgate(root)[1].splitlines()[-1] == "no run can go on from here: none of them can be read"


def test_the_command_deletes_what_no_job_goes_on_from(store: Store) -> None:
    pytest.importorskip("click")
    root = store.files.root
    make(store, 1, "first")
    with pytest.raises(
        CheckpointError, match="savepoints/first is the latest: the next run goes on from it\n  hint: let"
    ):
        delete(root, "first")
    make(store, 2)
    make(store, 3, "third")
    make(store, 4)
    assert headgate(root, "first", "--delete") == (0, f"deleted {root}/savepoints/first\n")  # while it is open
    assert headgate(root, "2", "--delete")[0] == 0
    assert [each.name for each in store.checkpoints()] == ["4", "third"]
    store.close()
    with Store(root, "shop") as running:
        in_use = "is in use by job 'shop', .* and has made no checkpoint of its own yet: it may go on from .*third\n"
        with pytest.raises(CheckpointError, match=in_use):
            delete(root, "third")
        make(running, 5)
        make(running, 5, "fifth")
        delete(root, "third")
    with pytest.raises(CheckpointError, match=r"wanted a checkpoint 'third' in .*\n  hint: there are: 4, 5, fifth"):
        delete(root, "third")
    Path(root, "savepoints", "fifth", MANIFEST).write_bytes(b"?")
    delete(root, "fifth")  # of a directory that nobody has open, and which is no checkpoint any more
    delete(root, "4")
    Path(root, store.checkpoints()[-1].folder, MANIFEST).write_bytes(b"?")
    delete(root, "5")
    assert store.checkpoints() == []


def test_of_two_that_have_one_number_it_must_be_said_which(store: Store) -> None:
    make(store, 1)
    store.renew()
    make(store, 1)
    with pytest.raises(CheckpointError, match=r"has 2 checkpoints '1'\n  hint: say which: 1\.1, 1\.2"):
        delete(store.files.root, "1")
    delete(store.files.root, "1.1")
    assert [each.full_name for each in store.checkpoints()] == ["1.2"]


@pytest.mark.parametrize("arguments", [(), ("a", "--verify"), ("a", "--json")])
def test_a_deletion_wants_one_name_and_nothing_else(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    pytest.importorskip("click")
    code, text = headgate(str(tmp_path), *arguments, "--delete")
    assert code == 2
    assert "--delete wants the NAME of one" in text


@pytest.mark.parametrize(
    ("name", "message"),
    [(None, "wanted checkpoints in .*, found none\n  hint: name the directory"), ("9", "wanted a checkpoint '9' in")],
)
def test_what_the_command_does_not_find(tmp_path: Path, name: str | None, message: str) -> None:
    from engine.checkpoint_view import look

    with pytest.raises(CheckpointError, match=message):
        look(str(tmp_path), name, whole=False)
    assert os.listdir(tmp_path) == []


def test_a_savepoint_copied_to_a_fresh_directory_does_not_outrank_what_follows(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for number in (1, 2, 3):
        with Store(str(old), "shop") as store:
            make(store, number)
    with Store(str(old), "shop") as store:
        make(store, 4, "kept")
    shutil.copytree(old / "savepoints", new / "savepoints")
    with Store(str(new), "shop") as store:
        assert number_of(store) == 4
        assert store.epoch == 5, "one more than the savepoint's"
        make(store, 5)
    with Store(str(new), "shop") as store:
        assert number_of(store) == 5
