"""Removal: deletes a savepoint or a checkpoint, while a job runs too, and never what one goes on from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from engine.checkpoint_blobs import files_at, trying_to
from engine.checkpoint_files import Files, LocalFiles
from engine.checkpoint_listing import Found, latest, named, remove
from engine.checkpoint_lock import DirectoryLock, holder
from engine.checkpoint_store import opened
from engine.errors import CheckpointError


def delete(root: str, name: str) -> str:
    """Delete what is called `name` under `root`, and say so.

    CheckpointError where there is no such checkpoint, or several, or where a job goes on from it: the latest is what
    the next run needs and, while a job runs, whatever there was before its own first checkpoint.
    """
    files = files_at(root)
    found, *others = named(files, name)
    if others:
        names = ", ".join(each.full_name for each in (found, *others))
        raise CheckpointError(f"{files.root} has {1 + len(others)} checkpoints {name!r}", hint=f"say which: {names}")
    where = f"{files.root}/{found.folder}"
    with _undisturbed(files) as used_by, trying_to("delete", where):
        _check(files, found, where, used_by)
        remove(files, found.folder)
    return f"deleted {where}"


def _check(files: Files, found: Found, where: str, used_by: str | None) -> None:
    last, _ = latest(files)
    if last is None and found.manifest is not None:
        raise CheckpointError(
            f"{where} is not deleted: no checkpoint there is whole, and of this one something may still be had",
            hint="remove the directory itself to begin anew",
        )
    if last is not None and last.folder == found.folder:
        raise CheckpointError(
            f"{where} is the latest: the next run goes on from it",
            hint="let the job make another one first, or remove the directory itself to begin anew",
        )
    if used_by is not None and not _is_of_this_life(files, last):
        raise CheckpointError(
            f"{used_by}, and has made no checkpoint of its own yet: it may go on from {where}",
            hint="try again once it has, or once it has ended",
        )


def _is_of_this_life(files: Files, last: Found | None) -> bool:
    """Whether who opened the store last has made a checkpoint: from then on it needs nothing that was there before."""
    epoch = opened(files)
    return last is not None and last.manifest is not None and epoch is not None and last.manifest.epoch == epoch.epoch


@contextmanager
def _undisturbed(files: Files) -> Iterator[str | None]:
    """Keep jobs from opening the store; where one has it, or nothing can be locked, who has it or may have it."""
    if not isinstance(files, LocalFiles):
        yield f"a job may be using {files.root}"
        return
    try:
        lock = DirectoryLock(files.root, holder("headgate checkpoints --delete"))
    except CheckpointError as error:
        yield str(error).partition("\n")[0]
        return
    try:
        yield None
    finally:
        lock.release()
