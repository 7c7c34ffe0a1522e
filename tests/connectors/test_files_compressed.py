"""Compressed files: read to their end, and where they are broken, up to there."""

from __future__ import annotations

import gzip
import os
import random
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from connectors import compression
from connectors.files import csv_files, json_lines
from engine.errors import ConnectorError
from tests.connectors.test_files import Event, read_all, read_until_failure, write

_numbers = random.Random(1).choices(range(10**12), k=30_000)
_text = "".join(f"{number}\n" for number in _numbers).encode()

_compress: dict[str, Callable[[bytes], bytes]] = {
    "gz": lambda text: gzip.compress(text, 6),
    "zst": zstandard.ZstdCompressor(write_checksum=True).compress,
}
_decompressor: dict[str, Callable[[], Any]] = {
    "gz": lambda: zlib.decompressobj(wbits=31),
    "zst": lambda: zstandard.ZstdDecompressor().decompressobj(),
}
both = pytest.mark.parametrize("suffix", ["gz", "zst"])


def _whole_lines(suffix: str, data: bytes) -> list[bytes]:
    """What a decompressor that is fed byte by byte makes of `data` before it fails."""
    decompressor, parts = _decompressor[suffix](), []
    for at in range(len(data)):
        try:
            parts.append(decompressor.decompress(data[at : at + 1]))
        except (zlib.error, zstandard.ZstdError):
            break
    return b"".join(parts).split(b"\n")[:-1]


def _as_lines(records: list[Any]) -> list[bytes]:
    """The lines that numbers and bad records were; wrong bytes may give either before they are noticed."""
    return [record[1] if isinstance(record, tuple) else str(record).encode() for record in records]


@both
def test_a_whole_file(suffix: str, tmp_path: Path) -> None:
    path = write(tmp_path, _compress[suffix](_text), f"a.jsonl.{suffix}")
    assert read_all(json_lines(path, type=int)) == _numbers
    assert read_all(json_lines(path, type=int), [100_000, 1]) == _numbers


@both
def test_csv(suffix: str, tmp_path: Path) -> None:
    path = write(tmp_path, _compress[suffix](b"user\n" + _text), f"a.csv.{suffix.upper()}")
    assert read_all(csv_files(path, type=Event)) == [Event(number) for number in _numbers]
    path = write(tmp_path, _compress[suffix]("user\n1\n".encode("utf-16")), f"b.csv.{suffix}")
    assert read_all(csv_files(path, type=Event, encoding="utf-16")) == [Event(1)]


@both
def test_members_that_follow_each_other(suffix: str, tmp_path: Path) -> None:
    compress = _compress[suffix]
    parts = [compress(b"1\n2"), compress(b""), compress(b"3\n"), compress(_text)]
    path = write(tmp_path, b"".join(parts), f"a.jsonl.{suffix}")
    assert read_all(json_lines(path)) == [1, 23, *_numbers]


def test_what_may_stand_between_members(tmp_path: Path) -> None:
    padded = write(tmp_path, gzip.compress(b"1\n") + b"\0" * 700 + gzip.compress(b"2\n") + b"\0", "a.jsonl.gz")
    assert read_all(json_lines(padded)) == [1, 2]
    skippable = b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"
    compress = _compress["zst"]
    framed = write(tmp_path, skippable + compress(b"1\n") + skippable + compress(b"2\n") + skippable, "a.jsonl.zst")
    assert read_all(json_lines(framed)) == [1, 2]


@both
def test_content_that_is_mostly_the_same_is_not_held_all_at_once(suffix: str, tmp_path: Path) -> None:
    line = b'"' + b"x" * 998 + b'"\n'
    path = write(tmp_path, _compress[suffix](line * 20_000), f"a.jsonl.{suffix}")
    source = json_lines(path)
    reader = source.open(str(path))
    count, most = 0, 0
    while (records := reader.read(100)) is not None:
        count += len(records)
        most = max(most, len(reader._lines.data))  # type: ignore[attr-defined]
    reader.close()
    assert count == 20_000
    assert most < 12_000_000


@both
@pytest.mark.parametrize("part", [0.02, 0.3, 0.5, 0.77, 0.999])
def test_a_file_that_is_cut_off(suffix: str, part: float, tmp_path: Path) -> None:
    data = _compress[suffix](_text)
    data = data[: int(len(data) * part)]
    expected = _whole_lines(suffix, data)
    path = write(tmp_path, data, f"a.jsonl.{suffix}")
    kept, message = read_until_failure(json_lines(path, type=int))
    assert _as_lines(kept) == expected
    name = {"gz": "gzip", "zst": "zstd"}[suffix]
    place = f"{path}:{len(expected) + 1}"
    assert message == f"{place}: the {name} data ends in the middle\n  hint: copy or make the file again"


@both
@pytest.mark.parametrize("part", [0.1, 0.35, 0.5, 0.8, 0.99])
def test_a_file_with_wrong_bytes_in_it(suffix: str, part: float, tmp_path: Path) -> None:
    data = bytearray(_compress[suffix](_text))
    at = int(len(data) * part)
    data[at : at + 40] = b"\xff" * 40
    expected = _whole_lines(suffix, bytes(data))
    assert len(expected) > 0 or part < 0.5
    path = write(tmp_path, bytes(data), f"a.jsonl.{suffix}")
    kept, message = read_until_failure(json_lines(path, type=int))
    assert _as_lines(kept) == [line.rstrip(b"\r") for line in expected if line.strip()]
    name = {"gz": "gzip", "zst": "zstd"}[suffix]
    assert message.startswith(f"{path}:{len(expected) + 1}: corrupt {name} data at byte ")


@both
def test_a_wrong_checksum(suffix: str, tmp_path: Path) -> None:
    data = bytearray(_compress[suffix](_text))
    data[-5 if suffix == "gz" else -1] ^= 1
    path = write(tmp_path, bytes(data), f"a.jsonl.{suffix}")
    kept, message = read_until_failure(json_lines(path, type=int), [7000])
    assert kept == _numbers
    assert f"{path}:{len(_numbers) + 1}: corrupt " in message


@both
def test_half_a_quoted_record_at_the_break_is_no_record(suffix: str, tmp_path: Path) -> None:
    rows = "".join(f'{n},"{random.Random(n).random()}\n"\n' for n in range(20_000))
    data = _compress[suffix](b"user,name\n" + rows.encode())
    path = write(tmp_path, data[: len(data) // 2], f"a.csv.{suffix}")
    kept, message = read_until_failure(csv_files(path, type=Event))
    assert kept == [Event(n) for n in range(len(kept))]
    assert len(kept) > 1000
    assert "data ends in the middle" in message


@both
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the {} data is empty\n  hint: copy or make the file again"),
        (b"just text\n" * 1000, "corrupt {} data at byte "),
    ],
)
def test_no_compressed_file_at_all(suffix: str, content: bytes, message: str, tmp_path: Path) -> None:
    path = write(tmp_path, content, f"a.jsonl.{suffix}")
    kept, found = read_until_failure(json_lines(path))
    name = {"gz": "gzip", "zst": "zstd"}[suffix]
    assert kept == []
    assert found.startswith(f"{path}:1: {message.format(name)}")
    assert found.endswith(f"  hint: is it a {name} file at all?" if content else "again")


@both
def test_garbage_after_the_end(suffix: str, tmp_path: Path) -> None:
    path = write(tmp_path, _compress[suffix](b"1\n2\n") + b"garbage and more of it", f"a.jsonl.{suffix}")
    kept, message = read_until_failure(json_lines(path))
    assert kept == [1, 2]
    assert f"{path}:3: corrupt " in message


def test_a_break_at_the_header(tmp_path: Path) -> None:
    path = write(tmp_path, gzip.compress(b"user\n1\n")[:-12], "a.csv.gz")
    with pytest.raises(ConnectorError, match=r"a\.csv\.gz:1: the gzip data ends in the middle"):
        csv_files(path, type=Event).open(str(path))


def test_a_corrupt_stream_through_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "pipe.gz"
    os.mkfifo(path)
    source = json_lines(path)
    reader = source.open(*source.partitions())
    pipe = os.open(path, os.O_WRONLY)
    os.write(pipe, gzip.compress(b"1\n"))
    assert reader.read(10) == [1]
    os.write(pipe, b"garbage")
    os.close(pipe)
    with pytest.raises(ConnectorError, match=r"pipe\.gz:2: corrupt gzip data at byte 22: "):
        reader.read(10)
    reader.close()


def test_zstandard_is_imported_for_zst_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    assert read_all(json_lines(write(tmp_path, gzip.compress(b"1\n"), "a.gz"))) == [1]
    path = write(tmp_path, b"", "a.jsonl.zst")
    with pytest.raises(
        ConnectorError, match=r"a\.jsonl\.zst' needs the zstandard library\n  hint: pip install headgate\[zstd\]"
    ):
        json_lines(path).open(str(path))


def test_a_second_reading_gives_the_engine_a_chance_to_stop(tmp_path: Path) -> None:
    data = bytearray(_compress["gz"](_text))
    data[-8] ^= 1
    path = write(tmp_path, bytes(data), "a.jsonl.gz")
    reader = json_lines(path, type=int).open(str(path))
    sizes = []

    def read_on() -> None:
        while (records := reader.read(1000)) is not None:
            sizes.append(len(records))

    with pytest.raises(ConnectorError, match="corrupt gzip data"):
        read_on()
    reader.close()
    assert sum(sizes) == len(_numbers)
    assert sizes.count(0) >= len(data) // compression.INPUT_BYTES
    assert reader.poll_after() == 0.0
