"""The blobs of a checkpoint: pieces of state, each a file with its length and checksum, written and read in pieces."""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import msgspec

from engine.checkpoint_files import Files, LocalFiles
from engine.checkpoint_manifest import Blob
from engine.checkpoint_remote import FsspecFiles
from engine.errors import CheckpointError


class Unreadable(CheckpointError):
    """What is there cannot be read now, which says nothing of what it is: unlike what is torn, it may be whole."""

    def __init__(self, message: str) -> None:
        super().__init__(message, hint="try again later; if it stays so, move that folder away to go on without it")


class Place(msgspec.Struct, frozen=True):
    """Where the blobs of one checkpoint go: what a process needs to know to write some of them."""

    root: str
    folder: str


def files_at(root: str) -> Files:
    """The files under a local path (or file:// URL), or under any other URL through fsspec."""
    local = root.removeprefix("file://")
    return FsspecFiles(root) if "://" in local else LocalFiles(os.path.abspath(local))


def write_blob(
    place: Place, operator: str, instance: int, name: str, chunks: Iterable[bytes], files: Files | None = None
) -> Blob:
    """Write one blob, piece by piece, and say what it is, for `Pending.add`. Any process may, and any thread.

    Raises `CheckpointError` when it cannot be written: then the checkpoint is to be given up.
    """
    files = files or files_at(place.root)
    file = _file_name(operator, instance, name)
    digest, size = hashlib.sha256(), 0

    def measured() -> Iterator[bytes]:
        nonlocal size
        for chunk in chunks:
            digest.update(chunk)
            size += len(chunk)
            yield chunk

    with trying_to("write a checkpoint's state to", f"{files.root}/{place.folder}/{file}"):
        files.write(f"{place.folder}/{file}", measured())
    return Blob(operator, instance, name, file, size, digest.hexdigest())


def _file_name(operator: str, instance: int, name: str) -> str:
    """One that tells a reader whose it is, and differs wherever any of the three does."""
    said = "-".join([*(re.sub(r"[^A-Za-z0-9_]+", "_", part)[:30] for part in (operator, name)), str(instance)])
    whole = hashlib.sha256(msgspec.json.encode([operator, instance, name])).hexdigest()
    return f"{said}-{whole[:16]}.blob"


def read_blob(files: Files, folder: str, blob: Blob) -> Iterator[bytes]:
    """The content of a blob, piece by piece. Raises `CheckpointError` at its end at the latest if it is not what was
    written: so believe nothing before the last piece has come."""
    folder = blob.folder or folder
    where = f"{files.root}/{folder}/{blob.file}"
    whose = f"the state {blob.name!r} of operator {blob.operator!r}, instance {blob.instance}"
    digest, size = hashlib.sha256(), 0
    try:
        for chunk in files.read(f"{folder}/{blob.file}"):
            digest.update(chunk)
            size += len(chunk)
            yield chunk
    except FileNotFoundError:
        raise CheckpointError(f"{where} is missing: it had {whose}") from None
    except OSError as error:
        raise Unreadable(f"{where} cannot be read: {error}; it has {whose}") from error
    if size != blob.bytes:
        raise CheckpointError(f"{where} has {size} bytes and had {blob.bytes} when it was written; it has {whose}")
    if digest.hexdigest() != blob.checksum:
        raise CheckpointError(f"{where} is not as it was written: its checksum differs; it has {whose}")


@contextmanager
def trying_to(what: str, where: str) -> Iterator[None]:
    """Turn an `OSError` into a `CheckpointError` that says what could not be done, where."""
    try:
        yield
    except OSError as error:
        is_full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        hint = "make room on the disk" if is_full else "check the path, its permissions and its disk"
        raise CheckpointError(f"cannot {what} {where}: {error.strerror or error}", hint=hint) from error
