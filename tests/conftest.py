"""What each test is under: a dump of all threads if it hangs and, on a debug build, a count of what is left alive."""

from __future__ import annotations

import faulthandler
import gc
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

from cext import debug
from tests import hanging

LATER = 30  # seconds behind the time-out of a test, which cannot strike while native code keeps the GIL
terminal = pytest.StashKey[int]()

# The same examples in every run, however slow the machine; `--hypothesis-profile explore` looks for new ones.
settings.register_profile("headgate", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None, max_examples=2000)
settings.load_profile("headgate")


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell does this to what it starts in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture is None:
        config.stash[terminal] = os.dup(2)
        return
    with capture.global_and_fixture_disabled():
        config.stash[terminal] = os.dup(2)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests come first: where several run at once nobody should wait for a last one."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_collection_finish() -> None:
    """What is there by now stays: nobody need look at it again, thousands of times."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure(config: pytest.Config) -> None:
    os.close(config.stash[terminal])


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> bool:
    """As pytest-timeout does it; but in the processes of xdist that says nothing, as its terminal is nowhere there."""
    timer = threading.Timer(settings.timeout, hanging.end, (item, settings.timeout))
    timer.name = f"timeout of {item.nodeid}"

    def cancel() -> None:
        timer.cancel()
        timer.join()  # once it speaks, no other test may begin

    item.cancel_timeout = cancel  # type: ignore[attr-defined]
    timer.start()
    return True


@pytest.fixture(autouse=True)
def _dump_when_hanging(request: pytest.FixtureRequest) -> Iterator[None]:
    """A thread that needs no GIL prints where every thread is and ends the process."""
    marker, config = request.node.get_closest_marker("timeout"), request.config
    limit = marker.args[0] if marker else config.getoption("timeout") or config.getini("timeout")
    faulthandler.dump_traceback_later(float(limit) + LATER, file=config.stash[terminal], exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture(autouse=True)
def _nothing_left_alive() -> Iterator[None]:
    """On a debug build: the core has no more live objects after the test than it had before."""
    before = debug.live_objects()
    yield
    for let_go in (gc.collect, _let_go_of_stacks):
        if _grown(before):
            let_go()
    left = _grown(before)
    assert not left, f"the test left native objects alive: {left}"


def _grown(before: dict[str, int]) -> dict[str, int]:
    after = debug.live_objects()
    return {kind: after[kind] - before[kind] for kind in after if after[kind] > before[kind]}


def _let_go_of_stacks() -> None:
    """An error that a parameter of the test keeps would keep alive all that was on the stack when it was raised."""
    gc.unfreeze()
    for each in gc.get_objects():
        if issubclass(type(each), BaseException):
            each.__traceback__ = None
    gc.collect()
    gc.freeze()
