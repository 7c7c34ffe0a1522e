"""The queries, a module each, as a user would write them: `query(events)` gives the stream of results."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from benchmarks.nexmark.records import Event
from engine import Stream

Query = Callable[[Stream[Event]], Stream[Any]]


def names() -> list[str]:
    """The queries that are here, in the order of their numbers."""
    found = (module.name for module in iter_modules(__path__))
    return sorted((name for name in found if name[1:].isdigit()), key=lambda name: int(name[1:]))


def load(name: str) -> Query:
    """The function of the query `name`."""
    query: Query = import_module(f"{__name__}.{name}").query
    return query
