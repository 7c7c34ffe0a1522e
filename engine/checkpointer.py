"""Checkpointer: the thread at home that has checkpoints made, makes them last, and says when they do."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TypeAlias

from msgspec.structs import replace

from engine import coordinator as then
from engine.checkpoint_blobs import files_at, read_blob, write_blob
from engine.checkpoint_manifest import Blob, Program
from engine.checkpoint_store import Pending, Store, TakenOver
from engine.control import (
    BeginCheckpoint,
    CompleteCheckpoint,
    GiveUpCheckpoint,
    NotKept,
    OfCheckpoint,
    Piece,
    SaidOfCheckpoint,
    Visible,
)
from engine.coordinator import Announce, Coordinator, GiveUp, Instruction, Seen, TaskId
from engine.errors import CheckpointError
from engine.keeper import STATE

Pieces: TypeAlias = list[Piece]
_Event: TypeAlias = Callable[[float], "list[Instruction[Pieces]]"]


class Checkpointer:
    """Runs `coordinator` over `store`, for the flow `program`. `tell(word)` tells every process of the job;
    `given_up(why)`, `completed(which, bytes)` and `seen(checkpoint)` tell who watches over it, as does `broken(error)`:
    it makes no more.

    What it calls, it calls in its own thread.
    """

    def __init__(
        self,
        coordinator: Coordinator[Pieces],
        store: Store,
        program: Program,
        tell: Callable[[OfCheckpoint], None],
        given_up: Callable[[GiveUp], None],
        completed: Callable[[Announce, int], None],
        seen: Callable[[int], None],
        broken: Callable[[BaseException], None],
    ) -> None:
        self._coordinator, self._store, self._program = coordinator, store, program
        self._tell, self._broken = tell, broken
        self._given_up, self._completed, self._seen = given_up, completed, seen
        self._pending: Pending | None = None
        self._bytes = 0
        """Of the last one."""
        self._events: queue.SimpleQueue[_Event | None] = queue.SimpleQueue()
        self._is_left = False
        """Whether nobody waits for it any more, nor is to hear of what it finishes yet; written by `leave`."""
        self.thread = threading.Thread(target=self._run, name="headgate-checkpoints", daemon=True)

    def start(self) -> None:
        """Start the thread; called once."""
        self.thread.start()

    def say(self, word: SaidOfCheckpoint) -> None:
        """A task has kept what it knows, or could not, or shows something; from any thread."""
        if isinstance(word, NotKept):
            self._events.put(lambda now: self._coordinator.failed(word.checkpoint, word.why, now))
        elif isinstance(word, Visible):
            sink = TaskId(word.planned, word.instance)
            self._events.put(lambda now: self._coordinator.shown(sink, word.checkpoint))
        else:
            who = TaskId(word.planned, word.instance)
            self._events.put(lambda now: self._coordinator.said(who, word.checkpoint, word.is_last, word.pieces, now))

    def want(self, savepoint: str | None = None) -> None:
        """Make one as soon as may be, perhaps a savepoint; from any thread."""
        self._events.put(lambda now: self._coordinator.want(now, savepoint))

    def end(self) -> None:
        """Do what follows from all that was said, but begin nothing for its time, and end its thread."""
        self._events.put(None)

    def leave(self) -> None:
        """Say nothing more: it does not come back from a call, and others go on without it."""
        self._is_left = True

    def _run(self) -> None:
        try:
            self._serve()
        except BaseException as error:
            self._broken(error)

    def _serve(self) -> None:
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
            if self._is_left:
                return
            try:
                further = self._done(each)
            except Exception as error:
                if isinstance(each, Announce) or isinstance(error, TakenOver):
                    raise  # it lasts, and whoever waits for it would wait for ever; or no other will
                why = f"{type(error).__name__}: {error}"
                further = self._coordinator.failed(each.checkpoint, why, time.monotonic())
            self._do(further)

    def _done(self, each: Instruction[Pieces]) -> list[Instruction[Pieces]]:
        """Do it, and say what follows."""
        if isinstance(each, then.Begin):
            self._tell(BeginCheckpoint(each.checkpoint, self._begin(each).place))
        elif isinstance(each, then.Store):
            self._store_it(each)
            return self._coordinator.stored(time.monotonic())
        elif isinstance(each, GiveUp):
            self._tell(GiveUpCheckpoint(each.checkpoint))
            self._give_up()
            self._given_up(each)
        elif isinstance(each, Seen):
            self._seen(each.checkpoint)
        else:
            self._tell(CompleteCheckpoint(each.checkpoint))
            self._completed(each, self._bytes)
        return []

    def _begin(self, each: then.Begin | then.Store[Pieces]) -> Pending:
        self._pending = self._store.begin(each.checkpoint, each.savepoint, self._program)
        return self._pending

    def _give_up(self) -> None:
        """What is left of it where even that fails is removed when the store is opened the next time."""
        pending, self._pending = self._pending, None
        if pending is not None:
            with suppress(CheckpointError):
                pending.abort()

    def _store_it(self, each: then.Store[Pieces]) -> None:
        pending = self._pending or self._begin(each)
        for pieces in each.kept.values():
            for piece in pieces:
                pending.add(_blob(pending, piece))
        self._bytes = pending.commit().size
        self._pending = None


def _blob(pending: Pending, piece: Piece) -> Blob:
    """Of `piece`, as the checkpoint is to have it; a savepoint has all that it holds in its own place."""
    chunks: Iterable[bytes]
    if piece.blob is None:
        assert piece.data is not None
        chunks = [piece.data]
    elif piece.place is None:
        return piece.blob
    elif pending.is_savepoint:
        chunks = read_blob(files_at(piece.place.root), piece.place.folder, piece.blob)
    else:
        return replace(piece.blob, folder=piece.place.folder)
    return write_blob(pending.place, piece.operator, piece.instance, STATE, chunks)
