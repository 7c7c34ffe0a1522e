"""A worker's side of its start: what it is to do comes on standard input, which then tells it that its parent lives."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable
from contextlib import suppress

from cext import lifeline

LENGTH = 8
"""Bytes of the length, big-endian, before what a worker is told."""

ORPHANED = 75
"""The exit code of a worker whose parent is gone."""

_GRACE_SECONDS = 3
"""How long it then has to clean up before the kernel ends it."""

_LOOK_SECONDS = 1.0

_pipe = -1
_parent = -1


def read_bootstrap() -> bytes:
    """What the parent says that this worker is to do; called once, before anything else reads standard input.

    Standard input is empty from then on. Raises EOFError if the parent goes away before it has said everything.
    """
    global _pipe, _parent
    _pipe, _parent = os.dup(0), os.getppid()
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    return _read(int.from_bytes(_read(LENGTH), "big"))


def watch(cleanup: Callable[[], object]) -> None:
    """From now on, end this process at once when its parent is gone, however that died: `cleanup()`, then exit.

    It ends whatever its threads do. Where one keeps the GIL for ever, or `cleanup` hangs, the kernel ends it
    3 s later, with SIGALRM.
    """
    lifeline.go_on_when_orphaned()
    watching = (_pipe, _parent, cleanup)
    threading.Thread(target=_end_with_parent, args=watching, name="headgate-lifeline", daemon=True).start()


def _end_with_parent(pipe: int, parent: int, cleanup: Callable[[], object]) -> None:
    lifeline.wait(pipe, parent, _GRACE_SECONDS)
    with suppress(BaseException):
        cleanup()
    os._exit(ORPHANED)


def _read(size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        some = os.read(_pipe, min(size - len(data), 1 << 20)) if _has_come() else b""
        if not some:
            raise EOFError("the process that started this worker is gone")
        data += some
    return bytes(data)


def _has_come() -> bool:
    """Whether there is something to read; False if the parent goes away, whose pipe a fork of it may hold open."""
    while not select.select([_pipe], [], [], _LOOK_SECONDS)[0]:
        if os.getppid() != _parent:
            return False
    return True
