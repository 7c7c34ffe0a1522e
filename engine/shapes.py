"""The native check that a record is exactly what its type says, made from what msgspec knows of the type."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from inspect import getattr_static
from types import MemberDescriptorType, NoneType
from typing import Any, TypeAlias
from uuid import UUID, SafeUUID

import msgspec
from msgspec import NODEFAULT, inspect

from cext.conform import WIDE, Compound, Fixed, Items, Literals, Mapping, Members, Named, Shape, Slots
from engine.types import name_of

Alternatives: TypeAlias = list[type | Compound]

SCALARS: dict[type[inspect.Type], type] = {
    inspect.NoneType: NoneType,
    inspect.BoolType: bool,
    inspect.IntType: int,
    inspect.FloatType: float,
    inspect.StrType: str,
    inspect.BytesType: bytes,
    inspect.ByteArrayType: bytearray,
    inspect.DateTimeType: datetime,
    inspect.DateType: date,
    inspect.TimeType: time,
    inspect.TimeDeltaType: timedelta,
    inspect.DecimalType: Decimal,
}
ITEMS: dict[type[inspect.Type], type] = {
    inspect.ListType: list,
    inspect.SetType: set,
    inspect.FrozenSetType: frozenset,
    inspect.VarTupleType: tuple,
}
CONSTRAINTS = ("gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length", "pattern", "tz")
CONSTRAINED = "a constraint of msgspec.Meta holds for what is decoded only"
# A class that has one of these decides itself what is kept of an instance, and pickle asks it.
OWN_WAYS = (
    "__getattribute__",
    "__getnewargs__",
    "__getnewargs_ex__",
    "__getstate__",
    "__reduce__",
    "__reduce_ex__",
    "__setstate__",
)
GENERATED = ("dataclasses", "collections")  # the modules whose own methods keep all fields
IN_PYTHON = 1 << 9  # Py_TPFLAGS_HEAPTYPE: a class without a state that only C knows


class Unsure(Exception):
    """Why records of a type, or some of them, may not arrive as they were sent; the message says where in the type."""


def shape_of(record_type: Any) -> Shape:
    """What values of `record_type` msgspec carries without a loss; `Unsure` where that cannot be told.

    >>> shape_of(tuple[int, float | None]).misfit([(1, 2.0), (1, None), (1, 2)])
    2
    >>> shape_of(list[typing.Any])
    Traceback (most recent call last):
    engine.shapes.Unsure: Any may not arrive as it was sent
    """
    if _has_constraint(record_type, {}):  # asked first: of some unions with one, msgspec 0.22 crashes
        raise Unsure(CONSTRAINED)
    try:
        info = inspect.type_info(record_type)
    except Exception as error:  # a name that is not there, a type that msgspec does not know: whatever it says
        raise Unsure(str(error)) from error
    return _Compiler().shape(info)


def _has_constraint(annotation: Any, seen: dict[int, Any]) -> bool:
    """Whether there is a constraining Meta anywhere; `seen`, by id, is for types that hold themselves."""
    if isinstance(annotation, msgspec.Meta):
        return any(getattr(annotation, name) is not None for name in CONSTRAINTS)
    if annotation is None or id(annotation) in seen:
        return False
    seen[id(annotation)] = annotation
    parts = [*typing.get_args(annotation), *getattr(annotation, "__metadata__", ())]
    parts += [getattr(annotation, name, None) for name in ("__origin__", "__supertype__", "__value__")]
    if isinstance(annotation, type):
        parts += _hints(annotation).values()
    return any(_has_constraint(part, seen) for part in parts)


def _hints(record_type: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(record_type, include_extras=True)
    except Exception:  # a name that is not there: msgspec will say so
        return {}


class _Compiler:
    """Turns a tree of `msgspec.inspect` into shapes; a type that holds itself is met again in `records`."""

    def __init__(self) -> None:
        self.records: dict[int, Compound] = {}

    def shape(self, info: Any) -> Shape:
        return Shape(*self.alternatives(info))

    def alternatives(self, info: Any) -> Alternatives:
        if any(getattr(info, name, None) is not None for name in CONSTRAINTS):
            raise Unsure(CONSTRAINED)
        if type(info) in SCALARS:
            return [SCALARS[type(info)]]
        if type(info) in ITEMS:
            return [Items(ITEMS[type(info)], self.shape(info.item_type))]
        if type(info) in COMPOUNDS:
            return COMPOUNDS[type(info)](self, info)
        known = getattr(info, "cls", None)
        name = type(info).__name__.removesuffix("Type") if known is None else name_of(known)
        raise Unsure(f"{name} may not arrive as it was sent")

    def record(self, info: Any) -> Compound:
        record_type = typing.get_origin(info.cls) or info.cls
        found = self.records[id(info)] = _record(info, record_type)
        shapes = {field.name: self.field(record_type, field) for field in info.fields}
        try:
            found.fill(shapes)
        except TypeError as error:  # a field of a class with slots that is in none of them
            raise Unsure(str(error)) from error
        return found

    def field(self, record_type: type, field: inspect.Field) -> Shape:
        try:
            return self.shape(field.type)
        except Unsure as unsure:
            raise Unsure(f"{name_of(record_type)}.{field.name}: {unsure}") from None


COMPOUNDS: dict[type[inspect.Type], Callable[[_Compiler, Any], Alternatives]] = {
    inspect.Metadata: lambda compiler, info: compiler.alternatives(info.type),
    inspect.UnionType: lambda compiler, info: [each for part in info.types for each in compiler.alternatives(part)],
    inspect.DictType: lambda compiler, info: [
        Mapping(dict, compiler.shape(info.key_type), compiler.shape(info.value_type))
    ],
    inspect.TupleType: lambda compiler, info: [_fixed(compiler.shape(part) for part in info.item_types)],
    inspect.UUIDType: lambda compiler, info: [_uuid()],
    inspect.EnumType: lambda compiler, info: [_members(info.cls)],
    inspect.LiteralType: lambda compiler, info: _literals(info.values),
    **dict.fromkeys(
        (inspect.StructType, inspect.DataclassType, inspect.TypedDictType, inspect.NamedTupleType),
        lambda compiler, info: [compiler.records.get(id(info)) or compiler.record(info)],
    ),
}


def _record(info: Any, record_type: type) -> Fixed | Named | Slots:
    names = {field.name for field in info.fields}
    match info:
        case inspect.TypedDictType():
            return Named(dict, optional={field.name for field in info.fields if not field.required})
        case inspect.NamedTupleType():
            _check_class(record_type, root=tuple, fields=set())
            return Fixed(_without_dict(record_type))
        case inspect.StructType():
            _check_class(record_type, root=msgspec.Struct, fields={*names, "__msgspec_cached_hash__"})
            _check_omitted(record_type, info.fields)
            return Slots(_without_dict(record_type))
    _check_class(record_type, root=object, fields=names)
    _check_dataclass(record_type, names)
    return Named(record_type) if record_type.__dictoffset__ else Slots(record_type)


def _check_class(record_type: type, root: type, fields: set[str]) -> None:
    """Refuse a class whose instances hold more than `fields`, or that has its own way of making them."""
    for name in OWN_WAYS:
        own = getattr(record_type, name, None)
        if own is not getattr(root, name, None) and getattr(own, "__module__", None) not in GENERATED:
            raise Unsure(f"{name_of(record_type)} has a {name} of its own")
    for base in record_type.__mro__:
        if base in root.__mro__ or base is typing.Generic:
            continue
        more = {name for name, value in vars(base).items() if isinstance(value, MemberDescriptorType)} - fields
        if more or not base.__flags__ & IN_PYTHON:
            raise Unsure(f"{name_of(record_type)} holds more than its fields, in {name_of(base)}")


def _without_dict(record_type: type) -> type:
    if record_type.__dictoffset__:
        raise Unsure(f"{name_of(record_type)} may hold attributes beside its fields")
    return record_type


def _check_omitted(record_type: Any, fields: Iterable[inspect.Field]) -> None:
    """Omitted, a value arrives as the receiver's default, and that may be a time of day or a number of its process."""
    for field in fields if record_type.__struct_config__.omit_defaults else ():
        default, factory = field.default, field.default_factory
        is_empty = type(default) in {bool, int, float, str, bytes, tuple, frozenset} and not default
        is_same = default is NODEFAULT or default is None or default is True or is_empty
        if not (is_same and (factory is NODEFAULT or factory in (list, dict, set))):
            raise Unsure(f"{name_of(record_type)} omits defaults, and another process may have another {field.name!r}")


def _check_dataclass(record_type: type, fields: set[str]) -> None:
    if not dataclasses.is_dataclass(record_type):
        raise Unsure(f"{name_of(record_type)} is a class of attrs, whose converters may do anything")
    if hasattr(record_type, "__post_init__"):
        raise Unsure(f"{name_of(record_type)} has a __post_init__, which decoding would call once more")
    if record_type.__dictoffset__ and any(_is_computed(record_type, name) for name in fields):
        raise Unsure(f"{name_of(record_type)} computes a field")


def _is_computed(record_type: type, name: str) -> bool:
    return hasattr(type(getattr_static(record_type, name, None)), "__set__")


def _members(enum: Any) -> Members:
    """The members that come back as themselves: of a Flag not the combinations, of an odd Enum perhaps none."""
    return Members(enum, tuple(member for member in enum if _comes_back(enum, member)))


def _comes_back(enum: Any, member: Any) -> bool:
    try:
        return msgspec.msgpack.decode(msgspec.msgpack.encode(member), type=enum) is member
    except Exception:  # a value that msgpack cannot carry
        return False


def _literals(values: Iterable[Any]) -> Alternatives:
    texts = [value for value in values if isinstance(value, str)]
    numbers = [value for value in values if isinstance(value, int)]
    return [Literals(str, texts), Literals(int, numbers), *([NoneType] if None in values else [])]


def _fixed(parts: Iterable[Shape]) -> Fixed:
    found = Fixed(tuple)
    found.fill({str(place): part for place, part in enumerate(parts)})
    return found


def _uuid() -> Slots:
    """`is_safe` is part of a UUID, and lost, unless it is what a UUID from text has."""
    found = Slots(UUID)
    found.fill({"int": Shape(int, WIDE), "is_safe": Shape(Members(SafeUUID, (SafeUUID.unknown,)))})
    return found
