"""What ends a job, in words: which operator, function and record, what came, and what to do about it."""

from __future__ import annotations

import traceback
from typing import Any

from cext.head import Several
from engine.errors import ConnectorError, InputError, JobError, OperatorError, OutputError
from engine.graph import Node, is_ours
from engine.naming import code_place, function_place

_LONGEST_RECORD = 200
_GO_ON = 'on_error="skip" or "dead-letter" goes on without such records'
_SKIP = 'on_error="skip" goes on without such records'
_LARGER = "larger records need a larger Settings.max_record_bytes"
_OUTAGES = (ConnectorError, OSError, MemoryError)  # OSError is also no connection, no permission and no time left


def is_refusal(error: BaseException) -> bool:
    """Whether a record is to blame for what a sink raised, not an outage."""
    return isinstance(error, OutputError) or not isinstance(error, _OUTAGES)


def describe_failure(node: Node, record: Any, error: BaseException) -> BaseException:
    """The error that ends the job: it names the operator, the user's function, the record and the cause."""
    wrapped: JobError
    if node.operation.role in {"source", "sink"}:
        if isinstance(error, ConnectorError):
            what_to_do = f"; {_GO_ON}" if isinstance(error, InputError | OutputError) else ""
            _add_note(error, f"in operator {node}{what_to_do}")
            return error
        wrapped = ConnectorError(f"{node.operation.role} {node} failed: {what(error)}")
    else:
        function = _raised_in(error) or function_place(node.operation.function)
        by = f" in {function}" if function else ""
        wrapped = OperatorError(
            f"operator {node} failed{by}: {what(error)}; {_culprit(record)}",
            operator=node.name,
            record=record,
            hint=_GO_ON,
        )
    wrapped.__cause__ = error
    return wrapped


def is_known(error: Exception) -> bool:
    """Whether an encoder's error says which record is to blame."""
    return getattr(error, "index", -1) >= 0


def describe_unsent(before: Node, after: Node, error: Exception) -> BaseException:
    """The error that ends the job when a record cannot go from `before` to `after` in another process."""
    record, hint = getattr(error, "record", None), getattr(error, "hint", None)
    known = is_known(error)
    failure = OperatorError(
        f"operator {before} gave what cannot go to {after} in another process: {_without_hint(error)}"
        + (f"; {_culprit(record)}" if known else ""),
        operator=before.name,
        record=record,
        hint=f"{hint or _LARGER}; {_SKIP}" if known else hint,
    )
    failure.__cause__ = error
    return failure


def describe_unread(before: Node, after: Node, error: Exception) -> BaseException:
    """The error that ends the job when records of `before`, from another process, cannot be read for `after`."""
    failure = OperatorError(
        f"operator {before} gave what {after} in another process cannot read: {_without_hint(error)}",
        operator=before.name,
        hint="a record's class must be found there too, and make each of its records again",
    )
    failure.__cause__ = error
    return failure


def what(error: BaseException) -> str:
    """An exception's type and, where it has one, its text."""
    try:
        text = str(error)
    except Exception as another:
        text = f"its text cannot be had, that raises {type(another).__name__}"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _without_hint(error: Exception) -> str:
    return what(error).partition("\n  hint: ")[0]


def _culprit(record: Any) -> str:
    if isinstance(record, Several):
        return f"it was one of {len(record)} records, the first was {_shown(record[0])}"
    return f"the record was {_shown(record)}"


def _shown(record: Any) -> str:
    try:
        text = repr(record)
    except Exception as error:
        return f"a {type(record).__name__} that cannot be shown, its repr raises {type(error).__name__}"
    return text if len(text) <= _LONGEST_RECORD else f"{text[:_LONGEST_RECORD]}..."


def _raised_in(error: BaseException) -> str:
    """ "function (file:line)" of the user's function that was called and raised; "" where none of Python's was."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        code = frame.f_code
        if not (is_ours(code.co_filename) or code.co_filename.startswith("cext/")):
            return code_place(code)
    return ""


def _add_note(error: BaseException, note: str) -> None:
    if note not in getattr(error, "__notes__", ()):  # an error that is raised again has it already
        error.add_note(note)
