"""Beacon: a running job's socket, at which whoever asks, of the same user, is told how it goes, or has it stopped."""

from __future__ import annotations

import atexit
import errno
import os
import re
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from engine.errors import CheckpointError
from engine.snapshot import Snapshot

LONGEST_PATH = 107
"""What the system allows a socket's path to have, bytes."""

_LONGEST_NAME = 40
_ASK_SECONDS = 2.0
"""How long a job has to answer, and whoever asks to take the answer."""


class Stop(msgspec.Struct, frozen=True):
    """Stop, with a savepoint of that name if there is one."""

    savepoint: str | None


class Refused(msgspec.Struct, frozen=True):
    """Why the job does not stop; None: it does."""

    why: str | None


def directories() -> list[Path]:
    """Where sockets may be, the best place first."""
    own = os.environ.get("XDG_RUNTIME_DIR")
    return [*([Path(own) / "headgate"] if own else []), Path(f"/tmp/headgate-{os.getuid()}")]


class Beacon:
    """The socket of the job `name`, at which a thread answers each connection: who says nothing gets a `snapshot()`,
    whoever says `Stop` has `stop(savepoint)` called.

    Nothing is done while nobody asks. Where no socket can be made, the job goes on without one. The file is gone once
    the job has ended or its process has exited; after a SIGKILL whoever comes next removes it.
    """

    def __init__(self, name: str, snapshot: Callable[[], Snapshot], stop: Callable[[str | None], None]) -> None:
        self._name, self._snapshot, self._stop = name, snapshot, stop
        self._pid = os.getpid()
        self._listener: socket.socket | None = None
        self._path: Path | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Listen, in the first place where that can be done."""
        for directory in directories():
            with suppress(Exception):  # a full or read-only directory, no more threads: it must not fail a job
                self._listen(directory)
                return

    def close(self) -> None:
        """Answer nobody any more; from any thread, and in any order."""
        if os.getpid() != self._pid:  # a fork that exits
            return
        atexit.unregister(self.close)
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink()
        if self._listener is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)  # its thread wakes up, and closes it

    def join(self) -> None:
        """Wait for the thread, once closed."""
        if self._thread is not None:
            self._thread.join()

    def _listen(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, exist_ok=True)
        if not is_ours(directory):
            raise PermissionError(f"{directory} is not a directory that only this user can enter")
        clean(directory)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._path = _bind(listener, directory, self._name)
            listener.listen()
            self._listener = listener
            self._thread = threading.Thread(target=self._serve, args=(listener,), name="headgate-top", daemon=True)
            self._thread.start()
            atexit.register(self.close)
        except BaseException:
            self._listener = self._thread = None
            self.close()
            listener.close()
            raise

    def _serve(self, listener: socket.socket) -> None:
        with listener:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with suppress(Exception), connection:  # whoever asked may be gone
                    connection.settimeout(_ASK_SECONDS)
                    connection.sendall(msgspec.msgpack.encode(self._answer(_all_of(connection))))

    def _answer(self, question: bytes) -> Snapshot | Refused:
        if not question:
            return self._snapshot()
        try:
            self._stop(msgspec.msgpack.decode(question, type=Stop).savepoint)
        except CheckpointError as error:
            return Refused(str(error))
        return Refused(None)


def found() -> Iterator[Path]:
    """The sockets of all running jobs of this user."""
    for directory in directories():
        if is_ours(directory):
            clean(directory)
            yield from sorted(path for path in directory.iterdir() if path.is_socket())


def ask(path: Path) -> Snapshot:
    """How the job at `path` goes.

    Raises OSError where no job listens there, TimeoutError where it does not answer, and ValueError where it says what
    this version of Headgate does not understand.
    """
    return msgspec.msgpack.decode(_answer(path, b""), type=Snapshot)


def stop(path: Path, savepoint: str | None) -> str | None:
    """Have the job at `path` stop, with a savepoint if one is named; why it does not, or None. Raises as `ask` does."""
    question = msgspec.msgpack.encode(Stop(savepoint))
    return msgspec.msgpack.decode(_answer(path, question), type=Refused).why


def _answer(path: Path, question: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_ASK_SECONDS)
        connection.connect(str(path))
        connection.sendall(question)
        connection.shutdown(socket.SHUT_WR)
        answer = _all_of(connection)
    if not answer:
        raise ConnectionResetError(f"the job at {path} has ended")
    return answer


def _all_of(connection: socket.socket) -> bytes:
    with connection.makefile("rb") as stream:
        return stream.read()


def is_ours(directory: Path) -> bool:
    """Whether it is a directory, no link to one, that only this user can enter."""
    try:
        found = directory.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077


def clean(directory: Path) -> None:
    """Remove the sockets of processes that ended without doing so."""
    for path in directory.iterdir():
        if path.is_socket() and _is_stale(path):
            with suppress(OSError):
                path.unlink()


def _is_stale(path: Path) -> bool:
    """Its process is gone, and nobody listens: in another container the same number may be somebody else's."""
    _, _, pid = path.name.rpartition("-")
    try:
        os.kill(int(pid.partition(".")[0]), 0)
    except ProcessLookupError:
        return _is_refused(path)
    except (ValueError, PermissionError, OverflowError):
        return False
    return False


def _is_refused(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.setblocking(False)
        try:
            connection.connect(str(path))
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False


def _bind(listener: socket.socket, directory: Path, name: str) -> Path:
    """Take the first free name of a few: a process may run several jobs that are called the same."""
    plain = re.sub(r"[^A-Za-z0-9_.]", "_", name)[:_LONGEST_NAME] or "job"
    for number in range(1, 1000):
        path = directory / (f"{plain}-{os.getpid()}" + (f".{number}" if number > 1 else ""))
        try:
            listener.bind(str(path))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                continue
            raise
        return path
    raise FileExistsError(f"too many jobs are called {name!r}")
