"""The leak detector: it counts on a debug build, and costs and says nothing on a release build."""

from __future__ import annotations

import pytest

from cext import debug
from cext.channel import Channel
from cext.frame import data, watermark
from cext.window import Window


def test_a_debug_build_counts_what_is_alive() -> None:
    before = debug.live_objects()
    channel = Channel(Window(0.1, 64, 16))
    channel.push_rows([1, 2])
    held = [data([1]), watermark(5)]
    grown = {kind: count - before[kind] for kind, count in debug.live_objects().items()}
    expected = {"frames": 3, "channels": 1, "tasks": 0, "runners": 0}
    assert grown == (expected if debug.enabled() else dict.fromkeys(expected, 0))
    del channel, held
    assert debug.live_objects() == before


def test_a_channel_that_could_not_be_made_is_not_counted() -> None:
    before = debug.live_objects()
    with pytest.raises(ValueError, match="at least 1 record"):
        Channel(Window(0.1, 64, 16), 0)
    with pytest.raises(MemoryError):
        Channel(Window(0.1, 1 << 62, 16))
    assert debug.live_objects() == before
