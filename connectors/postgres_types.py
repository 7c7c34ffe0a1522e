"""PostgreSQL's types: what a field's values are sent as, what a table made for them has, and how columns are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from types import NoneType
from typing import Annotated, Any, NamedTuple, get_args, get_origin
from uuid import UUID

import msgspec
from psycopg import adapters
from psycopg.adapt import PyFormat, Transformer

from connectors.record_types import NESTED, Field, is_enum, value_types
from connectors.rows import Column, flatten, from_json

_SENT_AS: dict[Any, str] = {
    **{bool: "bool", int: "int8", float: "float8", str: "text", bytes: "bytea", Decimal: "numeric", UUID: "uuid"},
    **{datetime: "timestamptz", date: "date", time: "time", timedelta: "interval"},
}
"""The type in which values of a class go to the server; its binary form takes each of them as it is."""

_CLASSES: dict[str, Any] = {name: cls for cls, name in _SENT_AS.items()} | {"timestamp": datetime}
_ALSO = {"float8": (int, Decimal), "numeric": (int,)}
_UNCHECKED = {"bool", "date", "time", "interval"}
"""Of these the binary form is made without a look at the class: any object would give some bytes."""

_NEAREST = {
    **dict.fromkeys(["int2", "int4", "int8"], "int8"),
    **dict.fromkeys(["float4", "float8"], "float8"),
    **{name: name for name in _CLASSES if name not in {"int8", "float8"}},
}
"""What values of no known class are sent as, by the type of the column that is to have them; others as text."""

_SQL_NAMES = {"int8": "bigint", "float8": "double precision", "bool": "boolean"}
_JSON = ("json", "jsonb")
_TEXTS = ("text", "varchar", "bpchar")
_CUT = {
    **{("float8", column): "a fraction" for column in ("int2", "int4", "int8")},
    **{("numeric", column): "a fraction" for column in ("int2", "int4", "int8")},
    **{("timestamptz", column): "part of a datetime" for column in ("date", "time", "timetz")},
    ("interval", "time"): "days",
}
"""What PostgreSQL would leave out without a word where such values go into such a column."""


class TableColumn(NamedTuple):
    """A column of a table that is there: `type` as pg_type has it (int4), `category` likewise (S: a string)."""

    name: str
    type: str
    category: str
    sql_type: str


class Sent(NamedTuple):
    """How a field's values go: as which type, after which function, if they do not go as they are."""

    type: str
    encode: Callable[[Any], Any] | None = None

    @property
    def only(self) -> Any:
        """The class that values must have, where the driver would not notice that they have another; else None."""
        return _CLASSES[self.type] if self.type in _UNCHECKED else None

    @property
    def sql_type(self) -> str:
        return _SQL_NAMES.get(self.type, self.type)

    def is_type_of(self, column: TableColumn) -> bool:
        """Whether the column takes the binary form itself."""
        return self.type == column.type or (self.type == "text" and column.type in _TEXTS)


def sent(field: Field, column: TableColumn | None) -> Sent:
    """Say how the values of `field` go into `column`, or into one that is made for them."""
    own = _own(field.type)
    if column is None:
        return _encoded("timestamp" if own == "timestamptz" and _has_no_zone(field.type) else own, field)
    if column.type in _JSON:
        return Sent(column.type, msgspec.Raw if own == "text" else None)  # a text is the JSON itself
    if own == "timestamptz" and column.type == "timestamp":
        return _encoded(column.type, field)
    if own != "jsonb":
        return _encoded(own, field)
    if column.category == "A":
        return Sent("text", _array)
    nearest = _NEAREST.get(column.type, "text")
    return Sent("text", flatten) if nearest == "text" else _encoded(nearest, field)


def cut_short(field: Field, column: TableColumn) -> str | None:
    """What PostgreSQL would leave out of the values of `field` in `column`, if anything."""
    return _CUT.get((_own(field.type), column.type))


def misfit(sending: Sent, value: Any) -> str | None:
    """What is wrong with `value`, if it is nothing that can go as `sending` has it."""
    cls = _CLASSES.get(sending.type)
    if cls is None or value is None:
        return None
    fits = isinstance(value, (cls, *_ALSO.get(sending.type, ()))) and not (cls is date and isinstance(value, datetime))
    if not fits:
        return f"wanted {cls.__name__} for {sending.sql_type}, came {value!r:.100}"
    has_zone = getattr(value, "tzinfo", None) is not None
    if cls in {datetime, time} and has_zone != (sending.type == "timestamptz"):
        with_or_without = "without" if has_zone else "with"
        return f"wanted {cls.__name__} {with_or_without} a zone for {sending.sql_type}, came {value!r:.100}"
    return None


def _own(annotation: Any) -> str:
    """The type that keeps every value of `annotation` as it is; jsonb where only that does."""
    found: set[Any] = set()
    for kind in value_types(annotation) - {NoneType}:
        found |= {type(member.value) for member in kind} if is_enum(kind) else {kind}
    if found == {int, float}:
        return "float8"
    if len(found) > 1:
        return "jsonb"
    return _SENT_AS.get(found.pop(), "jsonb") if found else "text"


def _has_no_zone(annotation: Any) -> bool:
    """Whether it is `Annotated[datetime, Meta(tz=False)]`, or that or None."""
    if get_origin(annotation) is Annotated:
        return any(isinstance(each, msgspec.Meta) and each.tz is False for each in get_args(annotation)[1:])
    return any(map(_has_no_zone, get_args(annotation)))


def _encoded(name: str, field: Field) -> Sent:
    may_be_enum = any(is_enum(kind) or kind is object for kind in value_types(field.type))
    return Sent(name, _plain if may_be_enum and name != "jsonb" else None)


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def _array(value: Iterable[Any]) -> str:
    items = list(value)
    return bytes(Transformer().get_dumper(items, PyFormat.TEXT).dump(items) or b"").decode()


_JSON_OIDS = {adapters.types[name].oid for name in _JSON}
_ARRAY_OIDS = {info.array_oid for info in adapters.types}
_NUMERIC_OID = adapters.types["numeric"].oid


def read_as(oid: int, field: Field) -> Column:
    """Say how the values of a column, of the type `oid`, become those of `field`."""
    found = value_types(field.type)
    is_text_of_nested = NESTED in found and str not in found and oid not in _ARRAY_OIDS
    if (oid in _JSON_OIDS and _own(field.type) != "text") or is_text_of_nested:
        return Column(field.column, Any, from_json(field.type))
    is_whole = oid == _NUMERIC_OID and int in found and Decimal not in found
    return Column(field.column, field.type, _whole if is_whole else None)


def _whole(value: Any) -> Any:
    """A numeric (of a sum of bigints, say) as the int that it is."""
    return int(value) if isinstance(value, Decimal) and value == value.to_integral_value() else value
