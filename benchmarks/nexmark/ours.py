"""The queries as flows: to measure their pace, or to have their results."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.nexmark import queries
from benchmarks.nexmark.notes import Measured, collect, note
from benchmarks.nexmark.records import Event
from connectors.files import json_lines
from connectors.memory import collect as into
from engine import Dataflow, Reader, Sink, SinkContext, Source, Writer


class Noted(Source[Event]):
    """Another source, that notes when it is opened."""

    type = Event

    def __init__(self, source: Source[Event], folder: Path) -> None:
        self.source, self.folder, self.blocking = source, folder, source.blocking

    def partitions(self) -> Sequence[str]:
        return self.source.partitions()

    def open(self, partition: str) -> Reader[Event]:
        note(self.folder)
        return self.source.open(partition)


class Blackhole(Sink[Any]):
    """Lets results go, and notes how many there were and when the last had come."""

    blocking = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self, context: SinkContext) -> Writer[Any]:
        return _Blackhole(self.folder)


class _Blackhole(Writer[Any]):
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.results = 0

    def write(self, records: list[Any]) -> None:
        self.results += len(records)

    def finish(self) -> None:
        note(self.folder, self.results)


def run(query: str, paths: Sequence[Path], folder: Path, processes: int) -> Measured:
    """Run it and let the results go."""
    flow, before = Dataflow(query), time.process_time()
    events = flow.source(Noted(json_lines(list(paths), type=Event), folder))
    found = queries.results(query, events)
    found.sink(Blackhole(folder))
    files = queries.sink(query, folder / "written")
    if files is not None:
        found.sink(files, name="files")
    flow.run(processes=processes, progress=False)
    shutil.rmtree(folder / "written", ignore_errors=True)
    measured = collect(folder)
    # Over several processes this one only looks after the others.
    return measured if processes == 1 else replace(measured, cpu=measured.cpu + time.process_time() - before)


def results(query: str, paths: Sequence[Path], processes: int) -> list[Any]:
    """Run it and return the results."""
    flow, records = Dataflow(query), list[Any]()
    queries.results(query, flow.source(json_lines(list(paths), type=Event))).sink(into(records))
    flow.run(processes=processes, progress=False)
    return records
