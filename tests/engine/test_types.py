"""What a stream knows of its records' type after each operator, and what can be read off types and functions."""

from __future__ import annotations

import dataclasses
import functools
import operator
import re
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
)
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Optional, Self, TypedDict, TypeGuard, TypeVar

import msgspec
import pytest
from typing_extensions import TypeIs

from engine import (
    Aggregate,
    Dataflow,
    DeadLetter,
    Stream,
    collect,
    count,
    custom,
    distinct,
    max_,
    mean,
    min_,
    sum_,
    top,
)
from engine.types import did_you_mean, fields_of, has_field, items_returned_by, name_of, optional, returned_by
from tests.engine.helpers import ListSource

if TYPE_CHECKING:
    from nowhere import Missing  # type: ignore[import-not-found]

T = TypeVar("T")


class Trip(msgspec.Struct):
    city: str
    fare: float | None
    stops: list[int]
    paid: Decimal

    @property
    def dear(self) -> bool:
        return self.fare is not None and self.fare > 50

    @functools.cached_property
    def slow(self) -> bool:
        return False

    def method(self) -> str:
        return ""


class Box(msgspec.Struct, Generic[T]):
    inside: T


class Halfway(msgspec.Struct):
    known: int
    unknown: Missing


@dataclasses.dataclass
class HalfwayData:
    known: int
    unknown: Missing


class Child(TypedDict, total=False):
    name: str


class Grandchild(Child):
    age: int


class Pair(NamedTuple):
    left: int
    right: str


def to_trip(x: object) -> Trip: ...  # type: ignore[empty-body]
def to_text(x: object) -> str: ...  # type: ignore[empty-body]
def to_any(x: object) -> Any: ...
def to_none(x: object) -> None: ...
def same(x: T) -> T: ...  # type: ignore[empty-body]
def in_list(x: T) -> list[T]: ...  # type: ignore[empty-body]
def to_box(x: object) -> Box[int]: ...  # type: ignore[empty-body]
def to_bare_box(x: object) -> Box: ...  # type: ignore[type-arg,empty-body]
def to_maybe(x: object) -> Optional[int]: ...  # noqa: UP045
def to_missing(x: object) -> Missing: ...
def to_list(x: object) -> list[int]: ...  # type: ignore[empty-body]
def to_text_by_name(x: object) -> "str": ...  # type: ignore[empty-body]  # noqa: UP037
def with_options(x: object, *, base: int) -> Trip: ...  # type: ignore[empty-body]
async def later(x: object) -> Trip: ...  # type: ignore[empty-body]
def awaitable(x: object) -> Awaitable[Trip]: ...  # type: ignore[empty-body]
def coroutine(x: object) -> Coroutine[Any, Any, Trip]: ...  # type: ignore[empty-body]


@functools.lru_cache
def cached(x: object) -> Trip: ...  # type: ignore[empty-body]


def wrapping(function: Callable[..., T]) -> Callable[..., T]:
    @functools.wraps(function)
    def wrapper(*arguments: Any) -> T:
        return function(*arguments)

    return wrapper


@wrapping
def wrapped(x: object) -> Trip: ...  # type: ignore[empty-body]


class Maker:
    def __call__(self, x: object) -> Trip: ...  # type: ignore[empty-body]
    def method(self, x: object) -> Trip: ...  # type: ignore[empty-body]
    @classmethod
    def of_class(cls, x: object) -> Trip: ...  # type: ignore[empty-body]
    @staticmethod
    def static(x: object) -> Trip: ...  # type: ignore[empty-body]
    def me(self, x: object) -> Self: ...  # type: ignore[empty-body]


def shown(value: Any) -> str:
    """Its name or what it shows, without where in memory it lies: a test has the same name in every process."""
    return getattr(value, "__qualname__", None) or re.sub(r" at 0x\w+", "", repr(value))


def stream(known: Any = None) -> Stream[Any]:
    return Dataflow("types").source(ListSource([], type=known))


@pytest.mark.parametrize(
    ("function", "known"),
    [
        (to_trip, Trip),
        (to_text, str),
        (to_any, None),
        (to_none, type(None)),
        (same, None),
        (in_list, None),
        (to_box, Box[int]),
        (to_bare_box, Box),
        (to_maybe, Optional[int]),  # noqa: UP045
        (to_missing, None),
        (to_list, list[int]),
        (to_text_by_name, str),
        (lambda x: x, None),
        (int, int),
        (Trip, Trip),
        (Child, Child),
        (len, None),
        (operator.itemgetter(1), None),
        (str.upper, None),
        (functools.partial(with_options, base=3), Trip),
        (functools.partial(functools.partial(with_options), base=3), Trip),
        (functools.partial(Trip, "x"), Trip),
        (functools.partial(lambda x: x), None),
        (cached, Trip),
        (wrapped, Trip),
        (Maker(), Trip),
        (Maker().method, Trip),
        (Maker.of_class, Trip),
        (Maker.static, Trip),
        (Maker().me, None),
    ],
    ids=shown,
)
def test_map_knows_what_its_function_says(function: Any, known: Any) -> None:
    assert stream().map(function).type == known
    assert returned_by(function) == known
    assert stream().map(function, type=bytes).type is bytes


def is_pair(x: object) -> TypeGuard[Pair]: ...  # type: ignore[empty-body]
def is_trip(x: object) -> TypeIs[Trip]: ...  # type: ignore[empty-body]
def is_open_list(x: list[T]) -> TypeGuard[list[T]]: ...  # type: ignore[empty-body]
def is_anything(x: object) -> TypeGuard[Any]: ...  # type: ignore[empty-body]


@pytest.mark.parametrize(
    ("predicate", "known"),
    [
        (is_pair, Pair),
        (is_trip, Trip),
        (functools.partial(is_pair), Pair),
        (is_open_list, str),
        (is_anything, str),
        (to_text, str),
        (bool, str),
        (lambda x: True, str),
    ],
)
def test_a_predicate_that_guards_a_type_narrows_the_stream(predicate: Any, known: Any) -> None:
    assert stream(str).filter(predicate).type is known
    assert stream(str).filter(predicate).map(len).type is None
    assert [part.type for part in stream(str).split(predicate)] == [known, str]
    assert [part.type for part in stream(str).split(bool, predicate, is_pair)] == [str, known, Pair, str]


def test_what_a_guard_returns_is_a_bool() -> None:
    assert stream().map(is_pair).type is stream().map(is_trip).type is bool


class ToInts:
    def __call__(self, x: object) -> Iterator[int]: ...  # type: ignore[empty-body]


def generator(x: object) -> Generator[Trip, None, str]: ...  # type: ignore[empty-body]
def iterator(x: object) -> Iterator[Trip]: ...  # type: ignore[empty-body]
def iterable(x: object) -> Iterable[Trip]: ...  # type: ignore[empty-body]
def as_list(x: object) -> list[Trip]: ...  # type: ignore[empty-body]
def as_bare_list(x: object) -> list: ...  # type: ignore[type-arg,empty-body]
def as_dict(x: object) -> dict[str, int]: ...  # type: ignore[empty-body]
def as_tuple(x: object) -> tuple[Trip, ...]: ...  # type: ignore[empty-body]
def as_pair(x: object) -> tuple[int, str]: ...  # type: ignore[empty-body]
def as_twins(x: object) -> tuple[int, int]: ...  # type: ignore[empty-body]
def as_any_list(x: object) -> list[Any]: ...  # type: ignore[empty-body]
def maybe_list(x: object) -> list[int] | None: ...
def as_async(x: object) -> AsyncIterator[int]: ...  # type: ignore[empty-body]


@pytest.mark.parametrize(
    ("function", "known"),
    [
        (generator, Trip),
        (iterator, Trip),
        (iterable, Trip),
        (as_list, Trip),
        (as_bare_list, None),
        (as_dict, str),
        (as_tuple, Trip),
        (as_pair, None),
        (as_twins, int),
        (as_any_list, None),
        (maybe_list, None),
        (as_async, None),
        (to_text, None),
        (in_list, None),
        (ToInts(), int),
        (lambda x: [x], None),
        (list, None),
        (functools.partial(as_list), Trip),
    ],
    ids=shown,
)
def test_flat_map_and_map_batch_know_the_items(function: Any, known: Any) -> None:
    assert stream().flat_map(function).type == known
    assert stream().map_batch(function).type == known
    assert items_returned_by(function) == known
    assert stream().flat_map(function, type=bytes).type is bytes
    assert stream().map_batch(function, type=bytes).type is bytes


@pytest.mark.parametrize(
    ("function", "known"),
    [(later, Trip), (awaitable, Trip), (coroutine, Trip), (lambda x: None, None)],
    ids=["async def", "Awaitable", "Coroutine", "lambda"],
)
def test_map_async_knows_what_is_awaited(function: Any, known: Any) -> None:
    assert stream().map_async(function).type == known
    assert stream().map_async(function, type=bytes).type is bytes


def advance(state: int | None, record: Trip) -> tuple[int, Trip]: ...  # type: ignore[empty-body]
def advance_openly(state: Any, record: Any) -> tuple[Any, Any]: ...  # type: ignore[empty-body]
def join(trip: Trip, match: str | None) -> Pair: ...  # type: ignore[empty-body]
def add(total: float, trip: Trip) -> float: ...  # type: ignore[empty-body]


def test_the_other_operators() -> None:
    trips = stream(Trip)
    assert trips.type is Trip
    assert trips.filter(bool).type is Trip
    assert trips.inspect(print).type is Trip
    assert [part.type for part in trips.split(bool, bool)] == [Trip, Trip, Trip]
    assert trips.rebalance(2).type is trips.broadcast(2).type is trips.key_by("city").type is Trip
    assert trips.lookup_join({}, on="city").type is None
    assert trips.lookup_join({}, on="city", into=join).type is Pair
    assert trips.lookup_join({}, on="city", type=bytes).type is bytes
    planes = ListSource([], type=Pair)
    assert trips.lookup_join(planes, on="city", table_key="right").type == tuple[Trip, Pair | None]
    assert trips.lookup_join(planes, on="city", table_key="right", how="inner").type == tuple[Trip, Pair]
    assert trips.lookup_join(ListSource([]), on="city", table_key="right").type is None
    assert stream().lookup_join(planes, on="city", table_key="right").type is None
    assert trips.key_by("city").stateful_map(advance).type is Trip
    assert trips.key_by("city").stateful_map(advance_openly).type is None
    assert trips.key_by("city").stateful_map(lambda s, r: (s, r)).type is None
    assert trips.key_by("city").stateful_map(lambda s, r: (s, r), type=bytes).type is bytes
    assert trips.key_by("city").reduce(max).type == tuple[Any, Trip]
    assert trips.key_by("city").fold(float, add).type == tuple[Any, float]
    assert trips.key_by("city").fold(list, lambda s, r: s).type == tuple[Any, list]  # type: ignore[type-arg]
    assert trips.key_by("city").fold(lambda: 0, lambda s, r: s).type is None
    assert stream().key_by().reduce(max).type is None
    assert Dataflow("x").dead_letters.type is DeadLetter


def test_union_knows_a_type_where_all_agree() -> None:
    class Trip(msgspec.Struct):  # another one of the same name
        x: int

    flow = Dataflow("union")
    ours = flow.source(ListSource([], type=globals()["Trip"]))
    theirs = flow.source(ListSource([], type=Trip))
    unknown = flow.source(ListSource([]))
    assert ours.union(ours, ours.filter(bool)).type is ours.type
    assert ours.union(theirs).type is None
    assert ours.union(unknown).type is None
    assert unknown.union(ours).type is None
    assert ours.union().type is ours.type


def is_dear(trip: Any) -> bool: ...  # type: ignore[empty-body]
def may_be_dear(trip: Any) -> bool | None: ...
def dear_ones(trip: Any) -> list[bool]: ...  # type: ignore[empty-body]
def trips_fare(trip: Trip) -> int: ...  # type: ignore[empty-body]


@pytest.mark.parametrize(
    ("aggregate", "typed", "untyped"),
    [
        (count(), int, int),
        (count("fare"), int, int),
        (sum_("fare"), float | None, Any),
        (sum_("paid"), Decimal | None, Any),
        (sum_(trips_fare), int | None, int | None),
        (sum_(is_dear), int | None, int | None),
        (sum_(may_be_dear), int | None, int | None),
        (sum_(dear_ones), list[bool] | None, list[bool] | None),
        (sum_(lambda t: t.fare), Any, Any),
        (min_("city"), str | None, Any),
        (max_("stops"), list[int] | None, Any),
        (mean("fare"), float | None, float | None),
        (mean("paid"), Decimal | None, float | None),
        (distinct("city"), int, int),
        (collect("city"), list[str], list[Any]),
        (collect(), list[Trip], list[Any]),
        (top(3, by="fare"), list[Trip], list[Any]),
        (top(3, by="fare", value="city"), list[str], list[Any]),
        (custom(int, max), int, int),
        (custom(lambda: 0, max), Any, Any),
        (custom(list, max, trips_fare), int, int),
    ],
    ids=lambda value: value.name if isinstance(value, Aggregate) else name_of(value),
)
def test_the_types_of_aggregates(aggregate: Aggregate, typed: Any, untyped: Any) -> None:
    for known, expected in ((Trip, typed), (None, untyped)):
        result = stream(known).key_by("city").aggregate(x=aggregate).type
        assert fields_of(result) == {"city": str if known else Any, "x": expected}
        assert result.__name__ == "Aggregate"


def test_the_types_of_keys() -> None:
    keyed = stream(Trip).key_by("city", dear="dear", fare=trips_fare, other=lambda t: 1)
    assert keyed.key.types == (str, Any, int, Any)
    assert keyed.key.names == ("city", "dear", "fare", "other")


def test_fields() -> None:
    assert fields_of(Trip) == {"city": str, "fare": float | None, "stops": list[int], "paid": Decimal}
    assert list(fields_of(Box[int]) or ()) == ["inside"]
    assert fields_of(Pair) == {"left": int, "right": str}
    assert fields_of(Grandchild) == {"name": str, "age": int}
    assert fields_of(Halfway) == fields_of(HalfwayData) == {"known": Any, "unknown": Any}
    for nothing in (None, int, dict, dict[str, int], tuple, tuple[int, str], Any, object, "Trip", Optional[Trip]):  # noqa: UP045
        assert fields_of(nothing) is None


def test_properties_count_as_fields_and_methods_do_not() -> None:
    assert [has_field(Trip, name) for name in ("city", "dear", "slow")] == [True] * 3
    assert [has_field(Trip, name) for name in ("method", "nothing", "__doc__")] == [False] * 3
    assert has_field(None, "whatever")


def test_optional() -> None:
    assert optional(int) == int | None
    assert optional(int | None) == int | None
    assert optional(Optional[int]) == Optional[int]  # noqa: UP045
    assert optional(list[int]) == list[int] | None
    assert (optional(None), optional(Any)) == (None, Any)
    assert optional("int") is Any


def test_names_and_hints() -> None:
    assert name_of(Trip) == "Trip"
    assert name_of(int | None) == "int | None"
    assert did_you_mean("x", []) == "there are none"
