"""Which checkpoints are there, the latest that is whole among them, and what is wrong with the others."""

from __future__ import annotations

import msgspec

from engine.checkpoint_blobs import Unreadable, read_blob
from engine.checkpoint_files import Files
from engine.checkpoint_manifest import MANIFEST, Manifest, decode
from engine.errors import CheckpointError

CHECKPOINTS, SAVEPOINTS = "checkpoints", "savepoints"


class Found(msgspec.Struct, frozen=True):
    """A checkpoint that is there: its folder, and its manifest or what is wrong with it."""

    folder: str
    manifest: Manifest | None
    error: CheckpointError | None = None

    @property
    def wrong(self) -> str | None:
        """What is wrong with the manifest, if anything."""
        return None if self.error is None else str(self.error)

    @property
    def name(self) -> str:
        """That of a savepoint, the number of another one."""
        folder, _, name = self.folder.partition("/")
        return name if folder == SAVEPOINTS else str(order_of(self.folder)[1])

    @property
    def full_name(self) -> str:
        """The same where a job that went back has made several of one number: with the epoch behind it."""
        return self.name if self.folder.startswith(SAVEPOINTS) else f"{self.name}.{order_of(self.folder)[0]}"


def named(files: Files, name: str | None) -> list[Found]:
    """All that are so called, or simply all; CheckpointError where there is none."""
    there = checkpoints(files)
    found = [each for each in there if name in {None, each.name, each.full_name}]
    if not found:
        wanted = "checkpoints" if name is None else f"a checkpoint {name!r}"
        hint = f"there are: {', '.join(each.name for each in there)}" if there else _NOT_HERE
        raise CheckpointError(f"wanted {wanted} in {files.root}, found none", hint=hint)
    return found


_NOT_HERE = "name the directory or URL that the job was given as checkpoint=, in which there is a folder checkpoints"


def remove(files: Files, folder: str) -> None:
    """Remove a checkpoint. The manifest goes first: without it no part of the rest is taken for one."""
    files.remove(f"{folder}/{MANIFEST}")
    files.remove_folder(folder)


def checkpoints(files: Files) -> list[Found]:
    """All that are complete or were so, the latest last; savepoints too, the last of all."""
    found = [found_in(files, CHECKPOINTS, name) for name in files.names(CHECKPOINTS)]
    there = [each for each in found if each is not None]
    named = (found_in(files, SAVEPOINTS, name) for name in files.names(SAVEPOINTS))
    there.sort(key=age)
    return [*there, *(each for each in named if each is not None)]


def found_in(files: Files, folder: str, name: str) -> Found | None:
    """What is in a folder; None without a manifest, as in one that is being written or was given up."""
    path = f"{folder}/{name}"
    try:
        data = b"".join(files.read(f"{path}/{MANIFEST}"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return Found(path, None, Unreadable(f"{files.root}/{path}/{MANIFEST} cannot be read: {error}"))
    try:
        return Found(path, decode(data, f"{files.root}/{path}/{MANIFEST}"))
    except CheckpointError as error:
        return Found(path, None, error)


def verify(files: Files, found: Found) -> str | None:
    """Read all of a checkpoint; say what is wrong with it, if anything."""
    error = error_of(files, found)
    return None if error is None else str(error)


def error_of(files: Files, found: Found) -> CheckpointError | None:
    """The same as an error."""
    if found.manifest is None:
        return found.error
    try:
        for blob in found.manifest.blobs:
            for _ in read_blob(files, found.folder, blob):
                pass
    except CheckpointError as error:
        return error
    return None


def latest(files: Files) -> tuple[Found | None, list[str]]:
    """The latest checkpoint or savepoint that is whole, and what is wrong with those that came after it.

    Raises `Unreadable` where one of these cannot be read now: to go back for that would be to do again what was done.
    """
    refused: list[str] = []
    for found in sorted(checkpoints(files), key=age, reverse=True):
        error = error_of(files, found)
        if error is None:
            return found, refused
        if isinstance(error, Unreadable):
            raise error
        refused.append(str(error))
    return None, refused


def age(found: Found) -> tuple[int, int]:
    """Later ones have the greater."""
    return found.manifest.order if found.manifest else order_of(found.folder)


def order_of(folder: str) -> tuple[int, int]:
    """The epoch and number of a checkpoint by the name of its folder, whose manifest may be none that can be read."""
    number, _, epoch = folder.rpartition("/")[2].partition(".")
    return (int(epoch), int(number)) if epoch.isdigit() and number.isdigit() else (-1, -1)
