"""Opens a file as a stream of bytes: a regular file, or a pipe whose bytes come when they come."""

from __future__ import annotations

import os
import select
import stat
import time
import zlib
from typing import Protocol

from connectors.paths import cannot_read

PATIENCE_MS = 100
"""How long a reader with a thread of its own waits for a pipe before it lets the engine look round."""

SKIP_SECONDS = 0.01
"""How long bytes are read only to be dropped before the engine may look round: there may be no thread for it."""

FINGERPRINT_BYTES = 4096


class Broken(Exception):
    """What came so far is good, and nothing more can be read; `reason` and `hint` say why."""

    def __init__(self, reason: str, hint: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint


class ByteStream(Protocol):
    """Bytes, from the first to the last."""

    def read(self, size: int, wait: bool) -> bytes | None:
        """Return about `size` bytes or fewer, b"" at the end, None if there are none now.

        `wait` allows it to wait for a moment. Raises `Broken` when what follows cannot be read.
        """

    def fingerprint(self, size: int = FINGERPRINT_BYTES) -> tuple[int, int] | None:
        """How many of the file's first `size` bytes there are, and their checksum; None: it cannot be read again."""

    def close(self) -> None:
        """Let go of the file."""


def skipped(stream: ByteStream, size: int) -> ByteStream:
    """`stream` without its next `size` bytes; `Broken`, now or when it is read, if it has fewer."""
    if not isinstance(stream, PlainFile):
        return Skipping(stream, size)
    stream.skip(size)
    return stream


def _ends_before(missing: int) -> Broken:
    return Broken(
        f"it ends {missing} bytes before the place that it was read to",
        "has it been cut short, or made anew? Give the job the file that it read, or begin without the checkpoint",
    )


class Skipping:
    """A stream whose next `size` bytes are read and dropped, a little at a time, so that the job can be stopped."""

    def __init__(self, stream: ByteStream, size: int) -> None:
        self._stream = stream
        self._left = size

    def read(self, size: int, wait: bool) -> bytes | None:
        stop = time.monotonic() + SKIP_SECONDS
        while self._left:
            chunk = self._stream.read(size, wait)
            if chunk == b"":
                raise _ends_before(self._left)
            if chunk is None or time.monotonic() >= stop:
                return self._rest(chunk or b"") or None
            if rest := self._rest(chunk):
                return rest
        return self._stream.read(size, wait)

    def _rest(self, chunk: bytes) -> bytes:
        """What of `chunk` is not to be dropped."""
        drop = min(self._left, len(chunk))
        self._left -= drop
        return chunk[drop:]

    def fingerprint(self, size: int = FINGERPRINT_BYTES) -> tuple[int, int] | None:
        return self._stream.fingerprint(size)

    def close(self) -> None:
        self._stream.close()


class PlainFile:
    """A regular file, whose bytes are simply there."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._size = os.fstat(fd).st_size

    def read(self, size: int, wait: bool) -> bytes:
        try:
            data = os.read(self._fd, size)
        except OSError as error:
            raise Broken(f"the file cannot be read on: {error.strerror}") from error
        if not data:
            self._check_size()
        return data

    def _check_size(self) -> None:
        """Without this a file cut short by somebody else would pass for one that ended."""
        now = os.fstat(self._fd).st_size
        if now < self._size:
            raise Broken(f"the file was cut short while it was read: it had {self._size} bytes and now has {now}")

    def skip(self, size: int) -> None:
        missing = os.lseek(self._fd, size, os.SEEK_CUR) - os.fstat(self._fd).st_size
        if missing > 0:
            raise _ends_before(missing)

    def fingerprint(self, size: int = FINGERPRINT_BYTES) -> tuple[int, int] | None:
        start = os.pread(self._fd, size, 0)
        return len(start), zlib.crc32(start)

    def rewind(self) -> bool:
        """Go back to the first byte; False where that cannot be done."""
        os.lseek(self._fd, 0, os.SEEK_SET)
        return True

    def close(self) -> None:
        os.close(self._fd)


class Pipe:
    """A FIFO, a terminal or another device, whose bytes come when they come."""

    def __init__(self, fd: int, patience_ms: int) -> None:
        self._fd = fd
        self._patience_ms = patience_ms
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)

    def read(self, size: int, wait: bool) -> bytes | None:
        # A FIFO that no writer has opened yet would read as ended; poll knows better, and reports nothing.
        if not self._poll.poll(self._patience_ms if wait else 0):
            return None
        try:
            return os.read(self._fd, size)
        except BlockingIOError:
            return None
        except OSError as error:
            raise Broken(f"cannot be read on: {error.strerror}") from error

    def rewind(self) -> bool:
        return False

    def fingerprint(self, size: int = FINGERPRINT_BYTES) -> tuple[int, int] | None:
        return None

    def close(self) -> None:
        os.close(self._fd)


def open_file(path: str, *, may_wait: bool) -> PlainFile | Pipe:
    """Open `path` as it is; raise a `ConnectorError` that says why it cannot be read."""
    try:
        # Without O_NONBLOCK the open of a FIFO would wait for its writer, and the job could not be stopped.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise cannot_read(path, error) from error
    mode = os.fstat(fd).st_mode
    if stat.S_ISREG(mode):
        return PlainFile(fd)
    if stat.S_ISDIR(mode):
        os.close(fd)
        raise cannot_read(path, IsADirectoryError())
    return Pipe(fd, PATIENCE_MS if may_wait else 0)
