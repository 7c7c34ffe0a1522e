"""Saving: the checkpoints of one life of a job: what it goes on from, and who makes the next ones."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial

from engine.checkpoint_blobs import files_at, read_blob
from engine.checkpoint_manifest import Blob
from engine.checkpoint_store import Store
from engine.checkpointer import Checkpointer, Pieces
from engine.checkpoints import Checkpoints
from engine.control import BeginCheckpoint, OfCheckpoint, SaidOfCheckpoint, Saved
from engine.coordinator import Announce, Coordinator, GiveUp, TaskId
from engine.errors import CheckpointError
from engine.keeper import Keeper
from engine.meaning import program_of
from engine.plan import Plan
from engine.recovery import restore
from engine.resuming import check_partitions, resume
from engine.worker import Worker

_LOOK_SECONDS = 0.05
"""How often it looks whether a thread that has not ended is still to be waited for."""


def keep(
    worker: Worker, saved: Saved, say: Callable[[SaidOfCheckpoint], None], failed: Callable[[BaseException], None]
) -> Keeper:
    """Let the tasks of `worker` go on from what is saved, and keep what they know from now on."""
    if saved.place is not None:
        files, folder = files_at(saved.place.root), saved.place.folder

        def whole(blob: Blob) -> bytes:
            return b"".join(read_blob(files, folder, blob))

        def read(operator: str) -> list[Callable[[], bytes]]:
            return [partial(whole, blob) for blob in saved.of(operator)]

        restore(worker, saved.checkpoint, read, saved.without, saved.drop)
    return Keeper(worker, saved.ended, say, lambda error: failed(_broken(error)))


def _broken(error: BaseException) -> CheckpointError:
    """What fails a job that would else wait for checkpoints which nobody makes."""
    if isinstance(error, CheckpointError) and error.final:
        return error
    broken = CheckpointError(f"checkpoints cannot be made any more: {type(error).__name__}: {error}")
    broken.__cause__ = error
    return broken


class Saving:
    """Of one attempt, at home. `given_up(why)`, `completed(it, bytes)` and `seen(number)`, once all sinks show it, are
    called in the checkpointer's thread. `at_least`: the number of the last checkpoint that is known to be there."""

    def __init__(
        self,
        wanted: Checkpoints,
        store: Store,
        plan: Plan,
        given_up: Callable[[GiveUp], None],
        completed: Callable[[Announce, int], None],
        seen: Callable[[int], None],
        at_least: int = 0,
    ) -> None:
        self._wanted, self._store = wanted, store
        self._watching = given_up, completed, seen
        self.saved = resume(store, wanted, plan, at_least)
        self._program = program_of(plan, self.saved.start)
        self._keeper: Keeper | None = None
        self._checkpointer: Checkpointer | None = None

    def attend(
        self,
        worker: Worker,
        tell: Callable[[OfCheckpoint], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        """Let the part at home go on from the last checkpoint, and get ready to make others; `tell` tells everybody,
        `failed` says that no more can be made."""
        if self.saved.place is not None:
            check_partitions(self.saved, worker.partitions, worker.plan, self._wanted.drop)
        self._keeper = keep(worker, self.saved, self.say, failed)
        coordinator = self._coordinator(worker.plan)
        parts = (coordinator, self._store, self._program, tell, *self._watching)
        self._checkpointer = Checkpointer(*parts, lambda error: failed(_broken(error)))

    def _coordinator(self, plan: Plan) -> Coordinator[Pieces]:
        instances = {TaskId(at, each): task for at, task in enumerate(plan.tasks) for each in range(task.parallelism)}
        sinks = [who for who, task in instances.items() if task.shows]
        interval, pause, timeout = (self._wanted.seconds(name) for name in ("interval", "pause", "timeout"))
        names = {who: task.instance_name(who.instance) for who, task in instances.items()}
        return Coordinator(names, self.saved.checkpoint, interval, pause, timeout, time.monotonic(), sinks)

    def start(self) -> None:
        """Everybody runs."""
        assert self._keeper is not None
        assert self._checkpointer is not None
        self._keeper.start()
        self._checkpointer.start()

    def begin(self, word: BeginCheckpoint) -> None:
        """What the part at home keeps for this checkpoint is to be written."""
        assert self._keeper is not None
        self._keeper.begin(word.checkpoint, word.place)

    def say(self, word: SaidOfCheckpoint) -> None:
        """What somebody says of a checkpoint; from any thread."""
        assert self._checkpointer is not None
        self._checkpointer.say(word)

    def want(self, savepoint: str | None = None) -> None:
        """Make one as soon as may be, perhaps a savepoint."""
        assert self._checkpointer is not None
        self._checkpointer.want(savepoint)

    def close(self, is_overdue: Callable[[], bool]) -> list[str]:
        """Nothing runs any more: have what was handed over written and said. What has not come back from a call of its
        own when `is_overdue()` is left behind: the names of these threads. What they finish later is no checkpoint."""
        assert self._keeper is not None
        assert self._checkpointer is not None
        self._keeper.end()
        left = _left(self._keeper.thread, is_overdue)
        self._checkpointer.end()
        left += _left(self._checkpointer.thread, is_overdue)
        self._checkpointer.leave()
        return left


def _left(thread: threading.Thread, is_overdue: Callable[[], bool]) -> list[str]:
    """The name of `thread`, if it has not ended in time."""
    while thread.is_alive():
        thread.join(_LOOK_SECONDS)
        if is_overdue():
            break
    return [thread.name] if thread.is_alive() else []
