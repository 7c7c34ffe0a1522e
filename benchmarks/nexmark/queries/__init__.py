"""The queries, a module each, as a user would write them: `query(events)` gives the stream of results."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from benchmarks.nexmark.records import Event
from engine import Sink, Stream

Query = Callable[[Stream[Event]], Stream[Any]]

BY_TIME = frozenset({"q4", "q5", "q6", "q7", "q8", "q9", "q11"})
"""Those that go by event time, and refuse a stream that does not say where it stands."""

BY_CLOCK = frozenset({"q12"})
"""Those that go by processing time, whose windows are other ones each time that they run."""


def names() -> list[str]:
    """The queries that are here, in the order of their numbers."""
    found = (module.name for module in iter_modules(__path__))
    return sorted((name for name in found if name[1:].isdigit()), key=lambda name: int(name[1:]))


def load(name: str) -> Query:
    """The function of the query `name`."""
    query: Query = import_module(f"{__name__}.{name}").query
    return query


def results(name: str, events: Stream[Event], out_of_order: int = 0) -> Stream[Any]:
    """What the query `name` gives for what a source gives, by so many ms out of order."""
    if name in BY_TIME:
        events = events.event_time("date_time", out_of_order=out_of_order)
    return load(name)(events)


def sink(name: str, folder: Path) -> Sink[Any] | None:
    """Where the results of the query `name` go that is about writing them; None: it is not."""
    make: Callable[[Path], Sink[Any]] | None = getattr(import_module(f"{__name__}.{name}"), "sink", None)
    return None if make is None else make(folder)
