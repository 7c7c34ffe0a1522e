"""Which files a pattern means, how they are opened, and what every reader of files promises."""

from __future__ import annotations

import doctest
import importlib
import os
import pickle
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any, assert_type

import msgspec
import pytest

from connectors import files
from connectors.files import csv_file, csv_files, json_lines, json_lines_file
from engine.errors import ConnectorError, GraphError
from engine.source import BadRecord, Reader, Source

_MODULES = "files paths byte_streams compression encodings lines json_format csv_format csv_rows csv_writer"


class Event(msgspec.Struct):
    user: int
    amount: float = 0.0


def read_all(source: Source[Any], limits: Iterable[int] = (1000,)) -> list[Any]:
    """Everything that `source` gives when asked for so many records in turn."""
    found: list[Any] = []
    for partition in source.partitions():
        found += read_partition(source.open(partition), limits, found)
    return found


def read_partition(reader: Reader[Any], limits: Iterable[int] = (1000,), kept: list[Any] | None = None) -> list[Any]:
    """Everything that `reader` gives, bad records as `shown`; what came before a failure is in `kept`."""
    found: list[Any] = []
    try:
        for limit in cycle(limits):
            records = reader.read(limit)
            if records is None:
                return found
            assert len(records) <= limit
            found += map(shown, records)
    except ConnectorError:
        if kept is not None:
            kept += found
        raise
    finally:
        reader.close()
    raise AssertionError("no limits")


def read_until_failure(source: Source[Any], limits: Iterable[int] = (1000,)) -> tuple[list[Any], str]:
    """What came before the failure, and its message."""
    kept: list[Any] = []
    (partition,) = source.partitions()
    with pytest.raises(ConnectorError) as failure:
        read_partition(source.open(partition), limits, kept)
    return kept, str(failure.value)


def shown(record: Any) -> Any:
    """`record`, or for a bad one what it holds, so that it can be compared."""
    return ("bad", record.raw, str(record.error)) if isinstance(record, BadRecord) else record


def write(folder: Path, text: str | bytes, name: str = "events.jsonl") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@contextmanager
def folder_for_all() -> Iterator[Path]:
    """A folder that other users may enter too."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@contextmanager
def not_as_root() -> Iterator[None]:
    """As a user to whom permissions apply."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.parametrize("name", _MODULES.split())
def test_examples_in_docstrings(name: str) -> None:
    assert doctest.testmod(importlib.import_module(f"connectors.{name}")).failed == 0


def test_public_names_are_sorted_and_documented() -> None:
    assert files.__all__ == sorted(files.__all__)
    assert all(">>>" in (getattr(files, name).__doc__ or "") for name in files.__all__)


def test_an_editor_knows_the_type_of_the_records(tmp_path: Path) -> None:
    path = write(tmp_path, "")
    assert_type(json_lines(path, type=Event), Source[Event])
    assert_type(csv_files(path, type=Event), Source[Event])
    assert_type(json_lines(path), Source[Any])
    assert (json_lines(path, type=Event).type, json_lines(path).type) == (Event, None)
    assert json_lines(path).bounded


def test_a_source_can_be_sent_to_another_process(tmp_path: Path) -> None:
    path = write(tmp_path, "user,amount\n1,2\n", "a.csv")
    assert read_all(pickle.loads(pickle.dumps(csv_files(path, type=Event)))) == [Event(1, 2.0)]
    assert read_all(pickle.loads(pickle.dumps(json_lines(path))))[0][0] == "bad"


# ------------------------------------------------------------------------------------------- patterns


def _names(pattern: Any) -> list[str]:
    return [os.path.basename(path) for path in json_lines(pattern).partitions()]


def test_files_come_sorted_within_a_glob_and_once(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.jsonl", "c.csv", "d.jsonl.partial"):
        write(tmp_path, "1\n", name)
    (tmp_path / "folder.jsonl").mkdir()
    last, every = tmp_path / "b.jsonl", tmp_path / "*"
    assert _names(every) == ["a.jsonl", "b.jsonl", "c.csv"]
    assert _names([last, str(every), f"{tmp_path}/./a.jsonl"]) == ["b.jsonl", "a.jsonl", "c.csv"]


def test_two_stars_stand_for_any_folders(tmp_path: Path) -> None:
    (tmp_path / "x" / "y").mkdir(parents=True)
    write(tmp_path / "x" / "y", "1\n", "deep.jsonl")
    write(tmp_path, "1\n", "top.jsonl")
    assert _names(tmp_path / "**" / "*.jsonl") == ["top.jsonl", "deep.jsonl"]


def test_a_file_named_like_a_glob_is_that_file(tmp_path: Path) -> None:
    write(tmp_path, "1\n", "a[1].jsonl")
    write(tmp_path, "1\n", "a1.jsonl")
    assert _names(tmp_path / "a[1].jsonl") == ["a[1].jsonl"]


def test_home_folder_and_relative_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "1\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert json_lines("~/*.jsonl").partitions() == [str(tmp_path / "events.jsonl")]
    assert json_lines("*.jsonl").partitions() == ["events.jsonl"]


def test_a_glob_without_a_match_says_where_it_looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "", "events-1.jsonl")
    message = rf"no file matches 'event-\*.jsonl' \(working directory {tmp_path}\)\n.*mean 'events-1.jsonl'\?"
    with pytest.raises(ConnectorError, match=message):
        json_lines("event-*.jsonl").partitions()
    with pytest.raises(ConnectorError, match="hint: there is no folder 'nowhere' that can be read"):
        json_lines("nowhere/*.jsonl").partitions()
    with pytest.raises(ConnectorError, match="has 1 entries, and none with a name like this"):
        json_lines("zzz*").partitions()
    with pytest.raises(ConnectorError, match="hint: check the pattern"):
        json_lines("*/*.jsonl").partitions()


@pytest.mark.parametrize("make", [json_lines, lambda path: csv_files(path, type=Event)])
def test_a_missing_file(make: Any, tmp_path: Path) -> None:
    write(tmp_path, "", "flights.csv")
    source = make(tmp_path / "flihgts.csv")
    for open_it in (source.partitions, lambda: source.open(str(tmp_path / "flihgts.csv"))):
        with pytest.raises(
            ConnectorError,
            match=r"no such file: '.*/flihgts.csv' \(working.*\n.*did you mean '.*/flights.csv'",
        ):
            open_it()


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ConnectorError, match=rf"expected a file, got the folder '{tmp_path}'.*\n.*'{tmp_path}/\*'"):
        json_lines(tmp_path).partitions()
    with pytest.raises(ConnectorError, match="expected a file, got the folder"):
        json_lines(tmp_path).open(str(tmp_path))


def test_a_file_without_permission() -> None:
    with folder_for_all() as folder:
        path = write(folder, "1\n")
        path.chmod(0)
        source = json_lines(path)
        for open_it in (source.partitions, lambda: source.open(str(path))):
            with (
                not_as_root(),
                pytest.raises(ConnectorError, match=r"no permission to read '.*events.jsonl'.*\n.*ls -l"),
            ):
                open_it()


def test_a_name_that_no_file_can_have() -> None:
    with pytest.raises(ConnectorError, match=r"cannot read .*File name too long"):
        json_lines("x" * 5000).partitions()


@pytest.mark.parametrize("pattern", [[], "", ["a", ""], b"bytes"])
def test_no_pattern(pattern: Any) -> None:
    with pytest.raises(GraphError, match="expected a path or a glob, or several of them, got"):
        json_lines(pattern)


@pytest.mark.parametrize(
    ("pattern", "blocking"),
    [
        ("data/*.jsonl", False),
        ("data/events.csv", False),
        ("data-*/**/part-*.csv", False),
        ("events", False),
        ("data/*.jsonl.gz", True),
        ("EVENTS.JSONL.GZ", True),
        (["a.jsonl", "b.jsonl.zst"], True),
        ("data/*", True),
        ("data/part-*.*", True),
        ("data/part.[cg]*", True),
        ("/dev/null", True),
    ],
)
def test_what_may_block_is_known_when_the_graph_is_built(pattern: str | Sequence[str], blocking: bool) -> None:
    assert json_lines(pattern).blocking is blocking


@pytest.mark.parametrize(("path", "blocking"), [("x.jsonl", False), ("x.jsonl.gz", True), ("/dev/null", True)])
def test_only_a_file_that_may_block_is_written_in_a_thread_of_its_own(path: str, blocking: bool) -> None:
    assert json_lines_file(path).blocking is csv_file(path).blocking is blocking


# ------------------------------------------------------------------------- pipes, and files that change


def test_a_pipe_is_read_as_it_comes(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    source = json_lines(path)
    assert source.blocking
    reader = source.open(*source.partitions())
    assert reader.read(10) == ()  # no writer yet, and that is not the end
    assert reader.poll_after() == 0.0
    pipe = os.open(path, os.O_WRONLY)
    os.write(pipe, b'1\n2\n{"half"')
    assert reader.read(1) == [1]
    assert reader.read(10) == [2]
    assert reader.read(10) == ()
    os.write(pipe, b": 3}\n4")
    assert reader.read(10) == [{"half": 3}]
    os.close(pipe)
    assert reader.read(10) == [4]
    assert reader.read(10) is None
    reader.close()


def test_a_csv_record_that_comes_in_parts(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    source = csv_files(path, type=dict)
    reader = source.open(str(path))
    pipe = os.open(path, os.O_WRONLY)
    assert reader.read(10) == ()  # not even a header
    os.write(pipe, b'a,b\n1,"two\n')
    assert reader.read(10) == ()
    os.write(pipe, b'lines"\n3,4\n')
    os.close(pipe)
    assert read_partition(reader) == [{"a": "1", "b": "two\nlines"}, {"a": "3", "b": "4"}]


def test_a_pipe_is_not_waited_for_by_a_source_without_a_thread(tmp_path: Path) -> None:
    path = tmp_path / "pipe.jsonl"
    source = json_lines(path)
    os.mkfifo(path)
    reader = source.open(str(path))
    assert not source.blocking
    assert reader.read(10) == ()
    assert reader.poll_after() is None
    reader.close()


def test_a_file_cut_short_while_it_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, "".join(f"{n:099}\n" for n in range(5000)).replace("\n0", "\n1"))
    reader = json_lines(path).open(str(path))
    first = reader.read(1)
    os.truncate(path, 200_050)
    kept: list[Any] = []
    with pytest.raises(
        ConnectorError,
        match=r"events.jsonl:2001: the file was cut short.*had 500000 bytes and now has 200050",
    ):
        read_partition(reader, kept=kept)
    assert first is not None
    assert len(first) + len(kept) == 2000


def test_a_file_that_is_deleted_while_it_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, "1\n" * 200_000)
    reader = json_lines(path).open(str(path))
    assert reader.read(1) == [1]
    path.unlink()
    assert len(read_partition(reader)) == 199_999


def test_a_file_that_cannot_be_read_on(tmp_path: Path) -> None:
    path = "/proc/self/mem"  # opens, and fails to read at its first address
    reader = json_lines(path).open(path)
    with pytest.raises(ConnectorError, match="/proc/self/mem:1: the file cannot be read on: "):
        reader.read(1)
    reader.close()


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    with pytest.raises(ConnectorError, match="no header"):
        read_all(csv_files(write(tmp_path, "", "a.csv"), type=Event))
    with pytest.raises(ConnectorError, match="the folder"):
        json_lines(tmp_path).open(str(tmp_path))
    read_all(json_lines(write(tmp_path, "1\n")))
    assert os.listdir("/proc/self/fd") == before
