"""What the command shows of a store of checkpoints: which there are, whether they are whole, what is inside."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from engine.checkpoint_blobs import files_at
from engine.checkpoint_listing import age, named, verify
from engine.checkpoint_manifest import Blob, Manifest
from engine.metrics import table


class Looked(msgspec.Struct, frozen=True):
    """A checkpoint as the command shows it; `wrong`: what is wrong with it, as far as was looked."""

    name: str
    wrong: str | None
    manifest: Manifest | None
    is_next: bool = False
    """Whether the next run goes on from it, as far as was looked."""


def look(root: str, name: str | None, *, whole: bool) -> list[Looked]:
    """All checkpoints under `root`, or the one of that name; `whole`: read all of each.

    Takes no lock, so what a running job removes meanwhile is missing. Raises `CheckpointError` where nothing is there.
    """
    files = files_at(root)
    found = named(files, name)
    wrong = [verify(files, each) if whole else each.wrong for each in found]
    good = [each for each, why in zip(found, wrong, strict=True) if why is None]
    last = max(good, key=age, default=None) if name is None else None
    return [Looked(each.name, why, each.manifest, each is last) for each, why in zip(found, wrong, strict=True)]


def lines(looked: list[Looked], *, inside: bool, whole: bool) -> list[str]:
    """As text: a line for each or, of what is `inside`, one for each operator."""
    rows = [_row(each, whole=whole) for each in looked]
    shown = table(("checkpoint", "job", "epoch", "written (UTC)", "operators", "blobs", "bytes", ""), rows)
    wrong = [each.wrong for each in looked if each.wrong]
    contents = [line for each in looked if inside and each.manifest for line in _contents(each.manifest)]
    then = [] if inside else [_next(looked, whole=whole)]
    return [*shown, "", *contents, *wrong, *then]


def _next(looked: list[Looked], *, whole: bool) -> str:
    names = [each.name for each in looked if each.is_next]
    if not names:
        return "no run can go on from here: none of them can be read"
    return f"the next run goes on from {names[0]}{'' if whole else '; --verify reads all of it to see whether it can'}"


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
