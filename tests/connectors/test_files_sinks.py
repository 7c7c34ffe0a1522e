"""Sinks that write files: what stands in them, when it can be seen, and what is left after a failure."""

from __future__ import annotations

import csv
import os
import pickle
import subprocess
import sys
import textwrap
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple, NotRequired, TypedDict
from uuid import UUID

import msgspec
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.files import csv_file, csv_files, json_lines, json_lines_file
from engine.errors import ConnectorError, GraphError, OutputError
from engine.sink import Sink, SinkContext, Writer
from tests.connectors.test_files import Event, folder_for_all, not_as_root, read_all

both = pytest.mark.parametrize("make", [csv_file, json_lines_file])
_events = [Event(1, 2.5), Event(2, -0.0)]


def _open(sink: Sink[Any], type_: Any = None, index: int = 0, parallelism: int = 1) -> Writer[Any]:
    return sink.open(SinkContext("load", type_, index, parallelism))


def _write(sink: Sink[Any], *batches: list[Any], type_: Any = None) -> None:
    writer = _open(sink, type_)
    for batch in batches:
        writer.write(batch)
    writer.finish()


def _written(sink: Callable[..., Sink[Any]], path: Path, *batches: list[Any], type_: Any = None, **options: Any) -> str:
    _write(sink(path, **options), *batches, type_=type_)
    return path.read_bytes().decode()


def _decompressed(data: bytes, suffix: str) -> bytes:
    """What can be read of `data`, which need not be complete."""
    if suffix == ".gz":
        return zlib.decompressobj(wbits=31).decompress(data)
    return zstandard.ZstdDecompressor().decompressobj().decompress(data) if suffix == ".zst" else data


# ------------------------------------------------------------------------------------- what is written


def test_json_lines_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    _write(json_lines_file(path), _events, [], _events)
    assert path.read_bytes() == b'{"user":1,"amount":2.5}\n{"user":2,"amount":-0.0}\n' * 2
    assert read_all(json_lines(path, type=Event)) == _events * 2


@both
@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_compressed_by_suffix(make: Any, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.data{suffix}"
    _write(make(str(path)), *[_events] * 100)
    read = csv_files if make is csv_file else json_lines
    assert read_all(read(path, type=Event)) == _events * 100
    start = path.read_bytes()[:4]
    assert start.startswith(b"\x1f\x8b") == (suffix == ".gz")
    assert (start == b"\x28\xb5\x2f\xfd") == (suffix == ".zst")


class Colour(Enum):
    RED = "red"


class Everything(msgspec.Struct, rename="camel", omit_defaults=True):
    whole_number: int = 0
    ratio: float | None = None
    text: str = ""
    flag: bool = False
    raw: bytes = b""
    at: datetime = datetime(2013, 1, 1, 5, 15)
    day: date = date(2013, 1, 1)
    lasts: timedelta = timedelta(seconds=90)
    price: Decimal = Decimal("1.50")
    id_: UUID = UUID(int=1)
    colour: Colour = Colour.RED
    tags: list[str] = []
    event: Event | None = None
    anything: Any = None


def test_csv_of_every_type(tmp_path: Path) -> None:
    full = Everything(7, 0.1, 'a,"b"\n', True, b"\x00\xff", tags=["x"], event=Event(1), anything=False)
    text = _written(csv_file, tmp_path / "a.csv", [full, Everything()], type_=Everything)
    header, first, second = csv.reader(text.splitlines(keepends=True))
    assert header[:3] == ["wholeNumber", "ratio", "text"]
    assert first[:6] == ["7", "0.1", 'a,"b"\n', "true", "AP8=", "2013-01-01T05:15:00"]
    assert first[6:11] == ["2013-01-01", "PT90S", "1.50", "00000000-0000-0000-0000-000000000001", "red"]
    assert first[11:] == ['["x"]', '{"user":1,"amount":0.0}', "false"]
    assert second[:5] == ["0", "", "", "false", ""]
    assert second[11:] == ["[]", "", ""]


class Row(msgspec.Struct):
    text: str
    number: int | None
    ratio: float
    flag: bool
    at: datetime
    raw: bytes


_rows = st.builds(
    Row,
    text=st.text(st.characters(exclude_categories=["Cs"])),
    number=st.none() | st.integers(-(2**63), 2**63 - 1),
    ratio=st.floats(allow_nan=False),
    flag=st.booleans(),
    at=st.datetimes(),
    raw=st.binary(),
)


@settings(max_examples=30, deadline=None)  # each waits for the disk twice
@given(rows=st.lists(_rows), delimiter=st.sampled_from(",;\t|"), null=st.sampled_from(["", "NULL"]))
def test_csv_comes_back_as_it_was(rows: list[Row], delimiter: str, null: str, tmp_path_factory: Any) -> None:
    path = tmp_path_factory.mktemp("round") / "a.csv"
    _write(csv_file(path, delimiter=delimiter, null=null), rows[:1], rows[1:], type_=Row)
    assert read_all(csv_files(path, type=Row, delimiter=delimiter, null=(null,))) == rows


@dataclass
class Town:
    city: str
    height: float | None = None


class Spot(NamedTuple):
    city: str
    height: float | None = None


class Place(TypedDict):
    city: str
    height: NotRequired[float | None]


@pytest.mark.parametrize("is_typed", [True, False])
@pytest.mark.parametrize(
    ("type_", "records"),
    [
        (Town, [Town("Bern", 540.0), Town("Chur")]),
        (Spot, [Spot("Bern", 540.0), Spot("Chur")]),
        (Place, [Place(city="Bern", height=540.0), Place(city="Chur")]),
        (dict[str, Any], [{"city": "Bern", "height": 540.0}, {"city": "Chur"}]),
    ],
)
def test_every_kind_of_row(is_typed: bool, type_: Any, records: list[Any], tmp_path: Path) -> None:
    csv_file("x").check(type_)
    text = _written(csv_file, tmp_path / "a.csv", records, type_=type_ if is_typed else None)
    assert text == "city,height\nBern,540.0\nChur,\n"


def test_other_delimiters_nulls_and_no_header(tmp_path: Path) -> None:
    rows = [Town("a;b"), Town("c,d", 1.0)]
    assert _written(csv_file, tmp_path / "a.csv", rows, header=False, delimiter=";", null="NA") == '"a;b";NA\nc,d;1.0\n'


def test_one_column_that_is_empty_is_not_a_blank_line(tmp_path: Path) -> None:
    _write(csv_file(tmp_path / "a.csv"), [{"a": None}, {"a": ""}, {"a": "x"}])
    assert read_all(csv_files(tmp_path / "a.csv", type=dict)) == [{"a": None}, {"a": None}, {"a": "x"}]


def test_no_records(tmp_path: Path) -> None:
    assert _written(csv_file, tmp_path / "a.csv", type_=Event) == "user,amount\n"
    assert _written(csv_file, tmp_path / "a.csv", []) == ""
    assert _written(json_lines_file, tmp_path / "a.jsonl", []) == ""
    assert read_all(json_lines(_path_of_empty(tmp_path))) == []


def _path_of_empty(folder: Path) -> Path:
    _write(json_lines_file(folder / "a.jsonl.gz"))
    return folder / "a.jsonl.gz"


# ------------------------------------------------------------------------- when and where it can be seen


@both
def test_nothing_is_seen_before_the_end(make: Any, tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    path.write_text("before")
    writer = _open(make(path))
    writer.write(_events)
    assert path.read_text() == "before"
    assert (tmp_path / "out.txt.partial").stat().st_size > 0
    writer.finish()
    assert "before" not in path.read_text()
    assert os.listdir(tmp_path) == ["out.txt"]


@both
@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_what_was_written_before_a_failure_is_kept(make: Any, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"out{suffix}"
    path.write_text("before")
    writer = _open(make(path))
    writer.write(_events)
    kept = tmp_path / f"out{suffix}.partial"
    in_the_middle = kept.read_bytes()
    writer.abort()
    assert path.read_text() == "before"
    kept.rename(tmp_path / f"kept{suffix}")
    read = csv_files if make is csv_file else json_lines
    assert read_all(read(tmp_path / f"kept{suffix}", type=Event)) == _events
    # Even a process that dies without a word leaves what it has written.
    text = _decompressed(in_the_middle, suffix)
    assert text.count(b"\n") == (3 if make is csv_file else 2)


def test_leftovers_of_an_earlier_run_are_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.partial").write_text("left over, and longer than what comes now\n")
    assert _written(json_lines_file, tmp_path / "a.jsonl", [1]) == "1\n"


def test_parallel_writers_have_files_of_their_own(tmp_path: Path) -> None:
    sink = csv_file(tmp_path / "daily.2024.csv.gz")
    writers = [_open(sink, Event, index, 3) for index in range(3)]
    for index, writer in enumerate(writers):
        writer.write([Event(index)])
        writer.finish()
    assert sorted(os.listdir(tmp_path)) == [f"daily.2024-0000{index}.csv.gz" for index in range(3)]
    assert read_all(csv_files(tmp_path / "*.csv.gz", type=Event)) == [Event(0), Event(1), Event(2)]


def test_two_writers_of_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    first = _open(json_lines_file(path))
    first.write([1])
    with pytest.raises(ConnectorError, match=r"cannot write '.*a\.jsonl': another writer is at work on '.*\.partial'"):
        _open(json_lines_file(path))
    first.finish()
    assert path.read_text() == "1\n"
    _write(json_lines_file(path), [2])
    assert path.read_text() == "2\n"


def test_a_device_is_written_to_directly(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    _write(json_lines_file(pipe), [1, 2])
    assert os.read(reading, 100) == b"1\n2\n"
    os.close(reading)
    assert os.listdir(tmp_path) == ["pipe"]


def test_a_sink_can_be_sent_to_another_process(tmp_path: Path) -> None:
    _write(pickle.loads(pickle.dumps(csv_file(tmp_path / "a.csv"))), [Event(1)])
    _write(pickle.loads(pickle.dumps(json_lines_file(tmp_path / "a.jsonl"))), [Event(1)])
    assert len(os.listdir(tmp_path)) == 2


# ------------------------------------------------------------------------------------- records that fail


@both
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_record_that_cannot_be_written_leaves_the_file_as_it_was(make: Any, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.txt{suffix}"
    writer = _open(make(path))
    writer.write([{"a": 1}, {"a": 2}])
    what = "CSV" if make is csv_file else "JSON"
    with pytest.raises(OutputError, match=rf"a\.txt.*': record 4 \(dict\) cannot be written as {what}: .*object"):
        writer.write([{"a": 3}, {"a": object()}, {"a": 5}])
    with pytest.raises(OutputError, match=rf"record 3 \(dict\) cannot be written as {what}: .*surrogates not allowed"):
        writer.write([{"a": "\ud800"}])
    writer.write([{"a": 6}])
    writer.finish()
    read = csv_files if make is csv_file else json_lines
    assert [int(record["a"]) for record in read_all(read(path, type=dict[str, Any]))] == [1, 2, 6]


def test_a_record_with_other_fields(tmp_path: Path) -> None:
    writer = _open(csv_file(tmp_path / "a.csv"), Event)
    writer.write([Event(1), Event(2)])
    with pytest.raises(
        OutputError, match=r"record 3 \(Town\) .*: its fields are city, height, the columns are user, amount"
    ):
        writer.write([Town("Bern")])
    with pytest.raises(OutputError, match=r"record 3 \(int\) cannot be written as CSV: it has no named fields"):
        writer.write([5])
    writer.abort()
    writer = _open(csv_file(tmp_path / "b.csv"))
    writer.write([{"a": 1, "b": 2}, {"b": 2}])
    with pytest.raises(OutputError, match=r"record 3 \(dict\) .*: wanted the keys a, b, came a, c"):
        writer.write([{"a": 1, "c": 2}])
    writer.abort()


def test_a_first_record_that_is_no_row(tmp_path: Path) -> None:
    writer = _open(csv_file(tmp_path / "a.csv"))
    for record in (5, (1, 2), object()):
        with pytest.raises(OutputError, match=r"record 1 \(\w+\) cannot be written as CSV: it has no named fields"):
            writer.write([record])
    with pytest.raises(OutputError, match=r"record 1 \(dict\) cannot be written as CSV: it has no fields"):
        writer.write([{}, {"a": 1}])
    with pytest.raises(OutputError, match=r"record 1 \(dict\) cannot be written as CSV: .*object"):
        writer.write([{"b": object()}])
    writer.write([{"a": 1}])
    writer.finish()
    assert (tmp_path / "a.csv").read_text() == "a\n1\n"


# -------------------------------------------------------------------------------------- files that fail


@both
def test_a_missing_folder(make: Any, tmp_path: Path) -> None:
    path = tmp_path / "missing" / "out.txt"
    message = rf"cannot open for '{path}': '{path}.partial' \(working directory .*: No such file or directory\n"
    with pytest.raises(ConnectorError, match=message + f"  hint: the folder '{path.parent}' does not exist: create"):
        _open(make(path))


def test_a_folder_without_permission() -> None:
    with folder_for_all() as folder:
        folder.chmod(0o555)
        with (
            not_as_root(),
            pytest.raises(ConnectorError, match=r"Permission denied\n  hint: see the owner and mode of"),
        ):
            _open(json_lines_file(folder / "a"))
        folder.chmod(0o755)


def test_a_folder_in_the_place_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConnectorError, match=rf"cannot write the file '{tmp_path}': there is a folder of that name"):
        _open(json_lines_file(tmp_path))


def test_a_folder_that_gets_in_the_way_later(tmp_path: Path) -> None:
    writer = _open(json_lines_file(tmp_path / "a"))
    (tmp_path / "a").mkdir()
    with pytest.raises(ConnectorError, match=r"cannot finish for '.*/a': '.*/a.partial' .*: Is a directory"):
        writer.finish()
    assert (tmp_path / "a.partial").exists()


@both
def test_a_full_disk(make: Any) -> None:
    writer = _open(make("/dev/full"))
    with pytest.raises(
        ConnectorError, match=r"cannot write \d+ bytes for '/dev/full': .*: No space left.*\n  hint: the disk is full"
    ):
        writer.write([{"a": 1}])
    with pytest.raises(ConnectorError, match="No space left on device"):
        writer.finish()


_FULL = """
    import resource, sys
    from connectors.files import csv_file, json_lines_file
    from engine.errors import ConnectorError
    from engine.sink import SinkContext

    make, path = {"csv": csv_file, "json": json_lines_file}[sys.argv[1]], sys.argv[2]
    writer = make(path).open(SinkContext("load"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    count = 0
    try:
        while True:
            writer.write([{"a": hash(str(n)), "b": hash(-n)} for n in range(count, count + 100)])
            count += 100
    except ConnectorError as error:
        print(error)
    try:
        writer.write([{"a": 1, "b": 1}])
        count += 1
        writer.finish()
    except ConnectorError as error:
        print(error)
        writer.abort() if "plain" in sys.argv else None
    print(count)
"""


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
@pytest.mark.parametrize("form", ["csv", "json"])
def test_a_write_that_fails_half_way_is_taken_back(form: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"out{suffix}"
    command = [sys.executable, "-c", textwrap.dedent(_FULL), form, str(path)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2], timeout=50
    )
    first, hint, *rest = done.stdout.splitlines()
    assert first.startswith("cannot write ")
    assert first.endswith("File too large")
    assert hint == "  hint: the file has reached the largest size that this process may write (ulimit -f)"
    count = int(rest[-1])
    if not suffix:
        # There was room for one record still, and the file is whole.
        assert count % 100 == 1
        text = path.read_bytes()
    else:
        # A compressor cannot forget what it was given: the file takes no more, and keeps all from before.
        assert rest[0] == first
        text = _decompressed((tmp_path / f"out{suffix}.partial").read_bytes(), suffix)
        assert not path.exists()
    assert text.endswith(b"\n")
    assert text.count(b"\n") == count + (form == "csv")


def test_a_missing_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(ConnectorError, match=r"needs the zstandard library\n  hint: pip install headgate\[zstd\]"):
        _open(json_lines_file(tmp_path / "a.zst"))
    assert os.listdir(tmp_path) == []


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    _write(json_lines_file(tmp_path / "a"), [1])
    _open(csv_file(tmp_path / "b.gz"), Event).abort()
    for path in ("/dev/full", str(tmp_path / "c.zst")):
        writer = _open(csv_file(path), Event)
        if path == "/dev/full":
            with pytest.raises(ConnectorError, match="No space"):
                writer.finish()
        else:
            writer.finish()
    assert os.listdir("/proc/self/fd") == before


# ------------------------------------------------------------------------------------------ wrong graphs


@pytest.mark.parametrize(
    ("type_", "name"), [(int, "int"), (list[Event], "list"), (tuple[int, str], "tuple"), (dict[int, str], "dict")]
)
def test_records_that_cannot_be_rows(type_: Any, name: str) -> None:
    message = rf"csv_file writes rows, came {name}.*, which has no named columns\n  hint: use a msgspec.Struct"
    with pytest.raises(GraphError, match=message):
        csv_file("a.csv").check(type_)


@pytest.mark.parametrize("type_", [None, Any, Event, Town, Spot, Place, dict, dict[str, int]])
def test_records_that_can(type_: Any) -> None:
    csv_file("a.csv").check(type_)
    json_lines_file("a.jsonl").check(type_)


def test_a_wrong_parameter() -> None:
    with pytest.raises(GraphError, match="delimiter must be one ASCII character and no line break, got 'ab'"):
        csv_file("a.csv", delimiter="ab")
    with pytest.raises(GraphError, match=r"expected one path, got \['a', 'b'\]"):
        json_lines_file(["a", "b"])  # type: ignore[arg-type]
    with pytest.raises(GraphError, match="expected a path"):
        json_lines_file("")
