"""The store of a job's checkpoints: written whole or not at all, the last few kept, one job at a time."""

from __future__ import annotations

import logging
import re
import uuid
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType

import msgspec

from engine.checkpoint_blobs import Place, files_at, trying_to
from engine.checkpoint_files import Files, LocalFiles
from engine.checkpoint_listing import (
    CHECKPOINTS,
    SAVEPOINTS,
    Found,
    checkpoints,
    found_in,
    latest,
    order_of,
    remove,
    verify,
)
from engine.checkpoint_lock import DirectoryLock, Holder, holder
from engine.checkpoint_manifest import MANIFEST, Blob, Manifest, Program, encode
from engine.errors import CheckpointError

_logger = logging.getLogger("headgate")

EPOCH = "epoch.json"
_ENDED = "ended."
_NAME = re.compile(r"(?![0-9.]*$)[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")


class TakenOver(CheckpointError):
    """Somebody else has opened the store since: nothing that is done here counts any more."""

    final = True  # another attempt would take it back


class Epoch(msgspec.Struct, frozen=True):
    """The last opening of a store; `holder` also tells it from one that was made at the same moment elsewhere.

    `line` is the same for all openings of a store, and no other one's.
    """

    format: int
    epoch: int
    holder: Holder
    line: str = ""


def opened(files: Files) -> Epoch | None:
    """The last opening of the store that is there."""
    try:
        return msgspec.json.decode(b"".join(files.read(EPOCH)), type=Epoch)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None  # of one that cannot be read the folders' names tell as much as must be known


class Store:
    """A job's checkpoints, opened to write: one at a time, by one thread at a time.

    A local directory is locked while it is open; what somebody else has open is refused, and what a process had that
    died is taken over. Under a URL there is no lock: there, as everywhere, each opening counts the `epoch` up, and
    whoever opened before can commit nothing any more. (Between an object store's look and its PUT a moment
    remains. What an older epoch commits in it ranks behind all that the newer one does.)

    >>> import tempfile
    >>> from engine.checkpoint_blobs import read_blob, write_blob
    >>> folder = tempfile.mkdtemp()
    >>> with Store(folder, "shop") as store:
    ...     pending = store.begin(1)
    ...     pending.add(write_blob(pending.place, "count", 0, "groups", [b"state"]))
    ...     print(pending.commit().number)
    1
    >>> with Store(folder, "shop") as store:
    ...     found, refused = store.latest()
    ...     (blob,) = found.manifest.blobs
    ...     print(store.epoch, b"".join(read_blob(store.files, found.folder, blob)), refused)
    2 b'state' []
    """

    def __init__(self, root: str, job: str, *, keep: int = 3, files: Files | None = None) -> None:
        if keep < 1:
            raise CheckpointError(f"wanted to keep 1 checkpoint or more, came {keep!r}")
        self.files = files or files_at(root)
        self._job, self._keep = job, keep
        self._lock: DirectoryLock | None = None
        with trying_to("open the checkpoints in", self.files.root):
            for folder in ("", CHECKPOINTS, SAVEPOINTS):
                self.files.make_folder(folder)
            if files is None and isinstance(self.files, LocalFiles):
                self._lock = DirectoryLock(self.files.root, holder(job))
        try:
            self._open(holder(job))
        except BaseException:
            self._unlock()
            raise

    def _open(self, who: Holder) -> None:
        with trying_to("open the checkpoints in", self.files.root):
            before = opened(self.files)
            epochs = [order_of(f"{CHECKPOINTS}/{name}")[0] for name in self.files.names(CHECKPOINTS)]
            # A savepoint's name has none, and it may have been copied here from a store that was opened more often.
            epochs += [each.manifest.epoch for each in checkpoints(self.files) if each.manifest is not None]
            line = before.line if before and before.line else uuid.uuid4().hex
            self._mine = Epoch(1, max(before.epoch if before else 0, 0, *epochs) + 1, who, line)
            self.files.publish(EPOCH, msgspec.json.encode(self._mine))
            self.check_epoch()
            self._clean()

    @property
    def epoch(self) -> int:
        """Which opening of this store this is, from 1: greater than that of any before."""
        return self._mine.epoch

    @property
    def line(self) -> str:
        """What tells these checkpoints from those of any other store."""
        return self._mine.line

    def renew(self) -> None:
        """Open it anew, for the next life of the same job: the epoch before can commit nothing any more.

        Raises `TakenOver` if somebody else has opened it: where there is no lock, the two would take it from each other
        for ever.
        """
        self.check_epoch()
        self._open(holder(self._job))

    @property
    def ended(self) -> Place:
        """Where tasks that have ended put what is large and every later checkpoint has; gone with the last of these."""
        return Place(self.files.root, f"{CHECKPOINTS}/{_ENDED}{self.epoch:06}")

    def check_epoch(self, epoch: int | None = None) -> None:
        """Raise `TakenOver` if somebody else has opened the store since, or this job itself after `epoch`."""
        there = opened(self.files)
        if there != self._mine or epoch not in {None, self.epoch}:
            who = f"{there.holder} (epoch {there.epoch})" if there else "nobody who says so"
            raise TakenOver(
                f"{self.files.root} was taken over by {who}; "
                f"this job, of epoch {epoch or self.epoch}, can commit nothing more",
                hint="one of the two must end: they would write the same results twice",
            )

    # ------------------------------------------------------------------------------- writing

    def begin(self, number: int, savepoint: str | None = None, program: Program | None = None) -> Pending:
        """Begin the checkpoint of this `number`, above those of all before; or a savepoint, kept until `delete`.

        `program`: of what flow it is, for who goes on from it.
        """
        folder = f"{CHECKPOINTS}/{number:012}.{self.epoch:06}"
        if savepoint is not None:
            self.check_name(savepoint)
            folder = f"{SAVEPOINTS}/{savepoint}"
        with trying_to("begin a checkpoint in", f"{self.files.root}/{folder}"):
            self.check_epoch()
            self.files.remove_folder(folder)
            self.files.make_folder(folder)
        manifest = Manifest(
            job=self._job,
            epoch=self.epoch,
            number=number,
            time=datetime.now(UTC),
            savepoint=savepoint,
            program=program or Program(),
        )
        return Pending(self, folder, manifest)

    def check_name(self, savepoint: str) -> None:
        """Raise `CheckpointError` where a new savepoint cannot be called so."""
        if not isinstance(savepoint, str) or not _NAME.fullmatch(savepoint):
            hint = "use letters, digits, -, _ and ., and no number, which names a checkpoint"
            raise CheckpointError(f"a savepoint cannot be called {savepoint!r}", hint=hint)
        folder = f"{SAVEPOINTS}/{savepoint}"
        with trying_to("begin a checkpoint in", f"{self.files.root}/{folder}"):
            if MANIFEST in self.files.names(folder):
                raise CheckpointError(f"{self.files.root}/{folder} is there already", hint="take another name")

    def let_go_of_old_ones(self) -> None:
        """Remove all but the last checkpoints to keep."""
        there = [each for each in checkpoints(self.files) if each.folder.startswith(f"{CHECKPOINTS}/")]
        whole = [each for each in there if each.manifest is not None]
        oldest = whole[-self._keep].folder if len(whole) >= self._keep else None
        for each in there:
            if each.folder == oldest:
                break
            if oldest is not None:
                with trying_to("remove", f"{self.files.root}/{each.folder}"):
                    remove(self.files, each.folder)
        self._clean_ended(self.ended.folder)

    def _clean(self) -> None:
        """Remove what was begun and never completed."""
        for parent in (CHECKPOINTS, SAVEPOINTS):
            for name in self.files.names(parent):
                if not name.startswith(_ENDED) and MANIFEST not in self.files.names(f"{parent}/{name}"):
                    self.files.remove_folder(f"{parent}/{name}")
        self._clean_ended()

    def _clean_ended(self, *needed: str) -> None:
        """Remove what tasks have left at their ends, where no checkpoint has it, nor one may that is yet to come.

        As long as there is a checkpoint that cannot be read all stays: it may have some, and be put right.
        """
        ended = [f"{CHECKPOINTS}/{name}" for name in self.files.names(CHECKPOINTS) if name.startswith(_ENDED)]
        if not set(ended) - set(needed):
            return
        there = [each.manifest for each in self.checkpoints()]
        used = {blob.folder for manifest in there if manifest for blob in manifest.blobs}
        for folder in ended:
            if None not in there and folder not in used and folder not in needed:
                self.files.remove_folder(folder)

    # ------------------------------------------------------------------------------- reading

    def checkpoints(self) -> list[Found]:
        """All that are there, the latest last, and behind them the savepoints."""
        return checkpoints(self.files)

    def latest(self) -> tuple[Found | None, list[str]]:
        """The latest checkpoint or savepoint that is whole, and what is wrong with later ones. Reads all of it.

        Raises `Unreadable` where one of these cannot be read now.
        """
        with trying_to("look for checkpoints in", self.files.root):
            return latest(self.files)

    def savepoint(self, name: str) -> Found:
        """The savepoint of that name, verified."""
        found = found_in(self.files, SAVEPOINTS, name) if _NAME.fullmatch(name) else None
        wrong = verify(self.files, found) if found else f"there is no savepoint {name!r} in {self.files.root}"
        if found is None or wrong:
            raise CheckpointError(wrong or "", hint=f"there are: {', '.join(self.files.names(SAVEPOINTS)) or 'none'}")
        return found

    def close(self) -> None:
        """Let others open it. What tasks have left at their ends, and is needed no more, is removed now or by them."""
        try:
            with suppress(OSError):
                self._clean_ended()
        finally:
            self._unlock()

    def leave(self) -> None:
        """Let others open it, and touch no file: there is a call that does not come back from them."""
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Pending:
    """A checkpoint that has been begun; not there for anybody before its `commit`."""

    def __init__(self, store: Store, folder: str, manifest: Manifest) -> None:
        self._store, self._folder, self._manifest = store, folder, manifest
        self._blobs: dict[str, Blob] = {}
        self._is_over = False

    @property
    def place(self) -> Place:
        """Where `write_blob` writes, in whatever process."""
        return Place(self._store.files.root, self._folder)

    @property
    def is_savepoint(self) -> bool:
        """Whether it stays until somebody deletes it."""
        return self._manifest.savepoint is not None

    def add(self, blob: Blob) -> None:
        """Have the checkpoint hold a blob that has been written."""
        if blob.file in self._blobs:
            raise CheckpointError(f"the state {blob.name!r} of {blob.operator!r}, instance {blob.instance}, came twice")
        self._blobs[blob.file] = blob

    def commit(self) -> Manifest:
        """Make it the latest, and remove those that are too old.

        1. The names of its blobs are made durable; their content is already.
        2. Unless somebody else has opened the store, the manifest is published, whole: that is the commit.
        3. What is too old is removed. That this failed does not undo the commit; the next one tries it again.

        Raises `CheckpointError` when it cannot; `abort` then removes what was written.
        """
        self._check_open()
        files, path = self._store.files, f"{self._folder}/{MANIFEST}"
        blobs = tuple(sorted(self._blobs.values(), key=lambda b: (b.operator, b.instance, b.name)))
        manifest = msgspec.structs.replace(self._manifest, blobs=blobs)
        with trying_to("commit a checkpoint in", f"{files.root}/{self._folder}"):
            self._store.check_epoch(manifest.epoch)
            for folder in {self._folder, *(blob.folder for blob in blobs if blob.folder is not None)}:
                files.sync(folder)
            self._store.check_epoch(manifest.epoch)  # again, as close to the commit as can be
            files.publish(path, encode(manifest))
        self._is_over = True
        try:
            self._store.let_go_of_old_ones()
        except (CheckpointError, OSError) as error:
            _logger.warning("checkpoints that are too old are left for now: %s", error)
        return manifest

    def abort(self) -> None:
        """Give it up, and remove what was written of it. Nothing happens where it is over.

        Raises `TakenOver`, and removes nothing, where somebody else has opened the store since: a folder of this name
        may be theirs. What of it is left goes with their next opening.
        """
        if not self._is_over:
            self._is_over = True
            with trying_to("remove", f"{self._store.files.root}/{self._folder}"):
                self._store.check_epoch(self._manifest.epoch)
                remove(self._store.files, self._folder)

    def _check_open(self) -> None:
        if self._is_over:
            raise CheckpointError(f"checkpoint {self._manifest.number} is committed or given up already")
