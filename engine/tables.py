"""Tables that fit in memory: read once, when a job starts, for lookup_join."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cext.getter import Getter
from engine.errors import ConnectorError
from engine.source import BadRecord, Source

_READ = 1024


def load(table: Mapping[Any, Any] | Source[Any], key: Getter, operator: str) -> dict[Any, Any]:
    """A dict of `table`: a mapping as it is, a source's records by their `key`, of which no two may share one."""
    if isinstance(table, Mapping):
        return dict(table)
    rows: dict[Any, Any] = {}
    for partition in table.partitions():
        reader = table.open(partition)
        try:
            while (records := reader.read(_READ)) is not None:
                for record in records:
                    _add(rows, record, key, operator)
        finally:
            reader.close()
    return rows


def _add(rows: dict[Any, Any], record: Any, key: Getter, operator: str) -> None:
    if isinstance(record, BadRecord):
        raise record.error
    found = key(record)
    if found in rows:
        raise ConnectorError(
            f"the table of {operator!r} has two records with the key {found!r}: {rows[found]!r} and {record!r}",
            hint="choose a table_key that is unique, or reduce the table to one record a key",
        )
    rows[found] = record
