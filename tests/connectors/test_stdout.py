"""Printing sinks: what a line looks like, and what becomes of a stream that does not take it."""

from __future__ import annotations

import doctest
import io
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

import connectors.stdout
from connectors.stdout import stderr, stdout
from engine.errors import ConnectorError, GraphError, OutputError
from engine.sink import Sink, SinkContext

ROOT = Path(__file__).parents[2]


class Struct(msgspec.Struct, rename="camel"):
    first_name: str
    age: int = 7


@dataclass
class Data:
    x: int

    @property
    def twice(self) -> int:
        return 2 * self.x


class Named(NamedTuple):
    x: int
    y: complex


def printed(sink: Sink[Any], records: list[Any]) -> None:
    writer = sink.open(SinkContext("print"))
    writer.write(records)
    writer.finish()


class Stream(io.StringIO):
    """Notes where it is flushed."""

    def flush(self) -> None:
        if self.tell():
            self.write("|")


@pytest.mark.parametrize(
    ("record", "line"),
    [
        (Struct("Ann"), '{"firstName":"Ann","age":7}'),
        (Data(1), '{"x":1}'),
        (Named(1, 2j), '{"x":1,"y":"2j"}'),
        ({"ü": None}, '{"ü":null}'),
        ({}, "{}"),
        ("text", "text"),
        (1.5, "1.5"),
        (None, "None"),
        ((1, 2), "(1, 2)"),
        ([1], "[1]"),
        (Data, str(Data)),
    ],
)
def test_lines_without_a_format(record: Any, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    printed(stdout(), [record])
    assert capsys.readouterr() == (f"{line}\n", "")


@pytest.mark.parametrize(
    ("format_", "record", "line"),
    [
        ("{first_name}: {age:>3}", Struct("Ann"), "Ann:   7"),
        ("{x}", Data(1), "1"),
        ("{x} {y.imag}", Named(1, 2j), "1 2.0"),
        ("{a[0]}", {"a": [5]}, "5"),
        ("{a:>{b}}", {"a": 5, "b": 3, 4: 5}, "  5"),
        ("{twice}", Data(1), "2"),
        ("<{}>", "text", "<text>"),
        ("<{0}>", 5, "<5>"),
        (str, Data(1), "Data(x=1)"),
        (len, "text", "4"),
    ],
)
def test_lines_with_a_format(format_: Any, record: Any, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    sink = stdout(format_)
    sink.check(type(record))
    printed(sink, [record])
    assert capsys.readouterr().out == f"{line}\n"


def test_a_batch_is_written_and_flushed_at_once() -> None:
    stream = Stream()
    writer = stdout(stream=stream).open(SinkContext("print"))
    writer.write([1, 2])
    writer.write([3])
    writer.finish()
    assert stream.getvalue() == "1\n2\n|3\n|"
    assert not stream.closed


def test_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    printed(stderr("late: {}"), [1])
    assert capsys.readouterr() == ("", "late: 1\n")


def test_what_the_sinks_say_of_themselves() -> None:
    assert (stdout().name, stderr().name, stdout().blocking, stdout().batch_records) == (
        "stdout",
        "stderr",
        True,
        0,
    )


@pytest.mark.parametrize(
    ("format_", "message"),
    [
        ("{x", "the format '{x' is no str.format template: expected '}'"),
        (5, "stdout wanted a function or a template as its format, came 5"),
        ("{x} {z} {z!r}", r"names z, not in Data\n  hint: there are: x"),
    ],
)
def test_formats_that_cannot_be_used(format_: Any, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        stdout(format_).check(Data)


@pytest.mark.parametrize("type_", [None, Any, int, dict, dict[str, int]])
def test_a_template_is_taken_on_trust_where_the_fields_are_not_known(type_: Any) -> None:
    stdout("{x}").check(type_)


def test_a_record_that_cannot_be_formatted_prints_nothing_of_its_batch() -> None:
    stream = io.StringIO()
    message = r"stdout cannot format \{'y': 2\}: KeyError\('x'\)"
    with pytest.raises(OutputError, match=message) as caught:
        printed(stdout("{x}", stream=stream), [{"x": 1}, {"y": 2}])
    assert isinstance(caught.value.__cause__, KeyError)
    assert stream.getvalue() == ""


def test_a_stream_whose_encoding_lacks_a_character() -> None:
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, "ascii") as stream:
        message = r"cannot print to stdout: 'ascii' codec can't encode .*\n  hint: set PYTHONIOENCODING"
        with pytest.raises(OutputError, match=message):
            printed(stdout(stream=stream), ["a", "ü"])
        assert raw.getvalue() == b""


def test_a_stream_that_is_closed_or_full_or_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    stream.close()
    with pytest.raises(ConnectorError, match="cannot print to stdout: I/O operation on closed file"):
        printed(stdout(stream=stream), [1])
    with pytest.raises(ConnectorError, match=r"cannot print to stdout: .*No space left"):
        printed(stdout(stream=FullDisk()), [1])
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(ConnectorError, match="this process has no stdout to print to"):
        stdout().open(SinkContext("print"))


class FullDisk(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


class Broken(io.StringIO):
    def flush(self) -> None:
        raise BrokenPipeError


def test_a_reader_that_went_away() -> None:
    with pytest.raises(ConnectorError, match=r"cannot print to stdout: its reader went away\n  hint: let the"):
        printed(stdout(stream=Broken()), [1])


HEAD = """
from connectors.stdout import stdout
from engine.errors import ConnectorError
from engine.sink import SinkContext
writer = stdout().open(SinkContext("print"))
try:
    for _ in range(2):
        writer.write(["x" * 10_000] * 100)
except ConnectorError as error:
    import sys
    print(error, file=sys.stderr)
"""


def test_a_broken_pipe_leaves_no_second_traceback_at_exit() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-c", HEAD],
            cwd=ROOT,
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writing)
    assert done.stderr.startswith("cannot print to stdout: its reader went away\n  hint:")
    assert (done.returncode, done.stderr.count("\n")) == (0, 2)


def test_doctests_run() -> None:
    results = doctest.testmod(connectors.stdout)
    assert results.attempted > 0
    assert results.failed == 0


def test_all_is_sorted_and_complete() -> None:
    assert connectors.stdout.__all__ == ["stderr", "stdout"]
