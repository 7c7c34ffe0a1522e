"""Writes records as rows of a PostgreSQL table: a write is one COPY in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import itemgetter, length_hint
from types import NoneType
from typing import Any, NamedTuple

import psycopg
from psycopg.sql import Composable, Composed

from connectors.postgres_errors import OF_A_RECORD, failure, is_outage, sqlstate
from connectors.postgres_server import Server
from connectors.postgres_session import NOTHING, Cursor, InDoubt, Session
from connectors.postgres_statements import COLUMNS, DROP_STAGE, ONE_BY_ONE, TABLES, Table, cast, copy_to_stage, stage
from connectors.postgres_types import Sent, TableColumn, cut_short, misfit, sent
from connectors.record_types import Field, RecordType, record_type
from connectors.rows import Row, listed, row_encoder, tuple_fields
from engine.errors import ConnectorError, OutputError
from engine.sink import Writer
from engine.types import did_you_mean


@dataclass(frozen=True)
class Target:
    """What `postgres_table` was told."""

    server: Server
    table: Table
    create: bool

    @property
    def where(self) -> str:
        return f"table {self.table} of {self.server.name}"


class Load(NamedTuple):
    """How records get into the table: copied, and then inserted unless the table takes the copy itself."""

    columns: Sequence[str]
    types: Sequence[Sent]
    values: Sequence[Composable]
    """What is copied, as the table's columns take it."""
    is_plain: bool
    """Whether they take it as it is."""
    copy: Composed
    insert: Composed | None
    row: Callable[[Any], Row]


class _Misfit(Exception):
    """A record that cannot even be sent; `taken`: which one, from 1."""

    def __init__(self, taken: int) -> None:
        super().__init__(taken)
        self.taken = taken


def _check(rows: Sequence[Row], place: int, sending: Sent) -> None:
    """Raise for the first of `rows` with a value that is not what its column takes."""
    kinds = set(map(type, map(itemgetter(place), rows)))
    if kinds <= {sending.only, NoneType} and sending.type != "time":
        return
    for number, row in enumerate(rows, 1):
        if wrong := misfit(sending, row[place]):
            raise _Misfit(number) from TypeError(wrong)


class TableWriter(Writer[Any]):
    """Each write is a transaction, and then there to be seen."""

    _may_copy = True
    """Whether rows may be copied into the table itself."""

    _first: Composable = NOTHING
    """What each transaction begins with."""

    def __init__(self, target: Target, record: RecordType) -> None:
        self.target = target
        self._load: Load | None = None
        with self._trying_to("open"):
            self._session = Session(target.server, self._connected)
        try:
            with self._trying_to("open"):
                self._recover()
                if record.kind != "dict":
                    self._plan(record, record.fields, ConnectorError)
        except BaseException:
            self._let_go()
            raise

    def write(self, records: list[Any]) -> None:
        if not records:
            return
        with self._trying_to("write to"):
            is_new = self._load is None
            if is_new:
                self._plan_from(records[0])
            try:
                self._session.run(lambda cursor: self._add(cursor, records), self._first)
            except (psycopg.Error, _Misfit) as error:
                blamed = self._blamed(error, records)
                if is_new:
                    self._load = None  # the next first record may say better what the columns are
                if blamed is None:
                    raise
                raise blamed from error.__cause__ or error

    def finish(self) -> None:
        self._let_go()

    abort = finish

    def _let_go(self) -> None:
        self._session.close()

    def _recover(self) -> None:
        """What is to be done before the table is looked at."""

    @contextmanager
    def _trying_to(self, what: str) -> Iterator[None]:
        wanted = f"cannot {what} {self.target.where}"
        try:
            yield
        except InDoubt as error:
            hint = "look whether its rows are there: a job that starts again writes again what it reads again"
            raise ConnectorError(f"{wanted}: {error}: it may have been made or not", hint=hint) from error
        except psycopg.Error as error:
            raise failure(wanted, error) from error

    # ---------------------------------------------------------------------------------- adding rows

    def _add(self, cursor: Cursor, records: Sequence[Any]) -> None:
        load = self._load
        assert load is not None
        rows = self._rows(records, load)
        rest = iter(rows)
        with cursor.copy(load.copy) as copy:
            copy.set_types([each.type for each in load.types])
            try:
                for row in rest:
                    copy.write_row(row)
            except Exception as error:
                if is_outage(error):
                    raise
                raise _Misfit(len(rows) - length_hint(rest)) from error
        if load.insert is not None:
            self._insert(cursor, load.insert)

    def _insert(self, cursor: Cursor, insert: Composed) -> None:
        """What was copied goes on."""
        cursor.execute(insert)

    def _rows(self, records: Sequence[Any], load: Load) -> list[Row]:
        rows: list[Row] = []
        try:
            rows.extend(map(load.row, records))
        except Exception as error:
            if is_outage(error):
                raise
            raise _Misfit(len(rows) + 1) from error
        for place, cls in enumerate(each.only for each in load.types):
            if cls is not None:
                _check(rows, place, load.types[place])
        return rows

    def _blamed(self, error: Exception, records: Sequence[Any]) -> ConnectorError | None:
        """The error that names the record that is to blame for `error`, if one is."""
        if isinstance(error, _Misfit):
            taken, cause = error.taken, error.__cause__
        elif sqlstate(error).startswith(OF_A_RECORD):
            taken, cause = self._first_refused(records), error
        else:
            return None
        assert cause is not None
        if not taken:
            return None
        record = records[taken - 1]
        about = f"; record {taken} of {len(records)}: {record!r:.200}"
        wanted = f"cannot write to {self.target.where}"
        reason = self._misfit(record) if isinstance(error, _Misfit) else None
        return OutputError(f"{wanted}: {reason}{about}") if reason else failure(wanted, cause, about)

    def _misfit(self, record: Any) -> str | None:
        """Which value of `record` is none that its column takes."""
        assert self._load is not None
        try:
            row = self._load.row(record)
        except Exception:  # it has no such row: what was raised says why
            return None
        if len(row) != len(self._load.columns):
            return f"wanted {len(self._load.columns)} values, came {len(row)}"
        for name, sending, value in zip(self._load.columns, self._load.types, row, strict=True):
            if wrong := misfit(sending, value):
                return f"column {name!r}: {wrong}"
        return None

    def _first_refused(self, records: Sequence[Any]) -> int:
        """The number of the first record, from 1, that the table does not take behind those before it; 0 if there is
        none. Halves what is left, in transactions that leave nothing."""
        fine, refused = 0, len(records)
        if len(records) > 1 and self._takes(records):
            return 0
        while refused - fine > 1:
            middle = (fine + refused) // 2
            if self._takes(records[:middle]):
                fine = middle
            else:
                refused = middle
        return refused

    def _takes(self, records: Sequence[Any]) -> bool:
        try:
            self._session.try_out(lambda cursor: self._add(cursor, records), self._first)
        except psycopg.Error as error:
            if self._session.is_lost(error):
                raise
            return not sqlstate(error).startswith(OF_A_RECORD)
        except _Misfit:
            return False
        return True

    # ------------------------------------------------------------------------- how rows get in

    def _connected(self, cursor: Cursor) -> None:
        """Make ready a connection that took the place of another."""
        cursor.execute(ONE_BY_ONE)
        if self._load is not None and self._load.insert is not None:
            cursor.execute(stage(self._load.columns, self._load.types, numbered=self.target.table.upsert))

    def _plan_from(self, first: Any) -> None:
        record = record_type(type(first))
        if record is None:
            raise OutputError(f"wanted rows for {self.target.where}, came {first!r:.200}")
        fields: Sequence[Field] = record.fields
        if record.kind == "dict":
            # The first record stands for all: Optional, as the next one may have None there.
            fields = [Field(name, name, Any if v is None else type(v) | None) for name, v in first.items()]
        self._plan(record, fields, OutputError)

    def _plan(self, record: RecordType, fields: Sequence[Field], wrong: type[ConnectorError]) -> None:
        """Work out how to add such records, and make the table; raise `wrong` if their fields do not suit it."""
        planned: list[Load] = []
        self._session.run(lambda cursor: planned.append(self._planned(cursor, record, fields, wrong)), self._first)
        self._load = planned[-1]

    def _planned(
        self, cursor: Cursor, record: RecordType, fields: Sequence[Field], wrong: type[ConnectorError]
    ) -> Load:
        table, where = self.target.table, self.target.where
        found = cursor.execute(COLUMNS, (table.identifier.as_string(cursor),)).fetchall()
        if not found:
            cursor.execute(table.lock())
            found = cursor.execute(COLUMNS, (table.identifier.as_string(cursor),)).fetchall()
        there = {row[0]: TableColumn(*row[:4]) for row in found}
        if record.kind == "tuple" and there:
            fields = tuple_fields(record, list(there), where, wrong)
        if not fields:
            blamed = ConnectorError if record.kind == "tuple" else wrong
            message = f"a {record.cls.__name__} names no columns, and there is no {where} to take them from"
            raise blamed(message, hint="create the table, or use a NamedTuple", final=True)
        self._check(fields, there, wrong)
        types = [sent(field, there.get(field.column)) for field in fields]
        if not there:
            self._create(cursor, record, fields, types)
        can_copy = not found or found[0][4]
        return self._loaded(cursor, record, fields, types, there, can_copy=can_copy)

    def _loaded(
        self,
        cursor: Cursor,
        record: RecordType,
        fields: Sequence[Field],
        types: Sequence[Sent],
        there: dict[str, TableColumn],
        *,
        can_copy: bool,
    ) -> Load:
        table, columns = self.target.table, [field.column for field in fields]
        row = row_encoder(record, fields, [each.encode for each in types])
        is_plain = all(t.is_type_of(there[c]) for c, t in zip(columns, types, strict=True) if c in there)
        values = [cast(c, t, there.get(c)) for c, t in zip(columns, types, strict=True)]
        if self._may_copy and can_copy and is_plain and not table.upsert:
            return Load(columns, types, values, is_plain, table.copy(columns), None, row)
        load = Load(columns, types, values, is_plain, copy_to_stage(columns), table.insert(columns, values), row)
        cursor.execute(ONE_BY_ONE)
        cursor.execute(DROP_STAGE)
        cursor.execute(stage(columns, types, numbered=table.upsert))
        self._try_out(cursor, load)
        return load

    def _check(self, fields: Sequence[Field], there: dict[str, TableColumn], wrong: type[ConnectorError]) -> None:
        """Raise `wrong` unless a table can have columns for `fields`, and the one that is `there` has them."""
        columns, where = [field.column for field in fields], self.target.where
        if complaint := self.target.table.complaint(columns):
            raise wrong(f"cannot write to {where}: {complaint}", final=True)
        if not there:
            return
        if missing := [column for column in columns if column not in there]:
            raise wrong(
                f"wanted {listed(missing)} in {where}",
                hint=f"{did_you_mean(missing[0], there)}; ALTER TABLE ... ADD COLUMN, or map the records to these",
                final=True,
            )
        for field in fields:
            if lost := cut_short(field, there[field.column]):
                message = f"{where} has column {field.column!r} of type {there[field.column].sql_type}"
                hint = "convert the field in a map, or the column"
                raise wrong(f"{message}, which would lose {lost}", hint=hint, final=True)

    def _create(self, cursor: Cursor, record: RecordType, fields: Sequence[Field], types: Sequence[Sent]) -> None:
        if self.target.create:
            cursor.execute(self.target.table.create(record, fields, types))
            return
        tables = ", ".join(name for (name,) in cursor.execute(TABLES).fetchall()) or "none"
        message = f"wanted the {self.target.where}, which is not there; tables there: {tables}"
        raise ConnectorError(message, hint="or pass create=True", final=True)

    def _try_out(self, cursor: Cursor, load: Load) -> None:
        """Insert no rows, so that what will not do is not first found out when a record has come."""
        assert load.insert is not None
        try:
            cursor.execute(load.insert)
        except psycopg.errors.InvalidColumnReference as error:
            key = ", ".join(self.target.table.key)
            raise ConnectorError(
                f"cannot upsert into {self.target.where}: no unique index is on exactly its key, {key}",
                hint=f"CREATE UNIQUE INDEX ... ON {self.target.table} ({key}), or mode='insert'",
                final=True,
            ) from error
