"""How the text in the rows of one CSV file becomes typed records: worked out once, from its header."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from operator import itemgetter
from types import NoneType
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from connectors.records import record_type, value_types
from engine.errors import ConnectorError, GraphError

T = TypeVar("T")

Row = list[str]


class Column(NamedTuple):
    """A field that is read: its column, whether that must be there, and whether a null in it is None."""

    name: str
    required: bool
    nullable: bool


class RowType(NamedTuple):
    """What is made of rows. `columns`: None where any will do; `by_position`: msgspec makes it of a list."""

    type: Any
    columns: tuple[Column, ...] | None
    nullable: bool = True
    by_position: bool = False


def row_type(type: Any) -> RowType:  # noqa: A002
    """Look into `type`; raise `GraphError` unless a row of named columns can become one."""
    if type in {Any, object, None}:
        return RowType(dict[str, Any], None)
    record = record_type(type)
    if record is None or record.kind == "tuple":
        raise no_rows(type)
    try:
        msgspec.convert([], list[type])
    except TypeError as error:
        raise GraphError(f"CSV rows cannot become {type!r}: {error}") from error
    if record.kind == "dict":
        return RowType(type, None, nullable=_is_nullable(record.arguments[1] if record.arguments else Any))
    fields = [field for field in record.fields if field.settable]
    columns = (Column(field.column, field.required, _is_nullable(field.type)) for field in fields)
    config = getattr(record.cls, "__struct_config__", None)
    by_position = record.kind == "namedtuple" or (config is not None and config.array_like)
    return RowType(type, tuple(columns), by_position=by_position)


def no_rows(type: Any) -> GraphError:  # noqa: A002
    """The error for a type that has no named fields."""
    return GraphError(
        f"CSV rows have named fields, which {getattr(type, '__name__', type)!r} has not",
        hint="use a msgspec.Struct, a dataclass, a NamedTuple, a TypedDict or dict[str, ...]",
    )


def _is_nullable(annotation: Any) -> bool:
    """True unless the field takes text and does not take None: then a null is just that text."""
    found = value_types(annotation)
    return not found.isdisjoint({NoneType, object}) or str not in found


class Table(Generic[T]):
    """Turns rows as wide as `header` into records of `row_type`.

    `error` is raised, with `place` in front, when the header does not have what the type requires.
    """

    def __init__(
        self,
        row_type: RowType,
        header: Sequence[str],
        null: Sequence[str],
        place: str,
        error: type[ConnectorError | GraphError] = ConnectorError,
    ) -> None:
        problem = _problem(row_type, header)
        if problem is not None:
            raise error(f"{place}: {problem}", hint=_hint(row_type, header))
        self.width = len(header)
        columns = _columns(row_type, header)
        self._names = tuple(columns)
        self._pick = _picker([header.index(name) for name in columns])
        self._by_position = row_type.by_position
        self._no_null = frozenset(null).isdisjoint
        nones = dict.fromkeys(null)
        self._or_none: list[Callable[[str, str], str | None]] = [
            (nones if nullable else {}).get for nullable in columns.values()
        ]
        self._type = row_type.type
        self._list_type = list[row_type.type]  # type: ignore[name-defined]

    def records(self, rows: Sequence[Row]) -> list[T]:
        """All of `rows` as records; raises whatever the first bad one makes `msgspec.convert` raise."""
        no_null, fill = self._no_null, self._fill
        values: Any = (row if no_null(row) else fill(row) for row in map(self._pick, rows))
        if self._by_position:
            values = list(values)
        else:
            names = self._names
            values = [dict(zip(names, row)) for row in values]  # noqa: B905 - as many as there are names
        records: list[T] = msgspec.convert(values, self._list_type, strict=False)
        return records

    def _fill(self, row: Sequence[str]) -> Sequence[str | None]:
        return [or_none(text, text) for or_none, text in zip(self._or_none, row, strict=True)]

    def reason(self, row: Row, error: Exception) -> str:
        """What is wrong with `row`, for which `records` raised `error`."""
        message = (
            str(error) if isinstance(error, msgspec.ValidationError) else f"{type(error).__name__}: {error}"
        )
        at = re.fullmatch(r"(.*) - at `\$(?:\[0\])(?:\.([^`]*)|\[(\d+)\])`", message, re.DOTALL)
        if at is None:
            return message
        what, name, place = at.groups()
        index = int(place) if place else self._names.index(name) if name in self._names else None
        if index is None:
            return what
        value = self._fill(self._pick(row))[index]
        return f"column {self._names[index]!r} holds {'null' if value is None else repr(value)}: {what}"


def _columns(row_type: RowType, header: Sequence[str]) -> dict[str, bool]:
    """The columns that are read, and whether a null in them is None."""
    if row_type.columns is None:
        return dict.fromkeys(header, row_type.nullable)
    return {column.name: column.nullable for column in row_type.columns if column.name in header}


def _picker(places: Sequence[int]) -> Callable[[Row], tuple[str, ...]]:
    if len(places) > 1:
        return itemgetter(*places)
    if places:
        return lambda row: (row[places[0]],)
    return lambda row: ()


def _problem(row_type: RowType, header: Sequence[str]) -> str | None:
    wanted = header if row_type.columns is None else [column.name for column in row_type.columns]
    twice = sorted({name for name in wanted if header.count(name) > 1})
    if twice:
        return f"the column {twice[0]!r} is there twice; the columns are {_listed(header)}"
    missing = _missing(row_type, header)
    if not missing:
        return None
    name = getattr(row_type.type, "__name__", repr(row_type.type))
    return f"no column {_listed(missing)}, which {name} requires; the columns are {_listed(header)}"


def _missing(row_type: RowType, header: Sequence[str]) -> list[str]:
    columns = row_type.columns or ()
    absent = [column.name for column in columns if column.required and column.name not in header]
    if row_type.by_position and not absent:
        absent = _gaps(columns, header)
    return absent


def _gaps(columns: Sequence[Column], header: Sequence[str]) -> list[str]:
    """A record built by position can leave out fields at its end only."""
    present = [column.name in header for column in columns]
    last = max((index for index, there in enumerate(present) if there), default=-1)
    return [column.name for column, there in zip(columns[:last], present, strict=False) if not there]


def _hint(row_type: RowType, header: Sequence[str]) -> str:
    if len(header) == 1 and (other := re.search(r"[;,\t|]", header[0])):
        return f"if {other[0]!r} separates the columns, say delimiter={other[0]!r}"
    for name in _missing(row_type, header):
        if close := difflib.get_close_matches(name, header, n=1):
            return f"name the field as the column, {close[0]!r}, or map the names with msgspec's rename"
    return "give the field a default, or name the columns with header=[...]"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))
