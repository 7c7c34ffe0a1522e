"""Sources that go on where they were: what two readers give, one behind the other, is what one gives alone."""

from __future__ import annotations

import codecs
import gzip
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
import pytest
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmarks.nexmark.generator import Generator
from benchmarks.nexmark.source import Nexmark
from connectors import byte_streams, csv_format, json_format, lines
from connectors.files import csv_files, json_lines
from connectors.memory import from_iterable, generate
from connectors.sqlite import sqlite_query
from engine.errors import ConnectorError, GraphError
from engine.source import Reader, Source
from tests.connectors.test_files import read_partition, shown, write

_limits = st.lists(st.integers(1, 7), min_size=1, max_size=4)


def _first(reader: Reader[Any], count: int, limits: Iterable[int] = (7,)) -> list[Any]:
    """About `count` records, and no more."""
    found: list[Any] = []
    for limit in cycle(limits):
        records = reader.read(min(limit, count - len(found))) if len(found) < count else None
        if records is None:
            return found
        found += map(shown, records)
    raise AssertionError("no limits")


def _go_on(reader: Reader[Any], position: Any) -> None:
    """To the end; where only then can be known that it is not there, an error may come as late."""
    reader.seek(position)
    while reader.read(100) is not None:
        pass


def _carried(position: Any) -> Any:
    """What is left of a position that was kept in a checkpoint."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(position))


def _in_two(source: Source[Any], count: int, limits: Iterable[int]) -> list[Any]:
    """What the first partition gives, where another reader takes over behind `count` records."""
    partition = source.partitions()[0]
    with closing(source.open(partition)) as reader:
        found = _first(reader, count, limits)
        position = _carried(reader.position())
    reader = source.open(partition)
    reader.seek(position)
    return found + read_partition(reader, limits)


def _whole(source: Source[Any]) -> list[Any]:
    return read_partition(source.open(source.partitions()[0]))


def _check_each_point(source: Source[Any], limits: Iterable[int] = (3,)) -> None:
    whole = _whole(source)
    for count in range(len(whole) + 2):
        assert _in_two(source, count, limits) == whole


# ------------------------------------------------------------------------------------------------- files

_encode: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": lambda text: gzip.compress(text[:20]) + gzip.compress(text[20:]),
    ".zst": zstandard.ZstdCompressor().compress,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("resume")


@contextmanager
def _small_blocks() -> Iterator[None]:
    """So that every border between two is met."""
    with ExitStack() as patched:
        for module in (lines, csv_format, json_format):
            patched.enter_context(mock.patch.object(module, "BLOCK_BYTES", 16))
        yield


_csv_pieces = st.sampled_from(["a", "1", ",", ",", '"', "\n", "\n", "\r\n", "é", '""', '"x\ny",2\n'])


@settings(max_examples=150)
@given(
    text=st.lists(_csv_pieces, max_size=25).map("".join),
    suffix=st.sampled_from(list(_encode)),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"]),
    header=st.sampled_from([True, ["x", "y"]]),
    count=st.integers(0, 12),
    limits=_limits,
)
def test_csv(text: str, suffix: str, encoding: str, header: Any, count: int, limits: list[int], folder: Path) -> None:
    text = "x,y\n" + text if header is True else text
    path = write(folder, _encode[suffix](text.encode(encoding)), f"a.csv{suffix}")
    source = csv_files(path, type=dict, header=header, encoding=encoding)
    assert source.resumable
    with _small_blocks():
        assert _in_two(source, count, limits) == _whole(source)


_json_pieces = st.sampled_from(['{"a":1}\n', '"é"\n', "7\n", "\n", "\r\n", "[1,2]\n", "oops\n", "1,2\n", "[1,\n", "3"])


@settings(max_examples=150)
@given(
    text=st.lists(_json_pieces, max_size=20).map("".join),
    start=st.sampled_from([b"", codecs.BOM_UTF8]),
    suffix=st.sampled_from(list(_encode)),
    count=st.integers(0, 16),
    limits=_limits,
)
def test_json_lines(text: str, start: bytes, suffix: str, count: int, limits: list[int], folder: Path) -> None:
    source = json_lines(write(folder, _encode[suffix](start + text.encode()), f"a.jsonl{suffix}"))
    assert source.resumable
    with _small_blocks():
        assert _in_two(source, count, limits) == _whole(source)


@pytest.mark.parametrize("suffix", list(_encode))
def test_at_every_point_of_a_file(suffix: str, tmp_path: Path) -> None:
    """Bad records among them, whose errors name the line where they stand."""
    rows = [f'{n},"line\none"\n' if n % 3 else f"{n}\n" for n in range(40)]
    path = write(tmp_path, _encode[suffix](("\ufeffx,y\n" + "".join(rows)).rstrip().encode()), f"a.csv{suffix}")
    with _small_blocks():
        _check_each_point(csv_files(path, type=dict))


def test_what_is_dropped_is_dropped_a_little_at_a_time(tmp_path: Path) -> None:
    path = write(tmp_path, gzip.compress(b"[1]\n" * 1_000_000), "a.jsonl.gz")
    source = json_lines(path)
    with closing(source.open(str(path))) as reader:
        assert len(_first(reader, 999_998, [100_000])) == 999_998
        position = reader.position()
    with closing(source.open(str(path))) as reader, mock.patch.object(byte_streams, "SKIP_SECONDS", 0):
        reader.seek(position)
        looked_round = 0
        while not (records := reader.read(10)):
            assert records == ()
            looked_round += 1
        assert looked_round >= 4_000_000 // 256 // 1024 - 1
        assert (records, reader.read(10)) == ([[1], [1]], None)


def test_a_file_that_has_grown_is_read_on(tmp_path: Path) -> None:
    path = write(tmp_path, '{"a":1}\n{"a":')
    with closing(json_lines(path).open(str(path))) as reader:
        assert reader.read(1) == [{"a": 1}]
        position = reader.position()
    path.write_bytes(b'{"a":1}\n{"a":2}\n')
    reader = json_lines(path).open(str(path))
    reader.seek(position)
    assert read_partition(reader) == [{"a": 2}]


@pytest.mark.parametrize("make", [csv_files, json_lines])
@pytest.mark.parametrize("suffix", list(_encode))
def test_a_file_that_is_shorter_or_another_one(make: Any, suffix: str, tmp_path: Path) -> None:
    """Its first 4 KiB are the same, so that only its length tells; or they are not."""
    lines = [b'{"a": "%d"}\n' % n for n in range(2000)]
    content = _encode[suffix](b"".join(lines))
    start = len(content) if suffix else 5000
    path = write(tmp_path, content, f"a{suffix}")
    source = make(path, type=dict)
    with closing(source.open(str(path))) as reader:
        _first(reader, 1900)
        position = _carried(reader.position())
    path.write_bytes(_encode[suffix](b"".join(lines[:1000])) if suffix else content[:start])
    if suffix:  # as if what was compressed began the same
        position["start"] = list(byte_streams.open_file(str(path), may_wait=True).fingerprint() or ())
    with closing(source.open(str(path))) as reader, pytest.raises(ConnectorError, match=r"it ends \d+ bytes before"):
        _go_on(reader, position)
    path.write_bytes(_encode[suffix](b"other" + b"".join(lines)))
    with closing(source.open(str(path))) as reader, pytest.raises(ConnectorError, match=r"not the file that was read"):
        reader.seek(position)


def test_a_pipe_cannot_go_on(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    assert not json_lines(fifo).resumable
    source = json_lines(tmp_path / "*")  # nobody knows yet what that is
    assert source.resumable
    with (
        closing(source.open(str(fifo))) as reader,
        pytest.raises(ConnectorError, match="cannot be read again, so a checkpoint cannot say"),
    ):
        reader.position()


# ------------------------------------------------------------------------------------------------ memory


@pytest.mark.parametrize("items", [list(range(10)), "abcdefg", lambda: iter(range(10)), [], range(5)])
@pytest.mark.parametrize("blocking", [False, True])
def test_from_iterable(items: Any, blocking: bool) -> None:
    source = from_iterable(items, blocking=blocking)
    assert source.resumable
    _check_each_point(source)


@pytest.mark.parametrize("items", [iter([1]), (n for n in range(3)), {1, 2}, frozenset("ab")])
def test_what_has_no_place_to_return_to(items: Any) -> None:
    assert not from_iterable(items).resumable


def _raises_at_once() -> Iterator[int]:
    yield 1
    raise ValueError("no more")


def test_an_iterable_that_gives_other_items_than_before() -> None:
    with pytest.raises(ConnectorError, match="wanted to go on behind item 5, and there are only 2"):
        from_iterable([1, 2]).open("").seek(5)
    with pytest.raises(ConnectorError, match=r"raised ValueError\('no more'\) before item 5"):
        from_iterable(_raises_at_once).open("").seek(5)


@given(count=st.integers(0, 12), limits=_limits)
def test_generate(count: int, limits: list[int]) -> None:
    source = generate(lambda number: number * number, count=10)
    assert source.resumable
    assert _in_two(source, count, limits) == _whole(source)


def test_the_schedule_of_a_rate_starts_anew() -> None:
    now = [100.0]
    reader = generate(int, rate=10, clock=lambda: now[0]).open("")
    now[0] = 500.0
    reader.seek(1000)
    assert reader.read(5) == [1000]
    assert reader.read(5) == []
    now[0] += 0.25
    assert reader.read(5) == [1001, 1002]


@given(count=st.integers(0, 40), limits=_limits)
def test_nexmark(count: int, limits: list[int]) -> None:
    source = Nexmark(Generator(), count=70, partitions=2, block=8)
    assert source.resumable
    assert _in_two(source, count, limits) == _whole(source)


# ------------------------------------------------------------------------------------------------ SQLite


def _database(path: Path, rows: Sequence[tuple[Any, Any]], declared: str = "") -> str:
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"CREATE TABLE t (k {declared}, v)")
        db.executemany("INSERT INTO t VALUES (?, ?)", rows)
        db.commit()
    return str(path)


_keys = st.one_of(
    st.sampled_from("aAbB"),
    st.integers(-(2**63), 2**63 - 1),
    st.text(st.characters(codec="utf-8"), max_size=3),
    st.binary(),
)


@settings(max_examples=60)
@given(
    keys=st.lists(_keys, max_size=12, unique=True),
    declared=st.sampled_from(["", "TEXT", "COLLATE NOCASE"]),
    parameters=st.sampled_from([(), (-1,), {"least": -1}]),
    count=st.integers(0, 14),
    limits=_limits,
)
@example(keys=["a", "A", "b"], declared="COLLATE NOCASE", parameters=(), count=1, limits=[1])
def test_sqlite_by_key(
    keys: list[Any], declared: str, parameters: Any, count: int, limits: list[int], folder: Path
) -> None:
    if declared == "TEXT":
        keys = list({str(key): None for key in keys})
    database = _database(folder / "a.db", [(key, i) for i, key in enumerate(keys)], declared)
    least = {0: "0 > -1", 1: ":least < v" if isinstance(parameters, dict) else "? < v"}[len(parameters)]
    query = f"SELECT v AS k, k AS v FROM t WHERE {least}; "
    source = sqlite_query(database, query.replace(";", "-- all"), parameters, type=dict, key="v")
    assert source.resumable
    found = _in_two(source, count, limits)
    assert found == _whole(source)
    assert sorted(row["k"] for row in found) == list(range(len(keys)))
    assert _whole(sqlite_query(database, query, parameters, type=dict, key="v")) == found


def test_sqlite_without_a_key() -> None:
    assert not sqlite_query("a.db", "SELECT 1", type=dict).resumable
    with pytest.raises(GraphError, match="wanted the name of a column as the key, came 7"):
        sqlite_query("a.db", "SELECT 1", type=dict, key=7)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("keys", "came"), [([1, 2, 2, 3], "came 2"), ([1, None, 2], "came null"), ([1, 2, 2.0, 3], "came 2.0")]
)
def test_a_key_that_is_none(keys: list[Any], came: str, tmp_path: Path) -> None:
    """What comes before it is given, and asking again changes nothing."""
    database = _database(tmp_path / "a.db", [(key, 0) for key in keys])
    message = rf"a\.db: query row \d: wanted a key 'k' that no other row has, {came}\n  hint: take a column"
    with closing(sqlite_query(database, "SELECT * FROM t", type=dict, key="k").open("")) as reader:
        assert len(_first(reader, keys.index(2) + 1 if None not in keys else 0)) == (2 if None not in keys else 0)
        for _ in range(2):
            with pytest.raises(ConnectorError, match=message):
                reader.read(10)
    with (
        closing(sqlite_query(database, "SELECT * FROM t", type=dict, key="key").open("")) as reader,
        pytest.raises(ConnectorError, match=r"wanted the key, column 'key', from the query .*; it has k, v"),
    ):
        reader.read(1)


def test_a_bad_row_counts(tmp_path: Path) -> None:
    database = _database(tmp_path / "a.db", [(n, b"\xff" if n % 2 else "good") for n in range(6)])
    source = sqlite_query(database, "SELECT k, CAST(v AS TEXT) AS v FROM t", type=dict[str, Any], key="k")
    assert [type(row) for row in _whole(source)] == [dict, tuple] * 3
    _check_each_point(source)
    by_value = sqlite_query(database, "SELECT k, CAST(v AS TEXT) AS v FROM t", type=dict[str, Any], key="v")
    with closing(by_value.open("")) as reader, pytest.raises(ConnectorError, match="UTF-8 if it is text"):
        _first(reader, 10, [1])
