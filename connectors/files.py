"""Files: CSV and JSON lines as sources and sinks, plain or compressed (gzip, zstd)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, TypeVar, overload

from connectors.compression import open_bytes
from connectors.csv_format import CsvReader, Layout, dialect
from connectors.csv_rows import TextRows
from connectors.csv_writer import CsvWriter
from connectors.encodings import Transcoded, is_utf8
from connectors.json_format import JsonLinesReader, JsonLinesWriter, check_decodable
from connectors.lines import MAX_LINE_BYTES, Lines
from connectors.output_file import OutputFile
from connectors.paths import Pattern, as_patterns, is_special, matching_files, may_block, numbered
from connectors.record_types import row_type
from connectors.rows import RowDecoder
from connectors.staged_file import StagedFile
from engine.errors import GraphError
from engine.sink import Sink, SinkContext, Writer
from engine.source import Reader, Source

__all__ = ["csv_file", "csv_files", "json_lines", "json_lines_file"]

T = TypeVar("T")


def csv_files(
    pattern: Pattern,
    *,
    type: type[T],
    delimiter: str = ",",
    quote: str = '"',
    header: bool | Sequence[str] = True,
    null: Sequence[str] = ("",),
    encoding: str = "utf-8",
    max_record_bytes: int = MAX_LINE_BYTES,
) -> Source[T]:
    """Read the rows of CSV files as records of `type`.

    `pattern`: a path, a glob (`*`, `?`, `[abc]`, `**` for any folders), or a sequence of these. Each file is
    a partition: in the order of the sequence, sorted within a glob, none twice. A glob passes over
    `*.partial`, which a sink has not finished. Names that end in .gz or .zst are decompressed (.zst takes
    `headgate[zstd]`).

    `type`: a `msgspec.Struct`, dataclass, NamedTuple or TypedDict, whose fields take the columns of their
    names (as msgspec's `rename` has them), while other columns are passed over; or `dict[str, X]`, or `dict`
    for dicts of text. Values are converted by msgspec: text stays text, dates and times are ISO 8601 with "T"
    or a blank, lists and records are JSON.

    `header`: True where each file's first row names the columns, else their names. `null`: the texts that
    mean None, except in a field whose type takes `str` or `bytes` and not None. `quote=""`: quotes mean nothing.
    `encoding`: any that Python knows.

    Blank lines are skipped. A row that does not parse, has too few or too many fields, does not fit `type` or
    is not in the encoding is a bad record, with file and line, and the source's `on_error` decides. A row
    with a quote that is never closed, or only after `max_record_bytes` (16 MiB), costs its first line.

    Resumable, by the byte: a job goes on behind the last row that its checkpoint has, at once in a plain file. One that
    is compressed or in another encoding than UTF-8 is read again up to there, at a few hundred MB of content a second.
    A file that has become shorter since, or whose first 4 KiB are others, is refused; one that has grown is read on,
    unless its end was reached. Pipes and devices are not resumable.

    `GraphError`: a wrong parameter, or a type that is no row. `ConnectorError`: no file matches; a file
    cannot be opened, has no header or lacks a column that `type` requires; a compressed file is cut off or
    corrupt (raised after all records before the break), or a line exceeds `max_record_bytes`.

    >>> import pathlib, tempfile
    >>> import msgspec
    >>> class Flight(msgspec.Struct):
    ...     carrier: str
    ...     delay: float | None
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = pathlib.Path(folder.name, "flights.csv")
    >>> _ = path.write_text("year,carrier,delay\\n2013,UA,2.0\\n2013,AA,\\n")
    >>> source = csv_files(path, type=Flight)
    >>> reader = source.open(*source.partitions())
    >>> reader.read(10)
    [Flight(carrier='UA', delay=2.0), Flight(carrier='AA', delay=None)]
    >>> reader.close(); folder.cleanup()
    """
    _check_char("delimiter", delimiter)
    if quote:
        _check_char("quote", quote)
    if quote == delimiter:
        raise GraphError(f"delimiter and quote are both {quote!r}")
    if isinstance(null, str):
        raise GraphError(f"null takes several texts, got {null!r}", hint=f"null=({null!r},)")
    record = row_type("csv_files reads", type, named=True)
    RowDecoder.check(record, text=True)
    layout = Layout(record, dialect(delimiter, quote), _names(header), tuple(null), _positive(max_record_bytes))
    if layout.header is not None:
        TextRows(record, layout.header, layout.null, "csv_files(header=...)", GraphError)
    return _CsvFiles(pattern, layout, None if is_utf8(encoding) else encoding, type)


@overload
def json_lines(pattern: Pattern, *, max_line_bytes: int = ...) -> Source[Any]: ...
@overload
def json_lines(pattern: Pattern, *, type: type[T], max_line_bytes: int = ...) -> Source[T]: ...
@overload
def json_lines(pattern: Pattern, *, type: Any, max_line_bytes: int = ...) -> Source[Any]: ...
def json_lines(
    pattern: Pattern,
    *,
    type: Any = Any,
    max_line_bytes: int = MAX_LINE_BYTES,
) -> Source[Any]:
    """Read files with one JSON value a line as records of `type`.

    `pattern` is as in `csv_files`. `type`: anything that msgspec decodes, in msgspec's strict mode; without
    it the records are plain dicts, lists and values. Blank lines are skipped; UTF-8 is required.

    A line that is not JSON, does not fit `type` or is not UTF-8 is a bad record, with file and line, and the
    source's `on_error` decides. Resumable, as `csv_files` is.

    `GraphError`: a type that cannot be decoded. `ConnectorError`: no file matches; a file cannot be opened; a
    compressed file is cut off or corrupt (raised after all records before the break); a line is longer than
    `max_line_bytes` (16 MiB).

    >>> import pathlib, tempfile
    >>> import msgspec
    >>> class Event(msgspec.Struct):
    ...     user: int
    ...     amount: float = 0.0
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = pathlib.Path(folder.name, "events.jsonl")
    >>> _ = path.write_text('{"user": 1, "amount": 2.5}\\n{"user": "Ann"}\\n')
    >>> source = json_lines(path, type=Event)
    >>> reader = source.open(*source.partitions())
    >>> good, bad = reader.read(10)
    >>> good
    Event(user=1, amount=2.5)
    >>> bad.raw, str(bad.error).removeprefix(folder.name)
    (b'{"user": "Ann"}', '/events.jsonl:2: Expected `int`, got `str` - at `$.user`')
    >>> reader.close(); folder.cleanup()
    """
    check_decodable(type)
    return _JsonLines(pattern, type, _positive(max_line_bytes))


def csv_file(path: str | os.PathLike[str], *, header: bool = True, delimiter: str = ",", null: str = "") -> Sink[Any]:
    """Write records as the rows of a CSV file.

    The columns are the fields of the stream's type (as msgspec's `rename` has them) or, where that is not
    known or is a dict, of the first record; a dict that lacks one of them has a null there, one with others
    is an error. None is written as `null`, booleans as true and false, dates and times as ISO 8601, bytes as
    base64, lists and records as JSON. A path that ends in .gz or .zst is compressed (.zst takes
    `headgate[zstd]`).

    Of several writers each has a file of its own: `out-00002.csv` for the third of `out.csv`. Without checkpoints rows
    go to `path` + ".partial" in the same folder, which is moved onto `path` in one step when the stream has
    ended, and kept as it is when the job fails; a job that is run again writes its files anew.

    Exactly once in a job that makes checkpoints: rows go to hidden files beside `path`; when a checkpoint is complete,
    what it has is added to `path`, the first time in place of what stood there before, so that `path` grows by whole
    checkpoints, and a job that goes on adds to it. A reader may find the last row cut while that is under way. A pipe
    or a device is written to at once, and at least once.

    `GraphError`: a wrong parameter; records whose type has no named fields. `OutputError`: a record that has
    other fields, or values with no form in CSV. `ConnectorError`: the file cannot be opened, written (none of
    the records given to that write is then in the file) or moved; it has other columns, or less in it, than the
    checkpoint says that the job goes on from; another sink writes it.

    >>> import pathlib, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = pathlib.Path(folder.name, "daily.csv")
    >>> writer = csv_file(path).open(SinkContext("daily"))
    >>> writer.write([{"day": "Monday", "flights": 3}, {"day": "Tuesday", "flights": None}])
    >>> writer.finish()
    >>> print(path.read_text(), end="")
    day,flights
    Monday,3
    Tuesday,
    >>> folder.cleanup()
    """
    _check_char("delimiter", delimiter)
    return _CsvFile(path, header=header, delimiter=delimiter, null=null)


def json_lines_file(path: str | os.PathLike[str]) -> Sink[Any]:
    """Write records as lines of JSON, by msgspec: its types, its renamed fields; NaN becomes null.

    Where the lines go, and when they stand under `path`, is as in `csv_file`.

    `OutputError`: a record that has no form in JSON. `ConnectorError`: as in `csv_file`.

    >>> import pathlib, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = pathlib.Path(folder.name, "events.jsonl")
    >>> writer = json_lines_file(path).open(SinkContext("events"))
    >>> writer.write([{"user": 1}, {"user": 2}])
    >>> writer.finish()
    >>> path.read_text()
    '{"user":1}\\n{"user":2}\\n'
    >>> folder.cleanup()
    """
    return _JsonLinesFile(path)


def _check_char(what: str, char: str) -> None:
    if len(char) != 1 or char in "\r\n" or not char.isascii():
        raise GraphError(f"{what} must be one ASCII character and no line break, got {char!r}")


def _names(header: bool | Sequence[str]) -> tuple[str, ...] | None:
    if header is True:
        return None
    if not header or isinstance(header, str | bool):
        raise GraphError(
            f"header must be True or the names of the columns, got {header!r}", hint="header=['id', 'name']"
        )
    return tuple(header)


def _positive(size: int) -> int:
    if size < 1:
        raise GraphError(f"the greatest length must be at least one byte, got {size}")
    return size


class _Files(Source[T]):
    """What both formats have in common: files that match a pattern, a partition each."""

    def __init__(self, pattern: Pattern, type: Any) -> None:
        self._patterns = as_patterns(pattern)
        self.type = None if type is Any else type
        self.blocking = may_block(self._patterns)
        self.resumable = not any(map(is_special, self._patterns))

    def partitions(self) -> Sequence[str]:
        return matching_files(self._patterns)

    def _lines(self, path: str, max_line_bytes: int, encoding: str | None = None) -> Lines:
        stream = open_bytes(path, may_wait=self.blocking)
        if encoding is not None:
            stream = Transcoded(stream, encoding)
        # A reader that may wait has waited in `read` when it comes back with nothing.
        return Lines(path, stream, max_line_bytes, poll_after=0.0 if self.blocking else None)


class _CsvFiles(_Files[T]):
    name = "csv_files"

    def __init__(self, pattern: Pattern, layout: Layout, encoding: str | None, type: type[T]) -> None:
        super().__init__(pattern, type)
        self._layout = layout
        self._encoding = encoding

    def open(self, partition: str) -> Reader[T]:
        lines = self._lines(partition, self._layout.max_record_bytes, self._encoding)
        try:
            reader: CsvReader[T] = CsvReader(lines, self._layout)
            reader.begin()
        except BaseException:
            lines.close()
            raise
        return reader


class _JsonLines(_Files[Any]):
    name = "json_lines"

    def __init__(self, pattern: Pattern, type: Any, max_line_bytes: int) -> None:
        super().__init__(pattern, type)
        self._max_line_bytes = max_line_bytes

    def open(self, partition: str) -> Reader[Any]:
        return JsonLinesReader(self._lines(partition, self._max_line_bytes), self.type or Any)


class _OneFile(Sink[Any]):
    """What both formats have in common: a path, and a file of its own for each writer."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        if not isinstance(path, str | os.PathLike):
            raise GraphError(f"expected one path, got {path!r}")
        (self._path,) = as_patterns(path)
        # The system takes what goes to a plain file; a thread for that would only hand every frame to the other core.
        self.blocking = may_block([self._path])
        self.delivery = "at least once" if is_special(self._path) else "exactly once"

    def _file(self, context: SinkContext) -> OutputFile | StagedFile:
        path = numbered(self._path, context.index, context.parallelism)
        return OutputFile(path) if context.recovery is None else StagedFile(path, self._path, context)


class _CsvFile(_OneFile):
    name = "csv_file"

    def __init__(self, path: str | os.PathLike[str], **options: Any) -> None:
        super().__init__(path)
        self._options = options

    def check(self, type: Any) -> None:
        row_type("csv_file writes", type, named=True)

    def open(self, context: SinkContext) -> Writer[Any]:
        record = row_type("csv_file writes", context.type, named=True)
        return CsvWriter(self._file(context), record, **self._options)


class _JsonLinesFile(_OneFile):
    name = "json_lines_file"

    def open(self, context: SinkContext) -> Writer[Any]:
        return JsonLinesWriter(self._file(context))
