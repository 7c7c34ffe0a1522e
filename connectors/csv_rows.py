"""CSV's rows of text as records: worked out once for a file, from its header."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from types import NoneType
from typing import Any, Generic, TypeVar

import msgspec

from connectors.record_types import RecordType, value_types
from connectors.rows import Row, RowDecoder, matched
from engine.errors import ConnectorError, GraphError

T = TypeVar("T")


class TextRows(RowDecoder, Generic[T]):
    """Turns rows as wide as `header` into records; `null` are the texts that mean None.

    A null is a text all the same where a field takes text or bytes and not None. `error` is raised, with
    `where`, when the header does not have what the type requires.
    """

    def __init__(
        self,
        record: RecordType,
        header: Sequence[str],
        null: Sequence[str],
        where: str,
        error: type[ConnectorError | GraphError] = ConnectorError,
    ) -> None:
        wanted = matched(record, header, where, _advice(header), error)
        super().__init__(record, wanted, len(header), text=True)
        self._types = [value_types(field.type) for _, field in wanted]
        self._has_no_null = frozenset(null).isdisjoint
        nones = dict.fromkeys(null)
        self._or_none = [(nones if _takes_null(found) else {}).get for found in self._types]

    def _picked(self, rows: Sequence[Row]) -> Sequence[Row]:
        has_no_null = self._has_no_null
        return [row if has_no_null(row) else self._filled(row) for row in super()._picked(rows)]

    def _filled(self, row: Row) -> Row:
        return [or_none(text, text) for or_none, text in zip(self._or_none, row, strict=True)]

    def record(self, row: Row) -> T:
        """Turn one row into a record, with a second try for numbers like 007, +1 and .5, which JSON does not have."""
        try:
            return self._one(row)
        except msgspec.ValidationError:
            if not self._learns_numbers_of(row):
                raise
        return self._one(row)

    def _one(self, row: Row) -> T:
        record: T = self.records([row])[0]
        return record

    def _learns_numbers_of(self, row: Row) -> bool:
        """Where one number is written oddly, most are: from now on those of its column are read here."""
        (values,) = self._picked([row])
        is_numeric = [found <= {int, float, NoneType} for found in self._types]
        odd = [i for i, value in enumerate(values) if is_numeric[i] and _is_odd_number(value)]
        learned = dict.fromkeys(set(odd) - self._decoders.keys(), _number)
        self._decoders |= learned
        return bool(learned)


def _takes_null(found: frozenset[Any]) -> bool:
    return not found.isdisjoint({NoneType, object}) or found.isdisjoint({str, bytes})


def _advice(header: Sequence[str]) -> str:
    if len(header) == 1 and (other := re.search(r"[;,\t|]", header[0])):
        return f"if {other[0]!r} separates the columns, say delimiter={other[0]!r}"
    return "map names with msgspec's rename, give the field a default, or name the columns with header=[...]"


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
