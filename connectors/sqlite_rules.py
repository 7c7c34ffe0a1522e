"""What a table in a SQLite file refuses, as far as a table beside it can refuse the same."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from typing import Any, TypeAlias

from connectors.sqlite_statements import Table, folded, quoted

Unique: TypeAlias = list[tuple[bytes, str]]
"""Columns that no two rows may have in common, each with its collation."""

_CONDITIONS = re.compile(r"\b(CHECK|STRICT|AS|VIRTUAL|CONFLICT)\b", re.IGNORECASE)
"""What stands in the SQL of a table that asks for more than a column's declaration does. Better too often than not."""


class Rules:
    """The rules of `table`, which is there, for rows of `columns`, that a staging table can have.

    `declarations`: those of its columns. `unique`: of its unique indexes, none where rows are upserted, or the table
    says itself what becomes of such rows. `refused`: a condition for rows `staged` that the table refuses though the
    staging table took them; None where there are none. `refuse_more`: it may refuse others, too, and only a try tells.
    """

    def __init__(self, db: sqlite3.Connection, table: Table, columns: Sequence[str]) -> None:
        self._db, self._table = db, table
        self._columns = {folded(column): column for column in columns}
        info = self._rows('SELECT name, type, "notnull", pk FROM pragma_table_info(?)')
        declared = {folded(name): f"{of}{' NOT NULL' * notnull}" for name, of, notnull, _ in info}
        self.declarations = [f"{quoted([name])} {declared[key]}" for key, name in self._columns.items()]
        indexes = self._rows('SELECT name, origin FROM pragma_index_list(?) WHERE "unique" AND NOT partial')
        found = [self._parts(index) for index, _ in indexes]
        keys = [folded(name) for name, *_, pk in info if pk]
        is_rowid = len(keys) == 1 and "pk" not in {origin for _, origin in indexes}
        found += [[(keys[0], "BINARY")]] if is_rowid else []
        ((sql,),) = self._rows(
            "SELECT sql FROM sqlite_master WHERE name = ? COLLATE NOCASE AND type IN ('table', 'view')"
        )
        is_silent = table.upsert or "CONFLICT" in sql.upper()
        taken = [] if is_silent else [parts for parts in found if self._has(parts)]
        self.unique = list(map(self._as_indexed, taken))
        conditions = [self._is_taken(parts) for parts in taken]
        conditions += [self._is_no_integer(keys[0])] if is_rowid and keys[0] in self._columns else []
        self.refused = " OR ".join(conditions) or None
        key = set(map(folded, table.key)) if table.upsert else None
        others = [parts for parts in found if parts not in taken and {name for name, _ in parts} != key]
        self.refuse_more = bool(others or _CONDITIONS.search(sql) or self._other_conditions())

    def _rows(self, sql: str) -> list[Any]:
        return self._db.execute(sql, (self._table.name,)).fetchall()

    def _parts(self, index: str) -> Unique:
        parts = self._db.execute("SELECT name, coll FROM pragma_index_xinfo(?) WHERE key", (index,)).fetchall()
        return [(b"" if name is None else folded(name), collation) for name, collation in parts]

    def _has(self, parts: Unique) -> bool:
        """Whether rows have these columns: one that is left out has a default value, and an expression has none."""
        return {name for name, _ in parts} <= self._columns.keys()

    def _as_indexed(self, parts: Unique) -> str:
        return ", ".join(f"{quoted([self._columns[name]])} COLLATE {collation}" for name, collation in parts)

    def _is_taken(self, parts: Unique) -> str:
        """Whether the table has such a row already."""
        columns = [(quoted([self._columns[name]]), collation) for name, collation in parts]
        same = (f"staged.{column} COLLATE {collation} = there.{column}" for column, collation in columns)
        return f"EXISTS (SELECT 1 FROM {quoted([self._table.name])} AS there WHERE {' AND '.join(same)})"

    def _is_no_integer(self, key: bytes) -> str:
        """A key that is the rowid takes nothing but integers, and makes one of NULL."""
        return f"typeof(staged.{quoted([self._columns[key]])}) NOT IN ('integer', 'null')"

    def _other_conditions(self) -> bool:
        """Triggers, and indexes of some rows or of expressions, which may fail."""
        triggers = self._rows("SELECT 1 FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE")
        indexes = self._rows(
            "SELECT 1 FROM pragma_index_list(?) AS list, pragma_index_xinfo(list.name) AS part "
            "WHERE list.partial OR (part.key AND part.name IS NULL)"
        )
        return bool(triggers or indexes)
