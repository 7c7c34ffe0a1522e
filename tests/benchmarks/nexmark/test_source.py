"""The generator as a source: its partitions, its positions, and its pace by a clock of the test's."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import msgspec
import pytest

from benchmarks.nexmark.files import write_files
from benchmarks.nexmark.generator import Generator
from benchmarks.nexmark.records import Event
from benchmarks.nexmark.source import BLOCK, Nexmark, NexmarkReader
from connectors.memory import collect
from engine import Dataflow

COUNT = 3 * BLOCK + 5
STREAM = Generator(seed=4, out_of_order=10)


def drained(reader: NexmarkReader, limit: int = 1000) -> list[Event]:
    events: list[Event] = []
    while (more := reader.read(limit)) is not None:
        assert 0 < len(more) <= limit
        events += more
    return events


@pytest.mark.parametrize("partitions", [1, 2, 3, 5])
def test_partitions_have_every_event_once_and_in_order(partitions: int) -> None:
    source = Nexmark(STREAM, count=COUNT, partitions=partitions)
    parts = [drained(source.open(partition)) for partition in source.partitions()]
    whole = STREAM.events(0, COUNT)
    for number, part in enumerate(parts):
        assert part[:BLOCK] == whole[number * BLOCK : (number + 1) * BLOCK]
    assert sorted(map(repr, chain(*parts))) == sorted(map(repr, whole))


@pytest.mark.parametrize("position", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, BLOCK + 5, COUNT])
def test_a_reader_goes_on_where_another_was(position: int) -> None:
    source = Nexmark(STREAM, count=COUNT, partitions=2)
    whole = drained(source.open("1"))
    reader = source.open("1")
    reader.seek(position)
    assert drained(reader, 77) == whole[position:]
    assert reader.position() == max(position, len(whole))


def test_a_paced_reader_gives_each_event_when_its_time_has_come() -> None:
    now = [STREAM.base_time / 1000 - 1.0]
    stream = Generator(rate=1000)
    source = Nexmark(stream, paced=True, clock=lambda: now[0])
    reader = source.open("0")
    assert not source.bounded
    assert reader.read(10) == []
    assert reader.poll_after() == pytest.approx(1.0)
    now[0] = stream.base_time / 1000
    assert reader.read(10) == stream.events(0, 1)
    now[0] += 0.0095
    assert reader.read(100) == stream.events(1, 10)
    now[0] += 60  # held up for a minute: they follow as fast as they are taken, and keep their times
    assert reader.read(1000) == stream.events(10, 1010)
    assert reader.poll_after() == 0.0


def test_a_reader_that_keeps_no_pace_is_not_to_wait() -> None:
    assert Nexmark(STREAM).open("0").poll_after() is None


def test_it_is_a_source_of_a_flow(tmp_path: Path) -> None:
    flow, events = Dataflow("events"), list[Event]()
    flow.source(Nexmark(STREAM, count=1000, partitions=2)).sink(collect(events))
    assert flow.run().records_read == 1000
    assert events == STREAM.events(0, 1000)


def test_files_hold_what_partitions_give(tmp_path: Path) -> None:
    source, decode = Nexmark(STREAM, count=COUNT, partitions=2), msgspec.json.Decoder(Event).decode_lines
    paths = write_files(tmp_path, STREAM, COUNT, partitions=2)
    assert [path.name for path in paths] == ["events-0.jsonl", "events-1.jsonl"]
    assert [decode(path.read_bytes()) for path in paths] == [drained(source.open(part)) for part in source.partitions()]
