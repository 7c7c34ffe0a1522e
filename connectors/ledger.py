"""A table beside those that a sink fills: which life of a job may write to them, and what was committed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

from engine.errors import ConnectorError
from engine.sink import Recovery

LEDGER = "headgate_checkpoints"
"""What it is called."""

Token: TypeAlias = dict[str, Any]
"""What `prepare` gives: `rows` rows for `table`, which `epoch` of `instance` has staged as its `part`; `checkpoint`."""

Part: TypeAlias = tuple[int, int]
"""Parts are numbered in each epoch, so a part is (epoch, number), and of two the greater one came later."""

Run: TypeAlias = Callable[..., Iterable[tuple[Any, ...]]]
"""Runs SQL with "?" in the place of values, which follow; gives the rows."""

_COLUMNS = """
    job TEXT, sink TEXT, instance BIGINT,
    line TEXT NOT NULL, epoch BIGINT NOT NULL,
    prepared_part BIGINT NOT NULL DEFAULT 0,
    committed_line TEXT NOT NULL DEFAULT '',
    committed_epoch BIGINT NOT NULL DEFAULT 0,
    committed_part BIGINT NOT NULL DEFAULT 0,
    checkpoint BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (job, sink, instance)
"""
_OF_SINK = "WHERE job = ? AND sink = ?"
_OF_INSTANCE = f"{_OF_SINK} AND instance = ?"


class _Row(NamedTuple):
    instance: int
    line: str
    epoch: int
    committed_line: str
    """Of which line of checkpoints the last committed part is."""
    committed: Part
    """(0, 0): none."""
    checkpoint: int


class Ledger:
    """One row for each instance of a sink: which life of which line of checkpoints may write, and the last part that
    was committed.

    `run` runs SQL, `table` is this table's name as SQL has it, `where` what is written to. Every method is called
    within a transaction in which nobody else changes these rows, so that what it has seen holds until that is over.
    Each raises `ConnectorError` where another life has taken over.

    Who begins a line of checkpoints anew takes over from any other; the one before may take that back as long as the
    new one has committed nothing, and is refused after that.
    """

    def __init__(self, run: Run, table: str, recovery: Recovery, sink: str, where: str) -> None:
        self._run, self._table, self._recovery, self._where = run, table, recovery, where
        self._who = (recovery.job, sink)

    def create(self, options: str = "") -> None:
        """Make the table unless it is there."""
        self._run(f"CREATE TABLE IF NOT EXISTS {self._table} ({_COLUMNS}) {options}")

    def instances(self, index: int, parallelism: int) -> list[int]:
        """Those that the writer `index` of so many inherits."""
        found = [row for row in self._rows(_OF_SINK, *self._who) if row.instance % parallelism == index]
        for row in found:
            self._check_may_take_over(row)
        return sorted({index, *(row.instance for row in found)})

    def take_over(self, instances: Sequence[int], holds_rows: Callable[[], bool] | None) -> None:
        """Let only this life write for `instances`.

        `holds_rows`: whether any are in what is written to; given where rows that are committed again would be there
        twice.
        """
        rows = {row.instance: row for row in self._rows(_OF_SINK, *self._who)}
        if holds_rows is not None and not self._recovery.again:
            self._check_once(rows.values(), holds_rows)
        for instance in instances:
            self._run(
                f"INSERT INTO {self._table} (job, sink, instance, line, epoch) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (job, sink, instance) DO UPDATE "
                "SET line = excluded.line, epoch = excluded.epoch, prepared_part = 0",
                *self._who,
                instance,
                *self._life,
            )
            if instance in rows and self._is_superseded(rows[instance]):
                self._set_committed(instance, self._last_prepared().get(instance, (0, 0)), self._recovery.checkpoint)

    def check(self, instance: int) -> None:
        """Raise unless this life may write."""
        self._row(instance)

    def question(self, instance: int) -> tuple[str, tuple[Any, ...]]:
        """What `check` asks, as SQL and its values, for who asks it together with something else."""
        return self._select(_OF_INSTANCE), (*self._who, instance)

    def check_answer(self, found: Iterable[tuple[Any, ...]]) -> None:
        """Raise unless the answer to `question` says that this life may write."""
        self._own(_rows_of(found))

    def prepared(self, instance: int, number: int) -> None:
        """Note the last part that was prepared: for those who look, and so that there is something to bring to disk."""
        self.check(instance)
        self._set(instance, "prepared_part = ?", number)

    def commits(self, token: Token) -> bool:
        """Note that the part is committed; False if it has been already."""
        instance, part = token["instance"], (token["epoch"], token["part"])
        row = self._row(instance)
        if row.committed_line == self._recovery.line and row.committed >= part:
            return False
        self._set_committed(instance, part, token["checkpoint"])
        return True

    # ------------------------------------------------------------------------------------ who may write

    @property
    def _life(self) -> tuple[str, int]:
        return self._recovery.line, self._recovery.epoch

    def _check_may_take_over(self, row: _Row) -> None:
        if row.line == self._recovery.line:
            if row.epoch > self._recovery.epoch:
                raise self._fenced(row)
        elif self._is_superseded(row) and not self._recovery.again:
            raise ConnectorError(
                f"cannot go on from checkpoint {self._recovery.checkpoint}: job {self._who[0]!r} with other "
                f"checkpoints has written to the {self._where} since",
                hint=f"go on from those, or begin anew in another directory; {self._say_again()}",
                final=True,
            )

    def _is_superseded(self, row: _Row) -> bool:
        """Whether rows have been committed that the checkpoint which we go on from knows nothing of."""
        is_others = self._recovery.line not in {row.line, row.committed_line}
        return self._recovery.is_resumed and is_others and row.committed > (0, 0)

    def _check_once(self, rows: Iterable[_Row], holds_rows: Callable[[], bool]) -> None:
        """Raise where rows of later checkpoints than the one to go on from are there already."""
        last = self._last_prepared()
        for row in rows:
            is_later = row.committed > last.get(row.instance, row.committed)
            if self._recovery.is_resumed and (not is_later or row.committed_line != self._recovery.line):
                continue
            if row.committed > (0, 0) and holds_rows():
                goes_on = f"go on from checkpoint {self._recovery.checkpoint}"
                raise ConnectorError(
                    f"cannot {goes_on if self._recovery.is_resumed else 'begin anew'}: rows that job {self._who[0]!r} "
                    f"wrote up to checkpoint {row.checkpoint} are in the {self._where} already, and would be there "
                    "twice",
                    hint=f"go on from its last checkpoint; or empty the table; {self._say_again()}",
                    final=True,
                )

    def _say_again(self) -> str:
        return f"or take those rows out, or let them be, and say so: Checkpoints(again=({self._who[1]!r},))"

    def _last_prepared(self) -> dict[int, Part]:
        """Of each instance the last part that the checkpoint to go on from has."""
        return {token["instance"]: (token["epoch"], token["part"]) for token in self._recovery.prepared}

    def _fenced(self, row: _Row | None) -> ConnectorError:
        job = f"job {self._who[0]!r}"
        if row is None:
            message, hint = f"the row of {job} is no longer in {LEDGER}", "leave that table alone while a job runs"
        elif row.line == self._recovery.line:
            message = f"epoch {row.epoch} of {job} has taken over from epoch {self._recovery.epoch}"
            hint = (
                "that is the job now; where its checkpoints were put back as they were before, begin in a new directory"
            )
        else:
            message = f"{job} with other checkpoints has taken over"
            hint = "two jobs that run at once need two names, as in Dataflow('orders-2')"
        return ConnectorError(f"cannot write to {self._where}: {message}", hint=hint, final=True)

    # ------------------------------------------------------------------------------------------ its rows

    def _select(self, where: str) -> str:
        columns = "instance, line, epoch, committed_line, committed_epoch, committed_part, checkpoint"
        return f"SELECT {columns} FROM {self._table} {where}"

    def _rows(self, where: str, *values: Any) -> list[_Row]:
        return _rows_of(self._run(self._select(where), *values))

    def _row(self, instance: int) -> _Row:
        """That of an instance for which we may write."""
        return self._own(self._rows(_OF_INSTANCE, *self._who, instance))

    def _own(self, rows: Sequence[_Row]) -> _Row:
        row = next(iter(rows), None)
        if row is None or (row.line, row.epoch) != self._life:
            raise self._fenced(row)
        return row

    def _set_committed(self, instance: int, part: Part, checkpoint: int) -> None:
        what = "committed_line = ?, committed_epoch = ?, committed_part = ?, checkpoint = ?"
        self._set(instance, what, self._recovery.line, *part, checkpoint)

    def _set(self, instance: int, what: str, *values: Any) -> None:
        self._run(f"UPDATE {self._table} SET {what} {_OF_INSTANCE}", *values, *self._who, instance)


def _rows_of(found: Iterable[tuple[Any, ...]]) -> list[_Row]:
    return [_Row(i, line, epoch, whose, (at, part), number) for i, line, epoch, whose, at, part, number in found]


def rows_missing(token: Token, found: int, place: str) -> ConnectorError:
    """Say that another number of rows waits in `place` than were prepared."""
    return ConnectorError(
        f"wanted {token['rows']} rows that wait in {place}, found {found}",
        hint="put the database back as the job left it, or begin without the checkpoint",
    )
