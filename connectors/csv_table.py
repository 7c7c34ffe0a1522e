"""How the text in the rows of one CSV file becomes typed records: worked out once, from its header."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from types import NoneType
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from connectors.records import record_type, value_types
from engine.errors import ConnectorError, GraphError

T = TypeVar("T")

Row = list[str]


class Column(NamedTuple):
    """A field that is read: its column, whether that must be there, and what may stand in it."""

    name: str
    required: bool = False
    nullable: bool = True
    """Whether a null in the file is None: False for what takes text or bytes and not None, where it is a text."""
    numeric: bool = False
    """Whether it takes numbers and no text."""


class RowType(NamedTuple):
    """What is made of rows. `columns`: None where any will do, each of them like `other`."""

    type: Any
    columns: tuple[Column, ...] | None
    other: Column = Column("")
    by_position: bool = False
    """Whether msgspec makes it of a list and not of a dict."""
    left_out: frozenset[str] = frozenset()
    """The columns in which a null means that a TypedDict is without the key."""


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
        return RowType(type, None, _column("", False, record.arguments[1] if record.arguments else Any))
    columns = (_column(field.column, field.required, field.type) for field in record.fields if field.settable)
    config = getattr(record.cls, "__struct_config__", None)
    by_position = record.kind == "namedtuple" or bool(config and config.array_like)
    left_out = frozenset(field.column for field in record.fields if record.leaves_out(field))
    return RowType(type, tuple(columns), by_position=by_position, left_out=left_out)


def no_rows(type: Any) -> GraphError:  # noqa: A002
    """The error for a type that has no named fields."""
    return GraphError(
        f"CSV rows have named fields, which {getattr(type, '__name__', type)!r} has not",
        hint="use a msgspec.Struct, a dataclass, a NamedTuple, a TypedDict or dict[str, ...]",
    )


def _column(name: str, required: bool, annotation: Any) -> Column:
    found = value_types(annotation)
    nullable = not found.isdisjoint({NoneType, object}) or found.isdisjoint({str, bytes})
    return Column(name, required, nullable, numeric=found <= {int, float, NoneType})


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
        self._names = tuple(column.name for column in columns)
        self._numeric = [index for index, column in enumerate(columns) if column.numeric]
        self._odd: list[int] = []  # of these, the columns with numbers that msgspec does not read
        self._pick = _picker([header.index(name) for name in self._names])
        self._has_no_null = frozenset(null).isdisjoint
        nones = dict.fromkeys(null)
        self._or_none: list[Callable[[str, str], Any]] = [(nones if column.nullable else {}).get for column in columns]
        self._by_position = row_type.by_position
        self._left_out = row_type.left_out
        self._list_type = list[row_type.type]  # type: ignore[name-defined]

    def records(self, rows: Iterable[Row]) -> list[T]:
        """All of `rows` as records; raises whatever the first bad one makes `msgspec.convert` raise."""
        has_no_null, fill = self._has_no_null, self._fill
        return self._build(row if has_no_null(row) else fill(row) for row in map(self._pick, rows))

    def record(self, row: Row) -> T:
        """One row as a record, with a second try for numbers like 007, +1 and .5, which JSON does not have."""
        values = self._fill(self._pick(row))
        try:
            return self._build([values])[0]
        except msgspec.ValidationError:
            odd = [index for index in self._numeric if _is_odd_number(values[index])]
            if not odd:
                raise
        # Where one number is written so, most are: from now on those of its column are changed before the first try.
        self._odd += odd
        self._has_no_null = lambda row: False
        return self._build([self._fill(self._pick(row))])[0]

    def _fill(self, row: Sequence[str]) -> list[Any]:
        values: list[Any] = [or_none(text, text) for or_none, text in zip(self._or_none, row, strict=True)]
        for index in self._odd:
            values[index] = _number(values[index])
        return values

    def _build(self, rows: Iterable[Sequence[Any]]) -> list[T]:
        if self._by_position:
            values: list[Any] = list(rows)
        else:
            names = self._names
            values = [dict(zip(names, row)) for row in rows]  # noqa: B905 - as many as there are names
        if self._left_out:
            values = [self._without_left_out(row) for row in values]
        records: list[T] = msgspec.convert(values, self._list_type, strict=False)
        return records

    def _without_left_out(self, values: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in values.items() if value is not None or name not in self._left_out}

    def reason(self, row: Row, error: Exception) -> str:
        """What is wrong with `row`, for which `record` raised `error`."""
        message = str(error) if isinstance(error, msgspec.ValidationError) else f"{type(error).__name__}: {error}"
        what, _, path = message.removesuffix("`").partition(" - at `$[0]")
        values = dict(zip(self._names, self._fill(self._pick(row)), strict=True))
        name = self._culprit(path, values)
        if name is None:
            return what
        return f"column {name!r} holds {'null' if values[name] is None else repr(values[name])}: {what}"

    def _culprit(self, path: str, values: dict[str, Any]) -> str | None:
        """The column that the end of msgspec's path means: ".name", "[3]" in a list, "[...]" anywhere in a dict."""
        if path == "[...]":
            return next((name for name, value in values.items() if not self._fits({name: value})), None)
        position = path[1:-1]
        name = self._names[int(position)] if position.isdecimal() else path[1:]
        return name if name in values else None

    def _fits(self, values: dict[str, Any]) -> bool:
        try:
            msgspec.convert([values], self._list_type, strict=False)
        except msgspec.ValidationError:
            return False
        return True


_NUMBER = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
_JSON_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)


def _is_odd_number(value: Any) -> bool:
    is_odd = isinstance(value, str) and _NUMBER.fullmatch(value) and not _JSON_NUMBER.fullmatch(value)
    return bool(is_odd) and math.isfinite(float(value))  # a number too large for a float is none at all


def _number(value: str | None) -> Any:
    """`value` as Python reads it, where it is a number."""
    if value is None:
        return None
    if value.isdecimal() and value.isascii():  # most are
        return int(value)
    if not _is_odd_number(value):
        return value
    return int(value) if value.strip().lstrip("+-").isdecimal() else float(value)


def _columns(row_type: RowType, header: Sequence[str]) -> list[Column]:
    if row_type.columns is None:
        return [row_type.other._replace(name=name) for name in header]
    return [column for column in row_type.columns if column.name in header]


def _picker(places: Sequence[int]) -> Callable[[Row], tuple[str, ...]]:
    if len(places) > 1:
        return itemgetter(*places)
    if places:
        return lambda row: (row[places[0]],)
    return lambda row: ()


# ------------------------------------------------------------------- what is wrong with a header


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
    return absent or (_gaps(columns, header) if row_type.by_position else [])


def _gaps(columns: Sequence[Column], header: Sequence[str]) -> list[str]:
    """A record that is built by position can leave out fields at its end only."""
    present = [column.name in header for column in columns]
    last = max((index for index, there in enumerate(present) if there), default=0)
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
