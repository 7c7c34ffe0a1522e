"""Compression by suffix: gzip and zstd, read up to the very byte where a file is broken."""

from __future__ import annotations

import importlib
import sys
import zlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from typing import Any

from connectors.byte_streams import FINGERPRINT_BYTES, Broken, ByteStream, Pipe, PlainFile, open_file
from engine.errors import ConnectorError

INPUT_BYTES = 64 * 1024
OUTPUT_BYTES = 256 * 1024
"""About as much as one call of a decompressor should give; what goes in is cut to suit."""


@dataclass(frozen=True)
class Codec:
    """A compression: how it is read and written, what its decompressor raises, what may pad its members."""

    name: str
    decompressor: Callable[[], Any]
    """Makes an object with `decompress`, `eof` and `unused_data`, for one gzip member or zstd frame."""
    compressor: Callable[[], Any]
    """Makes an object with `compress`, and `flush` for the bytes that close the file."""
    sync: int
    """What makes of `flush` that all that was compressed so far can be read back."""
    error: type[Exception]
    padding: bytes = b""


def codec_for(path: str) -> Codec | None:
    """The compression that the suffix of `path` names, if any; `ConnectorError` if its library is missing."""
    suffix = path[path.rfind(".") :].lower()
    if suffix == ".gz":
        decompressor, compressor = partial(zlib.decompressobj, wbits=31), partial(zlib.compressobj, wbits=31)
        return Codec("gzip", decompressor, compressor, zlib.Z_SYNC_FLUSH, zlib.error, padding=b"\0")
    return _zstd_codec(path) if suffix == ".zst" else None


def _zstd_codec(path: str) -> Codec:
    try:
        zstandard = importlib.import_module("zstandard")
    except ImportError as error:
        raise ConnectorError(f"{path!r} needs the zstandard library", hint="pip install headgate[zstd]") from error
    return Codec(
        "zstd",
        lambda: zstandard.ZstdDecompressor().decompressobj(),
        lambda: zstandard.ZstdCompressor(write_checksum=True).compressobj(),
        zstandard.COMPRESSOBJ_FLUSH_BLOCK,
        zstandard.ZstdError,
    )


def open_bytes(path: str, *, may_wait: bool) -> ByteStream:
    """Open `path`, decompressed if its suffix says so."""
    codec = codec_for(path)
    stream = open_file(path, may_wait=may_wait)
    return stream if codec is None else Decompressed(stream, codec)


class Decompressed:
    """The content of a compressed file; members or frames that follow each other are one content.

    1. Compressed bytes are fed in pieces, of a size that gives about `OUTPUT_BYTES` at a time.
    2. A piece that fails takes with it what the decompressor had made of its first part. So the file is read
       a second time up to that piece, dropping what has been delivered, and from there fed byte by byte.
    3. What comes of that is delivered, and then `Broken` is raised. (A pipe cannot be read twice: the piece
       is lost.)
    """

    def __init__(self, raw: PlainFile | Pipe, codec: Codec) -> None:
        self._raw = raw
        self._codec = codec
        self._wait = False
        self._content = self._readings()

    def read(self, size: int, wait: bool) -> bytes | None:
        self._wait = wait
        return next(self._content)

    def _readings(self) -> Iterator[bytes | None]:
        try:
            yield from self._reading()
        except self._codec.error as error:
            if not self._raw.rewind():
                raise self._corrupt(error) from error
        try:
            yield from self._reading(delivered=self._made, broken_at=self._fed)
        except self._codec.error as error:
            raise self._corrupt(error) from error

    def _reading(self, delivered: int = 0, broken_at: int = sys.maxsize) -> Iterator[bytes | None]:
        """Yield the content after what was `delivered`; None where there is nothing now, b"" for ever at the end."""
        self._fed = self._made = 0  # bytes of the file, and of its content
        member: Any = None  # the decompressor of the one that is read; None between two
        data, most = memoryview(b""), 256
        while data := data or (yield from self._more()):
            if member is None:
                data = self._without_padding(data)
                member = self._codec.decompressor() if data else None
                continue
            piece = data[: min(most, broken_at - self._fed) if self._fed < broken_at else 1]
            made = member.decompress(piece)
            used = len(piece) - len(member.unused_data)
            data, member = data[used:], None if member.eof else member
            fresh = made[max(delivered - self._made, 0) :]
            self._fed, self._made = self._fed + used, self._made + len(made)
            if fresh or self._made < delivered:
                yield fresh or None  # None: a job that is stopped need not wait for the whole file again
            most = _adapted(most, len(made))
        if member is not None or not self._fed:
            what = "ends in the middle" if self._fed else "is empty"
            raise Broken(f"the {self._codec.name} data {what}", "copy or make the file again")
        yield from repeat(b"")

    def _more(self) -> Generator[None, None, memoryview]:
        """Return more of the file, b"" at its end; yield None as long as there is none."""
        while (data := self._raw.read(INPUT_BYTES, self._wait)) is None:
            yield None
        return memoryview(data)

    def _without_padding(self, data: memoryview) -> memoryview:
        padded = len(data) - len(bytes(data).lstrip(self._codec.padding)) if self._fed else 0
        self._fed += padded
        return data[padded:]

    def _corrupt(self, error: Exception) -> Broken:
        hint = None if self._made else f"is it a {self._codec.name} file at all?"
        return Broken(f"corrupt {self._codec.name} data at byte {self._fed}: {error}", hint)

    def fingerprint(self, size: int = FINGERPRINT_BYTES) -> tuple[int, int] | None:
        return self._raw.fingerprint(size)

    def close(self) -> None:
        self._raw.close()


def _adapted(size: int, made: int) -> int:
    """How much to feed next, after `size` bytes have made `made`."""
    if made > OUTPUT_BYTES:
        return max(size // 2, 16)
    return min(size * 2, INPUT_BYTES) if made < OUTPUT_BYTES // 4 else size
