"""A table's name, key and columns as PostgreSQL's SQL: how it is made, looked up, and how rows get into it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product, starmap
from types import NoneType
from typing import Any, TypeAlias

from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from connectors.postgres_types import Sent, TableColumn
from connectors.record_types import Field, RecordType, value_types
from connectors.rows import listed

_LONGEST_NAME = 63  # bytes; PostgreSQL cuts longer ones
_STAGE_NAME = "headgate's staged rows"
_STAGE = Identifier("pg_temp", _STAGE_NAME)

ORDER = "headgate's order"
"""A column that numbers staged rows as they come. Where they lie does not tell: one that is small enough goes into the
room that a larger one left on an earlier page."""
_ORDER = Identifier(ORDER)
_NUMBERED = SQL("{} bigint GENERATED ALWAYS AS IDENTITY (CACHE 1000)").format(_ORDER)

Unique: TypeAlias = list[tuple[str, str | None]]
"""Columns that no two rows may have in common, each with its collation."""

ONE_BY_ONE = SQL(
    "SELECT set_config('synchronize_seqscans', 'off', false), set_config('enable_hashjoin', 'off', false), "
    "set_config('enable_mergejoin', 'off', false)"
)
"""A table is read from its first row on, and a few rows are looked up in an index one by one."""

COLUMNS = SQL(
    "SELECT a.attname, t.typname, t.typcategory, a.atttypid::regtype::text, "
    "c.relkind IN ('r', 'p', 'f') AND NOT c.relrowsecurity "
    "FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid JOIN pg_class c ON c.oid = a.attrelid "
    "WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
)
"""Of each column of a table: what a `TableColumn` says, and whether COPY may go into the table."""

TABLES = SQL(
    "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables "
    "WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1 LIMIT 20"
)

MAY_REFUSE = SQL(
    "SELECT c.relkind <> 'r' OR c.relrowsecurity OR c.relhastriggers OR c.relhasrules OR EXISTS ("
    "SELECT FROM pg_index i WHERE i.indrelid = c.oid AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL "
    "OR i.indisexclusion OR (to_jsonb(i) ->> 'indnullsnotdistinct')::boolean IS TRUE)) "
    "FROM pg_class c WHERE c.oid = to_regclass(%s)"
)
"""Whether a table may refuse rows for more than what its columns, checks and unique indexes on columns say."""

UNIQUE_COLUMNS = SQL(
    "SELECT array_agg(a.attname::text ORDER BY k.at), "
    "array_agg(quote_ident(n.nspname) || '.' || quote_ident(l.collname) ORDER BY k.at) FROM pg_index i "
    "CROSS JOIN LATERAL unnest(i.indkey::int2[], i.indcollation::oid[]) WITH ORDINALITY AS k (number, rule, at) "
    "JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number "
    "LEFT JOIN pg_collation l ON l.oid = k.rule LEFT JOIN pg_namespace n ON n.oid = l.collnamespace "
    "WHERE i.indisunique AND k.at <= i.indnkeyatts AND i.indrelid = to_regclass(%s) GROUP BY i.indexrelid"
)
"""Of each unique index of a table its columns, and their collations, None for those that need none."""

UNIQUE = SQL(
    "SELECT substr(d.said, strpos(d.said, d.name || ' USING ') + length(d.name)) FROM ("
    "SELECT pg_get_indexdef(i.indexrelid) AS said, quote_ident(c.relname) AS name "
    "FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid WHERE i.indisunique AND c.oid = to_regclass(%s)) AS d"
)
"""How each unique index of a table is defined, behind the name of that table."""

BESIDE = SQL(
    "SELECT relname FROM pg_class WHERE relkind = 'r' AND starts_with(relname, %s) "
    "AND relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass(%s))"
)
"""The tables in the schema of another one whose names begin so."""

HOLDERS = SQL(
    "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid <> pg_backend_pid() "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND objsubid = 1 AND (classid::bigint << 32 | objid::bigint) = %s"
)
"""The processes of the server that hold an advisory lock."""


@dataclass(frozen=True)
class Table:
    """A table; `upsert`: whether a row replaces that of its key. Without a `schema` the search path finds it."""

    schema: str | None
    name: str
    key: tuple[str, ...]
    upsert: bool

    def __str__(self) -> str:
        return repr(self.name if self.schema is None else f"{self.schema}.{self.name}")

    @property
    def identifier(self) -> Identifier:
        return Identifier(self.name) if self.schema is None else Identifier(self.schema, self.name)

    def complaint(self, columns: Sequence[Any]) -> str | None:
        """Say what is wrong with records of these fields, if anything."""
        if not all(isinstance(column, str) and can_be_named(column) for column in columns):
            return f"wanted columns named by text of up to {_LONGEST_NAME} bytes, came {list(columns)}"
        unknown = [column for column in self.key if column not in columns]
        if unknown:
            return f"key {', '.join(map(repr, unknown))} is not a field; fields there: {', '.join(columns)}"
        same = [column for column in columns if columns.count(column) > 1]
        return f"{listed(same)} have the same name" if same else None

    def create(self, record: RecordType, fields: Sequence[Field], types: Sequence[Sent]) -> Composed:
        """Also takes a lock, as two who make a table at once would get in each other's way."""
        parts = [_declaration(*each, record.leaves_out(each[0])) for each in zip(fields, types, strict=True)]
        if self.key:
            parts.append(SQL("PRIMARY KEY ({})").format(_names(self.key)))
        return SQL("CREATE TABLE {} ({})").format(self.identifier, SQL(", ").join(parts))

    def beside(self, name: str) -> Table:
        """Another one in the same schema, which takes all rows."""
        return Table(self.schema, name, (), upsert=False)

    def create_like(self, other: Table, columns: Sequence[str], others: Sequence[str]) -> list[Composed]:
        """Make this one of `columns` of the `other`, and with what is declared of them; it has `others` too."""
        like = SQL("CREATE TABLE IF NOT EXISTS {} (LIKE {} INCLUDING CONSTRAINTS)")
        drop = [SQL("DROP COLUMN IF EXISTS {}").format(Identifier(name)) for name in others if name not in columns]
        alter = SQL("ALTER TABLE {} {}").format(self.identifier, SQL(", ").join(drop))
        return [like.format(self.identifier, other.identifier), *([alter] if drop else [])]

    def create_as(self, other: Table, columns: Sequence[str]) -> Composed:
        """Make this one of `columns` of the `other`, without any constraint."""
        create = SQL("CREATE TABLE IF NOT EXISTS {} AS SELECT {} FROM {} WITH NO DATA")
        return create.format(self.identifier, _names(columns), other.identifier)

    def number_rows(self) -> Composed:
        """Have the column `ORDER`."""
        return SQL("ALTER TABLE {} ADD COLUMN {}").format(self.identifier, _NUMBERED)

    def index_numbers(self) -> Composed:
        return SQL("CREATE INDEX ON {} ({})").format(self.identifier, _ORDER)

    def behind(self, number: int) -> Composed:
        """The rows whose number is greater, as what rows are selected from."""
        return SQL("{} AS staged WHERE {} > {}").format(self.identifier, _ORDER, Literal(number))

    def collide(self, unique: Sequence[Unique], others: Sequence[Table]) -> Composed:
        """Of the rows behind a number: the last one's, and whether any is equal to one of `others` where it must not
        be."""

        def same(column: str, collation: str | None) -> Composed:
            collate = SQL(f" COLLATE {collation}" if collation else "")
            return SQL("there.{0} = staged.{0}{1}").format(Identifier(column), collate)

        def one(index: Unique, other: Table) -> Composed:
            on = SQL(" AND ").join(starmap(same, index))
            return SQL("EXISTS (SELECT FROM {} AS there WHERE {})").format(other.identifier, on)

        found = SQL(" OR ").join(starmap(one, product(unique, others)))
        return SQL("SELECT max({0}), bool_or({1}) FROM {2} AS staged WHERE {0} > %s").format(
            _ORDER, found, self.identifier
        )

    def index(self, rest: str) -> Composed:
        """Have a unique index on this one, which goes on so behind its name."""
        return SQL("CREATE UNIQUE INDEX ON {}{}").format(self.identifier, SQL(rest))

    def drop(self) -> Composed:
        return SQL("DROP TABLE IF EXISTS {}").format(self.identifier)

    def count(self) -> Composed:
        return SQL("SELECT count(*) FROM {}").format(self.identifier)

    def holds_rows(self) -> Composed:
        return SQL("SELECT EXISTS (SELECT FROM {})").format(self.identifier)

    def lock(self) -> Composed:
        """Have whoever else wants to make this table wait until the transaction is over."""
        return SQL("SELECT pg_advisory_xact_lock(hashtextextended({}, 4863))").format(Literal(str(self)))

    def copy(self, columns: Sequence[str]) -> Composed:
        return _copy(self.identifier, columns)

    def insert(
        self,
        columns: Sequence[str],
        values: Sequence[Composable],
        staged: Composable = _STAGE,
        *,
        numbered: bool = False,
    ) -> Composed:
        """Put what is staged into the table; of a key's rows the last one, and keys in order, so that
        writers that have some in common do not wait for each other crosswise. `numbered`: rows by their numbers, where
        it does not upsert."""
        insert = SQL("INSERT INTO {} ({}) ").format(self.identifier, _names(columns))
        if not self.upsert:
            rows = SQL("SELECT {} FROM {}").format(SQL(", ").join(values), staged)
            return insert + rows + (SQL(" ORDER BY {}").format(_ORDER) if numbered else SQL(""))
        last = SQL("SELECT DISTINCT ON ({0}) {1} FROM {2} ORDER BY {0}, {3} DESC").format(
            SQL(", ").join(value for column, value in zip(columns, values, strict=True) if column in self.key),
            SQL(", ").join(values),
            staged,
            _ORDER,
        )
        others = [SQL("{0} = excluded.{0}").format(Identifier(c)) for c in columns if c not in self.key]
        action = SQL("UPDATE SET {}").format(SQL(", ").join(others)) if others else SQL("NOTHING")
        return insert + last + SQL(" ON CONFLICT ({}) DO {}").format(_names(self.key), action)


def stage(columns: Sequence[str], types: Sequence[Sent], *, numbered: bool) -> Composed:
    """Make what rows are copied into before they are inserted."""
    parts = [SQL("{} {}").format(Identifier(c), SQL(t.sql_type)) for c, t in zip(columns, types, strict=True)]
    parts += [_NUMBERED] if numbered else []
    return SQL("CREATE TEMPORARY TABLE {} ({}) ON COMMIT DELETE ROWS").format(
        Identifier(_STAGE_NAME), SQL(", ").join(parts)
    )


DROP_STAGE = SQL("DROP TABLE IF EXISTS {}").format(_STAGE)


def copy_to_stage(columns: Sequence[str]) -> Composed:
    return _copy(_STAGE, columns)


def cast(name: str, sending: Sent, column: TableColumn | None) -> Composable:
    """The staged value as the column takes it. Text is told what to be, unless a string: a cast would cut it."""
    if column is None or sending.type != "text" or column.category == "S":
        return Identifier(name)
    return SQL("CAST({} AS {})").format(Identifier(name), SQL(column.sql_type))


def can_be_named(name: str) -> bool:
    """Whether PostgreSQL takes `name` as it is."""
    try:
        data = name.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return 0 < len(data) <= _LONGEST_NAME and b"\0" not in data


def _copy(into: Identifier, columns: Sequence[str]) -> Composed:
    return SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(into, _names(columns))


def _names(columns: Sequence[str]) -> Composed:
    return SQL(", ").join(map(Identifier, columns))


def _declaration(field: Field, sending: Sent, optional: bool) -> Composed:
    nullable = optional or not {NoneType, object}.isdisjoint(value_types(field.type))
    return SQL("{} {}" if nullable else "{} {} NOT NULL").format(Identifier(field.column), SQL(sending.sql_type))
