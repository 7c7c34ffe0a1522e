"""A channel's frames against a deque that counts by hand what is in flight; both driven from Python, one thread."""

from __future__ import annotations

from collections import deque

from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.paired import FRAME, paired, scaled
from cext.channel import Channel
from cext.window import Window

FRAMES = scaled(20_000_000) // FRAME
ROWS = list(range(FRAME))
WINDOW = 4 * FRAME


def through_channel() -> int:
    channel = Channel(Window(share=0.1, most=WINDOW, frame=FRAME), FRAME)
    records = 0
    for _ in range(FRAMES):
        if channel.available() >= FRAME:
            channel.push_rows(ROWS)
        frame = channel.pop()
        assert frame is not None
        records += frame.records
        channel.give_back(frame.records)
    return records


def through_deque() -> int:
    waiting: deque[list[int]] = deque()
    in_flight = records = 0
    for _ in range(FRAMES):
        if WINDOW - in_flight >= FRAME:
            waiting.append(ROWS)
            in_flight += len(ROWS)
        rows = waiting.popleft()
        records += len(rows)
        in_flight -= len(rows)
    return records


def test_channel_frames(benchmark: BenchmarkFixture) -> None:
    paired(benchmark, through_channel, through_deque, FRAMES * FRAME)
    assert through_channel() == through_deque()
