"""Sinks that print: a line for each record, to standard output, standard error or any text stream."""

from __future__ import annotations

import dataclasses
import os
import string
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Literal, TextIO

import msgspec

from engine.errors import ConnectorError, GraphError, OutputError
from engine.sink import Sink, SinkContext, Writer
from engine.types import did_you_mean, fields_of, has_field, name_of

__all__ = ["stderr", "stdout"]

Format = str | Callable[[Any], object] | None


def stdout(format: Format = None, *, stream: TextIO | None = None) -> Sink[Any]:
    """Print each record as a line to standard output, or to the text stream `stream`.

    `format` is a function of the record, or a `str.format` template in which `{}` is the record and
    `{carrier}` its field or property of that name. Without one, what has named fields (Structs, dataclasses,
    NamedTuples, dicts) is printed as JSON, and everything else as `str` makes it.

    A batch is written and flushed at once, as soon as it is there. When the reader goes away, as `| head`
    does, the job ends with a `ConnectorError`, and the interpreter says nothing more about it. A record that
    cannot be formatted, or has no form in the stream's encoding, is an `OutputError`; a template with a name
    that is no field, a `GraphError` at once.

    It prints in the process that runs the job, whatever the number of processes. `stream` stays open. At least once: a
    job that goes on from a checkpoint prints again what it had printed since.

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


def stderr(format: Format = None) -> Sink[Any]:
    """Print each record as a line to standard error, as `stdout` does to standard output.

    >>> stderr("late: {}").name
    'stderr'
    """
    return _Lines(format, "stderr")


class _Lines(Sink[Any]):
    at_home = True  # a worker has neither the terminal nor the stream of the user

    def __init__(self, format: Format, stream: TextIO | Literal["stdout", "stderr"]) -> None:
        self._format, self._stream = format, stream
        self.name = "stderr" if stream == "stderr" else "stdout"
        self._names = _names_in(format) if isinstance(format, str) else set()
        if not (format is None or isinstance(format, str) or callable(format)):
            raise GraphError(f"{self.name} wanted a function or a template as its format, came {format!r}")

    def check(self, type: Any) -> None:
        for name in sorted(self._names):
            if not has_field(type, name):
                raise GraphError(
                    f"the format {self._format!r} names {name}, not in {name_of(type)}",
                    hint=did_you_mean(name, fields_of(type) or ()),
                )

    def open(self, context: SinkContext) -> Writer[Any]:
        # Looked up here and not before: a stream cannot be sent to the process that prints.
        stream = self._stream if not isinstance(self._stream, str) else getattr(sys, self._stream)
        if stream is None:
            raise ConnectorError(f"this process has no {self._stream} to print to")
        line: Any = partial(_filled_in, self._format, self._names) if isinstance(self._format, str) else self._format
        return _LineWriter(line or _as_text, stream, self.name)


def _names_in(template: str) -> set[str]:
    """The fields that `template` names, also within the width or precision of others."""
    names = set()
    try:
        for _, field, spec, _ in string.Formatter().parse(template):
            names |= {field.replace("[", ".").partition(".")[0]} if field else set()
            names |= _names_in(spec) if spec else set()
    except ValueError as error:
        raise GraphError(f"the format {template!r} is no str.format template: {error}") from error
    return {name for name in names if name and not name.isdigit()}


def _filled_in(template: str, names: set[str], record: Any) -> str:
    get = record.__getitem__ if isinstance(record, dict) else partial(getattr, record)
    return template.format(record, **{name: get(name) for name in names})


_json = msgspec.json.Encoder(enc_hook=str).encode


def _as_text(record: Any) -> str:
    if isinstance(record, tuple) and hasattr(record, "_asdict"):
        record = record._asdict()
    has_names = isinstance(record, msgspec.Struct | dict) or dataclasses.is_dataclass(type(record))
    return _json(record).decode() if has_names else str(record)


class _LineWriter(Writer[Any]):
    def __init__(self, line: Callable[[Any], Any], stream: TextIO, name: str) -> None:
        self._line, self._stream, self._name = line, stream, name

    def write(self, records: list[Any]) -> None:
        text = "".join(self._lines(records))
        try:
            self._stream.write(text)
            self._stream.flush()
        except BrokenPipeError as error:
            _silence(self._stream)
            hint = "let the reader take everything, or print to a file"
            raise ConnectorError(f"cannot print to {self._name}: its reader went away", hint=hint) from error
        except UnicodeEncodeError as error:
            hint = "set PYTHONIOENCODING=utf-8, or print to a stream with another encoding"
            raise OutputError(f"cannot print to {self._name}: {error}", hint=hint) from error
        except (OSError, ValueError) as error:
            raise ConnectorError(f"cannot print to {self._name}: {error}") from error

    def _lines(self, records: list[Any]) -> list[str]:
        lines: list[str] = []
        try:
            lines.extend(f"{self._line(record)}\n" for record in records)
        except Exception as error:
            culprit = records[len(lines)]
            raise OutputError(f"{self._name} cannot format {culprit!r:.200}: {error!r}") from error
        return lines


def _silence(stream: TextIO) -> None:
    """Point a broken pipe at nothing, or Python would complain again as it flushes it at exit."""
    with suppress(OSError, ValueError, AttributeError):
        number = stream.fileno()
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, number)
        os.close(nothing)
