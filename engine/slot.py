"""A worker's process on this machine, and the thread that reads what all of them print."""

from __future__ import annotations

import os
import select
import selectors
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import IO, TypeAlias

from engine.lifeline import LENGTH

LONGEST_LINE = 8192
"""Bytes of a line of a worker's output that are passed on; the rest of it is cut."""

_LAST_WORDS = 40
_READ = 1 << 16
_DRAIN = 16
"""Reads that empty a pipe, of 64 KiB by default, in any case."""

OnLine = Callable[[str, str], object]
Serve: TypeAlias = Callable[[], bool]


class LocalSlot:
    """A worker process on this machine."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], on_line: OnLine) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.name, self.pid = name, process.pid
        self.stdin, self.stdout = process.stdin, process.stdout
        self._process, self._on_line = process, on_line
        self._unsent = memoryview(b"")
        self._lock = threading.RLock()  # the callback may ask for the last words
        """Over the pipes, the lines and the callback: the placement's thread reads them, and whoever waits."""
        self._line = bytearray()
        self._last: deque[str] = deque(maxlen=_LAST_WORDS)
        for pipe in (self.stdin, self.stdout):
            os.set_blocking(pipe.fileno(), False)
        self._end = _descriptor_of(process.pid)

    @property
    def awaited(self) -> list[tuple[int, int]]:
        return [] if self._end is None else [(self._end, select.POLLIN)]

    def alive(self) -> bool:
        return self._process.poll() is None

    def exit_text(self) -> str:
        code = self._process.poll()
        if code is None:
            return "still running"
        return f"exit code {code}" if code >= 0 else f"killed by {_signal_name(-code)}"

    def last_words(self) -> list[str]:
        with self._lock:
            return list(self._last)

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        if self.alive():
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)  # it leads a group of its own

    def wait(self, timeout: float | None = None) -> bool:
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        with self._lock:
            for _ in range(_DRAIN):  # all it wrote is in the pipe, which what it started may still hold open, and fill
                if not self._read_some():
                    break
            if self._line:
                self._pass_on()
        return True

    def hand(self, bootstrap: bytes) -> bool:
        """What it waits for to begin; whether `send` is to send some of it yet. The pipe stays open: the lifeline."""
        self._unsent = memoryview(len(bootstrap).to_bytes(LENGTH, "big") + bootstrap)
        return self.send()

    def send(self) -> bool:
        """Send what the pipe takes of the bootstrap; whether some is left."""
        with self._lock:
            try:
                while self._unsent:
                    self._unsent = self._unsent[self.stdin.write(self._unsent) or 0 :]
                    if self._unsent:
                        return True
            except OSError:  # it has ended, as its slot tells
                return False
            return False

    def read(self) -> bool:
        """Take up some of what it has printed; whether more may come."""
        with self._lock:
            return self._read_some() != b""

    def close(self) -> None:
        """Let go of the pipes."""
        with self._lock:
            for pipe in (self.stdin, self.stdout):
                pipe.close()
            if self._end is not None:
                os.close(self._end)
                self._end = None

    def _read_some(self) -> bytes | None:
        """What there was to read; None: nothing now, nothing: no more."""
        some = b"" if self.stdout.closed else self.stdout.read(_READ)
        if some:
            self._take(some)
        return some

    def _take(self, some: bytes) -> None:
        *whole, rest = some.split(b"\n")
        for piece in whole:
            self._line += piece[: LONGEST_LINE + 1 - len(self._line)]
            self._pass_on()
        self._line += rest[: LONGEST_LINE + 1 - len(self._line)]

    def _pass_on(self) -> None:
        cut = "..." if len(self._line) > LONGEST_LINE else ""
        line = self._line[:LONGEST_LINE].decode("utf-8", "replace").rstrip("\r") + cut
        self._line.clear()
        self._last.append(line)
        with suppress(Exception):  # a terminal that is gone: the worker must not wait for somebody to read its pipe
            self._on_line(self.name, line)


class Pipes:
    """The thread that serves the pipes of all workers; it begins with the first."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._new: deque[tuple[IO[bytes], int, Serve]] = deque()
        self._closing = False
        self._bell = -1
        self._thread = threading.Thread(target=self._run, name="headgate-placement", daemon=True)

    def add(self, pipe: IO[bytes], event: int, serve: Serve) -> None:
        """Call `serve()` whenever `event` is so of `pipe`, until it says that it need not be called again."""
        self._new.append((pipe, event, serve))
        if self._bell < 0:
            self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            self._selector.register(self._bell, selectors.EVENT_READ)
            self._thread.start()
        os.eventfd_write(self._bell, 1)

    def close(self) -> None:
        """End the thread."""
        if self._bell >= 0:
            self._closing = True
            os.eventfd_write(self._bell, 1)
            self._thread.join()
            os.close(self._bell)
            self._bell = -1
        self._selector.close()

    def _run(self) -> None:
        while not self._closing:
            for key, _ in self._selector.select():
                if key.data is None:
                    self._welcome()
                elif not key.data():
                    self._selector.unregister(key.fileobj)

    def _welcome(self) -> None:
        os.eventfd_read(self._bell)
        while self._new:
            self._selector.register(*self._new.popleft())


def _descriptor_of(pid: int) -> int | None:
    """What can be polled for the end of a child; None where the system has no such thing."""
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
