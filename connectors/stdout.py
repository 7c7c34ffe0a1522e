"""Sinks that print: a line for each record, to standard output, standard error or any text stream."""

from __future__ import annotations

import dataclasses
import os
import string
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal, TextIO

import msgspec

from connectors.records import record_type
from engine.errors import ConnectorError, GraphError
from engine.sink import Sink, SinkContext, Writer

__all__ = ["stderr", "stdout"]

Format = str | Callable[[Any], object] | None


def stdout(format: Format = None, *, stream: TextIO | None = None) -> Sink[Any]:  # noqa: A002
    """Print each record as a line to standard output, or to the text stream `stream`.

    `format` is a function of the record, or a `str.format` template in which `{}` is the record and
    `{carrier}` its field of that name. Without one, what has named fields (Structs, dataclasses, NamedTuples,
    dicts) is printed as JSON, and everything else as `str` makes it.

    A batch is written and flushed at once, as soon as it is there. When the reader goes away, as `| head`
    does, the job ends with a `ConnectorError`, and the interpreter says nothing more about it. A record that
    cannot be formatted raises it too; a template with a name that is no field, a `GraphError` at once.

    `stream` stays open. It cannot go to another process: for that, leave it out, or say `stderr()`.

    >>> writer = stdout("{name} is {age:>3}").open(SinkContext("sink"))
    >>> writer.write([{"name": "Ann", "age": 7}, {"name": "Bo", "age": 42}])
    Ann is   7
    Bo is  42
    >>> stdout().open(SinkContext("sink")).write([{"name": "Ann"}, "plain", 1.5])
    {"name":"Ann"}
    plain
    1.5
    """
    return _Lines(format, "stdout" if stream is None else stream)


def stderr(format: Format = None) -> Sink[Any]:  # noqa: A002
    """Print each record as a line to standard error, as `stdout` does to standard output.

    >>> stderr("late: {}").name
    'stderr'
    """
    return _Lines(format, "stderr")


class _Lines(Sink[Any]):
    def __init__(self, format: Format, stream: TextIO | Literal["stdout", "stderr"]) -> None:  # noqa: A002
        self._format, self._stream = format, stream
        self.name = "stderr" if stream == "stderr" else "stdout"
        self._names = _names_in(format) if isinstance(format, str) else set()
        if not (format is None or isinstance(format, str) or callable(format)):
            raise GraphError(f"{self.name} wanted a function or a template as its format, came {format!r}")

    def check(self, type: Any) -> None:  # noqa: A002
        record = record_type(type)
        if record is None or not record.fields:
            return
        there = [field.name for field in record.fields]
        if unknown := sorted(self._names.difference(there)):
            raise GraphError(
                f"the format {self._format!r} names {', '.join(unknown)}, not in {record.cls.__name__}",
                hint=f"fields there: {', '.join(there)}",
            )

    def open(self, context: SinkContext) -> Writer[Any]:
        # Looked up here and not before: a stream cannot be sent to the process that prints.
        stream = self._stream if not isinstance(self._stream, str) else getattr(sys, self._stream)
        if stream is None:
            raise ConnectorError(f"this process has no {self._stream} to print to")
        return _LineWriter(_line_maker(self._format), stream, self.name)


def _names_in(template: str) -> set[str]:
    try:
        fields = [field for _, field, _, _ in string.Formatter().parse(template) if field]
    except ValueError as error:
        raise GraphError(f"the format {template!r} is no str.format template: {error}") from error
    names = {field.replace("[", ".").partition(".")[0] for field in fields}
    return {name for name in names if name and not name.isdigit()}


_json = msgspec.json.Encoder(enc_hook=str).encode


def _line_maker(format: Any) -> Callable[[Any], Any]:  # noqa: A002
    if isinstance(format, str):
        return lambda record: format.format(record, **_fields(record))
    return _as_text if format is None else format


def _as_text(record: Any) -> str:
    if isinstance(record, msgspec.Struct | dict) or dataclasses.is_dataclass(type(record)):
        return _json(record).decode()
    fields = _fields(record)
    return _json(fields).decode() if fields else str(record)


def _fields(record: Any) -> dict[str, Any]:
    if isinstance(record, dict):
        return record
    if isinstance(record, msgspec.Struct):
        return msgspec.structs.asdict(record)
    if dataclasses.is_dataclass(type(record)):
        return {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
    return record._asdict() if isinstance(record, tuple) and hasattr(record, "_asdict") else {}


class _LineWriter(Writer[Any]):
    def __init__(self, line: Callable[[Any], Any], stream: TextIO, name: str) -> None:
        self._line, self._stream, self._name = line, stream, name
        self._gone = False

    def write(self, records: list[Any]) -> None:
        text = "".join(self._lines(records))
        try:
            self._print(text)
        except BrokenPipeError as error:
            self._gone = True
            _silence(self._stream)
            hint = "let the reader take everything, or print to a file"
            raise ConnectorError(f"cannot print to {self._name}: its reader went away", hint=hint) from error
        except UnicodeEncodeError as error:
            hint = "set PYTHONIOENCODING=utf-8, or print to a stream with another encoding"
            raise ConnectorError(f"cannot print to {self._name}: {error}", hint=hint) from error
        except (OSError, ValueError) as error:
            raise ConnectorError(f"cannot print to {self._name}: {error}") from error

    def _print(self, text: str) -> None:
        if self._gone:  # what is tried again must not seem to have been printed
            raise BrokenPipeError
        self._stream.write(text)
        self._stream.flush()

    def _lines(self, records: list[Any]) -> list[str]:
        lines: list[str] = []
        try:
            lines.extend(f"{self._line(record)}\n" for record in records)
        except Exception as error:
            culprit = records[len(lines)]
            raise ConnectorError(f"{self._name} cannot format {culprit!r:.200}: {error!r}") from error
        return lines


def _silence(stream: TextIO) -> None:
    """Point a broken pipe at nothing, or Python would complain again as it flushes it at exit."""
    with suppress(OSError, ValueError, AttributeError):
        number = stream.fileno()
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, number)
        os.close(nothing)
