"""Recovery: how the tasks of a process go on from a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import compress
from typing import TypeAlias

from cext.chain import Operator
from cext.head import Head
from cext.operator_state import OperatorState
from cext.partition import owned
from cext.sink import Sink
from cext.source import Source
from engine.errors import CheckpointError
from engine.state_codec import thaw
from engine.worker import Worker

Read: TypeAlias = Callable[[str], Sequence[Callable[[], bytes]]]
"""Of an operator, by name, what reads the state of each instance that it had; none where it kept nothing."""


def restore(worker: Worker, checkpoint: int, read: Read) -> None:
    """Give every task of `worker` what `checkpoint` knows of it; before any of them runs.

    Where an operator runs as often as it did, each instance gets its own state. Else every instance gets that of all,
    less the keys of the others.
    """
    worker.checkpoint = checkpoint
    for planned in worker.plan.tasks:
        for index, task in worker.instances_of(planned).items():
            task.checkpoint = checkpoint
            natives: list[Head | Operator] = [task.head, *task.chain]
            for native in natives:
                blobs = read(native.name)
                if blobs:
                    _restore(native, blobs, index, planned.parallelism, worker.plan.settings.max_parallelism)


def _restore(
    native: Head | Operator, blobs: Sequence[Callable[[], bytes]], index: int, parallelism: int, max_parallelism: int
) -> None:
    is_moved = len(blobs) != parallelism
    if isinstance(native, Sink):  # what was prepared is committed by one
        blobs = blobs[index::parallelism]
    elif not isinstance(native, Source) and not is_moved:  # partitions may be others now, and so go elsewhere
        blobs = [blobs[index]]
    try:
        states = [thaw(blob()) for blob in blobs]
        if is_moved:
            states = [_share(state, index, parallelism, max_parallelism) for state in states]
        native.restore(states)
    except CheckpointError:
        raise
    except Exception as error:
        raise CheckpointError(
            f"the state of operator {native.name!r} cannot be read: {type(error).__name__}: {error}",
            hint="it must be the same operator, over records of the same type, as the one that kept it",
        ) from error


def _share(state: OperatorState, index: int, parallelism: int, max_parallelism: int) -> OperatorState:
    """What of `state` belongs to the key groups of one instance."""
    tables = {}
    for name, columns in state.tables.items():
        mine = owned(columns[0], max_parallelism, parallelism, index)
        tables[name] = tuple(list(compress(column, mine)) for column in columns)
    return OperatorState(tables, state.single)
