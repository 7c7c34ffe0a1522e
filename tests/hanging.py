"""The last words of a test that hangs: where each thread of its process is, and of all processes that it started."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

_SECONDS_FOR_OTHERS = 2
"""How long the threads that read what other processes print have to pass it on."""


def end(item: pytest.Item, seconds: float) -> None:
    """Say it on the real standard error, and end this process."""
    try:
        _say(item, seconds)
    finally:
        os._exit(1)


def _say(item: pytest.Item, seconds: float) -> None:
    capture = item.config.pluginmanager.getplugin("capturemanager")
    if capture is not None:
        capture.suspend_global_capture(item)
    _print(f"+++ {item.nodeid} has not ended within {seconds:g} s")
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for thread, frame in sys._current_frames().items():
        if thread != threading.get_ident():
            _print(f"--- thread {names.get(thread, thread)}", "".join(traceback.format_stack(frame)))
    for pid in _descendants(os.getpid()):
        _print(f"--- process {pid}: {_look_at(pid)}")
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGABRT)  # on which a worker prints where its threads are
            os.kill(pid, signal.SIGCONT)
    time.sleep(_SECONDS_FOR_OTHERS)
    if capture is not None:
        _print("--- captured", *capture.read_global_capture())


def _print(*lines: str) -> None:
    sys.stderr.write("\n".join(("", *lines, "")))
    sys.stderr.flush()


def _descendants(parent: int) -> Iterator[int]:
    for child in [pid for pid, its_parent in _parents() if its_parent == parent]:
        yield child
        yield from _descendants(child)


def _parents() -> Iterator[tuple[int, int]]:
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            yield int(path.parent.name), int(path.read_text().rpartition(")")[2].split()[1])


def _look_at(pid: int) -> str:
    """What it runs, and what each of its threads waits for in the kernel."""
    process, threads = Path(f"/proc/{pid}"), []
    with suppress(OSError):
        command = " ".join(process.joinpath("cmdline").read_bytes().decode("utf-8", "replace").split("\0"))[:200]
        for thread in process.glob("task/*"):
            state = thread.joinpath("stat").read_text().rpartition(")")[2].split()[0]
            name, waits = (thread.joinpath(each).read_text().strip() for each in ("comm", "wchan"))
            threads.append(f"{name} {state} {waits}")
        return f"{command}; {', '.join(threads)}"
    return "gone"
