"""The oracle: each query's answer, which DuckDB computes by the SQL in `answers/` from the same events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from benchmarks.nexmark.answers import ANSWERS
from benchmarks.nexmark.records import Auction, Bid, Person
from benchmarks.nexmark.side_input import SIDE_INPUT
from engine import JobError

_SQL_TYPES = {int: "BIGINT", str: "VARCHAR"}


@dataclass(frozen=True)
class Answer:
    """What a query must give: its fields, and its rows in no order, each as often as it comes."""

    fields: tuple[str, ...]
    rows: Counter[tuple[Any, ...]]


class Oracle:
    """Tables `person`, `auction`, `bid` and `side_input` in DuckDB.

    >>> import tempfile
    >>> from benchmarks.nexmark.files import write_files
    >>> from benchmarks.nexmark.generator import Generator
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     oracle = Oracle(write_files(Path(folder), Generator(), 1000))
    >>> oracle.answer("q2").fields, oracle.answer("q0").rows.total()
    (('auction', 'price'), 920)
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._database = duckdb.connect()
        for kind in (Person, Auction, Bid):
            self._load(kind, [str(path) for path in paths])
        self._database.execute("CREATE TABLE side_input (key BIGINT, value VARCHAR)")
        keys, values = list(SIDE_INPUT), list(SIDE_INPUT.values())
        self._database.execute("INSERT INTO side_input SELECT unnest(?), unnest(?)", [keys, values])

    def answer(self, query: str) -> Answer:
        """What `query`, q0 to q22, must give."""
        result = self._database.execute(ANSWERS[query].read_text())
        fields = tuple(column[0] for column in result.description)
        return Answer(fields, Counter(result.fetchall()))

    def check(self, query: str, records: Iterable[Any], *, by_real_clock: bool = False) -> None:
        """Raise JobError, with a row that is missing or too many, unless `records` are the answer to `query`.

        `by_real_clock`: they are counts in windows of a clock that showed anything, so only their sums are compared.
        """
        answer = self.answer(query)
        got, wanted = Counter(_row(record, answer.fields) for record in records), answer.rows
        if by_real_clock:
            got, wanted = _sums(got), _sums(wanted)
        if got != wanted:
            missing, extra = wanted - got, got - wanted
            raise JobError(
                f"{query} gave {got.total():,} rows, wanted {wanted.total():,} {answer.fields}: "
                f"{missing.total():,} are missing, e.g. {next(iter(missing), None)}, "
                f"{extra.total():,} are too many, e.g. {next(iter(extra), None)}"
            )

    def _load(self, kind: type[msgspec.Struct], paths: list[str]) -> None:
        fields = msgspec.structs.fields(kind)
        columns = {"type": "VARCHAR", **{field.name: _SQL_TYPES[field.type] for field in fields}}
        self._database.execute(
            f"CREATE TABLE {kind.__struct_config__.tag} AS SELECT * EXCLUDE (type) "
            f"FROM read_json(?, format='newline_delimited', columns={columns}) WHERE type = ?",
            [paths, kind.__struct_config__.tag],
        )


def _sums(rows: Counter[tuple[Any, ...]]) -> Counter[tuple[Any, ...]]:
    """Of rows (key, count, bounds) how many are counted of each key."""
    sums: Counter[tuple[Any, ...]] = Counter()
    for (key, count, *_), times in rows.items():
        sums[(key,)] += count * times
    return sums


def _row(record: Any, fields: tuple[str, ...]) -> tuple[Any, ...]:
    """A record's fields, which must be those of the answer, in the answer's order."""
    if set(record.__struct_fields__) != set(fields):
        raise JobError(f"wanted records with the fields {fields}, got {record!r}")
    return tuple(getattr(record, field) for field in fields)
