"""Every error that Headgate raises, rooted by whose fault it is.

    HeadgateError
    ├── GraphError (ValueError)        the graph is wrong; raised at the line that wrote it
    ├── JobError (RuntimeError)        a job did not end well; carries `.result`, its JobResult
    │   ├── OperatorError              a user's function raised
    │   ├── ConnectorError             a source or a sink could not do its work: file, database, network
    │   │   ├── InputError             a record that a source could not read
    │   │   └── OutputError            a record that a sink refused
    │   ├── CheckpointError            a checkpoint could not be written, read or gone on from
    │   ├── WorkerLost                 a process of the job ended before its work did, or fell silent
    │   └── JobCancelled               the user stopped the job hard
    ├── EncodeError (TypeError)        a record that cannot be sent to another process; the cause of an OperatorError
    └── DecodeError (ValueError)       records that another process sent and this one cannot read; likewise

A message says what was wanted, what came and where; `hint`, when there is one, says what to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.metrics import JobResult


class HeadgateError(Exception):
    """The root of all of Headgate's own errors.

    `hint` is one sentence that says what to do about it, or None. `final`: nothing but somebody's doing that mends it,
    so that no job starts anew for it, however many restarts are left.

    >>> str(HeadgateError("no table 'daily' in delays.db", hint="create it, or pass create=True"))
    "no table 'daily' in delays.db\\n  hint: create it, or pass create=True"
    """

    final = False

    def __init__(self, message: str, *, hint: str | None = None, final: bool = False) -> None:
        super().__init__(message if hint is None else f"{message}\n  hint: {hint}")
        self.hint = hint
        if final:
            self.final = True


def is_final(error: BaseException) -> bool:
    """Whether it is one of ours that says so of itself."""
    return isinstance(error, HeadgateError) and error.final


class GraphError(HeadgateError, ValueError):
    """The graph, as written, cannot run; nothing has been started."""

    final = True


class JobError(HeadgateError, RuntimeError):
    """The job did not end well. `result` holds its counters up to there, once it has stopped."""

    result: JobResult | None = None


class OperatorError(JobError):
    """A user's function raised; `__cause__` is what it raised, `record` what it was given, for `map_batch` a list if
    there were several: any of them may be to blame. Or a record that it gave cannot go to another process: then
    `record` is that one, if it is known which."""

    def __init__(self, message: str, *, hint: str | None = None, operator: str = "", record: Any = None) -> None:
        super().__init__(message, hint=hint)
        self.operator = operator
        self.record = record


class ConnectorError(JobError):
    """A source or a sink could not do its work; the message names the file, table or address."""


class InputError(ConnectorError):
    """A record could not be read; `place` is "file:line" or the like, `raw` the bytes or text as they came."""

    def __init__(self, message: str, *, hint: str | None = None, place: str = "", raw: Any = None) -> None:
        super().__init__(message, hint=hint)
        self.place = place
        self.raw = raw


class OutputError(ConnectorError):
    """A sink refused a record, as a database does whose constraint it breaks: the record is to blame, not an outage."""


class CheckpointError(JobError):
    """A checkpoint could not be written, is not as it was written, or cannot be gone on from, or another job uses its
    directory; the message names the file, or the operator."""


class WorkerLost(JobError):
    """A process of the job was killed, crashed, or fell silent; `worker` is its number, the text has its last words."""

    def __init__(self, message: str, *, hint: str | None = None, worker: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.worker = worker


class JobCancelled(JobError):
    """The job was stopped hard: what was still on its way was dropped."""


class EncodeError(HeadgateError, TypeError):
    """A record cannot be sent: `record`, at `index` in its frame (-1 and None where only the whole cannot)."""

    def __init__(self, message: str, *, hint: str | None = None, index: int = -1, record: Any = None) -> None:
        super().__init__(message, hint=hint)
        self.index = index
        self.record = record


class DecodeError(HeadgateError, ValueError):
    """A payload is not what the other end's codec makes, or a record in it cannot be made here."""
