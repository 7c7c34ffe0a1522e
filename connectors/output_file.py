"""A file that is written beside its final place and moved there when it is complete."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Callable
from typing import Any

from connectors.compression import codec_for
from connectors.paths import PARTIAL, is_special
from engine.errors import ConnectorError

FLUSH_BYTES = 1024 * 1024

_HINTS = {
    errno.ENOSPC: "the disk is full: free some space",
    errno.EDQUOT: "the disk quota is used up: free some space",
    errno.EFBIG: "the file has reached the largest size that this process may write (ulimit -f)",
    errno.EACCES: "see the owner and mode of the folder with ls -ld",
    errno.EPERM: "see the owner and mode of the folder with ls -ld",
    errno.EROFS: "the file system is mounted read-only",
}


class OutputFile:
    """Writes `path`, compressed if its suffix says so.

    1. What is written goes to `path` + ".partial", whose leftovers of an earlier run are overwritten.
    2. `finish` moves it onto `path` in one step, once the disk has it; until then `path` stays as it was.
    3. `abort` keeps the partial file, and everything in it can be read.

    What is there already and is no regular file, a FIFO or a device, is written to directly.
    """

    is_new = True
    """Nothing stands in the file before what is written."""
    last: dict[str, Any] | None = None
    """What was prepared last, where the file is one that goes on."""

    def __init__(self, path: str, written_path: str | None = None) -> None:
        self.path = path
        self._codec = codec_for(path)
        self._compressor: Any = self._codec.compressor() if self._codec else None
        self._is_direct = written_path is None and is_special(path)
        self._written_path = path if self._is_direct else written_path or path + PARTIAL
        self._length = 0  # bytes in the file, all of them whole writes
        self._on_its_way = 0  # how many of them the kernel was asked to bring to the disk
        self._failure: ConnectorError | None = None
        self._fd = self._open()

    def _open(self) -> int:
        if os.path.isdir(self.path):
            raise ConnectorError(f"cannot write the file {self.path!r}: there is a folder of that name")
        try:
            fd = os.open(self._written_path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise self._cannot("open", error) from error
        try:
            if not self._is_direct:
                self._claim(fd)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _claim(self, fd: int) -> None:
        """Two jobs that wrote the same file would make a mixture of both."""
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise self._claimed() from error
        except OSError:
            pass  # a file system without locks
        if not is_same(fd, self._written_path):
            raise self._claimed()  # it has just been finished: what is open here stands under the final name
        os.ftruncate(fd, 0)

    def _claimed(self) -> ConnectorError:
        return claimed(self.path, self._written_path)

    def write(self, data: bytes) -> None:
        """Write all of `data`, or raise `ConnectorError` and leave the file as it was.

        A compressed file takes no more after a failure, for its compressor cannot forget what it was given.
        """
        if self._failure is not None:
            raise self._failure
        if data and self._codec is not None:
            data = self._compressor.compress(data) + self._compressor.flush(self._codec.sync)
        self._append(data)

    def _append(self, data: bytes) -> None:
        try:
            _write_all(self._fd, data)
        except OSError as error:
            failure = self._cannot(f"write {len(data)} bytes", error)
            if not self._take_back() or self._codec is not None:
                self._failure = failure
            raise failure from error
        self._length += len(data)
        if self._length - self._on_its_way >= FLUSH_BYTES and not self._is_direct:
            self._start_flush()

    def _start_flush(self) -> None:
        """Have the disk work along, or `finish` would wait for all of it; pages not yet written are not dropped."""
        with contextlib.suppress(OSError):
            os.posix_fadvise(self._fd, self._on_its_way, self._length - self._on_its_way, os.POSIX_FADV_DONTNEED)
        self._on_its_way = self._length

    def _take_back(self) -> bool:
        try:
            os.ftruncate(self._fd, self._length)
            os.lseek(self._fd, self._length, os.SEEK_SET)
        except OSError:
            return False
        return True

    @property
    def length(self) -> int:
        """How many bytes are in the file."""
        return self._length

    def finish(self) -> None:
        """Close the file and show it under its name; `ConnectorError` if it is not wholly on the disk."""
        self._end(lambda: None if self._is_direct else self._publish())

    def seal(self) -> None:
        """Close the file once it is wholly on the disk, where it was written."""
        self._end(self._secure)

    def _end(self, last: Callable[[], None]) -> None:
        try:
            if self._failure is not None:
                raise self._failure
            self._end_compression()
            last()
        finally:
            self._close()

    def _close(self) -> None:
        """Close it unless that is done: what could not be sealed is aborted still."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def _end_compression(self) -> None:
        if self._codec is not None:
            self._append(self._compressor.flush())

    def _publish(self) -> None:
        try:
            os.fsync(self._fd)
            os.replace(self._written_path, self.path)
            sync_folder_of(self.path)
        except OSError as error:
            raise self._cannot("finish", error) from error

    def _secure(self) -> None:
        try:
            os.fsync(self._fd)
            sync_folder_of(self._written_path)
        except OSError as error:
            raise self._cannot("bring to the disk", error) from error

    def abort(self) -> None:
        """Close the file and leave it where it is."""
        try:
            if self._failure is None and self._fd >= 0:
                self._end_compression()
        except ConnectorError:
            pass  # without its end a compressed file still gives all that was written
        finally:
            self._close()

    def _cannot(self, what: str, error: OSError) -> ConnectorError:
        return cannot(f"{what} for {self.path!r}", self._written_path, error)


def cannot(what: str, path: str, error: OSError) -> ConnectorError:
    """The error for what could not be done at `path`, with what to do about it."""
    hint = _HINTS.get(error.errno or 0)
    folder = os.path.dirname(path) or "."
    if isinstance(error, FileNotFoundError) and not os.path.isdir(folder):
        hint = f"the folder {folder!r} does not exist: create it first"
    return ConnectorError(f"cannot {what}: {path!r} (working directory {os.getcwd()}): {error.strerror}", hint=hint)


def claimed(path: str, where: str) -> ConnectorError:
    """The error for a file that somebody else is writing."""
    return ConnectorError(
        f"cannot write {path!r}: another writer is at work on {where!r}",
        hint="give each sink a file of its own, or wait for the other job",
    )


def is_same(fd: int, path: str) -> bool:
    """Whether what is open as `fd` is what stands at `path`."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False


def _write_all(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def sync_folder_of(path: str) -> None:
    """Without this a power cut may undo the renaming, though not the writing."""
    fd = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
