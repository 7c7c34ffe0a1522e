"""Keeper: a thread of each process that writes what its tasks keep for checkpoints, while they go on."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from cext.operator_state import OperatorState
from cext.sink import Sink
from cext.task import Task
from engine.checkpoint_blobs import Place, files_at, write_blob
from engine.control import Kept, NotKept, Piece, SaidOfCheckpoint, Visible
from engine.coordinator import TaskId
from engine.errors import CheckpointError
from engine.state_codec import freeze
from engine.worker import Worker

STATE = "state"
"""What the blobs of operators are called."""

LITTLE = 2**20
"""Bytes of an operator that a word may carry: it goes the way of heartbeats, which it must not hold up."""

AGAIN_SECONDS = 0.2
"""After how long that is written which a task kept at its end, and which could not be written before."""


@dataclass(frozen=True)
class _Handed:
    """What a task has handed over: by operator, what makes its state bytes."""

    who: TaskId
    checkpoint: int
    is_last: bool
    frozen: Mapping[str, Callable[[], Iterator[bytes]]]


class _Begun(NamedTuple):
    """A checkpoint, and where what is kept for it is written."""

    checkpoint: int
    place: Place | None


class Keeper:
    """What the tasks of `worker` keep for a checkpoint that has begun becomes blobs in its place.

    `say(word)` gets a Kept for each task and checkpoint, or a NotKept where something failed; and in a sink's own
    thread, what that shows. `broken(error)`: it writes no more.
    What a task keeps at its end belongs to every later checkpoint, which takes it over: from the word where it is
    little, else from `ended`. Where it cannot be written there it is tried again, for no task says it twice.
    """

    def __init__(
        self,
        worker: Worker,
        ended: Place,
        say: Callable[[SaidOfCheckpoint], None],
        broken: Callable[[BaseException], None],
    ) -> None:
        self._ended, self._say, self._broken = ended, say, broken
        self._begun = _Begun(0, None)
        self._early: list[_Handed] = []
        """For a checkpoint that nobody here has been told of: its barrier may come over a link before that."""
        self._unwritten: list[_Handed] = []
        """What ended tasks kept, each at most once."""
        self._work: queue.SimpleQueue[_Handed | _Begun | None] = queue.SimpleQueue()
        """Bounded all the same: a checkpoint begins when the one before it is over."""
        for at, planned in enumerate(worker.plan.tasks):
            for instance, task in worker.instances_of(planned).items():
                task.checkpointed = partial(self._take, TaskId(at, instance))
                if isinstance(task.head, Sink) and task.head.prepares:
                    task.head.shown = partial(self._shown, TaskId(at, instance))
        self._then: Callable[[], None] = lambda: None
        self.thread = threading.Thread(target=self._run, name="headgate-keeper", daemon=True)

    def start(self) -> None:
        """Start the thread; called once."""
        self.thread.start()

    def begin(self, checkpoint: int, place: Place) -> None:
        """Write what is kept for `checkpoint` there."""
        self._work.put(_Begun(checkpoint, place))

    def end(self, then: Callable[[], None] = lambda: None) -> None:
        """Write and say all that tasks have handed over, and end its thread, which calls `then` last."""
        self._then = then
        self._work.put(None)

    def _take(
        self, who: TaskId, task: Task, checkpoint: int, is_last: bool, states: Mapping[str, OperatorState]
    ) -> None:
        """In the task's own thread, which goes on once everything that may change is copied."""
        frozen = {operator: freeze(state) for operator, state in states.items()}
        self._work.put(_Handed(who, checkpoint, is_last, frozen))

    def _shown(self, who: TaskId, checkpoint: int) -> None:
        self._say(Visible(*who, checkpoint))

    def _run(self) -> None:
        try:
            self._serve()
        except BaseException as error:
            self._broken(error)
        finally:
            self._then()

    def _serve(self) -> None:
        while (work := self._next()) is not None:
            if isinstance(work, _Handed):
                self._keep(work)
                continue
            self._begun, early, self._early = work, self._early, []
            for handed in early:
                self._keep(handed)

    def _next(self) -> _Handed | _Begun | None:
        """What is to be done next: what could not be done before, once nothing else has come for a while."""
        try:
            return self._work.get(timeout=AGAIN_SECONDS if self._unwritten else None)
        except queue.Empty:
            return self._unwritten.pop(0)

    def _keep(self, handed: _Handed) -> None:
        if handed.checkpoint > self._begun.checkpoint and not handed.is_last:
            self._early.append(handed)
            return
        try:
            word: Kept | NotKept = self._kept(handed)
        except Exception as error:
            if handed.is_last:
                self._unwritten.append(handed)
            word = NotKept(handed.checkpoint, f"{type(error).__name__}: {error}")
        self._say(word)

    def _kept(self, handed: _Handed) -> Kept:
        pieces = [self._piece(handed, operator, encode()) for operator, encode in handed.frozen.items()]
        return Kept(*handed.who, handed.checkpoint, handed.is_last, pieces)

    def _piece(self, handed: _Handed, operator: str, chunks: Iterator[bytes]) -> Piece:
        instance = handed.who.instance
        if handed.is_last:
            return self._last_piece(operator, instance, list(chunks))
        checkpoint, place = self._begun
        if place is None or handed.checkpoint < checkpoint:
            raise CheckpointError("it was given up before")
        return Piece(operator, instance, blob=write_blob(place, operator, instance, STATE, chunks))

    def _last_piece(self, operator: str, instance: int, chunks: list[bytes]) -> Piece:
        if sum(map(len, chunks)) <= LITTLE:
            return Piece(operator, instance, b"".join(chunks))
        files = files_at(self._ended.root)
        files.make_folder(self._ended.folder)
        blob = write_blob(self._ended, operator, instance, STATE, chunks, files)
        return Piece(operator, instance, blob=blob, place=self._ended)
