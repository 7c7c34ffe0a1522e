"""What a checkpoint of a million keys costs: how long the task stands still, and the whole way to bytes and back."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.paired import scaled
from cext.chain import Running
from cext.columns import Count, Sum
from cext.getter import Getter
from cext.groups import Groups
from cext.guard import Guard
from engine.state_codec import freeze, thaw

KEYS = scaled(1_000_000)


def first(row: tuple[Any, int]) -> Any:
    return row[0]


def second(row: tuple[Any, int]) -> int:
    return row[1]


def running() -> Running:
    columns = [Count(Getter()), Sum(Getter(second))]
    return Running("running", Guard("fail"), Groups(Getter(first), list(columns), lambda key, results: key))


@pytest.mark.parametrize("key", [int, "customer {}".format], ids=["int", "str"])
def test_snapshot(benchmark: BenchmarkFixture, key: Callable[[int], Any]) -> None:
    operator = running()
    operator([(key(number), number) for number in range(KEYS)])
    seconds: dict[str, float] = {}

    def timed(what: str, work: Callable[[], Any]) -> Any:
        begin = time.perf_counter()
        result = work()
        seconds[what] = time.perf_counter() - begin
        return result

    encode = timed("standing still", lambda: freeze(operator.snapshot()))  # type: ignore[arg-type]
    blob = b"".join(timed("encoding", lambda: list(encode())))
    state = timed("decoding", lambda: thaw(blob))
    timed("restoring", lambda: running().restore([state]))
    benchmark.extra_info.update({what: round(1000 * each, 1) for what, each in seconds.items()}, bytes=len(blob))
    benchmark(operator.snapshot)
