"""Recovery: how the tasks of a process go on from a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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

Read: TypeAlias = Callable[[str], Sequence[Callable[[], bytes]]]
"""Of an operator, by name, what reads the state of each instance that it had; none where it kept nothing."""


def restore(worker: Worker, checkpoint: int, read: Read) -> None:
    """Give every task of `worker` what `checkpoint` knows of it; before any of them runs.

    Where an operator runs as often as it did, each instance gets its own state. Else every instance gets that of all,
    less the keys of the others.
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
                    share = _Share(index, planned.parallelism, worker.plan.settings.max_parallelism)
                    _restore(native, blobs, share, cuts.get(native.name), classes)


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
    classes: Mapping[Nameless, Any] | None = None,
) -> None:
    index, parallelism, _ = share
    is_moved = len(blobs) != parallelism
    if isinstance(native, Sink):  # what was prepared is committed by one
        blobs = blobs[index::parallelism]
    elif not isinstance(native, Source) and blobs and not is_moved:  # partitions may be others now, and so go elsewhere
        blobs = [blobs[index]]
    try:
        states = [thaw(blob(), classes) for blob in blobs]
        if is_moved:
            states = [_shared(state, share, cut) for state in states]
        native.restore(states)
    except CheckpointError:
        raise
    except Exception as error:
        raise CheckpointError(
            f"the state of operator {native.name!r} cannot be read: {type(error).__name__}: {error}",
            hint="it must be the same operator, over records of the same type, as the one that kept it",
        ) from error


def _shared(state: OperatorState, share: _Share, cut: Callable[[Any], Any] | None) -> OperatorState:
    """What of `state` belongs to the key groups of one instance."""
    tables = {}
    for name, columns in state.tables.items():
        keys = columns[0] if cut is None else list(map(cut, columns[0]))
        mine = owned(keys, share.max_parallelism, share.parallelism, share.which)
        tables[name] = tuple(list(compress(column, mine)) for column in columns)
    return OperatorState(tables, state.single)
