"""Control: the words that a job and its workers say to each other, and the inbox of a thread that waits on sockets."""

from __future__ import annotations

import os
import platform
import threading
from collections import deque
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec

from engine import checkpoint_blobs
from engine.checkpoint_manifest import Blob
from engine.failures import Failure
from engine.report import Report
from engine.transport import Addresses, Place
from engine.version import VERSION


class Bootstrap(msgspec.Struct, frozen=True):
    """What a worker is started with: who it is, where the job listens and where it is to, and the word that proves it
    to be ours."""

    worker: int
    address: str
    place: Place
    token: bytes


class Life(msgspec.Struct, frozen=True):
    """Which life of a job this is: the epoch of its line of checkpoints; the sinks that may write `again` what later
    checkpoints than the one that it goes on from have shown."""

    epoch: int
    line: str
    again: tuple[str, ...] = ()


class Saved(msgspec.Struct, frozen=True):
    """Which life of a job this is, where tasks that end put what is large, and what the job goes on from: a
    checkpoint, 0 for none, where that is, and its blobs."""

    life: Life
    ended: checkpoint_blobs.Place
    checkpoint: int = 0
    place: checkpoint_blobs.Place | None = None
    blobs: tuple[Blob, ...] = ()
    without: tuple[tuple[str, str], ...] = ()
    """(operator, what it kept) that is left out."""
    drop: tuple[str, ...] = ()
    """The operators that go on without their state where that cannot be read."""
    start: str | None = None
    """The savepoint that this line of checkpoints was last told to begin at."""

    def of(self, operator: str) -> list[Blob]:
        """What each instance of an operator kept, in order."""
        return sorted((blob for blob in self.blobs if blob.operator == operator), key=lambda blob: blob.instance)


# From a worker.


class Hello(msgspec.Struct, frozen=True, tag=True):
    """The first word of a worker. Nothing is unpickled before the versions are seen to agree."""

    pid: int
    python: str
    headgate: str


class Ready(msgspec.Struct, frozen=True, tag=True):
    """It has built its part of the plan whose fingerprint this is, and receives at `addresses`."""

    fingerprint: str
    addresses: Addresses


class Beat(msgspec.Struct, frozen=True, tag=True):
    """It lives, and has done this so far."""

    report: Report


class Failed(msgspec.Struct, frozen=True, tag=True):
    """A task of it failed."""

    failure: Failure


class Piece(msgspec.Struct, frozen=True):
    """What one instance of an operator keeps for a checkpoint: it is `data`, or else written as `blob`, in the
    checkpoint's own place unless another one is named."""

    operator: str
    instance: int
    data: bytes | None = None
    blob: Blob | None = None
    place: checkpoint_blobs.Place | None = None


class Kept(msgspec.Struct, frozen=True, tag=True):
    """All that one instance of a planned task keeps for a checkpoint, or `is_last`, for all later than its end."""

    planned: int
    instance: int
    checkpoint: int
    is_last: bool
    pieces: list[Piece]


class NotKept(msgspec.Struct, frozen=True, tag=True):
    """Something of a checkpoint could not be written."""

    checkpoint: int
    why: str


class Visible(msgspec.Struct, frozen=True, tag=True):
    """One instance of a planned task, a sink, shows all that complete checkpoints up to this one have."""

    planned: int
    instance: int
    checkpoint: int


class Drained(msgspec.Struct, frozen=True, tag=True):
    """Its tasks are done, and its channels to and from others have ended; it still answers those."""


class Ended(msgspec.Struct, frozen=True, tag=True):
    """Its last word. `stuck`: threads that did not come back from a call of their own."""

    report: Report
    stuck: list[str] = []


# To a worker.


class Welcome(msgspec.Struct, frozen=True, tag=True):
    """The flow, as shipping.dump made it, and how it is planned."""

    flow: bytes
    processes: int | None
    partitions: bytes
    """Of every source, pickled: names of files need not be UTF-8."""
    epoch: int
    fingerprint: str
    saved: Saved | None = None
    """Where it keeps state, and what it goes on from, in a job that makes checkpoints."""


class Start(msgspec.Struct, frozen=True, tag=True):
    """Everybody is ready: where to reach whom. Run."""

    addresses: dict[int, Addresses]


class StopSources(msgspec.Struct, frozen=True, tag=True):
    """Read no more; `whole`: what was read counts as the whole stream."""

    whole: bool


class BeginCheckpoint(msgspec.Struct, frozen=True, tag=True):
    """Its sources send the barrier of this checkpoint, and what tasks keep for it is written to `place`."""

    checkpoint: int
    place: checkpoint_blobs.Place


class GiveUpCheckpoint(msgspec.Struct, frozen=True, tag=True):
    """This checkpoint comes to nothing: nobody waits for its barrier any longer."""

    checkpoint: int


class CompleteCheckpoint(msgspec.Struct, frozen=True, tag=True):
    """This checkpoint lasts: sinks show what belongs to it."""

    checkpoint: int


class Cancel(msgspec.Struct, frozen=True, tag=True):
    """Drop what is on its way."""


class Abandon(msgspec.Struct, frozen=True, tag=True):
    """Some other process is lost: wait for nobody, and end."""


class Close(msgspec.Struct, frozen=True, tag=True):
    """Everybody has drained: end."""


SaidOfCheckpoint: TypeAlias = Kept | NotKept | Visible
FromWorker: TypeAlias = Hello | Ready | Beat | Failed | SaidOfCheckpoint | Drained | Ended
OfCheckpoint: TypeAlias = BeginCheckpoint | GiveUpCheckpoint | CompleteCheckpoint
ToWorker: TypeAlias = Welcome | Start | StopSources | OfCheckpoint | Cancel | Abandon | Close

Word = TypeVar("Word")


class Envelope(msgspec.Struct, Generic[Word], frozen=True, array_like=True):
    """How a word travels (see `engine.conversation`), or without one, how what was received is acknowledged.

    `worker` says or is told it, as `token` proves; `connection` counts the connections that it has had.
    """

    worker: int
    token: bytes
    connection: int
    sequence: int
    received: int
    word: Word | None = None


encode = msgspec.msgpack.Encoder().encode
decode_from_worker = msgspec.msgpack.Decoder(Envelope[FromWorker]).decode
decode_to_worker = msgspec.msgpack.Decoder(Envelope[ToWorker]).decode
decode_bootstrap = msgspec.msgpack.Decoder(Bootstrap).decode


def versions() -> tuple[str, str]:
    """Of Python and of Headgate."""
    return platform.python_version(), VERSION


class Inbox:
    """What other threads hand to one that waits on sockets: it polls `fd` beside them."""

    fd = -1

    def __init__(self) -> None:
        self._things: deque[Any] = deque()
        self._lock = threading.RLock()  # a signal's handler may come while its thread holds it
        """Over `fd`, whose number may be another file's as soon as it is closed."""
        self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def put(self, thing: Any) -> None:
        """Hand `thing` over; from any thread. Nothing happens once it is closed."""
        self._things.append(thing)
        with self._lock:
            if self.fd >= 0:
                os.eventfd_write(self.fd, 1)

    def take(self) -> list[Any]:
        """All that has been handed over since."""
        try:
            os.eventfd_read(self.fd)
        except BlockingIOError:
            return []
        return [self._things.popleft() for _ in range(len(self._things))]

    def close(self) -> None:
        """Let go of the descriptor."""
        with self._lock:
            fd, self.fd = self.fd, -1
            if fd >= 0:
                os.close(fd)

    def __del__(self) -> None:
        self.close()  # of an attempt that was made and not started any more, as the job was stopped
