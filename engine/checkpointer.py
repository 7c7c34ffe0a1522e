"""Checkpointer: the thread at home that has checkpoints made, makes them last, and says when they do."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable
from typing import TypeAlias

from engine.checkpoint_store import Blob, CheckpointStore
from engine.control import BeginCheckpoint, CompleteCheckpoint, Kept, NotKept, Piece
from engine.coordinator import Announce, Begin, Coordinator, GiveUp, Instruction, Store, TaskId

Pieces: TypeAlias = list[Piece]
_Event: TypeAlias = Callable[[float], "list[Instruction[Pieces]]"]


class Checkpointer:
    """Runs `coordinator` over `store`. `tell(word)` tells every process of the job; `given_up(why)` and
    `completed(which)` tell who watches over it.

    What it calls, it calls in its own thread.
    """

    def __init__(
        self,
        coordinator: Coordinator[Pieces],
        store: CheckpointStore,
        tell: Callable[[BeginCheckpoint | CompleteCheckpoint], None],
        given_up: Callable[[GiveUp], None],
        completed: Callable[[Announce], None],
    ) -> None:
        self._coordinator, self._store = coordinator, store
        self._tell, self._given_up, self._completed = tell, given_up, completed
        self._events: queue.SimpleQueue[_Event | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="headgate-checkpoints", daemon=True)

    def start(self) -> None:
        """Start the thread; called once."""
        self._thread.start()

    def say(self, word: Kept | NotKept) -> None:
        """A task has kept what it knows, or could not; from any thread."""
        if isinstance(word, NotKept):
            self._events.put(lambda now: self._coordinator.failed(word.checkpoint, word.why, now))
        else:
            who = TaskId(word.planned, word.instance)
            self._events.put(lambda now: self._coordinator.said(who, word.checkpoint, word.is_last, word.pieces, now))

    def want(self) -> None:
        """Make one as soon as may be; from any thread."""
        self._events.put(self._coordinator.want)

    def close(self) -> None:
        """Make no more; what is under way is not waited for."""
        self._events.put(None)
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                event = self._events.get(timeout=self._patience())
            except queue.Empty:
                event = self._coordinator.tick
            if event is None:
                return
            self._do(event(time.monotonic()))

    def _patience(self) -> float | None:
        deadline = self._coordinator.deadline
        return None if deadline is None else max(0.0, deadline - time.monotonic())

    def _do(self, instructions: Iterable[Instruction[Pieces]]) -> None:
        for each in instructions:
            if isinstance(each, Begin):
                self._tell(BeginCheckpoint(each.checkpoint))
            elif isinstance(each, Announce):
                self._tell(CompleteCheckpoint(each.checkpoint))
                self._completed(each)
            elif isinstance(each, GiveUp):
                self._given_up(each)
            else:
                self._do(self._store_it(each))

    def _store_it(self, store: Store[Pieces]) -> list[Instruction[Pieces]]:
        try:
            blobs = [self._blob(store.checkpoint, piece) for pieces in store.kept.values() for piece in pieces]
            self._store.commit(store.checkpoint, blobs, is_last=store.is_last)
        except Exception as error:
            return self._coordinator.failed(store.checkpoint, f"{type(error).__name__}: {error}", time.monotonic())
        return self._coordinator.stored(time.monotonic())

    def _blob(self, checkpoint: int, piece: Piece) -> Blob:
        if piece.blob is not None:
            return piece.blob
        assert piece.data is not None
        return self._store.write(checkpoint, piece.operator, piece.instance, piece.data)
