"""The lock on a local directory of checkpoints: one job at a time, and none that has died."""

from __future__ import annotations

import fcntl
import os
import socket
from datetime import UTC, datetime

import msgspec

from engine.errors import CheckpointError

LOCK = "lock"


class Holder(msgspec.Struct, frozen=True):
    """Who opened a store: a job, in a process of a machine, at a time."""

    job: str
    pid: int
    host: str
    since: datetime

    def __str__(self) -> str:
        return f"job {self.job!r}, process {self.pid} on {self.host}, since {self.since:%Y-%m-%d %H:%M:%S} UTC"


def holder(job: str) -> Holder:
    """This process, now."""
    return Holder(job, os.getpid(), socket.gethostname(), datetime.now(UTC))


class DirectoryLock:
    """Held from the first moment until `release`; the kernel releases it when the process ends, however it ends.

    The file stays: removing it would let a third one lock another file of that name.
    """

    def __init__(self, root: str, who: Holder) -> None:
        path = f"{root}/{LOCK}"
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            self._take(root, who)
        except BaseException:  # a full disk, say: the lock would stay for as long as this process does
            os.close(self._fd)
            raise

    def _take(self, root: str, who: Holder) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CheckpointError(
                f"{root} is in use by {_read(os.read(self._fd, 10_000))}",
                hint="let that job end or stop it, or give this one a directory of its own",
            ) from None
        os.ftruncate(self._fd, 0)
        os.write(self._fd, msgspec.json.encode(who))

    def release(self) -> None:
        """Let others have it."""
        os.close(self._fd)


def _read(said: bytes) -> str:
    try:
        return str(msgspec.json.decode(said, type=Holder))
    except msgspec.MsgspecError:
        return "a job that has just opened it"
