"""A table in a SQLite file that says which life of a job may write to it, and what it has committed."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

_CREATE = """
    CREATE TABLE IF NOT EXISTS headgate_checkpoints (
        job TEXT, sink TEXT, instance INTEGER,
        epoch INTEGER NOT NULL,
        prepared_part INTEGER NOT NULL DEFAULT 0,
        committed_epoch INTEGER NOT NULL DEFAULT 0,
        committed_part INTEGER NOT NULL DEFAULT 0,
        checkpoint INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (job, sink, instance)
    ) WITHOUT ROWID
"""


class Fenced(Exception):
    """A newer `epoch` of the job has taken over."""

    def __init__(self, epoch: int) -> None:
        super().__init__(epoch)
        self.epoch = epoch


class Ledger:
    """One row for each instance of a sink: the epoch that may write, and the last part that was committed.

    Parts are numbered in each epoch, so a part is (epoch, number), and of two the greater one came later. Every method
    is called within a transaction that writes, so that what it has seen holds until that is over.
    """

    def __init__(self, db: sqlite3.Connection, job: str, sink: str, epoch: int) -> None:
        self._db, self._epoch = db, epoch
        self._who = (job, sink)

    def take_over(self, index: int, parallelism: int, *, anew: bool) -> list[int]:
        """Let only this epoch write for the instances whose number modulo `parallelism` is `index`; give them."""
        self._db.execute(_CREATE)
        rows = self._db.execute(
            "SELECT instance, epoch FROM headgate_checkpoints WHERE job = ? AND sink = ? AND instance % ? = ?",
            (*self._who, parallelism, index),
        )
        found = dict(rows.fetchall())
        if (newest := max(found.values(), default=0)) > self._epoch:
            raise Fenced(newest)
        instances = sorted({index, *found})
        self._db.executemany(
            "INSERT INTO headgate_checkpoints (job, sink, instance, epoch) VALUES (?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET epoch = excluded.epoch, prepared_part = 0",
            [(*self._who, instance, self._epoch) for instance in instances],
        )
        if anew:
            self._set(instances, "committed_epoch = 0, committed_part = 0, checkpoint = 0")
        return instances

    def later_than(self, last: Mapping[int, tuple[int, int]]) -> int | None:
        """The checkpoint of a part that was committed and came later than the `last` of its instance, if one did."""
        return next(
            (self._row(instance)[3] for instance, part in last.items() if self.committed(instance) > part), None
        )

    def check(self, instance: int) -> None:
        """Raise `Fenced` unless this epoch may write."""
        self._row(instance)

    def committed(self, instance: int) -> tuple[int, int]:
        """The last part that was committed."""
        _, epoch, number, _ = self._row(instance)
        return epoch, number

    def prepared(self, instance: int, number: int) -> None:
        """Note the last part that was prepared: for those who look, and so that there is something to bring to disk."""
        self.check(instance)
        self._set([instance], "prepared_part = ?", number)

    def note(self, instance: int, part: tuple[int, int], checkpoint: int) -> None:
        """`part` is committed, with `checkpoint`."""
        self._set([instance], "committed_epoch = ?, committed_part = ?, checkpoint = ?", *part, checkpoint)

    def _row(self, instance: int) -> tuple[int, int, int, int]:
        row: tuple[int, int, int, int] | None = self._db.execute(
            "SELECT epoch, committed_epoch, committed_part, checkpoint FROM headgate_checkpoints "
            "WHERE job = ? AND sink = ? AND instance = ?",
            (*self._who, instance),
        ).fetchone()
        if row is None or row[0] != self._epoch:
            raise Fenced(row[0] if row else 0)
        return row

    def _set(self, instances: Sequence[int], what: str, *values: int) -> None:
        self._db.executemany(
            f"UPDATE headgate_checkpoints SET {what} WHERE job = ? AND sink = ? AND instance = ?",
            [(*values, *self._who, instance) for instance in instances],
        )
