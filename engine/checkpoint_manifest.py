"""Manifest: what one checkpoint holds, as the file whose presence makes it complete."""

from __future__ import annotations

import hashlib
from datetime import datetime

import msgspec

from engine.errors import CheckpointError
from engine.record_form import Form

FORMAT = 1
"""The version of the manifest's format; one that is greater cannot be read."""

MANIFEST = "manifest.json"


class Blob(msgspec.Struct, frozen=True):
    """One piece of state: of which operator and instance, what its snapshot calls it, and the file that has it.

    `checksum` is the SHA-256 of its `bytes` bytes, in hexadecimal digits. `folder`: where the file is, unless it is in
    the checkpoint's own folder: what a task kept at its end is written once, and is in all later checkpoints.
    """

    operator: str
    instance: int
    name: str
    file: str
    bytes: int
    checksum: str
    folder: str | None = None


class Meaning(msgspec.Struct, frozen=True):
    """What the state of one operator hangs on: its `kind`, and what else (keys, aggregates, types), in words, as far as
    is known. `parts`: what it keeps that may come and go by itself; `records`: the classes of records in it."""

    operator: str
    kind: str
    aspects: dict[str, str] = {}
    parts: tuple[str, ...] = ()
    records: dict[str, Form] = {}


class Program(msgspec.Struct, frozen=True):
    """What a checkpoint knows of the flow that made it. `start`: the savepoint that it, or the last run
    before it that was told of one, was to begin at."""

    max_parallelism: int = 0
    operators: tuple[Meaning, ...] = ()
    start: str | None = None


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """A complete checkpoint: the `number`th of a job, made under its `epoch`th opening of the store, at `time`.

    `savepoint`: the name that the user gave it, if it is one.
    """

    format: int = FORMAT
    job: str
    epoch: int
    number: int
    time: datetime
    savepoint: str | None = None
    program: Program = Program()
    blobs: tuple[Blob, ...] = ()

    @property
    def order(self) -> tuple[int, int]:
        """Later ones have the greater."""
        return self.epoch, self.number

    @property
    def size(self) -> int:
        """Bytes of state."""
        return sum(blob.bytes for blob in self.blobs)


class _Version(msgspec.Struct):
    format: int


def encode(manifest: Manifest) -> bytes:
    """The manifest as JSON, and on the last line the SHA-256 of all before it."""
    body = msgspec.json.format(msgspec.json.encode(manifest)) + b"\n"
    return body + _digest(body)


def decode(data: bytes, where: str) -> Manifest:
    """Read what `encode` made; `CheckpointError` says what is wrong with the file `where`."""
    body, newline, digest = data.rpartition(b"\n")
    body += newline
    if not body or digest != _digest(body):
        raise CheckpointError(f"{where} is not as it was written: its checksum is not that of its content")
    version = msgspec.json.decode(body, type=_Version).format
    if version > FORMAT:
        raise CheckpointError(
            f"{where} has format {version}, and this Headgate reads formats up to {FORMAT}",
            hint="run the job with the version of Headgate that made it, or a later one",
        )
    return msgspec.json.decode(body, type=Manifest)


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()
