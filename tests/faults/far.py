"""What the flows of these tests run in other processes, which import this module: so it takes no test library."""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from pathlib import Path
from typing import Any

from engine import Reader, Sink, SinkContext, Source
from tests.line_file import LineFile

SECONDS = 40.0
"""The longest that anything here waits."""


class Gate:
    """Holds back, by a file, what runs in another process: `pass_through` waits there for `open`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self) -> None:
        self.path.touch()

    def close(self) -> None:
        self.path.unlink(missing_ok=True)

    @property
    def waiting(self) -> set[int]:
        """The processes that are at it, or were."""
        return {int(each.suffix[1:]) for each in self.path.parent.glob(f"{self.path.name}.*")}

    def pass_through(self) -> None:
        if self.path.exists():
            return
        self.path.with_name(f"{self.path.name}.{os.getpid()}").touch()
        pause, end = threading.Event(), time.monotonic() + SECONDS
        while not self.path.exists() and time.monotonic() < end:
            pause.wait(0.005)


class Gated:
    """A function that lets records pass while its gate is open."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate

    def __call__(self, record: Any) -> Any:
        self.gate.pass_through()
        return record


class SlowToLoad(Gated):
    """A function that a worker can only load while its gate is open."""

    def __reduce__(self) -> Any:
        return _load, (self.gate,)


def _load(gate: Gate) -> SlowToLoad:
    gate.pass_through()
    return SlowToLoad(gate)


class Numbers(Source[int], Reader[int]):
    """0, 1, 2 and so on, without end or `count` of them; a file in `folder` tells that it was closed."""

    type = int
    name = "numbers"
    blocking = False

    def __init__(self, folder: Path, count: int | None = None, at_home: bool = False) -> None:
        self.folder, self.count, self.bounded, self.at_home = folder, count, count is not None, at_home
        self.at = 0

    @property
    def is_closed(self) -> bool:
        return (self.folder / "closed").exists()

    def open(self, partition: str) -> Numbers:
        self.at = 0
        return self

    def read(self, limit: int) -> range | None:
        first, self.at = self.at, self.at + limit
        if self.count is not None:
            self.at = min(self.at, self.count)
        return range(first, self.at) if self.at > first else None

    def close(self) -> None:
        (self.folder / "closed").touch()


class Lines(Sink[Any]):
    """Appends records to the file `path` a line each, while its gate is open, and at the end "finish" or "abort"."""

    name = "lines"
    blocking = False

    def __init__(self, path: Path, gate: Gate | None = None) -> None:
        self.path, self.gate = path, gate

    def open(self, context: SinkContext) -> LineFile:
        return LineFile(self.path) if self.gate is None else GatedFile(self.path, self.gate)


class GatedFile(LineFile):
    """Waits with each write until its gate is open."""

    def __init__(self, path: Path, gate: Gate) -> None:
        super().__init__(path)
        self._gate = gate

    def write(self, records: list[Any]) -> None:
        self._gate.pass_through()
        super().write(records)


def talk(i: int) -> int:
    """Says a line that nobody may tear."""
    if i % 50 == 0:
        print(f"<{'talk ' * 10}{i}>")
    return i


def spin(i: int) -> int:
    """Never comes back, though other threads go on."""
    while i >= 100:
        pass
    return i


def keep_the_gil(i: int) -> int:
    """Never comes back, and no other thread goes on."""
    if i >= 100:
        re.match(r"(a|a)*$", "a" * 100 + "b")
    return i


def exit_hard(i: int) -> int:
    if i == 100:
        print("goodbye")
        os._exit(3)
    return i


def exit_softly(i: int) -> int:
    if i == 100:
        sys.exit(3)
    return i


class Locked(Exception):
    """An error that cannot be pickled."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = threading.Lock()


class Fussy(Exception):
    """An error that cannot be made again of what it shows."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


class Mute(Exception):
    """An error whose text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


ERRORS: dict[str, Any] = {
    "locked": lambda: Locked("shut"),
    "fussy": lambda: Fussy(1, 2),
    "mute": Mute,
    "surrogate": lambda: ValueError("no file \udcff"),
    "keyboard": KeyboardInterrupt,
    "generator": GeneratorExit,
    "memory": lambda: MemoryError("all gone"),
    "stop": lambda: StopIteration(7),
}


class Raises:
    """A function that raises one of ERRORS at record 100."""

    def __init__(self, which: str) -> None:
        self.which = which

    def __call__(self, i: int) -> int:
        if i == 100:
            raise ERRORS[self.which]()
        return i
