"""A disk in memory that forgets what was not synced: the calls of `os` that a store makes, any of them the last."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


class Crash(BaseException):
    """The machine stopped."""


@dataclass
class File:
    content: bytes = b""
    durable: bytes = b""


@dataclass
class Folder:
    entries: dict[str, Any] = field(default_factory=dict)
    durable: dict[str, Any] = field(default_factory=dict)


class Disk:
    """`crash_at`: the number of the call, from 1, that does not happen any more. `fail`: says for which calls
    it is full. Where a write crashes or fails, half of it is written."""

    def __init__(self, root: Folder | None = None) -> None:
        self.root = root or Folder()
        self.crash_at = 0
        self.fail: Callable[[int], bool] = lambda _: False
        self.steps = 0
        self._down = False
        self._open: dict[int, tuple[Any, list[int]]] = {}
        self.path = self

    # ------------------------------------------------------------------ the calls that change something

    def mkdir(self, path: str) -> None:
        self._step()
        parent, name = self._parent(path)
        if name in parent.entries:
            raise FileExistsError(path)
        parent.entries[name] = Folder()

    def open(self, path: str, flags: int, mode: int = 0o777) -> int:
        self._check()
        parent, name = self._parent(path)
        if flags & os.O_CREAT:
            self._step()
            node = parent.entries.setdefault(name, File())
            node.content = b"" if flags & os.O_TRUNC else node.content
        node = self._node(path)
        fd = len(self._open) + 100
        self._open[fd] = (node, [0])
        return fd

    def write(self, fd: int, data: memoryview) -> int:
        file, whole = self._open[fd][0], bytes(data)
        try:
            self._step()
        except (Crash, OSError):
            file.content += whole[: len(whole) // 2]
            raise
        file.content += whole
        return len(whole)

    def fsync(self, fd: int) -> None:
        self._step()
        node = self._open[fd][0]
        if isinstance(node, File):
            node.durable = node.content
        else:
            node.durable = dict(node.entries)

    def rename(self, before: str, after: str) -> None:
        self._step()
        there, name = self._parent(before)
        into, new = self._parent(after)
        into.entries[new] = there.entries.pop(name)

    def unlink(self, path: str) -> None:
        self._step()
        self._node(path)
        parent, name = self._parent(path)
        del parent.entries[name]

    def rmdir(self, path: str) -> None:
        self._step()
        if self._node(path).entries:
            raise OSError(errno.ENOTEMPTY, path)
        parent, name = self._parent(path)
        del parent.entries[name]

    # ------------------------------------------------------------------ those that only look

    def read(self, fd: int, size: int) -> bytes:
        self._check()
        file, at = self._open[fd]
        data: bytes = file.content[at[0] : at[0] + size]
        at[0] += len(data)
        return data

    def close(self, fd: int) -> None:
        self._check()
        self._open[fd]  # it is open

    def listdir(self, path: str) -> list[str]:
        self._check()
        node = self._node(path)
        if isinstance(node, File):
            raise NotADirectoryError(path)
        return list(node.entries)

    def isdir(self, path: str) -> bool:
        try:
            return isinstance(self._node(path), Folder)
        except FileNotFoundError:
            return False

    # ------------------------------------------------------------------ what becomes of it

    def after_a_crash(self, how: str, seed: int = 0) -> Disk:
        """What is there when the machine is up again: all ("kept"), what was synced ("lost"), or of each file and name
        the one or the other ("some")."""
        choose = random.Random(seed)

        def recovered(node: Any) -> Any:
            is_kept = {"kept": True, "lost": False}.get(how)
            if isinstance(node, File):
                kept = choose.random() < 0.5 if is_kept is None else is_kept
                content = node.content if kept else node.durable
                if is_kept is None and node.content != node.durable:
                    content = node.content[: choose.randint(0, len(node.content))]
                return File(content, content)
            entries = {}
            for name in sorted({*node.entries, *node.durable}):
                kept = choose.random() < 0.5 if is_kept is None else is_kept
                if name in (there := node.entries if kept else node.durable):
                    entries[name] = recovered(there[name])
            return Folder(entries, dict(entries))

        return Disk(recovered(self.root))

    def files(self) -> dict[str, File]:
        """All files by path."""
        found: dict[str, File] = {}

        def walk(folder: Folder, path: str) -> None:
            for name, node in folder.entries.items():
                if isinstance(node, File):
                    found[f"{path}/{name}"] = node
                else:
                    walk(node, f"{path}/{name}")

        walk(self.root, "")
        return found

    def _check(self) -> None:
        if self._down:
            raise Crash

    def _step(self) -> None:
        self._check()
        self.steps += 1
        if self.steps == self.crash_at:
            self._down = True
            raise Crash
        if self.fail(self.steps):
            raise OSError(errno.ENOSPC, "No space left on device")

    def _node(self, path: str) -> Any:
        node: Any = self.root
        for name in filter(None, path.split("/")):
            if not isinstance(node, Folder) or name not in node.entries:
                raise FileNotFoundError(path)
            node = node.entries[name]
        return node

    def _parent(self, path: str) -> tuple[Folder, str]:
        folder, _, name = path.rpartition("/")
        return self._node(folder), name
