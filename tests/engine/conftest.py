"""The fixture that runs each dataflow test over every kind of runner."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.engine.helpers import Runner


@pytest.fixture(params=["inline", "threads"])
def runner(request: pytest.FixtureRequest) -> Iterator[Runner]:
    """Connectors in the job's one thread, or each in a thread of its own; no thread may outlive the test."""
    before = set(threading.enumerate())
    yield Runner(request.param, blocking=request.param == "threads")
    left = [thread for thread in threading.enumerate() if thread not in before and thread.is_alive()]
    assert not left, f"threads left behind: {left}"
