"""What record types are as rows: their fields, and the classes that the values of a field may have."""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Literal, NamedTuple
from uuid import UUID

import msgspec

from engine.errors import GraphError
from engine.types import name_of

FLAT = frozenset({bool, int, float, str, bytes})
"""The types, beside None, that every flat store keeps as they are."""

AS_TEXT = frozenset({datetime, date, time, timedelta, Decimal, UUID})
"""The types whose values have one plain text each."""

NESTED = "nested"
"""Stands among `value_types` for everything that only JSON can hold in one column."""


UNKNOWN = (None, Any, object)
"""What stands for a record type that is not known."""


class Field(NamedTuple):
    """One field: `name` in Python, `column` outside (msgspec's `rename`), its annotation, who gives it."""

    name: str
    column: str
    type: Any
    required: bool = True
    settable: bool = True
    """False for a dataclass's `field(init=False)`: it can be read off a record, but not be given to one."""


@dataclasses.dataclass(frozen=True)
class RecordType:
    """A type whose records are rows; of the kinds "dict" and "tuple" only the data shows the fields."""

    cls: Any
    kind: Literal["struct", "dataclass", "namedtuple", "typeddict", "dict", "tuple"]
    fields: tuple[Field, ...] = ()
    arguments: tuple[Any, ...] = ()
    """What stands in the brackets of `dict[str, int]` or `tuple[int, str]`."""

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(field.column for field in self.fields)

    @property
    def names_by_text(self) -> bool:
        """Whether the keys of a record, one of the kind "dict", name its columns."""
        return self.kind == "dict" and value_types(self.arguments[0] if self.arguments else str) <= {str, object}

    def leaves_out(self, field: Field) -> bool:
        """Whether a record may be without `field` but not have None there: a TypedDict's `NotRequired`."""
        may_lack = self.kind == "typeddict" and not field.required
        return may_lack and types.NoneType not in value_types(field.type)


def row_type(who: str, annotation: Any, *, named: bool = False) -> RecordType:
    """Say what `annotation` is as a row, a plain dict where it says nothing.

    Raises `GraphError` if it has no columns or, where they must be `named`, no names for them.
    """
    found = RecordType(dict, "dict") if annotation in UNKNOWN else record_type(annotation)
    if found is None or not (found.fields or found.names_by_text or (found.kind == "tuple" and not named)):
        hint = f"use a msgspec.Struct, a dataclass, a NamedTuple, a TypedDict{'' if named else ', a tuple'} or a dict"
        raise GraphError(f"{who} rows, came {name_of(annotation)}, which has no {'named ' * named}columns", hint=hint)
    return found


def record_type(annotation: Any) -> RecordType | None:
    """Say what `annotation` is as a row, or None when its values are no rows.

    >>> class Row(msgspec.Struct, rename="camel"):
    ...     first_name: str
    ...     age: int | None = None
    >>> [(field.column, field.required) for field in record_type(Row).fields]
    [('firstName', True), ('age', False)]
    >>> record_type(int) is None
    True
    """
    annotation = _without_alias(annotation)
    cls = typing.get_origin(annotation) or annotation
    if not isinstance(cls, type):
        return None
    try:
        return _record_type(cls, annotation)
    except NameError as error:
        raise GraphError(f"the annotations of {cls.__qualname__} cannot be resolved: {error}") from error


def _record_type(cls: Any, annotation: Any) -> RecordType | None:
    if typing.is_typeddict(cls):
        return RecordType(cls, "typeddict", tuple(_typed_dict_fields(cls)))
    if issubclass(cls, msgspec.Struct):
        fields = msgspec.structs.fields(annotation)
        return RecordType(cls, "struct", tuple(Field(f.name, f.encode_name, f.type, f.required) for f in fields))
    if dataclasses.is_dataclass(cls):
        return RecordType(cls, "dataclass", tuple(_dataclass_fields(cls)))
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        hints = typing.get_type_hints(cls, include_extras=True)
        named = (Field(name, name, hints.get(name, Any), name not in cls._field_defaults) for name in cls._fields)
        return RecordType(cls, "namedtuple", tuple(named))
    if issubclass(cls, tuple | dict):
        kind: Literal["dict", "tuple"] = "dict" if issubclass(cls, dict) else "tuple"
        return RecordType(cls, kind, arguments=typing.get_args(annotation))
    return None


def _typed_dict_fields(cls: Any) -> Iterator[Field]:
    for name, hint in typing.get_type_hints(cls, include_extras=True).items():
        required = name in cls.__required_keys__
        # Looked at here too: __required_keys__ does not know of a NotRequired in an annotation that was text.
        while (marker := typing.get_origin(hint)) in {typing.Required, typing.NotRequired}:
            required = marker is typing.Required
            (hint,) = typing.get_args(hint)
        yield Field(name, name, hint, required)


def _dataclass_fields(cls: Any) -> Iterator[Field]:
    hints = typing.get_type_hints(cls, include_extras=True)
    for field in dataclasses.fields(cls):
        missing = field.default is field.default_factory is dataclasses.MISSING
        yield Field(field.name, field.name, hints[field.name], missing and field.init, field.init)


def value_types(annotation: Any) -> frozenset[Any]:
    """Give the classes that values of `annotation` may have: `object` for any, `NESTED` for collections.

    >>> value_types(int | None) == {int, type(None)}
    True
    >>> value_types(list[int]) == {NESTED}
    True
    """
    annotation = _without_alias(annotation)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is Any or isinstance(annotation, typing.TypeVar):
        return frozenset({object})
    if origin is Literal:
        return frozenset(type(value) for value in arguments)
    if origin in {typing.Union, types.UnionType}:
        return frozenset().union(*map(value_types, arguments))
    is_one_value = annotation in FLAT | AS_TEXT | {object, types.NoneType}
    return frozenset({annotation if is_one_value or is_enum(annotation) else NESTED})


def is_enum(kind: Any) -> bool:
    """Whether `kind` is an Enum's class."""
    return isinstance(kind, type) and issubclass(kind, enum.Enum)


def _without_alias(annotation: Any) -> Any:
    """Look through `Annotated`, `Final`, `NewType` (`__supertype__`) and 3.12's `type` (`__value__`)."""
    if typing.get_origin(annotation) in {typing.Annotated, typing.Final}:
        return _without_alias(typing.get_args(annotation)[0])
    for alias in ("__supertype__", "__value__"):
        if hasattr(annotation, alias):
            return _without_alias(getattr(annotation, alias))
    return types.NoneType if annotation is None else annotation
