"""Placement: how workers are started, watched and ended; on this machine by `LocalPlacement`.

A placement elsewhere (a cluster's) gives the same few things.
"""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Protocol

from engine.errors import JobError
from engine.slot import LocalSlot, OnLine, Pipes

_BOOT = (
    "import runpy, sys; module, *sys.path = sys.argv[1:]; runpy.run_module(module, run_name='__main__', alter_sys=True)"
)


class Slot(Protocol):
    """One worker, from its start to its end."""

    name: str
    """What it is called, as "worker-1"."""
    pid: int

    @property
    def awaited(self) -> list[tuple[int, int]]:
        """What to poll for its end; nothing where whoever waits for that has to look now and then."""

    def alive(self) -> bool:
        """Whether it has not ended yet."""

    def exit_text(self) -> str:
        """How it ended: "exit code 3", "killed by SIGKILL"; "still running" before."""

    def last_words(self) -> list[str]:
        """The last 40 lines that it printed."""

    def signal(self, number: int) -> None:
        """Send it a signal; nothing happens once it has ended."""

    def kill(self) -> None:
        """End it at once, with all that it started; nothing happens once it has ended."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for its end, at most `timeout` seconds; whether it has come. Then all its lines have been passed on."""


class Placement(Protocol):
    """Starts workers."""

    def prepare(self, indices: Iterable[int]) -> None:
        """These will be started soon: do ahead what can be done without their bootstraps."""

    def start(self, index: int, bootstrap: bytes) -> Slot:
        """Start worker number `index` and hand it `bootstrap`, see `engine.lifeline`; does not wait for it.

        Raises JobError where it cannot be started. A worker that ends at once is seen by its slot.
        """

    def address(self, index: int) -> str:
        """The IP address at which worker `index` is to listen, 0 being the job itself; all "": all on one machine."""

    def close(self) -> None:
        """End all that was started here and still runs, and let go of everything."""


class LocalPlacement:
    """Starts workers on this machine, each a fresh interpreter in a session of its own, out of reach of Ctrl-C.

    `on_line(name, line)` gets every line that a worker prints, in a thread that serves all workers: while it is busy,
    workers that print wait. What it raises is dropped. `module` is what a worker runs; `python` the interpreter;
    `listen` the address of this machine at which it is to listen.

    Leaving it as a context manager kills whatever still runs.

    >>> with LocalPlacement(lambda name, line: print(f"{name}: {line}"), module="this") as placement:
    ...     slot = placement.start(1, b"")
    ...     ended = slot.wait(30)  # doctest: +ELLIPSIS
    worker-1: The Zen of Python, by Tim Peters
    ...
    >>> ended, slot.exit_text()
    (True, 'exit code 0')
    """

    def __init__(
        self,
        on_line: OnLine,
        *,
        module: str = "engine.process",
        python: str | os.PathLike[str] = sys.executable,
        listen: str = "",
    ) -> None:
        self._on_line, self._module, self._python, self._listen = on_line, module, os.fspath(python), listen
        self._slots: list[LocalSlot] = []
        self._waiting: dict[int, LocalSlot] = {}
        """Those of them that have not got their bootstrap."""
        self._pipes = Pipes()

    def prepare(self, indices: Iterable[int]) -> None:
        with suppress(JobError):  # `start` will say it
            for index in indices:
                self._waiting[index] = self._launch(index)

    def start(self, index: int, bootstrap: bytes) -> LocalSlot:
        slot = self._waiting.pop(index, None)
        if slot is None or not slot.alive():
            slot = self._launch(index)
        if slot.hand(bootstrap):  # what fits the pipe reaches the worker whatever becomes of this process
            self._pipes.add(slot.stdin, selectors.EVENT_WRITE, slot.send)
        return slot

    def _launch(self, index: int) -> LocalSlot:
        name = f"worker-{index}"
        flags = [*subprocess._args_from_interpreter_flags(), "-u", "-X", "faulthandler"]  # type: ignore[attr-defined]
        try:
            process = subprocess.Popen(
                [self._python, *flags, "-c", _BOOT, self._module, *_path()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            raise JobError(f"{name} could not be started with {self._python}: {error}") from error
        slot = LocalSlot(name, process, self._on_line)
        self._slots.append(slot)
        self._pipes.add(slot.stdout, selectors.EVENT_READ, slot.read)
        return slot

    def address(self, index: int) -> str:
        return self._listen

    def close(self) -> None:
        for slot in self._slots:
            slot.kill()
        for slot in self._slots:
            slot.wait()
        self._pipes.close()
        for slot in self._slots:
            slot.close()

    def __enter__(self) -> LocalPlacement:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _path() -> list[str]:
    """Where a worker finds the very modules of Headgate that this process has; "" would be any folder it is in."""
    path = [each for each in sys.path if each]
    root = str(Path(__file__).parents[1])
    return path if root in path else [root, *path]
