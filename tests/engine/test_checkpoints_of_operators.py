"""Jobs of every operator that keeps something, interrupted: what they deliver is what an undisturbed run does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from engine import (
    Dataflow,
    Global,
    KeyedProcess,
    ListState,
    Session,
    Sliding,
    Stream,
    Timer,
    Trigger,
    Tumbling,
    ValueState,
    count,
    distinct,
    mean,
    sum_,
)
from engine.checkpoint_manifest import MANIFEST
from engine.checkpoints import Checkpoints
from engine.errors import OperatorError
from tests.engine.saved import Numbers, Shown

COUNT, PARTS = 1_500, 2


def by_key(number: int) -> int:
    return number % 7


def by_name(number: int) -> str:
    return f"key {number % 5}"


def itself(number: int) -> int:
    return number


def moment(number: int) -> int:
    """Now and then nothing happens for a while."""
    return number + number // 50 * 40


@dataclass
class Trouble:
    """Raises once at `at` or behind it, as soon as there is a checkpoint, at the latest at the last number."""

    folder: Path
    at: int
    over: bool = False

    def __call__(self, number: int) -> None:
        if number >= self.at and not self.over:
            self.strike(number)

    def strike(self, number: int) -> None:
        marker = self.folder / f"struck at {self.at}"
        self.over = marker.exists()
        if not self.over and (number == COUNT - 1 or any(self.folder.rglob(MANIFEST))):
            marker.touch()
            raise RuntimeError(f"planted at {number}")


class Reminding(KeyedProcess[int, Any]):
    """Counts, and tells of the count at the end of every 50 ms in which there was something."""

    seen = ValueState[int](0)
    aged = ValueState[int](0, ttl=70)
    last = ListState[int]()

    def on_record(self, record: int) -> Iterator[Any]:
        self.seen += 1
        self.aged += 1
        self.last = [*self.last, record][-2:]
        yield "record", self.key, self.time, self.seen, self.aged
        self.event_timers.at((self.time // 50 + 1) * 50)

    def on_timer(self, timer: Timer) -> Iterator[Any]:
        yield "timer", self.key, timer.time, self.seen, self.aged, list(self.last)


def counted(state: int | None, number: int) -> tuple[int, tuple[int, int]]:
    return (state or 0) + 1, (number % 7, (state or 0) + 1)


TOTALS: dict[str, Any] = {"n": count(), "sum": sum_(itself), "half": mean(itself), "different": distinct(by_name)}

OPERATORS: dict[str, Callable[[Stream[int]], Stream[Any]]] = {
    "stateful_map": lambda s: s.key_by(by_key).stateful_map(counted),
    "aging": lambda s: s.key_by(by_key).stateful_map(counted, ttl="1h"),
    "aggregate": lambda s: s.key_by(by_key).aggregate(**TOTALS),
    "running": lambda s: s.key_by(by_key).aggregate(n=count(), emit="update"),
    "reduce": lambda s: s.key_by(by_name).reduce(max),
    "top": lambda s: s.key_by(by_key).top(3, by=itself),
    "tumbling": lambda s: s.key_by(by_key).window(Tumbling("20ms")).aggregate(**TOTALS),
    "sliding": lambda s: s.key_by(by_name).window(Sliding("80ms", every="5ms")).aggregate(**TOTALS),
    "session": lambda s: s.key_by(by_key).window(Session("30ms")).aggregate(**TOTALS),
    "global": lambda s: s.key_by(by_key).window(Global(Trigger(records=10), purge=True)).aggregate(n=count()),
    "records of windows": lambda s: s.key_by(by_key).window(Tumbling("30ms")).process(median),
    "distinct of windows": lambda s: s.key_by(by_key).window(Tumbling("30ms")).distinct(by_name).map(itself),
    "deduplicate": lambda s: s.key_by(itself).deduplicate(within="30ms"),
    "distinct": lambda s: s.distinct(),
    "process": lambda s: s.key_by(by_key).process(Reminding, in_order=True),
    "join": lambda s: s.key_by(by_key).join(s.key_by(half), window=Tumbling("8ms"), how="full"),
    "session join": lambda s: (
        s.filter(is_seldom).key_by(by_key).join(s.key_by(half), window=Session("9ms"), how="full")
    ),
    "interval_join": lambda s: s.key_by(by_key).interval_join(s.key_by(half), lower=-3, upper=9, how="left"),
    "asof_join": lambda s: s.key_by(by_key).asof_join(s.key_by(half), how="left", tolerance="9ms"),
}
PARTLY = ["aggregate", "tumbling", "session", "distinct of windows", "process", "interval_join", "asof_join", "global"]
"""Those that run over several processes."""


def half(number: int) -> int:
    return number // 2 % 7


def is_seldom(number: int) -> bool:
    return number % 100 == 3


def median(key: Any, bounds: Any, numbers: list[int]) -> list[Any]:
    return [(key, bounds.start, sorted(numbers)[len(numbers) // 2])]


def flow_of(names: list[str], sinks: list[Shown], *troubles: Trouble) -> Dataflow:
    flow = Dataflow("operators")
    numbers = flow.source(Numbers(COUNT, PARTS, at_once=16)).event_time(moment, out_of_order="5ms")
    for at, trouble in enumerate(troubles):
        numbers = numbers.inspect(trouble, name=f"trouble {at}")
    for name, sink in zip(names, sinks, strict=True):
        OPERATORS[name](numbers).sink(sink, name=f"{name} sink")
    return flow


@cache
def undisturbed(name: str) -> Counter[str]:
    sink = Shown()
    flow_of([name], [sink]).run()
    return Counter(map(repr, sink.rows))


def often(directory: Path, **others: Any) -> Checkpoints:
    return Checkpoints(into=str(directory), interval="1ms", pause="1ms", **others)


def check(names: list[str], sinks: list[Shown]) -> None:
    for name, sink in zip(names, sinks, strict=True):
        assert Counter(map(repr, sink.rows)) == undisturbed(name), name


@pytest.mark.parametrize("name", OPERATORS)
def test_after_failures_it_delivers_what_it_would_have_delivered(tmp_path: Path, name: str) -> None:
    sink = Shown()
    troubles = Trouble(tmp_path, COUNT // 3), Trouble(tmp_path, 2 * COUNT // 3)
    assert flow_of([name], [sink], *troubles).run(checkpoint=often(tmp_path)).state == "finished"
    check([name], [sink])
    assert len(list(tmp_path.glob("struck at *"))) == 2


@pytest.mark.parametrize(("before", "after"), [(2, 2), (1, 2), (2, 1)])
def test_over_processes_and_with_another_number_of_them(tmp_path: Path, before: int, after: int) -> None:
    sinks = [Shown() for _ in PARTLY]
    trouble = Trouble(tmp_path, COUNT // 2)
    with pytest.raises(OperatorError, match="planted"):
        flow_of(PARTLY, sinks, trouble).run(processes=before, checkpoint=often(tmp_path, restarts=0))
    assert flow_of(PARTLY, sinks, trouble).run(processes=after, checkpoint=often(tmp_path)).state == "finished"
    check(PARTLY, sinks)
