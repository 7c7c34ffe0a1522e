"""Whole lines out of a stream of bytes, with their numbers, in a buffer that stays small."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import Any, TypeAlias, TypeVar

from connectors.byte_streams import Broken, ByteStream, skipped
from engine.errors import ConnectorError
from engine.source import Reader

T = TypeVar("T")

BLOCK_BYTES = 64 * 1024
"""As much as is read and decoded at a time: more leaves the fast caches, and from 128 KiB on each block and each
copy of it may be memory fresh from the system."""
MAX_LINE_BYTES = 16 * 1024 * 1024

_UTF16_HINT = "csv_files takes encoding='utf-16'; for JSON lines convert it, as with iconv"
_STARTS = (
    (b"\x1f\x8b", "gzip", "give the file a name that ends in .gz"),
    (b"\x28\xb5\x2f\xfd", "zstd", "give the file a name that ends in .zst"),
    (codecs.BOM_UTF16_LE, "UTF-16", _UTF16_HINT),
    (codecs.BOM_UTF16_BE, "UTF-16", _UTF16_HINT),
)


Position: TypeAlias = dict[str, Any]
"""Of a reader: `offset`, in bytes of the content (decompressed, as UTF-8); `line`, the number of the line that begins
there; `start`, the size and checksum of the file's beginning, by which another file is told."""


class Lines:
    """The part of a file that has been read and not yet been taken.

    `data[start:end]` are whole lines, each with its newline (one is added to a last line that has none);
    `line` is the number of the first of them, from 1. After `end` stands the beginning of the next line.
    """

    def __init__(self, path: str, stream: ByteStream, max_line_bytes: int, poll_after: float | None = None) -> None:
        self.path = path
        self.poll_after = poll_after
        self.data = b""
        self.start = 0
        self.end = 0
        self.line = 1
        self._before = 0  # bytes of the content before `data`
        self._added = 0  # how many bytes at the end of `data` are not of the file: the newline that it lacks
        self.over = False  # nothing more comes: the end of the file, or a failure
        self.failure: Broken | None = None
        self._stream = stream
        self._fingerprint: tuple[int, int] | None = None
        self._max_line_bytes = max_line_bytes
        self._at_start = True

    def have(self, want: int, least: int = 1) -> bool:
        """Read until there are `want` bytes, the beginning of one more line included, or no more to be had just now.

        False if there are fewer than `least`, unless they are the last. Only for `least` does it wait.
        """
        if self.end - self.start < want and not self.over:
            self._fill(want, least)
        return self.end - self.start >= (1 if self.over else least)

    def cut(self, want: int, least: int = 1) -> int:
        """Where the last line ends within `want` bytes, or else the first that has `least` or goes beyond."""
        if self.start + want >= self.end:
            return self.end
        newline = self.data.rfind(b"\n", self.start + least - 1, self.start + want)
        return 1 + (newline if newline >= 0 else self.data.index(b"\n", self.start + least - 1))

    def advance(self, end: int, lines: int) -> None:
        """`lines` lines, up to `end`, have been taken."""
        self.start = end
        self.line += lines

    def nothing(self) -> Sequence[Any] | None:
        """What `Reader.read` returns or raises when there is no whole line: in the order of the file."""
        if not self.over:
            return ()
        if self.failure is None:
            return None
        raise ConnectorError(
            f"{self.path}:{self.line}: {self.failure.reason}", hint=self.failure.hint
        ) from self.failure

    def position(self) -> Position:
        """Where the first line that was not taken begins."""
        if self._fingerprint is None:
            self._fingerprint = self._stream.fingerprint()
        if self._fingerprint is None:
            raise ConnectorError(
                f"{self.path} cannot be read again, so a checkpoint cannot say where to go on",
                hint="a pipe or a device gives its bytes only once: write them to a file first",
            )
        size, checksum = self._fingerprint
        added = self._added if self.start == len(self.data) else 0
        return {"offset": self._before + self.start - added, "line": self.line, "start": [size, checksum]}

    def seek(self, position: Position) -> None:
        """Go on at `position`, which is not before what was taken; `ConnectorError` if it is not in this file."""
        size, checksum = position["start"]
        if self._stream.fingerprint(size) != (size, checksum):
            raise ConnectorError(
                f"{self.path} is not the file that was read up to line {position['line']}: "
                f"its first {size} bytes differ",
                hint="give the job the file that it read, or begin without the checkpoint",
            )
        self._go_to(position["offset"])
        self.line = position["line"]

    def _go_to(self, offset: int) -> None:
        missing = offset - self._before - (len(self.data) - self._added)
        if missing <= 0:
            self.start = offset - self._before
            self.end = max(self.end, self.start)
            return
        try:
            self._stream = skipped(self._stream, missing)
        except Broken as failure:
            raise ConnectorError(f"{self.path}: {failure.reason}", hint=failure.hint) from failure
        self.data, self.start, self.end, self._before = b"", 0, 0, offset
        self._added, self._at_start, self.over = 0, False, self.failure is not None

    def close(self) -> None:
        self._stream.close()

    def _fill(self, want: int, least: int) -> None:
        parts = [self.data[self.start :]]
        self._before += self.start
        size = len(parts[0])
        whole = self.end - self.start
        # To go on for the rest of the last line would take many small reads.
        while (size < want or whole < least) and not self.over:
            chunk = self._read(max(want, BLOCK_BYTES) - whole, wait=whole < least)
            if chunk is None:
                break
            if not chunk:
                whole = self._end(parts, size, whole)
                break
            good = self._up_to_long_line(chunk, size - whole)
            newline = chunk.rfind(b"\n", 0, good)
            if newline >= 0:
                whole = size + newline + 1
            parts.append(chunk)
            size += len(chunk)
        self.data = b"".join(parts)
        self.start, self.end = 0, whole
        if self._at_start and (size >= 4 or self.over):
            self._check_start()

    def _read(self, size: int, wait: bool) -> bytes | None:
        try:
            return self._stream.read(size, wait)
        except Broken as failure:
            self.failure = failure
            return b""

    def _check_start(self) -> None:
        self._at_start = False
        for start, name, hint in _STARTS:
            if self.data.startswith(start):
                self.failure, self.over, self.end = Broken(f"this is {name}, not UTF-8 text", hint), True, 0
        if self.data.startswith(codecs.BOM_UTF8):
            self.start = len(codecs.BOM_UTF8)
            self.end = max(self.end, self.start)

    def _end(self, parts: list[bytes], size: int, whole: int) -> int:
        """Half a line at a break is no record; at the proper end of a file it is one."""
        self.over = True
        if self.failure is not None or size == whole:
            return whole
        parts.append(b"\n")
        self._added = 1
        return size + 1

    def _up_to_long_line(self, chunk: bytes, carried: int) -> int:
        """How much of `chunk`, which goes on with a line of `carried` bytes, is before a too long line."""
        limit = self._max_line_bytes
        if carried + len(chunk) <= limit:
            return len(chunk)
        begin = -carried
        while begin < len(chunk):
            newline = chunk.find(b"\n", max(begin, 0))
            stop = newline if newline >= 0 else len(chunk)
            if stop - begin > limit:
                self.over = True
                self.failure = Broken(
                    f"the line has more than {limit} bytes", "allow longer lines, or see what this file is"
                )
                return max(begin, 0)
            begin = stop + 1
        return len(chunk)


class LinesReader(Reader[T]):
    """Reads the records in `lines`. Its position is where the first line stands that was not read."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._mean = 128.0  # bytes in a record, as those before it had

    def position(self) -> Position:
        return self._lines.position()

    def seek(self, position: Position) -> None:
        self._lines.seek(position)

    def poll_after(self) -> float | None:
        return self._lines.poll_after

    def close(self) -> None:
        self._lines.close()
