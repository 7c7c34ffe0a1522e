"""JSON lines: the same records however they are asked for, and each bad line in its place."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors import json_format, lines
from connectors.files import json_lines
from engine.errors import GraphError
from tests.connectors.test_files import Event, read_all, read_partition, read_until_failure, write


@contextmanager
def blocks_of(size: int) -> Iterator[Path]:
    """A folder, and blocks so small that every border between two is met."""
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(lines, "BLOCK_BYTES", size),
        mock.patch.object(json_format, "BLOCK_BYTES", size),
    ):
        yield Path(folder)


_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=5,
)
_good = _values.flatmap(lambda value: st.sampled_from([json.dumps(value), json.dumps(value, ensure_ascii=False)]))
_odd = st.sampled_from(
    [
        "",
        "",
        " ",
        "\r",
        "{",
        "}",
        "[1",
        "2]",
        '{"a":1}{"b":2}',
        "1 2",
        '"x',
        'y"',
        "[",
        "]",
        "[1,",
        "nul",
        '{"a":',
        "1}",
    ]
)
_lines = st.lists((_good | _odd).map(str.encode) | st.sampled_from([b"\xff", b'"\xc3"', b'["\xe9"]']), max_size=12)
_limits = st.lists(st.integers(1, 7), min_size=1, max_size=4)


def _line_by_line(text: bytes, path: Path) -> list[Any]:
    found: list[Any] = []
    for number, line in enumerate(text.split(b"\n"), 1):
        if line.strip():
            try:
                found.append(json.loads(line.decode()))
            except ValueError:
                found.append((line.rstrip(b"\r"), f"{path}:{number}"))
    return found


def _without_reasons(records: list[Any]) -> list[Any]:
    is_bad = [isinstance(record, tuple) for record in records]
    return [
        (r[1], r[2].rpartition(": ")[0].split(": ")[0]) if bad else r for r, bad in zip(records, is_bad, strict=True)
    ]


@settings(deadline=None)
@given(_lines, st.sampled_from([b"\n", b"\r\n"]), st.booleans(), _limits, st.integers(1, 64))
def test_the_same_as_json_loads_line_by_line(
    content: list[bytes], newline: bytes, is_ended: bool, limits: list[int], size: int
) -> None:
    text = newline.join(content) + (newline if is_ended else b"")
    with blocks_of(size) as folder:
        path = write(folder, text)
        assert _without_reasons(read_all(json_lines(path), limits)) == _line_by_line(text, path)


def test_typed_records_many_blocks(tmp_path: Path) -> None:
    events = [Event(n, n / 2) for n in range(20_000)]
    path = write(tmp_path, msgspec.json.Encoder().encode_lines(events))
    for limits in ([1024], [1, 5000], [100_000], [7, 300, 1]):
        assert read_all(json_lines(path, type=Event), limits) == events


def test_lines_of_very_different_lengths(tmp_path: Path) -> None:
    texts = ["x" * (50_000 if n % 500 == 0 else n % 3) for n in range(5000)]
    path = write(tmp_path, "".join(json.dumps(text) + "\n" for text in texts))
    assert read_all(json_lines(path, type=str), [1000, 3]) == texts


class Position(NamedTuple):
    x: int
    y: int


@dataclass
class Named:
    name: str
    at: Position


def test_any_type_that_msgspec_decodes(tmp_path: Path) -> None:
    path = write(tmp_path, '{"name": "a", "at": [1, 2]}\n')
    assert read_all(json_lines(path, type=Named)) == [Named("a", Position(1, 2))]
    assert read_all(json_lines(path, type=dict[str, Any])) == [{"name": "a", "at": [1, 2]}]
    assert read_all(json_lines(path, type=object)) == [{"name": "a", "at": [1, 2]}]
    assert read_all(json_lines(path, type=msgspec.Raw)) == [msgspec.Raw(b'{"name": "a", "at": [1, 2]}')]


@pytest.mark.parametrize("text", ["", "\n", "\n\n \r\n", "\ufeff", "\ufeff\n"])
def test_nothing_in_a_file(text: str, tmp_path: Path) -> None:
    assert read_all(json_lines(write(tmp_path, text))) == []


def test_byte_order_mark_line_ends_and_a_last_line_without_one(tmp_path: Path) -> None:
    path = write(tmp_path, "\ufeff1\r\n\r\n2\n3")
    assert read_all(json_lines(path), [1]) == [1, 2, 3]


# -------------------------------------------------------------------------------------------- bad input


def test_a_malformed_line_stands_in_its_place(tmp_path: Path) -> None:
    path = write(tmp_path, '{"user":1}\n\n{"user":\n{"user":2}\n')
    for limits in ([1000], [1], [2]):
        assert read_all(json_lines(path, type=Event), limits) == [
            Event(1),
            ("bad", b'{"user":', f"{path}:3: Input data was truncated"),
            Event(2),
        ]


def test_a_line_of_the_wrong_type(tmp_path: Path) -> None:
    path = write(tmp_path, '{"user":1}\n{"user":"Ann"}\n{"amount":1}\n')
    assert read_all(json_lines(path, type=Event))[1:] == [
        ("bad", b'{"user":"Ann"}', f"{path}:2: Expected `int`, got `str` - at `$.user`"),
        ("bad", b'{"amount":1}', f"{path}:3: Object missing required field `user`"),
    ]


def test_bytes_that_are_not_utf8_even_in_a_field_that_is_not_read(tmp_path: Path) -> None:
    path = write(tmp_path, b'{"user":1,"name":"ok \xc3\xa9"}\n{"user":2,"name":"\xe9"}\n{"user":3}\n')
    first, bad, last = read_all(json_lines(path, type=Event))
    assert (first, last) == (Event(1), Event(3))
    assert bad[1] == b'{"user":2,"name":"\xe9"}'
    assert bad[2].startswith(f"{path}:2: not UTF-8: ")


def test_two_values_on_a_line_do_not_make_up_for_a_blank_one(tmp_path: Path) -> None:
    path = write(tmp_path, '{"user":1}{"user":2}\n\n{"user":3}\n{"user":\n4}\n')
    found = read_all(json_lines(path, type=Event))
    assert [record if isinstance(record, Event) else record[1] for record in found] == [
        b'{"user":1}{"user":2}',
        Event(3),
        b'{"user":',
        b"4}",
    ]


class Picky(msgspec.Struct):
    user: int

    def __post_init__(self) -> None:
        if self.user == 13:
            raise KeyError("bad luck")


def test_whatever_a_type_itself_raises_is_a_bad_record(tmp_path: Path) -> None:
    path = write(tmp_path, '{"user":12}\n{"user":13}\n')
    assert read_all(json_lines(path, type=Picky)) == [
        Picky(12),
        ("bad", b'{"user":13}', f"{path}:2: KeyError: 'bad luck'"),
    ]


def test_a_value_nested_too_deep(tmp_path: Path) -> None:
    path = write(tmp_path, "1\n" + "[" * 100_000 + "]" * 100_000 + "\n2\n")
    first, bad, last = read_all(json_lines(path))
    assert (first, bad[2].split(": ")[1], last) == (1, "RecursionError", 2)


@pytest.mark.parametrize("limits", [[1], [2], [1000]])
@pytest.mark.parametrize("end", ["\n3\n", "", "\n"])
def test_a_line_that_is_too_long(limits: list[int], end: str, tmp_path: Path) -> None:
    path = write(tmp_path, "1\n" + "2" * 10 + "\n" + "2" * 11 + end)
    kept, message = read_until_failure(json_lines(path, max_line_bytes=10), limits)
    assert kept == [1, 2222222222]
    assert message.startswith(f"{path}:3: the line has more than 10 bytes\n  hint: ")


def test_a_line_that_is_too_long_over_many_blocks(tmp_path: Path) -> None:
    text = b'"' + b"x" * 999_998 + b'"\n'
    path = write(tmp_path, text * 3)
    assert [len(line) for line in read_all(json_lines(path, max_line_bytes=1_000_000), [2])] == [999_998] * 3
    kept, message = read_until_failure(json_lines(path, max_line_bytes=999_999), [2])
    assert (kept, message.split("\n")[0]) == ([], f"{path}:1: the line has more than 999999 bytes")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("1\n".encode("utf-16"), "UTF-16"),
        (b"\x1f\x8b\x08\x00\x00", "gzip"),
        (b"\x28\xb5\x2f\xfd\x00\x00\n", "zstd"),
    ],
)
def test_a_file_that_is_no_utf8_text_from_its_start(content: bytes, what: str, tmp_path: Path) -> None:
    path = write(tmp_path, content)
    kept, message = read_until_failure(json_lines(path))
    assert kept == []
    assert message.startswith(f"{path}:1: this is {what}, not UTF-8 text\n  hint: ")


class Plain:
    pass


class Unresolved(msgspec.Struct):
    user: Missing  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize("type_", [Plain, 3, Unresolved])
def test_a_type_that_cannot_be_read(type_: Any) -> None:
    with pytest.raises(GraphError, match="JSON lines cannot be read as"):
        json_lines("x", type=type_)


def test_a_limit_that_is_none() -> None:
    with pytest.raises(GraphError, match="the greatest length must be at least one byte, got 0"):
        json_lines("x", max_line_bytes=0)


def test_what_is_kept_between_reads_is_small(tmp_path: Path) -> None:
    path = write(tmp_path, '"' + "x" * 98 + '"\n')
    path.write_bytes(path.read_bytes() * 20_000)
    reader = json_lines(path).open(str(path))
    sizes = set()
    for _ in range(3000):
        reader.read(1)
        sizes.add(len(reader._lines.data))  # type: ignore[attr-defined]
    assert max(sizes) <= lines.BLOCK_BYTES + 101
    assert len(read_partition(reader)) == 17_000


def test_a_file_is_read_by_the_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "")
    path.write_bytes((b'"' + b"x" * 296 + b'"\n') * 5000)
    sizes = list[int]()
    read = os.read

    def counted(fd: int, size: int) -> bytes:
        sizes.append(size)
        return read(fd, size)

    monkeypatch.setattr(os, "read", counted)
    reader = json_lines(path).open(str(path))
    while reader.read(1024) is not None:
        pass
    assert len(sizes) <= path.stat().st_size / (lines.BLOCK_BYTES - 300) + 2
