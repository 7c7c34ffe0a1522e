"""Failures: an error of one process is raised in another as what it was."""

from __future__ import annotations

import threading

import pytest

from engine import ConnectorError, InputError, JobError, OperatorError, WorkerLost
from engine.failures import Failure, pack, unpack


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    try:
        raise error from cause
    except type(error) as caught:
        return caught


@pytest.mark.parametrize(
    "error",
    [
        OperatorError("operator 'map' failed", hint="do this", operator="map", record=[1, 2]),
        ConnectorError("no table", hint="create it"),
        InputError("x.csv:3: wrong", place="x.csv:3", raw=b"\xff"),
        WorkerLost("worker-1 ended", worker=1),
        KeyError("boom"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"),
    ],
)
def test_an_error_comes_as_what_it_was(error: BaseException) -> None:
    came = unpack(pack(raised(error), "worker-1"))
    assert type(came) is type(error)
    assert str(came) == str(error)
    notes = came.__dict__.pop("__notes__")
    assert vars(came) == vars(error)
    assert "in worker-1:\nTraceback" in notes[0]
    assert "test_failures.py" in notes[0]


def test_its_cause_comes_too_and_the_traceback_is_the_causes() -> None:
    cause = raised(ZeroDivisionError("division by zero"))
    came = unpack(pack(raised(OperatorError("failed"), cause), "worker-2"))
    assert isinstance(came.__cause__, ZeroDivisionError)
    assert came.__notes__[0].endswith("ZeroDivisionError: division by zero")


def test_a_record_that_cannot_be_pickled_comes_as_text() -> None:
    error = OperatorError("failed", operator="map", record=threading.Lock())
    came = unpack(pack(raised(error), "worker-1"))
    assert isinstance(came, OperatorError)
    assert "lock" in came.record
    assert came.operator == "map"


class Demanding(Exception):
    """Cannot be made of its text alone."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first} and {second}")


def test_an_error_that_does_not_come_back_from_a_pickle_is_a_job_error_with_its_text() -> None:
    came = unpack(pack(raised(Demanding(1, 2)), "worker-1"))
    assert type(came) is JobError
    assert str(came) == "Demanding: 1 and 2"
    assert "test_failures.py" in came.__notes__[0]


def test_a_class_that_is_not_to_be_had_here_is_a_job_error() -> None:
    came = unpack(Failure("worker-1", "Strange: text", "trace", b"\x80\x05cnowhere\nStrange\n.", None))
    assert (type(came), str(came)) == (JobError, "Strange: text")


class Picky(Exception):
    """Cannot be made again of its arguments, and says nothing."""

    def __new__(cls, *args: object, wanted: int) -> Picky:
        return super().__new__(cls, *args)

    def __init__(self, *, wanted: int) -> None:
        super().__init__("picky")

    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_an_error_that_cannot_be_copied_and_has_no_text_is_told_nevertheless() -> None:
    error = unpack(pack(Picky(wanted=1), "worker-1"))
    assert str(error) == "Picky (its text cannot be had, that raises RuntimeError)"


def test_text_that_is_no_utf_8_can_be_sent() -> None:
    failure = pack(OSError("no file \udcff"), "worker-1")
    assert "no file \\udcff" in failure.text
    failure.trace.encode()
