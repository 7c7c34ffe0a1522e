"""What an engine does to the writers of one sink over several lives of a job, and crashes at chosen moments."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any
from unittest import mock

import msgspec

from engine.sink import Recovery, Sink, SinkContext, Writer


class Crash(BaseException):
    """The process is gone."""


class Fuse:
    """Raises `Crash` when `step` has been called so many times; half of a write is done by then."""

    def __init__(self) -> None:
        self.left = -1
        self.steps = 0

    def step(self) -> bool:
        """Whether this is the last step."""
        self.steps += 1
        self.left -= 1
        return self.left == -1

    def burn(self) -> None:
        if self.step():
            raise Crash


_SYSTEM = ["fsync", "replace", "unlink", "truncate", "write", "pwrite"]


@contextmanager
def faults() -> Iterator[Fuse]:
    """What makes steps of a writer's calls to the system and to SQLite."""
    fuse = Fuse()

    class Connection(sqlite3.Connection):
        def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
            fuse.burn()
            sql = "PRAGMA synchronous = OFF" if sql.startswith("PRAGMA synchronous") else sql
            return super().execute(sql, *arguments)

    def connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
        db = real(*arguments, factory=Connection, **options)
        sqlite3.Connection.execute(db, "PRAGMA synchronous = OFF")
        return db

    real = sqlite3.connect
    with mock.patch.object(sqlite3, "connect", connect), _system_calls(fuse):
        yield fuse


@contextmanager
def _system_calls(fuse: Fuse) -> Iterator[None]:
    def call(real: Callable[..., Any], name: str) -> Callable[..., Any]:
        def stepping(first: Any, *rest: Any) -> Any:
            if fuse.step():
                if "write" in name:
                    real(first, rest[0][: len(rest[0]) // 2], *rest[1:])
                raise Crash
            return real(first, *rest) if name != "fsync" else None  # it would only take its time

        return stepping

    with ExitStack() as patched:
        for name in _SYSTEM:
            patched.enter_context(mock.patch.object(os, name, call(getattr(os, name), name)))
        yield


class Job:
    """A source of numbers, which goes to the writers of a sink in turn, and checkpoints of both.

    `record(n)`: what number n is to the sink; `seen()`: the numbers that are visible.
    """

    def __init__(
        self, make: Callable[[], Sink[Any]], record: Callable[[int], Any], seen: Callable[[], list[int]]
    ) -> None:
        self.make, self.record, self.seen = make, record, seen
        self.fuse = Fuse()
        self.epoch, self.checkpoint, self.at, self.end = 0, 0, 0, 0
        self.complete: tuple[int, int, list[list[Any]]] = (0, 0, [])
        """Of the last complete checkpoint: its number, where the source was, what each instance had prepared."""
        self.snapshots: dict[int, tuple[int, list[list[Any]]]] = {}
        self.writers: list[Writer[Any]] = []
        self.start(1)

    def start(self, parallelism: int) -> None:
        """The next life, from the last complete checkpoint; what crashes on the way is another one."""
        self.epoch += 1
        number, self.at, prepared = self.complete
        self.checkpoint = max(self.checkpoint, number)
        self.snapshots, self.writers = {}, []
        for index in range(parallelism):
            tokens = [token for instance in prepared[index::parallelism] for token in instance]
            recovery = Recovery("job", self.epoch, _carried(tokens), number)
            self.writers.append(self.make().open(SinkContext("sink", None, index, parallelism, recovery)))
        self.pending: list[list[tuple[int, Any]]] = [[] for _ in self.writers]
        assert sorted(self.seen()) == list(range(self.at))

    def write(self, count: int) -> None:
        numbers = range(self.at, self.at + count)
        for index, writer in enumerate(self.writers):
            writer.write([self.record(n) for n in numbers if n % len(self.writers) == index])
        self.at += count

    def prepare(self) -> None:
        self.checkpoint += 1
        for pending, writer in zip(self.pending, self.writers, strict=True):
            writer.settle()
            pending.append((self.checkpoint, writer.prepare(self.checkpoint)))
        tokens = [[token for _, token in pending] for pending in self.pending]
        self.snapshots[self.checkpoint] = (self.at, _carried(tokens))

    def store(self) -> None:
        """The last checkpoint that was begun is complete."""
        if self.snapshots:
            number = max(self.snapshots)
            self.complete = (number, *self.snapshots[number])

    def commit(self) -> None:
        """Until all of it is seen."""
        self.begin_commit()
        for writer in self.writers:
            writer.settle()

    def begin_commit(self) -> None:
        for pending, writer in zip(self.pending, self.writers, strict=True):
            while pending and pending[0][0] <= self.complete[0]:
                writer.commit(pending[0][1])
                del pending[0]

    def abort(self) -> None:
        for writer in self.writers:
            writer.settle()
            writer.abort()

    def kill(self) -> None:
        """No code of the writers runs any more; what the system does for a dead process is done."""
        for writer in self.writers:
            if (file := getattr(writer, "file", None)) is not None:
                for holder in (file._part, file._claim):
                    with suppress(OSError):
                        os.close(holder._fd)
            if (moving := getattr(writer, "_moving", None)) is not None:
                with suppress(BaseException):  # a connection cannot be closed while it is in use
                    moving.work.wait()
            for name in ("_db", "_session", "_mover"):
                if (holder := getattr(writer, name, None)) is not None:
                    holder.close()

    def finish(self) -> None:
        self.prepare()
        self.store()
        self.commit()
        for writer in self.writers:
            writer.finish()

    def check(self) -> None:
        """Only what a complete checkpoint has is seen, each once."""
        seen = self.seen()
        assert len(seen) == len(set(seen))
        assert set(seen) <= set(range(self.complete[1]))

    def do(self, what: str, *arguments: Any, crash_at: int = -1) -> bool:
        """Whether it was done; else the process is gone, in the middle of it."""
        self.fuse.left = crash_at
        try:
            getattr(self, what)(*arguments)
        except Crash:
            return False
        finally:
            self.fuse.left = -1
        return True


def _carried(prepared: Any) -> Any:
    """What is left of it that was kept in a checkpoint."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(prepared))
