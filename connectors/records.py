"""Records as rows: the fields of a record type, and their values as the types that a flat store knows."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from itertools import starmap
from operator import attrgetter, methodcaller
from typing import Any, Literal, NamedTuple
from uuid import UUID

import msgspec

from engine.errors import GraphError

FLAT = frozenset({bool, int, float, str, bytes})
"""The types, beside None, that every flat store keeps as they are."""

NESTED = "nested"
"""Stands among `value_types` for everything that only JSON can hold in one column."""


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

    def leaves_out(self, field: Field) -> bool:
        """Whether a record may be without `field` but not have None there: a TypedDict's `NotRequired`."""
        may_lack = self.kind == "typeddict" and not field.required
        return may_lack and types.NoneType not in value_types(field.type)


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


def _record_type(cls: type, annotation: Any) -> RecordType | None:
    if typing.is_typeddict(cls):
        return RecordType(cls, "typeddict", tuple(_typed_dict_fields(cls)))
    if issubclass(cls, msgspec.Struct):
        return RecordType(cls, "struct", tuple(_struct_fields(annotation)))
    if dataclasses.is_dataclass(cls):
        return RecordType(cls, "dataclass", tuple(_dataclass_fields(cls)))
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return RecordType(cls, "namedtuple", tuple(_named_tuple_fields(cls)))
    if issubclass(cls, tuple | dict):
        kind: Literal["dict", "tuple"] = "dict" if issubclass(cls, dict) else "tuple"
        return RecordType(cls, kind, arguments=typing.get_args(annotation))
    return None


def _struct_fields(annotation: Any) -> Iterator[Field]:
    for field in msgspec.structs.fields(annotation):
        yield Field(field.name, field.encode_name, field.type, field.required)


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


def _named_tuple_fields(cls: Any) -> Iterator[Field]:
    hints = typing.get_type_hints(cls, include_extras=True)
    for name in cls._fields:
        yield Field(name, name, hints.get(name, Any), name not in cls._field_defaults)


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
    is_one_value = annotation in FLAT or annotation in _TEXTS or annotation in {object, types.NoneType}
    is_enum = isinstance(annotation, type) and issubclass(annotation, enum.Enum)
    return frozenset({annotation if is_one_value or is_enum else NESTED})


def _without_alias(annotation: Any) -> Any:
    """Look through `Annotated`, `Final`, `NewType` (`__supertype__`) and 3.12's `type` (`__value__`)."""
    if typing.get_origin(annotation) in {typing.Annotated, typing.Final}:
        return _without_alias(typing.get_args(annotation)[0])
    for alias in ("__supertype__", "__value__"):
        if hasattr(annotation, alias):
            return _without_alias(getattr(annotation, alias))
    return types.NoneType if annotation is None else annotation


# ------------------------------------------------------------------------------------ records to rows

_isoformat = methodcaller("isoformat")
_TEXTS: dict[Any, Callable[[Any], Any]] = {
    datetime: _isoformat,
    date: _isoformat,
    time: _isoformat,
    timedelta: msgspec.to_builtins,
    Decimal: str,
    UUID: str,
}
_to_json = msgspec.json.Encoder().encode


def _json_text(value: Any) -> str:
    return _to_json(value).decode()


def flatten(value: Any) -> Any:
    """Turn any value into one of `FLAT` or None: ISO 8601 for times, an enum's value, JSON for collections.

    >>> flatten(date(2026, 1, 31)), flatten(Decimal("1.50")), flatten([1, "a"]), flatten(7)
    ('2026-01-31', '1.50', '[1,"a"]', 7)
    """
    kind = type(value)
    if kind in FLAT or value is None:
        return value
    if isinstance(value, enum.Enum):
        return flatten(value.value)
    encode: Callable[[Any], Any] = _TEXTS.get(kind, _json_text)
    return value if isinstance(value, int | float | str | bytes) else encode(value)


def _encoder(annotation: Any) -> Callable[[Any], Any] | None:
    """Give what turns values of `annotation`, other than None, flat; None when they are flat as they are."""
    found = value_types(annotation) - {types.NoneType}
    if found <= FLAT:
        return None
    if NESTED in found:
        return _json_text
    # In a union, or Any, only the value itself can say.
    return _TEXTS.get(next(iter(found)), flatten) if len(found) == 1 else flatten


def row_encoder(record: RecordType, fields: Sequence[Field]) -> Callable[[Any], Sequence[Any]]:
    """Give a function that turns a record of this type into a row: the flat values of `fields`, in order.

    It raises when a record lacks one of them, or is a dict that has others: no value is dropped in silence.

    >>> class Sale(NamedTuple):
    ...     day: date
    ...     euros: float | None
    >>> row_encoder(record_type(Sale), record_type(Sale).fields)(Sale(date(2026, 1, 31), None))
    ['2026-01-31', None]
    """
    get = _getter(record, fields)
    if not record.fields and not record.arguments:
        return lambda row: [value if type(value) in FLAT else flatten(value) for value in get(row)]
    encoders = [(index, encode) for index, field in enumerate(fields) if (encode := _encoder(field.type))]
    if not encoders:
        return get

    def row(record: Any) -> list[Any]:
        values = list(get(record))
        for index, encode in encoders:
            if values[index] is not None:
                values[index] = encode(values[index])
        return values

    return row


def _getter(record: RecordType, fields: Sequence[Field]) -> Callable[[Any], Sequence[Any]]:
    names = [field.name for field in fields]
    if record.kind in {"tuple", "namedtuple"}:
        return lambda row: row
    if record.kind in {"dict", "typeddict"}:
        return _key_getter(names, {field.name for field in fields if field.required})
    # With one name attrgetter gives the bare value, with two or more a tuple.
    return attrgetter(*names) if len(names) > 1 else lambda row: (getattr(row, names[0]),)


def _key_getter(names: list[str], required: set[str]) -> Callable[[Any], Sequence[Any]]:
    known = set(names)

    def get(row: dict[str, Any]) -> list[Any]:
        if not required <= row.keys() <= known:
            raise ValueError(f"wanted the keys {', '.join(names)}, came {', '.join(map(str, row))}")
        return [row.get(name) for name in names]

    return get


# ------------------------------------------------------------------------------------ rows to records


class RowDecoder:
    """Turns rows, whose flat values stand for `fields` in this order, into records.

    Raises GraphError for a field whose type cannot be read back.

    >>> class Switch(msgspec.Struct):
    ...     name: str
    ...     on: bool
    >>> rows = RowDecoder(record_type(Switch), record_type(Switch).fields)
    >>> rows.records([("lamp", 1)])
    [Switch(name='lamp', on=True)]
    >>> rows.misfit(("lamp", "yes"))
    "column 'on': Expected `bool`, got `str`"
    """

    def __init__(self, record: RecordType, fields: Sequence[Field]) -> None:
        # A key that a TypedDict may leave out is NULL in its column.
        optional = {f.name for f in fields if record.leaves_out(f)}
        nullable = [f._replace(type=f.type | None) if f.name in optional else f for f in fields]
        self._columns = [_ColumnDecoder(field) for field in nullable]
        self._changed = [(i, c.decode) for i, c in enumerate(self._columns) if c.decode is not None]
        self._shape = list[tuple[tuple(column.shape for column in self._columns)]]  # type: ignore[misc]
        self._build = _builder(record, [field.name for field in fields], optional)

    def records(self, rows: Sequence[Sequence[Any]]) -> list[Any]:
        """Turn all of `rows` into records, or raise if one does not fit."""
        if self._changed:
            rows = [self._decoded(row) for row in rows]
        return list(self._build(_convert(rows, self._shape)))

    def _decoded(self, row: Sequence[Any]) -> list[Any]:
        values = list(row)
        for index, decode in self._changed:
            values[index] = decode(values[index])
        return values

    def misfit(self, row: Sequence[Any]) -> str | None:
        """Say which column of `row` does not fit, and why; None when every one does by itself."""
        for column, value in zip(self._columns, row, strict=True):
            try:
                _convert(column.decode(value) if column.decode else value, column.shape)
            except (msgspec.MsgspecError, ValueError, TypeError) as error:
                return f"column {column.name!r}: {error}"
        return None


def _convert(value: Any, shape: Any) -> Any:
    # With bytes among the builtins, a text is not taken for base64.
    return msgspec.convert(value, shape, builtin_types=(bytes,))


class _ColumnDecoder:
    """`decode` does what msgspec's strict `convert` to `shape` would not; None where it does all."""

    def __init__(self, field: Field) -> None:
        self.name, self.shape = field.column, field.type
        self.decode: Callable[[Any], Any] | None = None
        found = value_types(field.type)
        try:
            if NESTED in found:
                from_json, self.shape = msgspec.json.Decoder(field.type).decode, Any
                nullable = types.NoneType in found
                self.decode = lambda value: None if value is None and nullable else from_json(value)
            _convert([], list[self.shape])  # type: ignore[name-defined]
        except TypeError as error:
            raise GraphError(f"field {field.name!r} cannot be read back from a column: {error}") from error
        if found - {types.NoneType} == {bool}:
            self.decode = lambda value: {0: False, 1: True}.get(value, value)


def _builder(record: RecordType, names: Sequence[str], optional: set[str]) -> Callable[[Iterable[Any]], Iterable[Any]]:
    if record.kind == "tuple":
        return partial(map, record.cls)
    if record.kind in {"dict", "typeddict"}:
        pairs = partial(_pairs, names, optional) if optional else partial(zip, names)
        return lambda rows: (record.cls(pairs(row)) for row in rows)
    positional = inspect.Parameter.POSITIONAL_OR_KEYWORD
    accepted = [p.name for p in inspect.signature(record.cls).parameters.values() if p.kind is positional]
    if accepted[: len(names)] == list(names):
        return partial(starmap, record.cls)
    return lambda rows: (record.cls(**dict(zip(names, row, strict=True))) for row in rows)


def _pairs(names: Sequence[str], optional: set[str], row: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    pairs = zip(names, row, strict=True)
    return ((name, value) for name, value in pairs if value is not None or name not in optional)
