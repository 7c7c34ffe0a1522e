"""Records of every kind for the codec's tests, and `same`: equal, and of the same types, at every depth."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import itertools
import math
import typing
from decimal import Decimal
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

T = TypeVar("T")


class Colour(enum.Enum):
    RED = "red"
    CRIMSON = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2**62


class Word(enum.StrEnum):
    WEIR = "weir"


class Access(enum.Flag):
    READ = 1
    WRITE = 2


class Mode(enum.IntFlag):
    READ = 1
    WRITE = 2


class Odd(enum.Enum):
    """Values that msgpack cannot carry."""

    FLOAT = 1.5
    PAIR = (1, 2)


class Pair(NamedTuple):
    left: int
    right: str = "right"


NotNegative = typing.Annotated[int, msgspec.Meta(ge=0)]
Age = typing.NewType("Age", NotNegative)


class Aged(msgspec.Struct):
    age: NotNegative


class Node(msgspec.Struct):
    value: int
    next: Node | None = None


class Tree(msgspec.Struct):
    left: Tree | None = None
    right: Tree | None = None


class Box(msgspec.Struct, Generic[T]):
    content: T


class Loose(msgspec.Struct, dict=True):
    x: int


class Omitting(msgspec.Struct, omit_defaults=True):
    count: int = 0
    share: float = 0.0
    names: list[str] = []
    note: str | None = None


class OmittingTheTime(msgspec.Struct, omit_defaults=True):
    created: float = 17.25


class Checked(msgspec.Struct):
    x: int

    def __post_init__(self) -> None:
        if self.x < 0:
            raise ValueError("x is negative")


class Circle(msgspec.Struct, tag=True, array_like=True):
    radius: float


class Square(msgspec.Struct, tag=True, array_like=True):
    side: float


class Unset(msgspec.Struct):
    x: int | msgspec.UnsetType = msgspec.UNSET


class Keyed(typing.TypedDict):
    x: int
    note: typing.NotRequired[str]


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.0
    tags: list[str] = dataclasses.field(default_factory=list)
    norm: float = dataclasses.field(default=0.0, init=False)


def point(x: Any, y: Any = 0.0, tags: Any = (), norm: Any = 1.0) -> Point:
    made = Point(x, y, list(tags) if tags == () else tags)
    made.norm = norm
    return made


@dataclasses.dataclass
class Linked:
    next: Linked | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    x: int
    when: dt.datetime | None = None


@dataclasses.dataclass
class Prepared:
    x: int

    def __post_init__(self) -> None:
        self.x += 1


@dataclasses.dataclass
class Listed(list):  # type: ignore[type-arg]
    x: int


class Hidden:
    __slots__ = ("hidden",)


@dataclasses.dataclass(slots=True)
class Hiding(Hidden):
    x: int


class HidingStruct(Hidden, msgspec.Struct):
    x: int


@dataclasses.dataclass
class Reduced:
    x: int

    def __reduce__(self) -> Any:
        return Reduced, (self.x,)


class Bool(int):
    """Says that it is equal to anything."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = int.__hash__


class Text(str):
    __slots__ = ()


class Entries(dict):  # type: ignore[type-arg]
    pass


class SubNode(Node):
    pass


class SubPoint(Point):
    pass


class SubPair(Pair):
    pass


def _flat(**options: Any) -> type[msgspec.Struct]:
    name = "Flat_" + "_".join(f"{key}_{value}" for key, value in options.items())
    fields: list[Any] = [
        ("id_number", int),
        ("price", float, 0.0),
        ("name", str, ""),
        ("tags", list[str], msgspec.field(default_factory=list)),
    ]
    made = msgspec.defstruct(name, fields, module=__name__, **options)
    globals()[name] = made
    return made


FLAT = [
    _flat(
        array_like=array_like, tag=tag, rename=rename, omit_defaults=omits, forbid_unknown_fields=forbids, frozen=frozen
    )
    for array_like, tag, rename, omits, forbids, frozen in itertools.product(
        (False, True), (None, "flat", 7), (None, "camel"), (False, True), (False, True), (False, True)
    )
] + [
    _flat(kw_only=True),
    _flat(gc=False),
    _flat(weakref=True, eq=False),
    _flat(frozen=True, cache_hash=True, order=True),
]


def same(a: Any, b: Any) -> bool:  # noqa: PLR0911 - a list of cases
    """Whether `b` is what `a` is, in type, value and hidden state, at every depth; a NaN is a NaN."""
    if type(a) is not type(b):
        return False
    if a is b:
        return True
    if isinstance(a, float):
        return (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b))
    if isinstance(a, Decimal):
        return bool(a.as_tuple() == b.as_tuple())
    if isinstance(a, dt.datetime | dt.time):
        plain = a.replace(tzinfo=None) == b.replace(tzinfo=None)
        return plain and a.fold == b.fold and _same_zone(a.tzinfo, b.tzinfo)
    if isinstance(a, enum.Flag):
        return bool(a.value == b.value)
    if isinstance(a, enum.Enum):
        return False  # members are one object each
    if isinstance(a, UUID):
        return same(a.int, b.int) and a.is_safe is b.is_safe
    if isinstance(a, set | frozenset):
        return _same_set(list(a), list(b))
    return _same_parts(a, b) and _same_attributes(a, b)


def _same_zone(a: dt.tzinfo | None, b: dt.tzinfo | None) -> bool:
    if isinstance(a, ZoneInfo) and isinstance(b, ZoneInfo):
        return a.key == b.key
    return type(a) is type(b) and a == b


def _same_set(a: list[Any], b: list[Any]) -> bool:
    if len(a) != len(b):
        return False
    for each in a:
        found = next((place for place, other in enumerate(b) if same(each, other)), None)
        if found is None:
            return False
        del b[found]
    return True


def _same_parts(a: Any, b: Any) -> bool:
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return len(a) == len(b) and all(map(same, a.items(), b.items()))
    if isinstance(a, msgspec.Struct) or dataclasses.is_dataclass(a):
        return True  # by attribute
    return bool(a == b)


def _same_attributes(a: Any, b: Any) -> bool:
    names = [name for base in type(a).__mro__ for name in getattr(base, "__slots__", ())]
    names += [name for name in getattr(a, "__struct_fields__", ()) if name not in names]
    missing = object()
    values = [(getattr(a, name, missing), getattr(b, name, missing)) for name in names if not name.startswith("__")]
    slots = all(x is y or same(x, y) for x, y in values)
    return slots and same(getattr(a, "__dict__", None), getattr(b, "__dict__", None))
