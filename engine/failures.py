"""Failures: how an error of one process is raised in another, with all that it said there."""

from __future__ import annotations

import pickle
import traceback

import msgspec

from engine.errors import JobError

_LONGEST = 16 * 2**20
"""Bytes of a pickled error; more might not pass the control socket."""

_LONGEST_TEXT = 2**20


class Failure(msgspec.Struct, frozen=True):
    """An error on its way: itself and its cause, pickled (None: they cannot be), and its traceback as text."""

    worker: str
    text: str
    trace: str
    error: bytes | None
    cause: bytes | None


def pack(error: BaseException, worker: str) -> Failure:
    """`error`, as raised in `worker`, ready to travel."""
    shown = error.__cause__ or error
    trace = "".join(traceback.format_exception(type(shown), shown, shown.__traceback__))
    cause = None if error.__cause__ is None else _pickled(error.__cause__)
    return Failure(worker, _sendable(_text(error)), _sendable(trace), _pickled(error), cause)


def unpack(failure: Failure) -> BaseException:
    """The error to raise here: the same one, with its cause, and with the traceback of its own process as a note."""
    error = _unpickled(failure.error)
    if error is None:
        error = JobError(failure.text)
    error.__cause__ = _unpickled(failure.cause)
    error.add_note(f"in {failure.worker}:\n{failure.trace.rstrip()}")
    return error


def _text(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except Exception as another:
        return f"{type(error).__name__} (its text cannot be had, that raises {type(another).__name__})"


def _sendable(text: str) -> str:
    """The last of `text`, without what UTF-8 refuses, as in the name of a file that is no UTF-8."""
    return text[-_LONGEST_TEXT:].encode("utf-8", "backslashreplace").decode()


def _pickled(error: BaseException) -> bytes | None:
    """None where it, or a record that it holds, cannot be pickled, is too long, or comes back as something else."""
    for plain in (False, True):
        try:
            data = pickle.dumps(_without_record(error) if plain else error, protocol=5)
            if len(data) <= _LONGEST and type(pickle.loads(data)) is type(error):
                return data
        except Exception:
            continue
    return None


def _without_record(error: BaseException) -> BaseException:
    """The same error, with its record and the like as text."""
    twin = type(error).__new__(type(error), *error.args)
    twin.args = error.args
    for name, value in vars(error).items():
        setattr(twin, name, value if isinstance(value, str | int | list | None) else repr(value)[:_LONGEST_TEXT])
    return twin


def _unpickled(data: bytes | None) -> BaseException | None:
    if data is None:
        return None
    try:
        error = pickle.loads(data)
    except Exception:  # its class is not to be had here
        return None
    return error if isinstance(error, BaseException) else None
