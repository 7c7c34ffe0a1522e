"""What the command shows of a store of checkpoints: which there are, whether they are whole, what is inside."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from engine.checkpoint_blobs import files_at
from engine.checkpoint_files import Files
from engine.checkpoint_listing import SAVEPOINTS, Found, checkpoints, order_of, verify
from engine.checkpoint_manifest import Blob, Manifest
from engine.errors import CheckpointError
from engine.metrics import table


class Looked(msgspec.Struct, frozen=True):
    """A checkpoint as the command shows it; `wrong`: what is wrong with it, as far as was looked."""

    name: str
    wrong: str | None
    manifest: Manifest | None


def look(root: str, name: str | None, *, whole: bool) -> list[Looked]:
    """All checkpoints under `root`, or the one of that name; `whole`: read all of each.

    Takes no lock, so what a running job removes meanwhile is missing. Raises `CheckpointError` where nothing is there.
    """
    files = files_at(root)
    there = checkpoints(files)
    found = [each for each in there if name in {None, _name(each)}]
    if not found:
        names = ", ".join(map(_name, there)) or "none"
        wanted = "checkpoints" if name is None else f"a checkpoint {name!r}"
        hint = "name the directory or URL that the job was given" if name is None else f"there are: {names}"
        raise CheckpointError(f"wanted {wanted} in {files.root}, found none", hint=hint)
    return [_looked(files, each, whole=whole) for each in found]


def _looked(files: Files, found: Found, *, whole: bool) -> Looked:
    return Looked(_name(found), verify(files, found) if whole else found.wrong, found.manifest)


def _name(found: Found) -> str:
    """That of a savepoint, the number of another one."""
    folder, _, name = found.folder.partition("/")
    return name if folder == SAVEPOINTS else str(order_of(found.folder)[1])


def lines(looked: list[Looked], *, inside: bool, whole: bool) -> list[str]:
    """As text: a line for each or, of what is `inside`, one for each operator."""
    rows = [_row(each, whole=whole) for each in looked]
    shown = table(("checkpoint", "job", "epoch", "written (UTC)", "operators", "blobs", "bytes", ""), rows)
    wrong = [each.wrong for each in looked if each.wrong]
    contents = [line for each in looked if inside and each.manifest for line in _contents(each.manifest)]
    return [*shown, *([""] if contents or wrong else []), *contents, *wrong]


def _row(each: Looked, *, whole: bool) -> tuple[str, ...]:
    state = "refused" if each.wrong else "whole" if whole else "complete"
    if each.manifest is None:
        return (each.name, *[""] * 6, state)
    manifest = each.manifest
    operators = {blob.operator for blob in manifest.blobs}
    numbers = (f"{len(operators):,}", f"{len(manifest.blobs):,}", f"{manifest.size:,}")
    return (each.name, manifest.job, str(manifest.epoch), f"{manifest.time:%Y-%m-%d %H:%M:%S}", *numbers, state)


def _contents(manifest: Manifest) -> Iterator[str]:
    by_operator: dict[str, list[Blob]] = {}
    for blob in manifest.blobs:
        by_operator.setdefault(blob.operator, []).append(blob)
    rows = [
        (name, str(len({blob.instance for blob in blobs})), str(len(blobs)), f"{sum(blob.bytes for blob in blobs):,}")
        for name, blobs in sorted(by_operator.items(), key=lambda item: -sum(blob.bytes for blob in item[1]))
    ]
    yield from table(("operator", "instances", "blobs", "bytes"), rows)
