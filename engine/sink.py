"""The sink protocol: what a connector that takes records out promises, and what it may rely on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

T_contra = TypeVar("T_contra", contravariant=True)


@dataclass(frozen=True)
class Recovery:
    """What a sink whose delivery is "exactly once" is told in a job that makes checkpoints.

    `job`: its name. `epoch`: grows with each life of the job; what lower ones left behind is not to be waited for, and
    they must not change anything any more. `line`: of which line of checkpoints that is: another directory has another
    one, and epochs of its own. `prepared`: what `open` must commit again before all else, in this order,
    from the checkpoint that the job goes on from; all else that earlier epochs prepared is to be dropped. `checkpoint`:
    the number of that checkpoint, 0 where the job begins anew. `again`: what later checkpoints have shown may be there
    twice, for the user says so; else a sink that cannot take it back refuses to go on.

    With another `parallelism` than before, the writer `index` inherits from every instance that is `index` modulo it:
    what they prepared, and what is to be dropped. So what `prepare` returns should say whose it is.
    """

    job: str
    epoch: int
    prepared: Sequence[Any] = ()
    checkpoint: int = 0
    line: str = ""
    again: bool = False

    @property
    def is_resumed(self) -> bool:
        """Whether the job goes on from a checkpoint."""
        return self.checkpoint > 0 or len(self.prepared) > 0


@dataclass(frozen=True)
class SinkContext:
    """What a sink is told when it is opened.

    `operator`: the sink's name in the graph; `type`: the stream's record type, or None where it is not known;
    `index` and `parallelism`: which of how many writers this is, from 0. `recovery`: None unless the job makes
    checkpoints and the sink can deliver exactly once: then what is written must not be seen before it is committed.
    """

    operator: str
    type: Any = None
    index: int = 0
    parallelism: int = 1
    recovery: Recovery | None = None


class Writer(Generic[T_contra]):
    """Writes what reaches one sink. Every method is called from one and the same thread.

    After `open`: any number of `write`, then exactly one of `finish` and `abort`, and nothing after it. With
    checkpoints, and where the sink's delivery is "exactly once", `prepare` and `commit` come in between: what is
    prepared is committed in order, though not always before more is, and before `finish` all is committed. `settle`
    waits for a commit that is still under way, before the next `prepare`, `finish` or `abort` at the latest.
    """

    def write(self, records: list[T_contra]) -> None:
        """Write all of `records` or, when it raises, none of them.

        When it returns, their fate is final: their credit goes back to the source. It may block for as long
        as the outside world takes; that is what back-pressure is for. Never keep records for later in a
        list of your own: say `Sink.batch_records` instead. The list is shared: do not change it.
        Raise `ConnectorError` when the world outside is at fault (no connection, a full disk): the job fails. An
        `OSError`, which is also a lost connection or a time-out, and a `MemoryError` mean the same.
        Raise `OutputError`, or anything else, when a record is: where the sink's `on_error` is not "fail", a batch
        that was refused is tried again record by record, so that only those at fault are set aside. If a record
        is to blame for an `OSError`, as one that names a file that is not there, raise `OutputError` from it.
        """
        raise NotImplementedError

    def prepare(self, checkpoint: int) -> Any:
        """Make last all that was written since the last `prepare`, but keep it from sight; return what names it.

        That is plain data, kept in the checkpoint of this number. Called at its barrier, and at the stream's end.
        """
        raise NotImplementedError

    def commit(self, prepared: Any) -> bool | None:
        """Make visible what `prepare` gave a name to, at once and as a whole: the checkpoint is complete.

        After a crash it is called again, with what may have been committed already: then nothing happens. It may
        return True before that is done, so that more can be written meanwhile; then `settle` waits for it.
        """
        raise NotImplementedError

    def settle(self, *, wait: bool = True) -> bool:
        """Whether all that `commit` was told is to be seen; with `wait` not before it is. Raise if it cannot be: the
        job fails, and what goes on from its last checkpoint commits that again. Asked only where `commit` returned
        True."""
        return True

    def finish(self) -> None:
        """The stream has ended: make the result visible (rename the file, commit), and let go of everything."""

    def abort(self) -> None:
        """The job failed or was cancelled: let go of everything; keep what was promised, show nothing half-done."""


class Sink(Generic[T_contra]):
    """Where records go: a description that is built with the graph, opened when the job runs.

    A sink of your own is a few lines:

    >>> class Shout(Sink[str], Writer[str]):
    ...     def open(self, context):
    ...         return self
    ...     def write(self, records):
    ...         print("\\n".join(records).upper())
    """

    blocking: bool = True
    """True: `open`, `write` and `finish` may wait (a database, a socket), so they get a thread of their own."""

    at_home: bool = False
    """True: it writes to memory, or to a terminal, of the process that runs the job, so it runs there, whatever
    the number of processes."""

    delivery: Literal["at least once", "exactly once"] = "at least once"
    """What a job that makes checkpoints delivers when it goes on from one: "exactly once" where writers have `prepare`
    and `commit`; else what was written after that checkpoint is written again."""

    @property
    def commits(self) -> bool:
        """Whether it prepares and commits outside of this process: that may wait, so in a job that makes checkpoints it
        has a thread of its own in any case."""
        return self.delivery == "exactly once" and not self.at_home

    batch_records: int = 0
    """How many records make a good `write`. A batch that is not full is written once nothing more has come for
    `linger` (1 ms), so up to this many records is all that a `write` may get and fewer must do.

    0: whatever is there, up to 1,024 records, and with no wait for more. Where writes turn out to cost much
    whatever is in them (a commit, a round trip), up to as many records as cost the same again, at most half of
    `Settings.max_window`: for the sake of speed nothing needs to be declared. Declare what a `write` must not
    exceed, or what it needs to be efficient from the first one on."""

    name: str = "sink"
    """What the operator is called in plans, counters and errors unless the user names it."""

    def check(self, type: Any) -> None:
        """Raise `GraphError` when records of `type` cannot be written; called when the graph is built.

        `type` is None where it is not known.
        """

    def open(self, context: SinkContext) -> Writer[T_contra]:
        """Get ready to write. Called in the thread and process that will write."""
        raise NotImplementedError
