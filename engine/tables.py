"""Tables that fit in memory: read once, when a job starts, for lookup_join."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from cext.getter import Getter
from engine.errors import ConnectorError
from engine.source import BadRecord, Reader, Source

_READ = 1024
_NOTHING_NOW_SECONDS = 0.01


def load(table: Mapping[Any, Any] | Source[Any], key: Getter, operator: str) -> dict[Any, Any]:
    """A dict of `table`: a mapping as it is, a source's records by their `key`, of which no two may share one."""
    if isinstance(table, Mapping):
        return dict(table)
    rows: dict[Any, Any] = {}
    try:
        for partition in table.partitions():
            for record in _records(table.open(partition)):
                _add(rows, record, key, operator)
    except ConnectorError as error:
        error.add_note(f"in the table of operator {operator!r}")
        raise
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        raise ConnectorError(f"the table of {operator!r} could not be read: {what}") from error
    return rows


def _records(reader: Reader[Any]) -> Iterator[Any]:
    try:
        while (records := reader.read(_READ)) is not None:
            yield from records
            if not records:
                time.sleep(reader.poll_after() or _NOTHING_NOW_SECONDS)
    finally:
        reader.close()


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
