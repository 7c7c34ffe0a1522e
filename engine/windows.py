"""Windows: how the records of a key are divided, by event time or by number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from math import gcd
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from cext.groups import Groups
from cext.instant import Instant
from cext.panes import Grid, Panes
from cext.sessions import Sessions
from cext.triggered import Triggered
from cext.windowed import Windows
from engine.calendar_days import Days
from engine.durations import Duration
from engine.errors import GraphError
from engine.event_time import Zone, checked_milliseconds, checked_zone
from engine.graph import users_place

V = TypeVar("V")

_DAY = 86_400_000


class Bounds(NamedTuple):
    """From where to where a window goes: the end is the first moment, or record, that is not in it.

    A session ends with the last moment at which a record would have joined it.
    """

    start: Any
    end: Any


class WindowResult(msgspec.Struct, Generic[V], frozen=True):
    """What `reduce` and `fold` give for a window of a key.

    `window_start` and `window_end` are of the type of the event time, datetimes or milliseconds since the epoch; those
    of `Count` and `Global` windows are numbers of the key's records, from 0. See `Bounds`.
    """

    key: Any
    window_start: Any
    window_end: Any
    value: V


@dataclass(frozen=True)
class Parts:
    """What native windows are made of beside their own shape."""

    make_groups: Callable[[], Groups]
    instant: Instant
    bound: Callable[[int], Any]
    lateness: int
    panes: Callable[..., Panes] = Panes
    """Makes panes, where the windows are made of these."""


class Window:
    """The base of what `KeyedStream.window` takes: `Tumbling`, `Sliding`, `Session`, `Count` and `Global`."""

    counts = False
    """Whether its bounds are numbers of a key's records, and not times."""
    last_moment = -1
    """How far the last moment of a window is from its end, ms."""
    combines = False
    """Whether it makes a window of several states of a key, so that aggregates must be able to combine these."""
    zone: tzinfo | None = None

    @property
    def needs_watermarks(self) -> bool:
        """Whether event time makes its results due."""
        return not self.counts

    def build(self, parts: Parts) -> Windows:
        """The native windows."""
        raise NotImplementedError

    def grid(self) -> Grid | None:
        """How it cuts time into panes, the same for all keys; None: it does not."""
        return None


@dataclass(frozen=True, init=False)
class Tumbling(Window):
    """Windows of `size`, one after the other; every moment is in one.

    `offset` moves them against the epoch (weeks from Monday on: `Tumbling("7d", offset="4d")`). With `zone` they are of
    whole days of its calendar, which last 23 or 25 hours where clocks are changed.

    >>> Tumbling("10s"), Tumbling("1d", zone="Europe/Zurich")
    (Tumbling('10s'), Tumbling('1d', zone='Europe/Zurich'))
    """

    size: int
    """Milliseconds."""
    offset: int
    zone: tzinfo | None

    def __init__(self, size: Duration, *, offset: Duration = 0, zone: Zone | None = None) -> None:
        place = users_place()
        _set(self, "size", checked_milliseconds(size, "Tumbling's size", place, 1))
        _set(self, "offset", checked_milliseconds(offset, "Tumbling's offset", place))
        _set(self, "zone", checked_zone(zone, place))
        if zone is not None and (self.size % _DAY or self.offset % _DAY):
            raise GraphError(f"{place}: Tumbling with a zone is of whole days, not of {size!r} from {offset!r} on")

    def build(self, parts: Parts) -> Windows:
        return parts.panes(self.grid(), parts.instant, parts.make_groups, parts.bound, 1, 1, parts.lateness)

    def grid(self) -> Grid:
        if self.zone is None:
            return Grid(self.size, self.offset)
        return Days(self.size // _DAY, self.offset // _DAY, self.zone)

    def __repr__(self) -> str:
        offset = f", offset={as_text(self.offset)!r}" if self.offset else ""
        zone = f", zone={str(self.zone)!r}" if self.zone else ""
        return f"Tumbling({as_text(self.size)!r}{offset}{zone})"


@dataclass(frozen=True, init=False)
class Sliding(Window):
    """Windows of `size`, one of which begins `every` so often: a moment is in `size / every` of them.

    >>> Sliding("10s", every="2s")
    Sliding('10s', every='2s')
    """

    size: int
    """Milliseconds."""
    every: int
    offset: int
    combines = True

    def __init__(self, size: Duration, *, every: Duration, offset: Duration = 0) -> None:
        place = users_place()
        _set(self, "size", checked_milliseconds(size, "Sliding's size", place, 1))
        _set(self, "every", checked_milliseconds(every, "Sliding's every", place, 1))
        _set(self, "offset", checked_milliseconds(offset, "Sliding's offset", place))
        if self.every > self.size:
            raise GraphError(f"{place}: windows of {size!r} every {every!r} leave gaps between them")

    def build(self, parts: Parts) -> Windows:
        grid = self.grid()
        width, step = self.size // grid.size, self.every // grid.size
        return parts.panes(grid, parts.instant, parts.make_groups, parts.bound, width, step, parts.lateness)

    def grid(self) -> Grid:
        return Grid(gcd(self.size, self.every), self.offset)

    def __repr__(self) -> str:
        offset = f", offset={as_text(self.offset)!r}" if self.offset else ""
        return f"Sliding({as_text(self.size)!r}, every={as_text(self.every)!r}{offset})"


@dataclass(frozen=True, init=False)
class Session(Window):
    """Windows that last as long as a key's records come within `gap` of each other; they end `gap` after the last.

    A record exactly `gap` after another is in the same one. So the end is the last moment at which one could join.

    >>> Session("30m")
    Session('30m')
    """

    gap: int
    """Milliseconds."""
    combines = True
    last_moment = 0

    def __init__(self, gap: Duration) -> None:
        _set(self, "gap", checked_milliseconds(gap, "Session's gap", users_place(), 1))

    def build(self, parts: Parts) -> Windows:
        return Sessions(self.gap, parts.instant, parts.make_groups(), parts.bound, parts.lateness)

    def __repr__(self) -> str:
        return f"Session({as_text(self.gap)!r})"


@dataclass(frozen=True, init=False)
class Count(Window):
    """Windows of `size` records of a key, in the order in which they come; the last one may have fewer.

    Their bounds are numbers of records. How many records each key had is kept for as long as the job runs.
    """

    size: int
    counts = True

    def __init__(self, size: int) -> None:
        if not isinstance(size, int) or size < 1:
            raise GraphError(f"{users_place()}: Count wants a number of records from 1, got {size!r}")
        _set(self, "size", size)

    def build(self, parts: Parts) -> Windows:
        return Triggered(parts.make_groups(), self.size, purge=True)

    def __repr__(self) -> str:
        return f"Count({self.size})"


def as_datetime(zone: tzinfo | None) -> Callable[[int], datetime]:
    """Makes a datetime in `zone` of milliseconds since the epoch."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    if zone is None or zone is UTC:
        return lambda time: epoch + timedelta(milliseconds=time)
    return lambda time: (epoch + timedelta(milliseconds=time)).astimezone(zone)


def _set(window: Window, name: str, value: Any) -> None:
    object.__setattr__(window, name, value)


def as_text(milliseconds: int) -> str:
    for unit, size in (("d", _DAY), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds % size == 0 and milliseconds:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"
