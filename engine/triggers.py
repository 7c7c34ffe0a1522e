"""Triggers: when a window that never ends gives its result; and that window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from cext.triggered import Triggered
from cext.windowed import Windows
from engine.checks import check_count, check_function
from engine.durations import Duration
from engine.errors import GraphError
from engine.event_time import checked_milliseconds
from engine.graph import users_place
from engine.naming import function_name
from engine.windows import Parts, Window, as_text


@dataclass(frozen=True, init=False)
class Trigger:
    """When a `Global` window gives a key's result: whenever one of these says so.

    `records`: once so many of the key's records have come since it was given last. `event_time`, `processing_time`:
    each time that it passes a multiple of so much (of 1 minute: at each full one), if the key has new records. `when`:
    after a record for which `when(record)` is true. `one | other` is a trigger by either.

    >>> Trigger(records=100, processing_time="10s")
    Trigger(records=100, processing_time='10s')
    >>> Trigger(event_time="1h") | Trigger(when=bool)
    Trigger(event_time='1h', when=bool)
    """

    records: int | None
    event_time: int | None
    """Milliseconds."""
    processing_time: int | None
    when: Callable[[Any], object] | None

    def __init__(
        self,
        *,
        records: int | None = None,
        event_time: Duration | None = None,
        processing_time: Duration | None = None,
        when: Callable[[Any], object] | None = None,
    ) -> None:
        place = users_place()
        if all(each is None for each in (records, event_time, processing_time, when)):
            raise GraphError(f"{place}: a Trigger says when results are given", hint="e.g. Trigger(records=100)")
        if records is not None:
            check_count(records, "Trigger wants a number of records", place)
        if when is not None:
            check_function(when, "Trigger's when", place)
        object.__setattr__(self, "records", records)
        object.__setattr__(self, "event_time", _every(event_time, "event_time", place))
        object.__setattr__(self, "processing_time", _every(processing_time, "processing_time", place))
        object.__setattr__(self, "when", when)

    def __or__(self, other: Trigger) -> Trigger:
        if not isinstance(other, Trigger):
            return NotImplemented
        mine, others = self._said(), other._said()
        both = mine.keys() & others.keys()
        if both:
            raise GraphError(
                f"{users_place()}: {self!r} and {other!r} both say {', '.join(sorted(both))}=",
                hint="keep the one that says it more often, or write one function as when=",
            )
        return Trigger(**mine, **others)

    def _said(self) -> dict[str, Any]:
        values = ((each.name, getattr(self, each.name)) for each in fields(self))
        return {name: value for name, value in values if value is not None}

    def __repr__(self) -> str:
        return f"Trigger({', '.join(f'{name}={_shown(name, value)}' for name, value in self._said().items())})"


@dataclass(frozen=True, init=False)
class Global(Window):
    """One window a key, which never ends: `trigger` says when its result is given, and the end gives what was not.

    A result is of all records of the key so far or, with `purge`, of those since the last result. Its bounds are
    numbers of the key's records. How many these were is kept for as long as the job runs, and without `purge` all else
    that the aggregates keep.

    >>> Global(Trigger(records=100), purge=True)
    Global(Trigger(records=100), purge=True)
    """

    trigger: Trigger
    purge: bool
    counts = True

    def __init__(self, trigger: Trigger, *, purge: bool = False) -> None:
        if not isinstance(trigger, Trigger):
            raise GraphError(
                f"{users_place()}: Global wants a Trigger, got {trigger!r}", hint="e.g. Global(Trigger(records=100))"
            )
        object.__setattr__(self, "trigger", trigger)
        object.__setattr__(self, "purge", purge)

    @property
    def needs_watermarks(self) -> bool:
        return self.trigger.event_time is not None

    def build(self, parts: Parts) -> Windows:
        said = self.trigger
        return Triggered(
            parts.make_groups(),
            said.records or 0,
            said.event_time or 0,
            said.processing_time or 0,
            said.when,
            self.purge,
        )

    def __repr__(self) -> str:
        return f"Global({self.trigger!r}{', purge=True' if self.purge else ''})"


def _every(duration: Duration | None, what: str, place: str) -> int | None:
    return None if duration is None else checked_milliseconds(duration, f"Trigger's {what}", place, 1)


def _shown(name: str, value: Any) -> str:
    if name == "when":
        return function_name(value)
    return repr(as_text(value)) if name.endswith("time") else repr(value)
