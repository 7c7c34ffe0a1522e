"""Instant: takes the event time out of a record, in milliseconds since the epoch."""

from datetime import tzinfo
from typing import Any, Self, final

from typing_extensions import disjoint_base

from cext.getter import Getter

@disjoint_base
class Instant:
    what: Getter
    zone: tzinfo | None
    shift: int
    def __new__(cls, what: Getter, zone: tzinfo | None = None, shift: int = 0) -> Self: ...
    def __call__(self, record: Any) -> int: ...

@final
class Arrival(Instant):
    time: int
