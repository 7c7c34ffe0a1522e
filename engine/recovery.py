"""Recovery: how the tasks of a process go on from a checkpoint."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from itertools import compress
from typing import Any, NamedTuple, TypeAlias

from cext.chain import Operator
from cext.combining import Combine
from cext.head import Head
from cext.operator_state import OperatorState
from cext.partition import owned
from cext.sink import Sink
from cext.source import Source
from engine.errors import CheckpointError
from engine.graph import Key, Node
from engine.state_codec import thaw
from engine.state_pickling import Nameless, nameless_in
from engine.worker import Worker

_logger = logging.getLogger("headgate")

Read: TypeAlias = Callable[[str], Sequence[Callable[[], bytes]]]
"""Of an operator, by name, what reads the state of each instance that it had; none where it kept nothing."""


def restore(
    worker: Worker,
    checkpoint: int,
    read: Read,
    without: Iterable[tuple[str, str]] = (),
    drop: Sequence[str] = (),
) -> None:
    """Give every task of `worker` what `checkpoint` knows of it; before any of them runs.

    Where an operator runs as often as it did, each instance gets its own state. Else every instance gets that of all,
    less the keys of the others. `without`: the tables of operators that are left out; `drop`: the operators that go on
    without their state where that cannot be read.
    """
    worker.checkpoint = checkpoint
    classes = nameless_in(node.type for planned in worker.plan.tasks for node in planned.nodes)
    for planned in worker.plan.tasks:
        for index, task in worker.instances_of(planned).items():
            task.checkpoint = checkpoint
            natives: list[Head | Operator] = [task.head, *task.chain]
            cuts = {node.name: cut for node in planned.nodes if (cut := _cut(node)) is not None}
            for native in natives:
                blobs = read(native.name)
                if blobs or isinstance(native, Combine):  # which there is only where records cross
                    name = native.name
                    share = _Share(index, planned.parallelism, worker.plan.settings.max_parallelism)
                    reading = _Reading(classes, {part for operator, part in without if operator == name}, name in drop)
                    _restore(native, blobs, share, cuts.get(name), reading, worker.partitions.get(name, ()))


class _Reading(NamedTuple):
    """How state is read: with the `classes` of records that stand in no module, without some tables, and whether what
    cannot be read is left out."""

    classes: Mapping[Nameless, Any] | None = None
    without: Set[str] = frozenset()
    is_droppable: bool = False


_PLAINLY = _Reading()


class _Share(NamedTuple):
    """One of so many instances, which has its part of so many key groups."""

    which: int
    parallelism: int
    max_parallelism: int


def _cut(node: Node) -> Callable[[Any], Any] | None:
    """What makes keys of `node` those that its records are spread by, where that is less; else None."""
    mine: Key | None = getattr(node.operation, "key", None)
    spread = next((each.key for each in node.inputs if each.key is not None), None)
    if mine is None or spread is None or len(mine.parts) == len(spread.parts):
        return None
    own, count = len(mine.parts), len(spread.parts)

    def cut(key: Any) -> Any:
        parts = (key,) if own == 1 else key
        return key if parts is None else parts[0] if count == 1 else parts[:count]

    return cut


def _restore(
    native: Head | Operator,
    blobs: Sequence[Callable[[], bytes]],
    share: _Share,
    cut: Callable[[Any], Any] | None = None,
    reading: _Reading = _PLAINLY,
    listed: Sequence[str] = (),
) -> None:
    index, parallelism, _ = share
    is_moved = len(blobs) != parallelism
    if isinstance(native, Sink):  # what was prepared is committed by one
        blobs = blobs[index::parallelism]
    elif not isinstance(native, Source) and blobs and not is_moved:  # partitions may be others now, and so go elsewhere
        blobs = [blobs[index]]
    states = _read(native.name, blobs, reading)
    if states is None:
        return
    if isinstance(native, Source):
        states = [_of_partitions(state, share, listed) for state in states]
    elif is_moved:
        states = [_shared(state, share, cut) for state in states]
    try:
        native.restore(states)
    except Exception as error:
        why = f"the state of operator {native.name!r} cannot be read: {type(error).__name__}: {error}"
        hint = "it must be the same operator, over records of the same type, as the one that kept it"
        raise CheckpointError(why, hint=hint) from error


def _read(operator: str, blobs: Sequence[Callable[[], bytes]], reading: _Reading) -> list[OperatorState] | None:
    """What stands in the blobs of an operator; None where that cannot be read and is to be left out."""
    try:
        states = [thaw(blob(), reading.classes) for blob in blobs]
    except Exception as error:
        reason = str(error) if isinstance(error, CheckpointError) else f"{type(error).__name__}: {error}"
        why = f"the state of operator {operator!r} cannot be read: {reason}"
        if reading.is_droppable:
            _logger.warning("%r is dropped: %s", operator, why)
            return None
        hint = f"put back what its records want, or go on without its state: drop={(operator,)!r}"
        raise CheckpointError(why, hint=hint) from error
    return [
        OperatorState({name: table for name, table in tables.items() if name not in reading.without}, single)
        for tables, single in states
    ]


def _of_partitions(state: OperatorState, share: _Share, listed: Sequence[str]) -> OperatorState:
    """Where the partitions stand that one instance of a source reads.

    The first also remembers those that were read to their end and are not `listed` now, as they may be again.
    """
    mine, all_listed = set(listed[share.which :: share.parallelism]), set(listed)
    partitions = {
        partition: reached
        for partition, reached in state.single["partitions"].items()
        if partition in mine or (reached is None and share.which == 0 and partition not in all_listed)
    }
    return OperatorState(state.tables, {**state.single, "partitions": partitions})


def _shared(state: OperatorState, share: _Share, cut: Callable[[Any], Any] | None) -> OperatorState:
    """What of `state` belongs to the key groups of one instance."""
    tables = {}
    for name, columns in state.tables.items():
        keys = columns[0] if cut is None else list(map(cut, columns[0]))
        mine = owned(keys, share.max_parallelism, share.parallelism, share.which)
        tables[name] = tuple(list(compress(column, mine)) for column in columns)
    return OperatorState(tables, state.single)
