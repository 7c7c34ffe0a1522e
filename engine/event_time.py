"""Event time: where it stands in a stream's records, and the operation that makes watermarks of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from types import UnionType
from typing import Any, ClassVar, Union, get_args, get_origin
from zoneinfo import ZoneInfo

from cext.chain import Operator
from cext.getter import Getter
from cext.guard import Guard
from cext.instant import Arrival, Instant
from cext.watermarks import Watermarks
from engine.durations import Duration, nanoseconds
from engine.errors import GraphError
from engine.graph import ASIDE, Input, Node, Part, feeding
from engine.naming import function_name
from engine.operation import Operation, Role
from engine.operations import FromSource
from engine.types import fields_of, name_of, returned_by

Zone = str | tzinfo


@dataclass(frozen=True)
class Time:
    """Where the event time of a record stands: a field or function, whose int or datetime is `shift` ms before it."""

    part: Part
    zone: tzinfo | None = None
    """That of datetimes that have none."""
    is_datetime: bool = False
    """Whether its type is datetime; what comes of it, such as the bounds of windows, is then given as datetimes too."""
    shift: int = 0
    is_arrival: bool = False
    """Whether it stands in no record but is processing time: when a record gets to whatever goes by it."""

    @property
    def datetime_or_int(self) -> type:
        """The type of moments that come of it."""
        return datetime if self.is_datetime else int

    def instant(self) -> Instant:
        """Takes it out of a record."""
        if self.is_arrival:
            return Arrival(Getter())
        return Instant(Getter(self.part), self.zone, self.shift)

    @classmethod
    def of(cls, part: Part, record_type: Any, zone: Zone | None, place: str) -> Time:
        """The time that `part` is in records of that type; GraphError where it cannot be one."""
        known = (fields_of(record_type) or {}).get(part) if isinstance(part, str) else returned_by(part)
        types = set(get_args(known)) if get_origin(known) in {Union, UnionType} else {known}
        types -= {type(None), None, Any}
        if any((isinstance(each, type) and not issubclass(each, int | datetime)) or each is bool for each in types):
            what = f"the field {part!r}" if isinstance(part, str) else f"what {function_name(part)} returns"
            raise GraphError(
                f"{place}: event_time wants milliseconds since the epoch as an int, or a datetime; {what} is of type "
                f"{name_of(known)}",
                hint="give a function that makes one, e.g. event_time(lambda r: int(1000 * r.seconds))",
            )
        is_datetime = bool(types) and all(isinstance(each, type) and issubclass(each, datetime) for each in types)
        return cls(part, checked_zone(zone, place), is_datetime)


ARRIVAL = Time("", is_datetime=True, is_arrival=True)
"""Processing time."""


@dataclass(frozen=True, eq=False)
class EventTime(Operation):
    """Records go on unchanged; their times make the watermark."""

    role: ClassVar[Role] = "chain"
    kind = "event_time"
    keeps_records: ClassVar[bool] = True
    clock: Time
    out_of_order: int
    """Milliseconds."""
    idle_after: int
    """Nanoseconds; below 0: never."""

    @property
    def time(self) -> Time:
        return self.clock

    @property
    def _origin(self) -> str:
        part = self.clock.part
        return part if isinstance(part, str) else function_name(part)

    def describe(self) -> str:
        return f"event time from {self._origin}"

    def meaning(self, inputs: Sequence[Input]) -> dict[str, Any]:
        return {"time": None if self._origin == "lambda" else self._origin}

    def build_operator(self, name: str, guard: Guard) -> Operator:
        return Watermarks(name, guard, self.clock.instant(), self.out_of_order, self.idle_after)


def checked_zone(zone: Zone | None, place: str) -> tzinfo | None:
    """The zone of that name; GraphError where there is none."""
    if zone is None or isinstance(zone, tzinfo):
        return zone
    try:
        return ZoneInfo(zone)
    except (TypeError, ValueError, OSError, LookupError) as error:
        raise GraphError(
            f"{place}: there is no time zone {zone!r}", hint='e.g. zone="UTC" or zone="Europe/Zurich"'
        ) from error


def checked_milliseconds(duration: Duration, what: str, place: str, least: int = 0) -> int:
    """A duration in whole milliseconds, at least so many."""
    try:
        whole, rest = divmod(nanoseconds(duration), 10**6)
    except (TypeError, ValueError) as error:
        raise GraphError(f"{place}: {what}: {error}") from error
    if rest:
        raise GraphError(f"{place}: {what} wants whole milliseconds, got {duration!r}")
    if whole < least:
        raise GraphError(f"{place}: {what} wants at least {least} ms, got {duration!r}")
    return whole


def signed_milliseconds(duration: Duration, what: str, place: str) -> int:
    """The same of a duration that may be below zero, as "-5s" is."""
    size = _without_minus(duration)
    return checked_milliseconds(duration, what, place) if size is None else -checked_milliseconds(size, what, place)


def _without_minus(duration: Duration) -> Duration | None:
    """What is left of a duration below zero; None: it is not."""
    if isinstance(duration, str):
        return duration[1:] if duration.startswith("-") else None
    if isinstance(duration, timedelta):
        return -duration if duration < timedelta(0) else None
    return -duration if isinstance(duration, int | float) and duration < 0 else None


def has_watermarks(inputs: tuple[Input, ...]) -> bool:
    """Whether event time is made anywhere on the way to here."""
    return any(
        each.node is not None and isinstance(each.node.operation, EventTime) for each in feeding(inputs, tables=False)
    )


def time_of(inputs: tuple[Input, ...]) -> Time | None:
    """Where the event time stands in records that come by `inputs`; None where that is not known, or not the same."""
    found = clock_of(inputs)
    return None if found is None or found.is_arrival else found


def clock_of(inputs: tuple[Input, ...]) -> Time | None:
    """The same, or ARRIVAL where they go by processing time."""
    found = set(_times(inputs))
    return found.pop() if len(found) == 1 else None


def arrival_of(instant: Instant) -> Arrival | None:
    """`instant`, where it is for the head to set: what goes by processing time."""
    return instant if isinstance(instant, Arrival) else None


def _times(inputs: tuple[Input, ...]) -> Iterator[Time | None]:
    for each in inputs:
        if each.time is not None or each.node is None or each.output <= ASIDE:
            yield each.time
        elif each.node.operation.time is not None:
            yield each.node.operation.time
        elif each.node.operation.keeps_records:
            yield from _times(each.node.inputs)
        else:
            yield None


def follows_source(inputs: tuple[Input, ...]) -> bool:
    """Whether all records come right from one source, which can tell its partitions apart."""
    return len(inputs) == 1 and _is_source(inputs[0].node) and inputs[0].route == "forward" and not inputs[0].stage


def _is_source(node: Node | None) -> bool:
    return node is not None and isinstance(node.operation, FromSource)
