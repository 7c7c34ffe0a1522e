"""A table beside those that a sink fills: which life of a job may write to them, and what it has committed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

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
    epoch BIGINT NOT NULL,
    prepared_part BIGINT NOT NULL DEFAULT 0,
    committed_epoch BIGINT NOT NULL DEFAULT 0,
    committed_part BIGINT NOT NULL DEFAULT 0,
    checkpoint BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (job, sink, instance)
"""


class Ledger:
    """One row for each instance of a sink: the epoch that may write, and the last part that was committed.

    `run` runs SQL, `table` is this table's name as SQL has it, `where` what is written to. Every method is called
    within a transaction in which nobody else changes these rows, so that what it has seen holds until that is over.
    Each raises `ConnectorError` where a newer epoch has taken over.
    """

    def __init__(self, run: Run, table: str, recovery: Recovery, sink: str, where: str) -> None:
        self._run, self._table, self._recovery, self._where = run, table, recovery, where
        self._who = (recovery.job, sink)

    def create(self, options: str = "") -> None:
        """Make the table unless it is there."""
        self._run(f"CREATE TABLE IF NOT EXISTS {self._table} ({_COLUMNS}) {options}")

    def instances(self, index: int, parallelism: int) -> list[int]:
        """Those that the writer `index` of so many inherits."""
        rows = self._run(f"SELECT instance, epoch FROM {self._table} WHERE job = ? AND sink = ?", *self._who)
        found = {instance: epoch for instance, epoch in rows if instance % parallelism == index}
        if (newest := max(found.values(), default=0)) > self._recovery.epoch:
            raise self._fenced(newest)
        return sorted({index, *found})

    def take_over(self, instances: Sequence[int], *, once: bool) -> None:
        """Let only this epoch write for `instances`; `once`: rows that are committed again would be there twice."""
        for instance in instances:
            self._run(
                f"INSERT INTO {self._table} (job, sink, instance, epoch) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (job, sink, instance) DO UPDATE SET epoch = excluded.epoch, prepared_part = 0",
                *self._who,
                instance,
                self._recovery.epoch,
            )
            if not self._recovery.is_resumed:
                self._set(instance, "committed_epoch = 0, committed_part = 0, checkpoint = 0")
        if once:
            self._check_not_later()

    def _check_not_later(self) -> None:
        last: dict[int, Part] = {}
        for token in self._recovery.prepared:
            last[token["instance"]] = (token["epoch"], token["part"])
        for instance, part in last.items():
            _, epoch, number, checkpoint = self._row(instance)
            if (epoch, number) > part:
                raise ConnectorError(
                    f"cannot go on from checkpoint {self._recovery.checkpoint}: rows of checkpoint {checkpoint} are in "
                    f"the {self._where} already, and would be there twice",
                    hint="go on from the last checkpoint; or put the table back as it was, and remove the job's rows "
                    f"from {LEDGER}",
                )

    def check(self, instance: int) -> None:
        """Raise unless this epoch may write."""
        self._row(instance)

    def prepared(self, instance: int, number: int) -> None:
        """Note the last part that was prepared: for those who look, and so that there is something to bring to disk."""
        self.check(instance)
        self._set(instance, "prepared_part = ?", number)

    def commits(self, token: Token) -> bool:
        """Note that the part is committed; False if it has been already."""
        instance, part = token["instance"], (token["epoch"], token["part"])
        _, epoch, number, _ = self._row(instance)
        if (epoch, number) >= part:
            return False
        self._set(instance, "committed_epoch = ?, committed_part = ?, checkpoint = ?", *part, token["checkpoint"])
        return True

    def _row(self, instance: int) -> tuple[int, int, int, int]:
        rows = self._run(
            f"SELECT epoch, committed_epoch, committed_part, checkpoint FROM {self._table} "
            "WHERE job = ? AND sink = ? AND instance = ?",
            *self._who,
            instance,
        )
        for epoch, committed_epoch, number, checkpoint in rows:
            if epoch == self._recovery.epoch:
                return epoch, committed_epoch, number, checkpoint
            raise self._fenced(epoch)
        raise self._fenced(0)

    def _set(self, instance: int, what: str, *values: int) -> None:
        where = "WHERE job = ? AND sink = ? AND instance = ?"
        self._run(f"UPDATE {self._table} SET {what} {where}", *values, *self._who, instance)

    def _fenced(self, epoch: int) -> ConnectorError:
        return ConnectorError(
            f"cannot write to {self._where}: epoch {epoch} of job {self._recovery.job!r} has taken over from "
            f"epoch {self._recovery.epoch}",
            hint="if the job runs nowhere else, its checkpoints were removed: to begin anew, remove its rows from "
            f"{LEDGER} too",
        )


def rows_missing(token: Token, found: int, place: str) -> ConnectorError:
    """Say that another number of rows waits in `place` than were prepared."""
    return ConnectorError(
        f"wanted {token['rows']} rows that wait in {place}, found {found}",
        hint="put the database back as the job left it, or begin without the checkpoint",
    )
