"""Resuming: which checkpoint a job goes on from, and whether its flow, as it is now, can."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from engine.checkpoint_blobs import Place
from engine.checkpoint_listing import Found
from engine.checkpoint_manifest import Manifest, Meaning, Program
from engine.checkpoint_store import Store
from engine.checkpoints import Checkpoints
from engine.control import Life, Saved
from engine.errors import CheckpointError
from engine.graph import Node
from engine.meaning import program_of
from engine.plan import Plan

_logger = logging.getLogger("headgate")


def resume(store: Store, wanted: Checkpoints, plan: Plan) -> Saved:
    """What a job goes on from; nothing, where it begins. CheckpointError where it cannot."""
    found = _found(store, wanted.start_from)
    life = Life(store.epoch, store.line, wanted.again)
    if found is None or found.manifest is None:
        return Saved(life, store.ended)
    manifest = found.manifest
    left_out = _left_out(manifest, f"{store.files.root}/{found.folder}", plan, wanted.drop)
    blobs = tuple(blob for blob in manifest.blobs if blob.operator not in left_out)
    return Saved(life, store.ended, manifest.number, Place(store.files.root, found.folder), blobs)


def _found(store: Store, start_from: str | None) -> Found | None:
    """The last checkpoint that is whole, if none that began at a savepoint is wanted; of others the user is told."""
    found, refused = store.latest()
    for why in refused:
        _logger.warning("a checkpoint is not used: %s", why)
    if start_from is None or (found and found.manifest and start_from in _beginnings(found.manifest)):
        return found
    return store.savepoint(start_from)


def _beginnings(manifest: Manifest) -> tuple[str | None, ...]:
    return manifest.savepoint, manifest.program.start


def _left_out(manifest: Manifest, where: str, plan: Plan, drop: tuple[str, ...]) -> set[str]:
    """Whose state is dropped, of what does not fit; CheckpointError where that is not all of it.

    What fits is kept though it stands in `drop`: it may have been made since that was written.
    """
    if manifest.job != plan.name:
        raise CheckpointError(
            f"{where} is of the job {manifest.job!r}, and this one is {plan.name!r}",
            hint="give each job a directory of its own, and call the flow as before",
        )
    misfits = dict(_misfits(manifest, plan)) if manifest.program.operators else {}
    others = {name: why for name, why in misfits.items() if name not in drop}
    if others:
        names = tuple(others)
        raise CheckpointError(
            "\n  ".join([f"{where} does not fit the flow {plan.name!r} as it is now:", *others.values()]),
            hint=f"name and write these operators as before; or go on without their state: drop={names!r}",
        )
    return set(misfits)


def _misfits(manifest: Manifest, plan: Plan) -> Iterator[tuple[str, str]]:
    """The operators whose state cannot be gone on from, and why."""
    _check_groups(manifest.program, plan)
    now = {each.operator: each for each in program_of(plan).operators}
    nodes = {node.name: node for task in plan.tasks for node in task.nodes}
    sizes = {blob.operator: 0 for blob in manifest.blobs}
    for blob in manifest.blobs:
        sizes[blob.operator] += blob.bytes
    for before in manifest.program.operators:
        if before.operator not in sizes:
            continue
        if before.operator not in now:
            yield (
                before.operator,
                f"there is no operator {before.operator!r}, whose state has {sizes[before.operator]:,} bytes",
            )
        elif why := change(before, now[before.operator], nodes[before.operator]):
            yield before.operator, why


def _check_groups(program: Program, plan: Plan) -> None:
    if program.max_parallelism != plan.settings.max_parallelism:
        raise CheckpointError(
            f"the checkpoint was made with Settings(max_parallelism={program.max_parallelism}), "
            f"and the flow {plan.name!r} now has {plan.settings.max_parallelism}",
            hint="it is the number of key groups that state is kept by, and stays the same over a job's life",
        )


def change(before: Meaning, now: Meaning, node: Node) -> str | None:
    """What is no longer as it was, in words; what is not known of one of them is not compared."""
    if before.kind != now.kind:
        return f"operator {node} was of kind {before.kind!r}, and is of kind {now.kind!r}"
    changes = [
        f"{name}: {before.aspects[name]} before, {now.aspects[name]} now"
        for name in before.aspects
        if name in now.aspects and before.aspects[name] != now.aspects[name]
    ]
    return f"operator {node} has another state: {'; '.join(changes)}" if changes else None
