"""Compression by suffix: gzip and zstd, read up to the very byte where a file is broken."""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from connectors.byte_streams import Broken, ByteStream, open_file
from engine.errors import ConnectorError

INPUT_BYTES = 64 * 1024
OUTPUT_BYTES = 256 * 1024
"""About as much as one call of a decompressor should give; what goes in is cut to suit."""


class Decompressor(Protocol):
    """What zlib's and zstandard's objects have in common; one serves one gzip member or zstd frame."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


class Compressor(Protocol):
    """Turns what is written into what stands in the file."""

    def add(self, data: bytes) -> bytes:
        """Compress `data` such that all of it can be read back from what was returned so far."""

    def end(self) -> bytes:
        """The bytes that close the file."""


@dataclass(frozen=True)
class Codec:
    """A compression: how it is read and written, what its decompressor raises, what may pad its members."""

    name: str
    decompressor: Callable[[], Decompressor]
    compressor: Callable[[], Compressor]
    error: type[Exception]
    padding: bytes = b""


class _Gzip:
    def __init__(self) -> None:
        self._inner = zlib.compressobj(wbits=31)

    def add(self, data: bytes) -> bytes:
        return self._inner.compress(data) + self._inner.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        return self._inner.flush()


class _Zstd:
    def __init__(self, zstandard: Any) -> None:
        self._inner = zstandard.ZstdCompressor(write_checksum=True).compressobj()
        self._flush_block: int = zstandard.COMPRESSOBJ_FLUSH_BLOCK

    def add(self, data: bytes) -> bytes:
        out: bytes = self._inner.compress(data) + self._inner.flush(self._flush_block)
        return out

    def end(self) -> bytes:
        out: bytes = self._inner.flush()
        return out


def codec_for(path: str) -> Codec | None:
    """The compression that the suffix of `path` names, if any; `ConnectorError` if its library is missing."""
    suffix = path[path.rfind(".") :].lower()
    if suffix == ".gz":
        return Codec("gzip", lambda: zlib.decompressobj(wbits=31), _Gzip, zlib.error, padding=b"\0")
    return _zstd_codec(path) if suffix == ".zst" else None


def _zstd_codec(path: str) -> Codec:
    try:
        zstandard = importlib.import_module("zstandard")
    except ImportError as error:
        raise ConnectorError(f"{path!r} needs the zstandard library", hint="pip install headgate[zstd]") from error
    return Codec(
        "zstd",
        lambda: zstandard.ZstdDecompressor().decompressobj(),
        lambda: _Zstd(zstandard),
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

    def __init__(self, raw: ByteStream, codec: Codec) -> None:
        self._raw = raw
        self._codec = codec
        self._piece_bytes = 256
        self._delivered = 0  # bytes of content that `read` has returned
        self._broken_at: int | None = None  # where, in compressed bytes, the piece begins that failed
        self._failure: Broken | None = None
        self._start()

    def _start(self) -> None:
        self._input = b""
        self._position = 0  # in _input: what is before it has been fed
        self._fed = 0  # compressed bytes fed since the start of the file
        self._made = 0  # bytes of content made since the start of the file
        self._decompressor: Decompressor | None = None  # None between two members
        self._members = 0

    def read(self, size: int, wait: bool) -> bytes | None:
        while self._failure is None:
            piece = self._next_piece(wait)
            if not piece:
                return piece if piece is None else self._end()
            data = self._take(piece)
            if data or self._broken_at is not None:
                return data or None  # None: a job that is stopped need not wait for the whole file again
        raise self._failure

    def _take(self, piece: bytes) -> bytes:
        """Feed `piece`; return what has not been delivered before."""
        before = self._made
        if self._fed == self._broken_at:
            data = self._crawl()
        else:
            try:
                data = self._feed(piece)
            except self._codec.error as error:
                self._go_back(error)
                return b""
        fresh = data[max(self._delivered - before, 0) :]
        self._delivered += len(fresh)
        return fresh

    def _next_piece(self, wait: bool) -> bytes | None:
        if self._position == len(self._input):
            data = self._raw.read(INPUT_BYTES, wait)
            if not data:
                return data
            self._input, self._position = data, 0
        size = self._piece_bytes
        if self._broken_at is not None and self._fed < self._broken_at:
            size = min(size, self._broken_at - self._fed)
        return self._input[self._position : self._position + size]

    def _feed(self, piece: bytes) -> bytes:
        if self._decompressor is None:
            if self._members:
                piece = self._skip_padding(piece)
            if not piece:
                return b""
            self._decompressor = self._codec.decompressor()
            self._members += 1
        data = self._decompressor.decompress(piece)
        self._advance(len(piece) - len(self._decompressor.unused_data))
        if self._decompressor.eof:
            self._decompressor = None
        self._made += len(data)
        self._adapt(len(data))
        return data

    def _skip_padding(self, piece: bytes) -> bytes:
        rest = piece.lstrip(self._codec.padding)
        self._advance(len(piece) - len(rest))
        return rest

    def _advance(self, size: int) -> None:
        self._position += size
        self._fed += size

    def _adapt(self, made: int) -> None:
        if made > OUTPUT_BYTES:
            self._piece_bytes = max(self._piece_bytes // 2, 16)
        elif made < OUTPUT_BYTES // 4:
            self._piece_bytes = min(self._piece_bytes * 2, INPUT_BYTES)

    def _go_back(self, error: Exception) -> None:
        if not self._raw.rewind():
            self._failure = self._corrupt(error)
            return
        self._broken_at = self._fed
        self._start()

    def _crawl(self) -> bytes:
        """Feed the rest of the input byte by byte, up to the one that fails."""
        made = []
        while self._failure is None and self._position < len(self._input):
            try:
                made.append(self._feed(self._input[self._position : self._position + 1]))
            except self._codec.error as error:
                self._failure = self._corrupt(error)
        return b"".join(made)

    def _corrupt(self, error: Exception) -> Broken:
        hint = None if self._made else f"is it a {self._codec.name} file at all?"
        return Broken(f"corrupt {self._codec.name} data at byte {self._fed}: {error}", hint)

    def _end(self) -> bytes:
        if self._decompressor is None and self._members:
            return b""
        what = "ends in the middle" if self._fed else "is empty"
        raise Broken(f"the {self._codec.name} data {what}", "copy or make the file again")

    def rewind(self) -> bool:
        return False

    def close(self) -> None:
        self._raw.close()
