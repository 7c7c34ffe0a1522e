"""Where a checkpoint store keeps its files: what it asks of a place, and a local directory that gives it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, Protocol

CHUNK = 1 << 20
PART = ".part"


class Files(Protocol):
    """Files under one root, by paths relative to it with "/" between their parts. Each raises `OSError`."""

    root: str
    """As messages and commands have it."""

    def make_folder(self, folder: str) -> None:
        """Make it, and those above it, unless they are there."""

    def write(self, path: str, chunks: Iterable[bytes]) -> None:
        """Write a file, over what a failed try has left of it; its content is durable on return, its name once the
        folder is in `sync`."""

    def sync(self, folder: str) -> None:
        """Make durable which files are in the folder."""

    def publish(self, path: str, data: bytes) -> None:
        """Have the file hold `data`, in place of what it held: all of it or nothing, and durably on return."""

    def read(self, path: str) -> Iterator[bytes]:
        """The file's content, piece by piece; FileNotFoundError where there is none."""

    def names(self, folder: str) -> list[str]:
        """What is in the folder; nothing where there is none."""

    def remove(self, path: str) -> None:
        """Remove the file, durably, unless there is none."""

    def remove_folder(self, folder: str) -> None:
        """Remove the folder with the files in it, unless there is none."""


class LocalFiles:
    """A directory. `system` has the calls that it makes, by their names in `os`."""

    def __init__(self, root: str, system: Any = os) -> None:
        self.root = root
        self._os = system

    def make_folder(self, folder: str) -> None:
        path = self._path(folder)
        missing: list[str] = []
        while not self._os.path.isdir(path):
            missing.append(path)
            path = os.path.dirname(path)
        for path in reversed(missing):
            with suppress(FileExistsError):
                self._os.mkdir(path)
            self._sync(os.path.dirname(path))

    def write(self, path: str, chunks: Iterable[bytes]) -> None:
        self._write(self._path(path), chunks)

    def sync(self, folder: str) -> None:
        self._sync(self._path(folder))

    def publish(self, path: str, data: bytes) -> None:
        target = self._path(path)
        self._write(target + PART, [data])
        self._os.rename(target + PART, target)
        self._sync(os.path.dirname(target))

    def read(self, path: str) -> Iterator[bytes]:
        fd = self._os.open(self._path(path), os.O_RDONLY | os.O_CLOEXEC)
        try:
            while data := self._os.read(fd, CHUNK):
                yield data
        finally:
            self._os.close(fd)

    def names(self, folder: str) -> list[str]:
        try:
            return sorted(self._os.listdir(self._path(folder)))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def remove(self, path: str) -> None:
        with suppress(FileNotFoundError):
            self._os.unlink(self._path(path))
            self._sync(os.path.dirname(self._path(path)))

    def remove_folder(self, folder: str) -> None:
        path = self._path(folder)
        for name in self.names(folder):
            with suppress(FileNotFoundError):
                self._os.unlink(f"{path}/{name}")
        with suppress(FileNotFoundError, NotADirectoryError):
            self._os.rmdir(path)

    def _path(self, path: str) -> str:
        return f"{self.root}/{path}" if path else self.root

    def _write(self, path: str, chunks: Iterable[bytes]) -> None:
        fd = self._os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        try:
            for chunk in chunks:
                rest = memoryview(chunk)
                while rest:
                    rest = rest[self._os.write(fd, rest) :]
            self._os.fsync(fd)
        finally:
            self._os.close(fd)

    def _sync(self, path: str) -> None:
        fd = self._os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._os.fsync(fd)
        finally:
            self._os.close(fd)
