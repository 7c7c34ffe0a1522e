"""Text in other encodings, turned into UTF-8 on the way, so that everything after it knows only one."""

from __future__ import annotations

import codecs

from connectors.byte_streams import FINGERPRINT_BYTES, Broken, ByteStream
from engine.errors import GraphError


def is_utf8(encoding: str) -> bool:
    """Whether bytes in `encoding` are UTF-8 already; `GraphError` if Python knows no such text encoding."""
    try:
        "".encode(encoding)
    except LookupError as error:
        raise GraphError(f"unknown encoding {encoding!r}", hint="Python's codecs documentation lists them") from error
    return codecs.lookup(encoding).name in {"utf-8", "utf-8-sig"}


class Transcoded:
    """`raw` as UTF-8. Bytes that mean nothing in `encoding` are made to mean nothing in UTF-8 either."""

    def __init__(self, raw: ByteStream, encoding: str) -> None:
        self._raw = raw
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder(encoding)("surrogateescape")
        self._failure: Broken | None = None

    def read(self, size: int, wait: bool) -> bytes | None:
        while self._failure is None:
            chunk = self._raw.read(size, wait)
            if chunk is None:
                return None
            text = self._decode(chunk)
            if text or not chunk:
                return text.encode("utf-8", "surrogatepass")
        raise self._failure

    def _decode(self, chunk: bytes) -> str:
        try:
            return self._decoder.decode(chunk, final=not chunk)
        except UnicodeError as error:
            self._failure = Broken(f"not {self._encoding}: {error}", "say encoding=")
            good = error.start - len(error.object) + len(chunk) if isinstance(error, UnicodeDecodeError) else 0
            return self._decoder.decode(chunk[: max(good, 0)])

    def fingerprint(self, size: int = FINGERPRINT_BYTES) -> tuple[int, int] | None:
        return self._raw.fingerprint(size)

    def close(self) -> None:
        self._raw.close()
