"""Keyed: what a user's process has of the key in work, its state, its times and its timers."""

from typing import Any, Self

from typing_extensions import disjoint_base

from cext.moments import Moments

@disjoint_base
class Undoable: ...

@disjoint_base
class Timers(Undoable):
    in_event_time: bool
    pending: Moments
    def __new__(cls, owner: Keyed, in_event_time: bool) -> Self: ...
    def set_at(self, time: int) -> int: ...
    def cancel_at(self, time: int) -> bool: ...
    def base(self) -> int: ...

@disjoint_base
class State(Undoable):
    name: str
    index: int
    ttl: int
    def title(self) -> str: ...

@disjoint_base
class Keyed(Undoable):
    key: Any
    watermark: int
    at_end: bool
    event_timers: Any
    processing_timers: Any
    def __new__(cls, *arguments: Any, **options: Any) -> Self: ...
    @property
    def time(self) -> int: ...
    @property
    def now(self) -> int: ...
    @property
    def is_late(self) -> bool: ...
