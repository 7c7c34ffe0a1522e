"""State: what a KeyedProcess keeps for each key, as attributes of its class: a value, a list or a map."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, MutableSequence
from copy import copy
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeAlias, TypeVar, overload

from cext import states, views
from engine.durations import Duration
from engine.errors import GraphError
from engine.event_time import checked_milliseconds
from engine.graph import users_place

if TYPE_CHECKING:
    from engine.keyed_process import KeyedProcess

    AnyProcess: TypeAlias = KeyedProcess[Any, Any]

K = TypeVar("K")
V = TypeVar("V")

Renewal = Literal["write", "read"]

_MUTABLE = (list, dict, set, bytearray)


class ValueState(states.Value, Generic[V]):
    """One value for each key: an attribute that is read, assigned and deleted as any other.

    `default` is read where a key has none; `factory`, instead of it, makes a key's first value when that is first read.
    `ttl`: a value that was not assigned for so long is gone, and its memory with it; `renewed_by="read"`: nor read.
    That is event time where the stream has it, that of the records and timers of its key, else processing time. What a
    value holds may be changed in place, but then counts as of when it was assigned, and is not undone where a record
    fails.

    >>> from connectors.memory import collect, from_iterable
    >>> from engine import Dataflow, KeyedProcess, ValueState
    >>> class Number(KeyedProcess[str, tuple[int, str]]):
    ...     count = ValueState(0)
    ...     def on_record(self, word):
    ...         self.count += 1
    ...         yield self.count, word
    >>> flow, got = Dataflow("numbered"), []
    >>> flow.source(from_iterable(["a", "b", "a"])).key_by(lambda word: word).process(Number).sink(collect(got))
    >>> _ = flow.run()
    >>> got
    [(1, 'a'), (1, 'b'), (2, 'a')]
    """

    @overload
    def __new__(cls, default: V, *, ttl: Duration | None = None, renewed_by: Renewal = "write") -> ValueState[V]: ...
    @overload
    def __new__(
        cls, *, factory: Callable[[], V], ttl: Duration | None = None, renewed_by: Renewal = "write"
    ) -> ValueState[V]: ...
    def __new__(
        cls,
        default: Any = None,
        *,
        factory: Callable[[], Any] | None = None,
        ttl: Duration | None = None,
        renewed_by: Renewal = "write",
    ) -> Any:
        place = users_place()
        if isinstance(default, _MUTABLE):
            raise GraphError(
                f"{place}: ValueState({default!r}) would be one {type(default).__name__} for all keys",
                hint=f"say factory={type(default).__name__}, or use ListState or MapState",
            )
        if factory is not None and not callable(factory):
            raise GraphError(f"{place}: ValueState's factory is a function that makes a value, not {factory!r}")
        options = _options("ValueState", ttl, renewed_by, place)
        return super().__new__(cls, default=default, factory=factory, **options)

    def twin(self) -> ValueState[V]:
        """One that is the same, for another class."""
        return copy(self)

    def __reduce__(self) -> tuple[Any, ...]:
        options = {"default": self.default, "factory": self.factory, "ttl": self.ttl, "renews": self.renews}
        return _again, (type(self), options, self.name, self.index)

    if TYPE_CHECKING:

        @overload
        def __get__(self, instance: None, owner: Any = None) -> Self: ...
        @overload
        def __get__(self, instance: AnyProcess, owner: Any = None) -> V: ...
        def __get__(self, instance: Any, owner: Any = None) -> Any: ...
        def __set__(self, instance: AnyProcess, value: V) -> None: ...
        def __delete__(self, instance: AnyProcess) -> None: ...


class ListState(states.Listed, Generic[V]):
    """A list for each key, read and changed in place, assigned as a whole, and deleted.

    `ttl`: an item that was added so long ago is gone, see ValueState.

    >>> from connectors.memory import collect, from_iterable
    >>> from engine import Dataflow, KeyedProcess, ListState
    >>> class Pairs(KeyedProcess[int, list[int]]):
    ...     waiting = ListState[int]()
    ...     def on_record(self, number):
    ...         self.waiting.append(number)
    ...         if len(self.waiting) == 2:
    ...             yield list(self.waiting)
    ...             del self.waiting
    >>> flow, got = Dataflow("pairs"), []
    >>> flow.source(from_iterable(range(5))).key_by(lambda number: number % 2).process(Pairs).sink(collect(got))
    >>> _ = flow.run()
    >>> got
    [[0, 2], [1, 3]]
    """

    def __new__(cls, *, ttl: Duration | None = None) -> ListState[V]:
        return super().__new__(cls, view=StateList, **_options("ListState", ttl, "write", users_place()))

    def twin(self) -> ListState[V]:
        """One that is the same, for another class."""
        return copy(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), {"view": StateList, "ttl": self.ttl}, self.name, self.index)

    if TYPE_CHECKING:

        @overload
        def __get__(self, instance: None, owner: Any = None) -> Self: ...
        @overload
        def __get__(self, instance: AnyProcess, owner: Any = None) -> StateList[V]: ...
        def __get__(self, instance: Any, owner: Any = None) -> Any: ...
        def __set__(self, instance: AnyProcess, value: MutableSequence[V]) -> None: ...
        def __delete__(self, instance: AnyProcess) -> None: ...


class MapState(states.Mapped, Generic[K, V]):
    """A dict for each key, read and changed in place, assigned as a whole, and deleted.

    `ttl`: an entry that was not written for so long is gone; `renewed_by="read"`: nor looked up; see ValueState.

    >>> from connectors.memory import collect, from_iterable
    >>> from engine import Dataflow, KeyedProcess, MapState
    >>> class Letters(KeyedProcess[str, dict[str, int]]):
    ...     counts = MapState[str, int]()
    ...     def on_record(self, word):
    ...         for letter in word:
    ...             self.counts[letter] = self.counts.get(letter, 0) + 1
    ...         yield dict(self.counts)
    >>> flow, got = Dataflow("letters"), []
    >>> flow.source(from_iterable(["aba", "to", "bb"])).key_by(vowels=lambda word: "a" in word).process(Letters).sink(
    ...     collect(got)
    ... )
    >>> _ = flow.run()
    >>> got
    [{'a': 2, 'b': 1}, {'t': 1, 'o': 1}, {'t': 1, 'o': 1, 'b': 2}]
    """

    def __new__(cls, *, ttl: Duration | None = None, renewed_by: Renewal = "write") -> MapState[K, V]:
        return super().__new__(cls, view=StateMap, **_options("MapState", ttl, renewed_by, users_place()))

    def twin(self) -> MapState[K, V]:
        """One that is the same, for another class."""
        return copy(self)

    def __reduce__(self) -> tuple[Any, ...]:
        options = {"view": StateMap, "ttl": self.ttl, "renews": self.renews}
        return _again, (type(self), options, self.name, self.index)

    if TYPE_CHECKING:

        @overload
        def __get__(self, instance: None, owner: Any = None) -> Self: ...
        @overload
        def __get__(self, instance: AnyProcess, owner: Any = None) -> StateMap[K, V]: ...
        def __get__(self, instance: Any, owner: Any = None) -> Any: ...
        def __set__(self, instance: AnyProcess, value: MutableMapping[K, V]) -> None: ...
        def __delete__(self, instance: AnyProcess) -> None: ...


class StateList(views.ListView[V], MutableSequence[V]):
    """The list of whichever key is in work; a slice of it is a plain list."""


class StateMap(views.MapView[K, V], MutableMapping[K, V]):
    """The dict of whichever key is in work."""


def _again(cls: type[Any], options: dict[str, Any], name: str, index: int) -> Any:
    """A state of `cls` as it was; a class that travels to another process brings its states."""
    base: Any = next(each for each in cls.__mro__ if each.__module__ == states.__name__)
    state = base.__new__(cls, **options)
    state.name, state.index = name, index
    return state


def _options(what: str, ttl: Duration | None, renewed_by: str, place: str) -> dict[str, Any]:
    if renewed_by not in {"write", "read"}:
        raise GraphError(f'{place}: renewed_by is "write" or "read", not {renewed_by!r}')
    milliseconds = 0 if ttl is None else checked_milliseconds(ttl, f"{what}'s ttl", place, 1)
    return {"ttl": milliseconds, "renews": renewed_by == "read"}
