"""A table's name, key and columns as SQL: how it is created, and how rows are inserted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any

from connectors.record_types import NESTED, Field, RecordType, is_enum, value_types
from connectors.rows import listed

_AFFINITIES = {bool: "INTEGER", int: "INTEGER", float: "REAL", bytes: "BLOB", object: ""}


@dataclass(frozen=True)
class Table:
    """A table; `upsert`: whether a row replaces that of its key."""

    name: str
    key: tuple[str, ...]
    upsert: bool

    def complaint(self, columns: Sequence[Any]) -> str | None:
        """Say what is wrong with records of these fields, if anything."""
        if not all(isinstance(column, str) and _can_be_named(column) for column in columns):
            return f"wanted columns named by text, came {list(columns)}"
        unknown = [column for column in self.key if column not in columns]
        if unknown:
            return f"key {', '.join(map(repr, unknown))} is not a field; fields there: {', '.join(columns)}"
        names = list(map(folded, columns))
        same = [column for column, name in zip(columns, names, strict=True) if names.count(name) > 1]
        return f"{listed(same)} differ in case only, which SQLite ignores" if same else None

    def create_sql(self, record: RecordType, fields: Sequence[Field]) -> str:
        columns = [_declaration(field, record.leaves_out(field)) for field in fields]
        if self.key:
            columns.append(f"PRIMARY KEY ({quoted(self.key)})")
        # Without a rowid, the rows are in the key's own tree, and a key is never NULL.
        return f"CREATE TABLE {quoted([self.name])} ({', '.join(columns)})" + " WITHOUT ROWID" * bool(self.key)

    @staticmethod
    def no_rows(columns: Sequence[str]) -> str:
        """A SELECT that finds nothing."""
        return f"SELECT {', '.join(['NULL'] * len(columns))} WHERE 0"

    def insert_sql(self, columns: Sequence[str], rows: str | None = None) -> str:
        """Insert what the SELECT `rows` finds (with a WHERE, or SQLite misreads it), or values for a "?" each."""
        values = rows or f"VALUES ({', '.join('?' * len(columns))})"
        sql = f"INSERT INTO {quoted([self.name])} ({quoted(columns)}) {values}"
        if not self.upsert:
            return sql
        others = [f"{quoted([c])} = excluded.{quoted([c])}" for c in columns if c not in self.key]
        action = f"UPDATE SET {', '.join(others)}" if others else "NOTHING"
        return f"{sql} ON CONFLICT ({quoted(self.key)}) DO {action}"


def quoted(names: Sequence[str]) -> str:
    """Names as SQL has them, whatever is in them."""
    return ", ".join('"' + name.replace('"', '""') + '"' for name in names)


def folded(name: str) -> bytes:
    """SQLite takes names for the same that differ in the case of ASCII letters."""
    return name.encode().lower()


def _can_be_named(column: str) -> bool:
    try:
        return b"\0" not in column.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False


def _declaration(field: Field, optional: bool) -> str:
    nullable = optional or not {NoneType, object}.isdisjoint(value_types(field.type))
    return f"{quoted([field.column])} {_affinity(field.type)}{'' if nullable else ' NOT NULL'}"


def _affinity(annotation: Any) -> str:
    """Give the type of a column that keeps every value of `annotation` as it is; "" keeps them all."""
    found: set[Any] = set()
    for kind in value_types(annotation) - {NoneType}:
        found |= {type(member.value) for member in kind} if is_enum(kind) else {kind}
    if NESTED in found:
        return "TEXT"
    affinities = {_AFFINITIES.get(kind, "TEXT") for kind in found}
    return affinities.pop() if len(affinities) == 1 else ""
