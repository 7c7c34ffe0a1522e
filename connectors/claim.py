"""A claim on what is written in parts: by one writer at a time, and a newer life of a job before its older ones."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress

import msgspec

from connectors.output_file import cannot, claimed, is_same
from connectors.paths import beside
from engine.sink import Recovery

CLAIM = ".claim"


class Claim:
    """Keeps others from writing `path` as its writer `index` until `release`; `ConnectorError` if one is at work.

    A lock alone would not do: a process of an earlier epoch that was stopped, and so taken for dead, still has it.
    So the locked file says whose it is, and the same operator of the job with the same checkpoints may take it from an
    earlier epoch.
    """

    def __init__(self, path: str, index: int, operator: str, recovery: Recovery) -> None:
        self._path = beside(path, f"{index}{CLAIM}")
        self._owner, self._epoch = [recovery.job, operator, recovery.line], recovery.epoch
        while (fd := self._try(path)) is None:
            pass
        self._fd = fd
        try:
            os.ftruncate(fd, 0)
            os.pwrite(fd, msgspec.json.encode([*self._owner, self._epoch]), 0)
        except OSError as error:
            self.release()
            raise cannot(f"write for {path!r}", self._path, error) from error
        except BaseException:
            os.close(fd)
            raise

    def _try(self, path: str) -> int | None:
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise cannot(f"open for {path!r}", self._path, error) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(fd, 4096, 0)
            os.close(fd)
            if not self._is_older(holder):
                raise claimed(path, self._path) from error
            with suppress(FileNotFoundError):
                os.unlink(self._path)
            return None
        except OSError:
            pass  # a file system without locks
        if is_same(fd, self._path):
            return fd
        os.close(fd)  # its holder has just let go
        return None

    def release(self) -> None:
        """Let others write the file; what somebody has taken stays theirs."""
        try:
            if is_same(self._fd, self._path):
                with suppress(FileNotFoundError):
                    os.unlink(self._path)
        finally:
            os.close(self._fd)

    def _is_older(self, holder: bytes) -> bool:
        """Whether it is an earlier life of ours."""
        try:
            job, operator, line, epoch = msgspec.json.decode(holder, type=tuple[str, str, str, int])
        except msgspec.DecodeError:  # not yet written
            return False
        return [job, operator, line] == self._owner and epoch < self._epoch
