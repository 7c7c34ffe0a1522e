"""Saving: the checkpoints of one life of a job: what it goes on from, and who makes the next ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

from engine.checkpoint_store import BlobStore, CheckpointStore
from engine.checkpointer import Checkpointer, Pieces
from engine.checkpoints import Checkpoints
from engine.control import BeginCheckpoint, CompleteCheckpoint, Kept, NotKept, Saved
from engine.coordinator import Announce, Coordinator, GiveUp, TaskId
from engine.keeper import Keeper
from engine.plan import Plan
from engine.recovery import restore
from engine.worker import Worker


def keep(worker: Worker, saved: Saved, say: Callable[[Kept | NotKept], None]) -> Keeper:
    """Let the tasks of `worker` go on from what is saved, and keep what they know from now on."""
    store = BlobStore(saved.url, saved.life)

    def read(operator: str) -> Sequence[Callable[[], bytes]]:
        return [partial(store.read, blob) for blob in saved.of(operator)]

    if saved.checkpoint:
        restore(worker, saved.checkpoint, read)
    return Keeper(worker, store.write, say)


class Saving:
    """Of one attempt, at home. `given_up(why)` and `completed(which)` are called in the checkpointer's thread."""

    def __init__(
        self,
        wanted: Checkpoints,
        store: CheckpointStore,
        given_up: Callable[[GiveUp], None],
        completed: Callable[[Announce], None],
    ) -> None:
        self._wanted, self._store, self._given_up, self._completed = wanted, store, given_up, completed
        latest = store.latest
        checkpoint, blobs = (0, ()) if latest is None else (latest.checkpoint, tuple(latest.blobs))
        self.saved = Saved(store.url, store.epoch, checkpoint, blobs)
        self._keeper: Keeper | None = None
        self._checkpointer: Checkpointer | None = None

    def attend(self, worker: Worker, tell: Callable[[BeginCheckpoint | CompleteCheckpoint], None]) -> None:
        """Let the part at home go on from the last checkpoint, and get ready to make others; `tell` tells everybody."""
        self._keeper = keep(worker, self.saved, self.say)
        coordinator = self._coordinator(worker.plan)
        self._checkpointer = Checkpointer(coordinator, self._store, tell, self._given_up, self._completed)

    def _coordinator(self, plan: Plan) -> Coordinator[Pieces]:
        instances = (TaskId(at, instance) for at, task in enumerate(plan.tasks) for instance in range(task.parallelism))
        interval, pause, timeout = (self._wanted.seconds(name) for name in ("interval", "pause", "timeout"))
        return Coordinator(instances, self.saved.checkpoint, interval, pause, timeout, time.monotonic())

    def start(self) -> None:
        """Everybody runs."""
        assert self._keeper is not None
        assert self._checkpointer is not None
        self._keeper.start()
        self._checkpointer.start()

    def say(self, word: Kept | NotKept) -> None:
        """What somebody says of a checkpoint; from any thread."""
        assert self._checkpointer is not None
        self._checkpointer.say(word)

    def want(self) -> None:
        """Make one as soon as may be."""
        assert self._checkpointer is not None
        self._checkpointer.want()

    def close(self) -> None:
        """Nothing runs any more."""
        assert self._keeper is not None
        assert self._checkpointer is not None
        self._keeper.close()
        self._checkpointer.close()
