"""The bottleneck of real jobs over one process and several, in which one operator sleeps and others have no work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from connectors.memory import discard, generate
from engine import Dataflow, JobResult, Settings
from tests.engine import remote

pytestmark = pytest.mark.timeout(60)

COUNT = 60
"""Records, each of which takes 20 ms: whoever does that is busy nearly all of the time, on a slow machine too."""

Build = Callable[[Dataflow], Any]


SMALL = Settings(max_window=8, frame_records=2)
"""Windows so small that whoever is slow holds up what is before it for most of the run; else all is read at once."""


def run(build: Build, processes: int | None, limits: Settings = SMALL) -> JobResult:
    flow = Dataflow("paced", settings=limits)
    build(flow)
    return flow.run(processes=processes)


def slept(result: JobResult, name: str) -> bool:
    """Whether what was slept for each record counts as that operator's work."""
    return result[name].busy * result.seconds >= 0.95 * COUNT * 0.02


def slow_source(flow: Dataflow) -> None:
    read = flow.source(generate(remote.slowly, count=COUNT, type=int), name="read")
    read.map(abs, name="same").stage("load").sink(discard(), name="load")


def slow_map(flow: Dataflow) -> None:
    read = flow.source(generate(int, count=COUNT), name="read").map(abs, name="same")
    read.stage("middle").map(remote.slowly, name="slow").stage("load").sink(discard(), name="load")


def slow_map_beside_the_source(flow: Dataflow) -> None:
    read = flow.source(generate(int, count=COUNT), name="read").map(remote.slowly, name="slow")
    read.stage("load").sink(discard(), name="load")


def slow_sink(flow: Dataflow) -> None:
    read = flow.source(generate(int, count=COUNT), name="read").map(abs, name="same")
    read.stage("load").sink(remote.SlowSink(), name="load")


def slow_keyed(flow: Dataflow) -> None:
    read = flow.source(generate(int, count=COUNT), name="read").stage("load").key_by(lambda x: x % 64)
    read.map(remote.slowly, name="slow").sink(discard(), name="load")


@pytest.mark.parametrize("processes", [None, 2])
@pytest.mark.parametrize("limits", [SMALL, Settings()], ids=["small windows", "large windows"])
@pytest.mark.parametrize(
    ("build", "name"),
    [
        (slow_source, "read"),
        (slow_map, "slow"),
        (slow_map_beside_the_source, "slow"),
        (slow_sink, "load"),
        (slow_keyed, "slow"),
    ],
)
def test_who_is_slow_is_named(build: Build, name: str, limits: Settings, processes: int | None) -> None:
    result = run(build, processes, limits)
    found = result.bottleneck
    assert found is not None
    assert found.operator == name, f"{found.sentence}\n{result}"


def heavy(flow: Dataflow, record: type[remote.SlowToSend]) -> None:
    made = flow.source(generate(int, count=COUNT), name="read").map(record, name="make")
    made.stage("load").flat_map(lambda each: [each.number], name="open").sink(discard(), name="load")


@pytest.mark.parametrize(("record", "name"), [(remote.SlowToSend, "make"), (remote.SlowToRead, "open")])
def test_the_time_of_the_codec_is_that_of_who_gives_or_takes(record: type[remote.SlowToSend], name: str) -> None:
    result = run(lambda flow: heavy(flow, record), 1)
    assert slept(result, name), result
    found = result.bottleneck
    assert found is not None
    assert found.operator == name, f"{found.sentence}\n{result}"


def test_what_is_encoded_is_what_the_last_operator_of_a_task_gave() -> None:
    def build(flow: Dataflow) -> None:
        made = flow.source(generate(int, count=COUNT), name="read").map(remote.SlowToSend, name="make")
        made.filter(bool, name="keep").stage("load").sink(discard(), name="load")

    result = run(build, 1)
    assert slept(result, "keep"), result
    assert not slept(result, "make"), result


def source_with_a_thread(flow: Dataflow) -> None:
    read = flow.source(remote.MakesRecords(remote.SlowToSend, COUNT), name="read")
    read.stage("load").sink(discard(), name="load")


def sink_with_a_thread(flow: Dataflow) -> None:
    made = flow.source(remote.MakesRecords(remote.SlowToRead, COUNT), name="read")
    made.stage("load").sink(remote.Ignores(), name="load")


@pytest.mark.parametrize(("build", "name"), [(source_with_a_thread, "read"), (sink_with_a_thread, "load")])
def test_the_codec_of_who_has_a_thread_of_its_own_is_named_too(build: Build, name: str) -> None:
    found = run(build, 1).bottleneck
    assert found is not None
    assert found.operator == name, found.sentence
    assert "to encode or decode its records takes " in found.sentence
