"""KeyedProcess: a class of the user's that gets the records of each key, with state, timers and side outputs."""

from __future__ import annotations

import typing
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar

from cext import keyed as native
from cext.getter import Getter
from cext.instant import Instant
from cext.keyed_process import Tagged
from engine.durations import Duration, nanoseconds
from engine.errors import GraphError
from engine.graph import users_place

T = TypeVar("T")
U = TypeVar("U")
V = TypeVar("V")

_INSTANT = Instant(Getter())


class Timer(NamedTuple):
    """What has come due for a key."""

    key: Any
    time: int
    """When it was to fire, milliseconds since the epoch."""
    is_event_time: bool
    """Whether event time has come to it, not processing time."""


class Timers(native.Timers):
    """The timers of the key in work: one for each time, which is in milliseconds since the epoch."""

    def at(self, time: int | datetime) -> int:
        """Let `on_timer` be called at `time`, given as an int or a datetime with a zone; returns it as an int.

        A time that is past is due at once. There is one timer for a key and a time, however often it is set.
        """
        return self.set_at(_INSTANT(time))

    def after(self, delay: Duration) -> int:
        """The same, so long after the time of the record or timer in work, or in processing time after now."""
        return self.set_at(self.base() + _milliseconds(delay))

    def cancel(self, time: int | datetime) -> bool:
        """Forget the timer that was set for `time`; whether there was one."""
        return self.cancel_at(_INSTANT(time))


class SideOutput(Generic[V]):
    """A stream beside the results of a KeyedProcess, as an attribute of its class: `yield self.odd(record)` feeds it.

    `type` is that of its records; `stream.process(...).side(Class.odd)` is the stream.
    """

    name = ""
    number = 0

    def __init__(self, type: type[V] | None = None) -> None:
        self._type = type

    @property
    def record_type(self) -> Any:
        """The type of its records, or None where it is not known."""
        said = typing.get_args(getattr(self, "__orig_class__", None))  # as in SideOutput[Click]()
        return self._type or (said[0] if said else None)

    def __call__(self, record: V) -> Tagged:
        return Tagged(self.number, record)

    def twin(self) -> SideOutput[V]:
        """One that is the same, for another class."""
        return SideOutput(self.record_type)


class _Part(Protocol):
    def twin(self) -> Any: ...


class KeyedProcess(native.Keyed, Generic[T, U]):
    """The base of classes that make records of type U of those of type T, key by key.

    State (`ValueState`, `ListState`, `MapState`) and side outputs (`SideOutput`) are attributes of the class. Each
    instance of the operator makes one object of the class, which sees the key in work only: `self.key`, its state, its
    `event_timers` and `processing_timers`.

    What a method returns or yields goes on as there is credit for it, before the next record or timer is looked at.

    >>> from connectors.memory import collect, from_iterable
    >>> from engine import Dataflow, KeyedProcess, ValueState
    >>> class Silence(KeyedProcess[int, int]):
    ...     "Tells when nothing has come for 10 s."
    ...     due = ValueState(0)
    ...     def on_record(self, time):
    ...         self.event_timers.cancel(self.due)
    ...         self.due = self.event_timers.after("10s")
    ...     def on_timer(self, timer):
    ...         yield timer.time
    >>> flow, got = Dataflow("silences"), []
    >>> times = flow.source(from_iterable([1_000, 9_000, 30_000])).event_time(int)
    >>> times.key_by().process(Silence, in_order=True).sink(collect(got))
    >>> _ = flow.run()
    >>> got
    [19000, 40000]
    """

    _states: ClassVar[tuple[native.State, ...]] = ()
    _sides: ClassVar[tuple[SideOutput[Any], ...]] = ()

    if TYPE_CHECKING:
        key: Any
        """The key of the record or timer in work."""
        watermark: int
        """No record from before it is to come, but late ones; far below zero before there is one."""
        at_end: bool
        """Whether the stream has ended: a timer that is set now fires only if another one of its key would after it."""
        event_timers: Timers
        """Fire when event time has come to them, in its order."""
        processing_timers: Timers
        """Fire when the clock has come to them; what is left when the stream ends never does."""

    def on_record(self, record: T, /) -> Iterable[U | Tagged] | None:
        """Called with each record; `self.time` is its event time, `self.is_late` says whether it is behind that."""
        raise NotImplementedError

    def on_timer(self, timer: Timer, /) -> Iterable[U | Tagged] | None:
        """Called with each timer that has come due."""
        raise NotImplementedError(f"{type(self).__name__} has set a timer, but has no on_timer")

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls._states = tuple(_own(cls, native.State))
        cls._sides = tuple(_own(cls, SideOutput))
        for index, state in enumerate(cls._states):
            state.index = index
        for number, side in enumerate(cls._sides):
            side.number = number + 1  # output 0 is for late records


def _own(cls: type[Any], kind: type[V]) -> list[V]:
    """The attributes of `cls` that are of that kind, named; each class has its own, for its place differs."""
    named = {name: getattr(cls, name) for each in reversed(cls.__mro__) for name in vars(each)}
    found = []
    for name, part in named.items():
        if not isinstance(part, kind):
            continue
        if hasattr(KeyedProcess, name):
            raise GraphError(
                f"{users_place()}: {cls.__name__}.{name} takes the place of what every KeyedProcess has",
                hint="give it another name",
            )
        if name not in vars(cls):
            part = typing.cast(_Part, part).twin()
            setattr(cls, name, part)
        part.name = name
        found.append(part)
    return found


def made_type(cls: type[KeyedProcess[Any, Any]]) -> Any:
    """The type of what it makes, U of KeyedProcess[T, U], or None where the class does not say."""
    for each in cls.__mro__:
        for base in getattr(each, "__orig_bases__", ()):
            if typing.get_origin(base) is KeyedProcess and "__orig_bases__" in vars(each):
                known = typing.get_args(base)[1]
                return None if known is Any or isinstance(known, TypeVar) else known
    return None


@lru_cache(256)
def _milliseconds(delay: Duration) -> int:
    whole, rest = divmod(nanoseconds(delay), 10**6)
    if rest:
        raise ValueError(f"timers count whole milliseconds, got {delay!r}")
    return whole
