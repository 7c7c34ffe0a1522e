"""Stand-in until the real store lands: checkpoints in a local directory."""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from pathlib import Path

import msgspec


class Blob(msgspec.Struct, frozen=True):
    """Where the state of one instance of an operator is written."""

    operator: str
    instance: int
    path: str
    size: int
    checksum: int


class Manifest(msgspec.Struct, frozen=True):
    """A complete checkpoint."""

    checkpoint: int
    epoch: int
    is_last: bool
    blobs: list[Blob]


class BlobStore:
    """Writes and reads state; in any process."""

    def __init__(self, url: str, epoch: int) -> None:
        self.url, self.epoch = url, epoch

    def write(self, checkpoint: int, operator: str, instance: int, data: bytes) -> Blob:
        name = f"{checkpoint}-{self.epoch}/{operator.replace('/', '_')}-{instance}"
        path = Path(self.url, name)
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(data)
        return Blob(operator, instance, name, len(data), zlib.crc32(data))

    def read(self, blob: Blob) -> bytes:
        return Path(self.url, blob.path).read_bytes()


class CheckpointStore(BlobStore):
    """A job's own."""

    def __init__(self, url: str) -> None:
        Path(url).mkdir(exist_ok=True, parents=True)
        epochs = [int(each.name.split("-")[1]) for each in Path(url).glob("epoch-*")]
        super().__init__(url, max(epochs, default=0) + 1)
        Path(url, f"epoch-{self.epoch}").touch()
        found = sorted(Path(url).glob("manifest-*.json"))
        self.latest = msgspec.json.decode(found[-1].read_bytes(), type=Manifest) if found else None

    def renew(self) -> None:
        """One more life of the same job."""
        self.__init__(self.url)  # type: ignore[misc]

    def commit(self, checkpoint: int, blobs: Sequence[Blob], *, is_last: bool) -> None:
        self.latest = Manifest(checkpoint, self.epoch, is_last, list(blobs))
        temporary = Path(self.url, "manifest.tmp")
        temporary.write_bytes(msgspec.json.encode(self.latest))
        os.replace(temporary, Path(self.url, f"manifest-{checkpoint:012}.json"))

    def close(self) -> None: ...
