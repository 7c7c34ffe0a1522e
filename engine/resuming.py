"""Resuming: which checkpoint a job goes on from, and whether its flow, as it is now, can."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from engine.checkpoint_blobs import Place, files_at, read_blob
from engine.checkpoint_listing import SAVEPOINTS, Found
from engine.checkpoint_manifest import Manifest, Meaning, Program
from engine.checkpoint_store import Store
from engine.checkpoints import Checkpoints
from engine.control import Life, Saved
from engine.errors import CheckpointError
from engine.graph import Node
from engine.meaning import meaning_of
from engine.plan import Plan
from engine.record_form import misfits
from engine.second_runs import tell_of_totals
from engine.state_codec import thaw

_logger = logging.getLogger("headgate")


def resume(store: Store, wanted: Checkpoints, plan: Plan, at_least: int) -> Saved:
    """What a job goes on from; nothing, where it begins. CheckpointError where it cannot, as where that is before
    `at_least`, the number of the last checkpoint that the job knows of."""
    found = _found(store, wanted.start_from)
    _check_number(store, found, at_least)
    life = Life(store.epoch, store.line, wanted.again)
    if found is None or found.manifest is None:
        return Saved(life, store.ended, start=wanted.start_from)
    manifest = found.manifest
    dropped = _dropped(manifest, f"{store.files.root}/{found.folder}", plan, wanted.drop)
    whole = {each.operator for each in dropped if each.part is None}
    return Saved(
        life,
        store.ended,
        manifest.number,
        Place(store.files.root, found.folder),
        tuple(blob for blob in manifest.blobs if blob.operator not in whole),
        tuple((each.operator, each.part) for each in dropped if each.part is not None),
        wanted.drop,
        wanted.start_from or manifest.program.start,
    )


def _found(store: Store, start_from: str | None) -> Found | None:
    """The last checkpoint that is whole, if none that began at a savepoint is wanted; of others the user is told."""
    found, refused = store.latest()
    if found is None and refused:
        raise CheckpointError(
            "\n  ".join([f"none of the checkpoints in {store.files.root} is whole:", *refused]),
            hint="put back what is missing, or name another directory to begin anew",
        )
    for why in refused:
        _logger.warning("a checkpoint is not used: %s", why)
    if start_from is None or (found and found.manifest and start_from in _beginnings(found.manifest)):
        return found
    return store.savepoint(start_from)


def _check_number(store: Store, found: Found | None, at_least: int) -> None:
    number = found.manifest.number if found and found.manifest else 0
    if number < at_least:
        raise CheckpointError(
            f"checkpoint {at_least} of this job is gone from {store.files.root} or not whole any more: "
            f"{f'{number} is the last' if number else 'there is no other'}",
            hint="what sinks show since then would come again; if that may be, start the job again",
        )


def check_start(wanted: Checkpoints) -> None:
    """CheckpointError where there can be no savepoint to start from; so no directory is made under a wrong name."""
    if wanted.start_from is not None and not (files := files_at(wanted.into)).names(SAVEPOINTS):
        raise CheckpointError(
            f"there is no savepoint {wanted.start_from!r}: {files.root} has none",
            hint="name the directory or URL in which the job made it",
        )


def _beginnings(manifest: Manifest) -> tuple[str | None, ...]:
    return manifest.savepoint, manifest.program.start


class Misfit(NamedTuple):
    """An operator, or a part of what it keeps, that cannot be gone on from, and why."""

    operator: str
    part: str | None
    why: str

    @property
    def name(self) -> str:
        """What `drop` calls it."""
        return self.operator if self.part is None else f"{self.operator}.{self.part.rpartition(' ')[2]}"


def _dropped(manifest: Manifest, where: str, plan: Plan, drop: tuple[str, ...]) -> list[Misfit]:
    """What is dropped, of what does not fit; CheckpointError where that is not all of it.

    What fits is kept though it stands in `drop`: it may have been made since that was written.
    """
    if manifest.job != plan.name:
        raise CheckpointError(
            f"{where} is of the job {manifest.job!r}, and this one is {plan.name!r}",
            hint="give each job a directory of its own, and call the flow as before",
        )
    misfits = list(_misfits(manifest, plan)) if manifest.program.operators else []
    check_dropped(misfits, drop, f"{where} does not fit the flow {plan.name!r} as it is now:")
    return misfits


def check_dropped(misfits: list[Misfit], drop: tuple[str, ...], what: str) -> None:
    """CheckpointError, which begins with `what`, where some of `misfits` are not to be dropped; else a warning."""
    others = [each for each in misfits if each.name not in drop and each.operator not in drop]
    if others:
        names = tuple(each.name for each in others)
        raise CheckpointError(
            "\n  ".join([what, *(each.why for each in others)]),
            hint=f"name and write these as before; or go on without what is kept of them: {_as_wish(names)}",
        )
    for each in misfits:
        _logger.warning("%r is dropped: %s", each.name, each.why)


def _as_wish(names: tuple[str, ...]) -> str:
    options = " ".join(f"--drop {shlex.quote(each)}" for each in names)
    return f"drop={names!r} ({options})"


def _misfits(manifest: Manifest, plan: Plan) -> Iterator[Misfit]:
    """What cannot be gone on from."""
    _check_groups(manifest.program, plan)
    nodes = {node.name: node for task in plan.tasks for node in task.nodes}
    sizes = {blob.operator: 0 for blob in manifest.blobs}
    for blob in manifest.blobs:
        sizes[blob.operator] += blob.bytes
    for before in manifest.program.operators:
        if before.operator not in sizes:
            continue
        if before.operator in nodes:
            yield from misfits_of(before, nodes[before.operator])
        else:
            yield Misfit(before.operator, None, _is_gone(before, sizes[before.operator]))


def _is_gone(before: Meaning, size: int) -> str:
    if before.kind == "source":
        return f"there is no source {before.operator!r}; what is read in its place begins at its beginning"
    if before.kind == "sink":
        return f"there is no sink {before.operator!r}; of what it had written, {size:,} bytes may not be seen yet"
    return f"there is no operator {before.operator!r}, whose state has {size:,} bytes"


def _check_groups(program: Program, plan: Plan) -> None:
    if program.max_parallelism != plan.settings.max_parallelism:
        raise CheckpointError(
            f"the checkpoint was made with Settings(max_parallelism={program.max_parallelism}), "
            f"and the flow {plan.name!r} now has {plan.settings.max_parallelism}",
            hint="it is the number of key groups that state is kept by, and stays the same over a job's life",
        )


def misfits_of(before: Meaning, node: Node) -> Iterator[Misfit]:
    """What of the state of an operator does not fit what that is now; what is not known of one is not compared."""
    now = meaning_of(node)
    if before.kind != now.kind:
        yield Misfit(node.name, None, f"operator {node} was of kind {before.kind!r}, and is of kind {now.kind!r}")
    elif changes := [*_changed_aspects(before, now), *_changed_records(before, now)]:
        then = "; without what is kept it is read from its beginning" if now.kind == "source" else ""
        yield Misfit(node.name, None, f"operator {node} has another state: {'; '.join(changes)}{then}")
    else:
        for part in before.parts:
            if part not in now.parts:
                yield Misfit(node.name, part, f"operator {node} has no {part!r} any more")


def _changed_aspects(before: Meaning, now: Meaning) -> Iterator[str]:
    for name, text in before.aspects.items():
        if name in now.aspects and text != now.aspects[name]:
            yield f"{name}: {text} before, {now.aspects[name]} now"


def _changed_records(before: Meaning, now: Meaning) -> Iterator[str]:
    for name, form in before.records.items():
        if name in now.records:
            yield from misfits(name, form, now.records[name])


def check_partitions(saved: Saved, listed: Mapping[str, Sequence[str]], plan: Plan, drop: tuple[str, ...]) -> None:
    """CheckpointError where a source has lost what it had not read to the end; it may be dropped, all else goes on."""
    nodes = {node.name: node for task in plan.tasks for node in task.nodes}
    known = {name: _known(saved, name) for name in listed}
    lost = []
    for name, partitions in listed.items():
        there = set(partitions)
        gone = [each for each, reached in known[name].items() if reached is not None and each not in there]
        if gone:
            which = ", ".join(repr(each) for each in gone[:3]) + (f" and {len(gone) - 3:,} more" if gone[3:] else "")
            why = f"source {nodes[name]} had begun to read {which}, and finds it no more"
            lost.append(Misfit(name, None, why))
    check_dropped(lost, drop, f"the flow {plan.name!r} cannot read on where it was:")
    tell_of_totals(plan, known, listed)


def _known(saved: Saved, source: str) -> dict[str, object]:
    """How far each partition of a source was read; None: to its end."""
    assert saved.place is not None
    known: dict[str, object] = {}
    files = files_at(saved.place.root)
    for blob in saved.of(source):
        known.update(thaw(b"".join(read_blob(files, saved.place.folder, blob))).single["partitions"])
    return known
