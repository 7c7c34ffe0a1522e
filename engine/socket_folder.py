"""The folder of a job's sockets: one for each of its lives, and removed by a later one where its own was killed."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
from contextlib import suppress

_NAME = re.compile(r"headgate-[0-9a-f]{16}")


def new_name(parent: str) -> str:
    """The path of one in `parent` that nobody has made."""
    return os.path.join(parent, f"headgate-{secrets.token_hex(8)}")


def make(folder: str) -> int:
    """Make it, and give the lock that says it is in use: a file to be closed, as it is when this process ends.

    Until it has that it is called otherwise, so that `sweep` does not find it without.
    """
    unlocked = f"{folder}.new"
    os.mkdir(unlocked, 0o700)
    lock = os.open(unlocked, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.rename(unlocked, folder)
    except BaseException:
        os.close(lock)
        raise
    return lock


def sweep(parent: str) -> None:
    """Remove those that nobody uses any more. Workers remove that of a job that is killed; if none runs then, we do."""
    for name in filter(_NAME.fullmatch, os.listdir(parent)):
        with suppress(OSError):  # it belongs to another user, or is in use, or has just gone
            _remove_unless_locked(os.path.join(parent, name))


def _remove_unless_locked(folder: str) -> None:
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)
