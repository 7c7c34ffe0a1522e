"""Records as rows: how the values of a record become flat ones that any store knows, and records again."""

from __future__ import annotations

import enum
import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from functools import partial
from itertools import starmap
from operator import attrgetter, itemgetter, methodcaller
from types import NoneType
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from connectors.record_types import AS_TEXT, FLAT, NESTED, Field, RecordType, value_types
from engine.errors import ConnectorError, GraphError
from engine.types import did_you_mean

Row = Sequence[Any]
Encode = Callable[[Any], Any]

# ------------------------------------------------------------------------------------ records to rows

_to_json = msgspec.json.Encoder().encode
_to_text: dict[Any, Callable[[Any], Any]] = dict.fromkeys(AS_TEXT, methodcaller("isoformat"))
_to_text |= {timedelta: msgspec.to_builtins, Decimal: str, UUID: str}


def _json_text(value: Any) -> str:
    return _to_json(value).decode()


def flatten(value: Any) -> Any:
    """Turn any value into one of `FLAT` or None: ISO 8601 for times, an enum's value, JSON for collections.

    >>> from datetime import date
    >>> flatten(date(2026, 1, 31)), flatten(Decimal("1.50")), flatten([1, "a"]), flatten(7)
    ('2026-01-31', '1.50', '[1,"a"]', 7)
    """
    kind = type(value)
    if kind in FLAT or value is None:
        return value
    if isinstance(value, enum.Enum):
        return flatten(value.value)
    encode: Callable[[Any], Any] = _to_text.get(kind, _json_text)
    return value if isinstance(value, int | float | str | bytes) else encode(value)


def _encoder(annotation: Any) -> Callable[[Any], Any] | None:
    """Give what turns values of `annotation`, other than None, flat; None when they are flat as they are."""
    found = value_types(annotation) - {NoneType}
    if found <= FLAT:
        return None
    if NESTED in found:
        return _json_text
    # In a union, or Any, only the value itself can say.
    return _to_text.get(next(iter(found)), flatten) if len(found) == 1 else flatten


def row_encoder(
    record: RecordType, fields: Sequence[Field], encoders: Sequence[Encode | None] | None = None
) -> Callable[[Any], Row]:
    """Give a function that turns a record of this type into a row: the flat values of `fields`, in order.

    Or what `encoders`, one for each of the fields, make of the values that are not None.

    It raises when a record lacks one of them, or is a dict that has others: no value is dropped in silence.

    >>> from connectors.record_types import record_type
    >>> class Sale(NamedTuple):
    ...     shop: str | None
    ...     euros: Decimal
    >>> row_encoder(record_type(Sale), record_type(Sale).fields)(Sale(None, Decimal("1.50")))
    [None, '1.50']
    """
    get = _getter(record, fields)
    if encoders is None and not record.fields and not record.arguments:
        return lambda row: [value if type(value) in FLAT else flatten(value) for value in get(row)]
    encoders = [_encoder(field.type) for field in fields] if encoders is None else encoders
    used = [(index, encode) for index, encode in enumerate(encoders) if encode]
    if not used:
        return get

    def row(record: Any) -> list[Any]:
        values = list(get(record))
        for index, encode in used:
            if values[index] is not None:
                values[index] = encode(values[index])
        return values

    return row


def _getter(record: RecordType, fields: Sequence[Field]) -> Callable[[Any], Row]:
    names = [field.name for field in fields]
    if record.kind in {"tuple", "namedtuple"}:
        return lambda row: row
    if record.kind in {"dict", "typeddict"}:
        return _key_getter(names, {field.name for field in fields if field.required})
    # With one name attrgetter gives the bare value, with two or more a tuple.
    return attrgetter(*names) if len(names) > 1 else lambda row: (getattr(row, names[0]),)


def _key_getter(names: list[str], required: set[str]) -> Callable[[Any], Row]:
    known = set(names)

    def get(row: dict[str, Any]) -> list[Any]:
        if not required <= row.keys() <= known:
            raise ValueError(f"wanted the keys {', '.join(names)}, came {', '.join(map(str, row))}")
        return [row.get(name) for name in names]

    return get


# ------------------------------------------------------------------------------------ rows to records


def listed(names: Sequence[str]) -> str:
    """Write `names` as a message has them.

    >>> listed(["id"]), listed(["id", "name"])
    ("column 'id'", "columns 'id', 'name'")
    """
    return ("column " if len(names) == 1 else "columns ") + ", ".join(map(repr, names))


def matched(
    record: RecordType,
    columns: Sequence[str],
    where: str,
    advice: str,
    error: type[ConnectorError | GraphError] = ConnectorError,
) -> list[tuple[int, Field]]:
    """Pair each field that the rows of `where` have a column for with that column's index.

    Raises `error`, with `advice` on what to do, unless there is one column for each field that must have one.
    """
    fields: Sequence[Field] = record.fields
    if record.kind == "tuple":
        return list(enumerate(tuple_fields(record, columns, where, error)))
    if record.kind == "dict":
        fields = [Field(column, column, record.arguments[1] if record.arguments else Any) for column in columns]
    for field in fields:
        if columns.count(field.column) > 1:
            hint = "give each a name of its own"
            raise error(f"{where} has several columns {field.column!r}: {', '.join(columns)}", hint=hint, final=True)
    if missing := [f.column for f in fields if f.required and f.column not in columns]:
        raise error(
            f"wanted {listed(missing)} for {record.cls.__name__} from {where}",
            hint=f"{did_you_mean(missing[0], columns)}; {advice}",
            final=True,
        )
    return [(columns.index(f.column), f) for f in fields if f.settable and f.column in columns]


def tuple_fields(
    record: RecordType, columns: Sequence[str], where: str, error: type[ConnectorError | GraphError]
) -> list[Field]:
    """Give the fields of a tuple whose values are those of `columns`, one after the other."""
    types = record.arguments
    if not types or types[-1] is ...:
        types = (types[0] if types else Any,) * len(columns)
    if len(types) != len(columns):
        raise error(f"wanted {len(types)} columns in {where}, came {len(columns)}: {', '.join(columns)}", final=True)
    return [Field(column, column, of) for column, of in zip(columns, types, strict=True)]


def reason(error: Exception) -> str:
    """Say why a value is not what it should be: in msgspec's words, or as a type's own checks raised it."""
    if isinstance(error, MemoryError):
        raise error  # which is no record's fault
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8: {error}"
    return str(error) if isinstance(error, msgspec.MsgspecError) else f"{type(error).__name__}: {error}"


class Column(NamedTuple):
    """How a column is read: `decode` does what `convert` to `shape` would not; None where that does all."""

    name: str
    shape: Any
    decode: Callable[[Any], Any] | None = None


class RowDecoder:
    """Turns rows of `width` values into records; `wanted` says which value is which field's.

    The values are flat ones or, where `text` is true, all texts; or `column(place, field)` says how each is read.
    Raises GraphError for a field whose type cannot be read back.

    >>> from connectors.record_types import record_type
    >>> class Switch(msgspec.Struct):
    ...     name: str
    ...     on: bool
    >>> rows = RowDecoder(record_type(Switch), [(1, Field("name", "name", str)), (2, Field("on", "on", bool))], 3)
    >>> rows.records([("?", "lamp", 1)])
    [Switch(name='lamp', on=True)]
    >>> rows.misfit(("?", "lamp", "yes"), ValueError())
    "column 'on' holds 'yes': Expected `bool`, got `str`"
    """

    def __init__(
        self,
        record: RecordType,
        wanted: Sequence[tuple[int, Field]],
        width: int,
        *,
        text: bool = False,
        column: Callable[[int, Field], Column] | None = None,
    ) -> None:
        self.width = width
        # With bytes among the builtins, a text is not taken for base64.
        self._convert = partial(msgspec.convert, strict=False) if text else _convert_flat
        places = [place for place, _ in wanted]
        self._pick = None if places == list(range(width)) else _picker(places)
        # A key that a TypedDict may leave out is null in its column.
        optional = {field.name for _, field in wanted if record.leaves_out(field)}
        fields = [f._replace(type=f.type | None) if f.name in optional else f for _, f in wanted]
        read_as = column or (lambda _, field: self._column(field, text))
        self._columns = list(map(read_as, places, fields))
        self._decoders = {i: c.decode for i, c in enumerate(self._columns) if c.decode is not None}
        shapes = tuple(column.shape for column in self._columns)
        # What msgspec can build at once need not be built of tuples.
        is_built = record.kind == "namedtuple" and shapes == tuple(field.type for field in record.fields)
        self._shape: Any = list[record.cls if is_built else tuple[shapes]]  # type: ignore[misc, valid-type]
        self._build = iter if is_built else _builder(record, [field.name for field in fields], optional)

    @staticmethod
    def check(record: RecordType, *, text: bool = False) -> None:
        """Raise now what the constructor would raise when the job runs."""
        inside = [Field(repr(of), repr(of), of) for of in record.arguments if of is not ...]
        fields = [field for field in record.fields if field.settable] or inside
        RowDecoder(record, list(enumerate(fields)), len(fields), text=text)

    def _column(self, field: Field, text: bool) -> Column:
        found = value_types(field.type)
        column = Column(field.column, field.type)
        try:
            if NESTED in found and not (text and str in found):
                column = Column(field.column, Any, from_json(field.type))
            self._convert([], list[column.shape])  # type: ignore[name-defined]
        except TypeError as error:
            raise GraphError(f"field {field.name!r} cannot be read back from a column: {error}") from error
        if found - {NoneType} == {bool} and not text:
            column = column._replace(decode=lambda value: {0: False, 1: True}.get(value, value))
        return column

    def records(self, rows: Sequence[Row]) -> list[Any]:
        """Turn all of `rows` into records, or raise if one does not fit."""
        rows = self._picked(rows)
        if self._decoders:
            rows = [self._decoded(row) for row in rows]
        return list(self._build(self._convert(rows, self._shape)))

    def record(self, row: Row) -> Any:
        """Turn one row into a record, or raise."""
        return self.records([row])[0]

    def _picked(self, rows: Sequence[Row]) -> Sequence[Row]:
        return rows if self._pick is None else list(map(self._pick, rows))

    def _decoded(self, row: Row) -> list[Any]:
        values = list(row)
        for index, decode in self._decoders.items():
            values[index] = decode(values[index])
        return values

    def misfit(self, row: Row, error: Exception) -> str:
        """Say what is wrong with `row`, for which `records` raised `error`: in which column, if it is one by itself."""
        (values,) = self._picked([row])
        for index, (column, value) in enumerate(zip(self._columns, values, strict=True)):
            decode = self._decoders.get(index)
            try:
                self._convert(decode(value) if decode else value, column.shape)
            except Exception as wrong:
                return f"column {column.name!r} holds {'null' if value is None else f'{value!r:.200}'}: {reason(wrong)}"
        return reason(error)


_convert_flat = partial(msgspec.convert, builtin_types=(bytes,))


def from_json(annotation: Any) -> Callable[[Any], Any]:
    decode = msgspec.json.Decoder(annotation).decode
    return lambda value: decode("null" if value is None else value)


def _picker(places: Sequence[int]) -> Callable[[Row], Row]:
    # With one index itemgetter gives the bare value, with two or more a tuple.
    return itemgetter(*places) if len(places) > 1 else lambda row: [row[place] for place in places]


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


def _pairs(names: Sequence[str], optional: set[str], row: Row) -> Iterator[tuple[str, Any]]:
    pairs = zip(names, row, strict=True)
    return ((name, value) for name, value in pairs if value is not None or name not in optional)
