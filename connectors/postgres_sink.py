"""Writes records to a table of a PostgreSQL database, as a sink."""

from __future__ import annotations

from typing import Any

from connectors.postgres_staging import StagedTableWriter
from connectors.postgres_writer import TableWriter, Target
from connectors.record_types import row_type
from engine.errors import GraphError
from engine.sink import Sink, SinkContext, Writer


class TableSink(Sink[Any]):
    """What `postgres_table` gives."""

    name = "postgres_table"
    delivery = "exactly once"

    def __init__(self, target: Target, *, batch: int) -> None:
        self._target = target
        self._who = f"postgres_table {target.table}"
        self.batch_records = batch

    def check(self, type: Any) -> None:
        record = row_type(f"{self._who} writes", type)
        if record.fields and (wrong := self._target.table.complaint(record.columns)):
            raise GraphError(f"{self._who} of {record.cls.__name__}: {wrong}")

    def open(self, context: SinkContext) -> Writer[Any]:
        record = row_type(f"{self._who} writes", context.type)
        if context.recovery is None:
            return TableWriter(self._target, record)
        return StagedTableWriter(self._target, record, context, context.recovery)
