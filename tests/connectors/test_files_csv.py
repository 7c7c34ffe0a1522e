"""CSV: the same rows however they are asked for, values as their types say, and each bad row in its place."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, NamedTuple, NotRequired, TypedDict
from unittest import mock

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors import csv_format, lines
from connectors.files import csv_file, csv_files
from engine.errors import ConnectorError, GraphError
from engine.sink import SinkContext
from tests.connectors.test_files import Event, read_all, read_until_failure, write


@contextmanager
def blocks_of(size: int) -> Iterator[Path]:
    """A folder, and blocks so small that every border between two is met."""
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(lines, "BLOCK_BYTES", size),
        mock.patch.object(csv_format, "BLOCK_BYTES", size),
    ):
        yield Path(folder)


_fields = st.text(st.sampled_from('ab1 é😀,;"\n\r\t'), max_size=6)
_limits = st.lists(st.integers(1, 7), min_size=1, max_size=4)


@settings(deadline=None)
@given(st.lists(st.tuples(_fields, _fields, _fields), max_size=10), st.data())
def test_the_same_as_pythons_own_parser(rows: list[tuple[str, str, str]], data: st.DataObject) -> None:
    out = io.StringIO(newline="")
    writer = csv.writer(
        out, delimiter=";", lineterminator=data.draw(st.sampled_from(["\n", "\r\n"])), quoting=csv.QUOTE_ALL
    )
    writer.writerow("xyz")
    for row in rows:
        out.write(data.draw(st.sampled_from(["", "", "\n", "\r\n"])))
        writer.writerow(row)
    text = out.getvalue() if data.draw(st.booleans()) else out.getvalue().rstrip("\r\n")
    with blocks_of(data.draw(st.integers(1, 64))) as folder:
        source = csv_files(write(folder, text), type=dict[str, str], delimiter=";", null=())
        assert read_all(source, data.draw(_limits)) == [dict(zip("xyz", row, strict=True)) for row in rows]


_pieces = st.sampled_from([b"a", b"1", b",", b",", b'"', b"\n", b"\n", b"\r\n", b"\xff", "é".encode(), b'""'])


@settings(deadline=None)
@given(st.lists(_pieces, max_size=30).map(b"".join), _limits, st.integers(1, 40))
def test_no_text_is_read_differently_for_how_it_is_asked(text: bytes, limits: list[int], size: int) -> None:
    with blocks_of(100_000) as folder:
        source = csv_files(write(folder, b"x,y\n" + text), type=dict)
        whole = read_all(source)
        with (
            mock.patch.object(lines, "BLOCK_BYTES", size),
            mock.patch.object(csv_format, "BLOCK_BYTES", size),
        ):
            assert read_all(source, limits) == whole


class Flight(msgspec.Struct):
    scheduled: datetime
    carrier: str
    number: int
    tail: str | None = None
    delay: float | None = None
    cancelled: bool = False


_HEADER = "year,scheduled,number,carrier,delay,cancelled,tail,extra\n"


def test_columns_are_found_by_name_and_converted(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        _HEADER + "2013,2013-01-01 05:15:00,1545,UA,2.5,true,N14228,?\n2013,2013-01-01T05:15:00+01:00,007,123,,0,,\n",
    )
    first, second = read_all(csv_files(path, type=Flight))
    assert first == Flight(datetime(2013, 1, 1, 5, 15), "UA", 1545, "N14228", 2.5, True)
    assert second == Flight(datetime.fromisoformat("2013-01-01T05:15:00+01:00"), "123", 7, None, None, False)


def test_many_rows_and_blocks(tmp_path: Path) -> None:
    rows = "".join(f'2013,2013-01-01T05:15:00,{n},"a ""b""\n{n}",,1,t,\n' for n in range(20_000))
    path = write(tmp_path, _HEADER + rows)
    for limits in ([1024], [100_000], [1, 333]):
        found = read_all(csv_files(path, type=Flight), limits)
        assert [(flight.number, flight.carrier) for flight in found] == [(n, f'a "b"\n{n}') for n in range(20_000)]


class Spot(NamedTuple):
    city: str
    height: float | None
    since: date = date(2000, 1, 1)


@dataclass
class Town:
    city: str
    height: float | None = None
    tags: list[str] = field(default_factory=list)


class Place(TypedDict):
    city: str
    height: NotRequired[float | None]


class Sparse(TypedDict):
    city: str
    height: NotRequired[float]


class Renamed(msgspec.Struct, rename={"name": "city", "metres": "height"}):
    metres: float | None
    name: str


class ByPosition(msgspec.Struct, array_like=True):
    height: float | None
    city: str


@pytest.mark.parametrize(
    ("type_", "expected"),
    [
        (Spot, [Spot("Bern", 540.0), Spot("", None)]),
        (Town, [Town("Bern", 540.0), Town("", None)]),
        (Place, [Place(city="Bern", height=540.0), Place(city="", height=None)]),
        (Sparse, [Sparse(city="Bern", height=540.0), Sparse(city="")]),
        (Renamed, [Renamed(540.0, "Bern"), Renamed(None, "")]),
        (ByPosition, [ByPosition(540.0, "Bern"), ByPosition(None, "")]),
        (dict[str, str], [{"city": "Bern", "height": "540"}, {"city": "", "height": ""}]),
        (dict[str, str | None], [{"city": "Bern", "height": "540"}, {"city": None, "height": None}]),
        (dict, [{"city": "Bern", "height": "540"}, {"city": None, "height": None}]),
        (Any, [{"city": "Bern", "height": "540"}, {"city": None, "height": None}]),
    ],
)
def test_every_kind_of_row(type_: Any, expected: list[Any], tmp_path: Path) -> None:
    path = write(tmp_path, "city,height\nBern,540\n,\n")
    assert read_all(csv_files(path, type=type_)) == expected


class Nested(msgspec.Struct, kw_only=True):
    tags: list[str]
    place: Town | None = None
    either: str | list[int] = ""


def test_lists_and_records_are_json_as_the_sink_writes_them(tmp_path: Path) -> None:
    rows = [Nested(tags=["a", "b"], place=Town("Bern", 540.0)), Nested(tags=[])]
    writer = csv_file(tmp_path / "out.csv").open(SinkContext("load", Nested))
    writer.write(rows)
    writer.finish()
    source = csv_files(tmp_path / "out.csv", type=Nested)
    assert [(row.tags, row.place) for row in read_all(source)] == [(row.tags, row.place) for row in rows]
    path = write(tmp_path, 'tags,either\n[],"[1]"\n,x\n"[1]",x\n')
    good, *bad = read_all(csv_files(path, type=Nested))
    assert good == Nested(tags=[], either="[1]")
    assert [reason.partition(": ")[2] for _, _, reason in bad] == [
        "column 'tags' holds null: Expected `array`, got `null`",
        "column 'tags' holds '[1]': Expected `str`, got `int` - at `$[0]`",
    ]


def test_texts_that_mean_none(tmp_path: Path) -> None:
    path = write(tmp_path, "city,height\nNA,NA\n,\n")
    assert read_all(csv_files(path, type=Town, null=("NA", "")))[0] == Town("NA", None)
    assert read_all(csv_files(path, type=dict[str, Any], null=())) == [
        {"city": "NA", "height": "NA"},
        {"city": "", "height": ""},
    ]
    assert read_all(csv_files(path, type=Town, null=("NA",)))[1][2].endswith(
        ":3: column 'height' holds '': Expected `float | null`, got `str`"
    )


def test_numbers_as_people_write_them(tmp_path: Path) -> None:
    texts = ["007", "+5", " 6 ", "-05", "1e3", "5.", ".5", "-.5e1", "1_000", "1,5", "0x10", "٣", "+1e400"]
    path = write(tmp_path, "n\n" + "".join(f'"{text}"\n' for text in texts))

    def read(type_: Any) -> list[Any]:
        records = read_all(csv_files(path, type=dict[str, type_]))
        return [None if isinstance(record, tuple) else record["n"] for record in records]

    assert read(float) == [7, 5, 6, -5, 1000, 5, 0.5, -5, None, None, None, None, None]
    assert {type(number) for number in read(float)} == {float, type(None)}
    assert read(int) == [7, 5, 6, -5, 1000, 5, None, -5, None, None, None, None, None]
    assert read(str) == read(int | str) == texts


def test_a_column_of_padded_numbers(tmp_path: Path) -> None:
    path = write(tmp_path, "user,amount\n" + "".join(f"{n:05},{n + 0.5}\n" for n in range(5000)) + ",1\n99,1\nx,1\n")
    found = read_all(csv_files(path, type=Event, null=("", "99")), [100])
    assert found[:-3] == [Event(n, n + 0.5) for n in range(5000)]
    assert [bad[2].partition(": ")[2] for bad in found[-3:]] == [
        "column 'user' holds null: Expected `int`, got `null`",
        "column 'user' holds null: Expected `int`, got `null`",
        "column 'user' holds 'x': Expected `int`, got `str`",
    ]


def test_names_given_in_place_of_a_header(tmp_path: Path) -> None:
    path = write(tmp_path, "Bern;540\n\nChur;593\n")
    found = read_all(csv_files(path, type=Town, delimiter=";", header=["city", "height"]), [1])
    assert found == [Town("Bern", 540.0), Town("Chur", 593.0)]
    assert read_all(csv_files(write(tmp_path, ""), type=Town, header=["city"])) == []


def test_other_quotes_and_none(tmp_path: Path) -> None:
    path = write(tmp_path, "city\theight\n'a\tb'\t1\n\"c\t2\n")
    assert read_all(csv_files(path, type=Town, delimiter="\t", quote="'")) == [
        Town("a\tb", 1.0),
        Town('"c', 2.0),
    ]
    assert read_all(csv_files(write(tmp_path, 'city,height\n"c,2\n'), type=Town, quote="")) == [Town('"c', 2.0)]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-16-le", "utf-32", "cp1252", "UTF8", "utf-8-sig"])
def test_encodings(encoding: str, tmp_path: Path) -> None:
    text = "city,height\n" + "Zürich,408\n" * 30_000
    path = write(tmp_path, text.encode(encoding))
    assert read_all(csv_files(path, type=Town, encoding=encoding)) == [Town("Zürich", 408.0)] * 30_000


def test_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    path = write(tmp_path, '\ufeff\r\n\r\ncity,height\r\nBern,540\r\n\r\n"Ch\r\nur",593')
    assert read_all(csv_files(path, type=Town), [1]) == [Town("Bern", 540.0), Town("Ch\r\nur", 593.0)]


def test_a_field_longer_than_pythons_limit(tmp_path: Path) -> None:
    before = csv.field_size_limit(131_072)
    try:
        path = write(tmp_path, f'city,height\nBern,540\n"{"x" * 300_000}",1\nChur,593\n')
        assert [len(town.city) for town in read_all(csv_files(path, type=Town))] == [4, 300_000, 4]
    finally:
        csv.field_size_limit(before)


# ---------------------------------------------------------------------------------------------- bad input


def _bad(text: str | bytes, tmp_path: Path, type_: Any = Event, **options: Any) -> list[Any]:
    """What is read, the path left out of places."""
    path = write(tmp_path, text, "a.csv")
    found = read_all(csv_files(path, type=type_, **options))
    assert found == read_all(csv_files(path, type=type_, **options), [1])
    return [("bad", r[1], r[2].removeprefix(str(path))) if isinstance(r, tuple) else r for r in found]


def test_a_value_of_the_wrong_type(tmp_path: Path) -> None:
    assert _bad("user,amount\n1,2\nAnn,3\n4,\n", tmp_path) == [
        Event(1, 2.0),
        ("bad", b"Ann,3", ":3: column 'user' holds 'Ann': Expected `int`, got `str`"),
        ("bad", b"4,", ":4: column 'amount' holds null: Expected `float`, got `null`"),
    ]


def test_a_value_of_the_wrong_type_in_rows_without_field_names(tmp_path: Path) -> None:
    assert _bad("city,height\nBern,high\n", tmp_path, Spot) == [
        ("bad", b"Bern,high", ":2: column 'height' holds 'high': Expected `float | null`, got `str`")
    ]
    assert _bad("a,b\n1,x\n", tmp_path, dict[str, int]) == [
        ("bad", b"1,x", ":2: column 'b' holds 'x': Expected `int`, got `str`")
    ]


def test_too_few_and_too_many_fields(tmp_path: Path) -> None:
    assert _bad('user,amount\n1\n2,3\n"4\n\n",5,6\n', tmp_path) == [
        ("bad", b"1", ":2: 1 fields instead of 2"),
        Event(2, 3.0),
        ("bad", b'"4\n\n",5,6', ":4: 3 fields instead of 2"),
    ]


def test_lines_are_counted_through_quoted_line_breaks_and_blank_lines(tmp_path: Path) -> None:
    text = 'user,amount\n\n"1","2"\n\n"x\ny\n\nz",1\r\n\r\n3,x\n'
    assert [bad[2].split(": ")[0] for bad in _bad(text, tmp_path)[1:]] == [":5", ":10"]


def test_a_quote_in_the_wrong_place(tmp_path: Path) -> None:
    assert _bad('user,amount\n1,1\n"2" x,2\n3,3\n', tmp_path) == [
        Event(1, 1.0),
        ("bad", b'"2" x,2', ":3: ',' expected after '\"'"),
        Event(3, 3.0),
    ]


def test_a_quote_that_is_never_closed_costs_one_line(tmp_path: Path) -> None:
    rows = "".join(f"{n},{n}\n" for n in range(20_000))
    found = _bad(f'user,amount\n0,0\n"1,1\n{rows}', tmp_path)
    assert found[:2] == [Event(0, 0.0), ("bad", b'"1,1', ":3: a quote is opened and not closed")]
    assert found[2:] == [Event(n, float(n)) for n in range(20_000)]


def test_a_quote_that_is_closed_too_late(tmp_path: Path) -> None:
    rows = "".join(f"{n},{n}\n" for n in range(1000))
    path = write(tmp_path, f'user,amount\n"1,1\n{rows}"2",2\n')
    bad, *good = read_all(csv_files(path, type=Event, max_record_bytes=1000))
    assert bad == ("bad", b'"1,1', f"{path}:2: a quote is opened and not closed within 1000 bytes")
    assert good == [Event(n, float(n)) for n in range(1000)] + [Event(2, 2.0)]
    # Here the parser comes as far as the next quote, and then sees that something is wrong.
    assert [r[1] if isinstance(r, tuple) else r for r in _bad(path.read_bytes(), tmp_path)] == [
        b'"1,1',
        *good,
    ]


def test_a_line_that_is_too_long(tmp_path: Path) -> None:
    path = write(tmp_path, "user,amount\n1,1\n2,000000000000\n")
    kept, message = read_until_failure(csv_files(path, type=Event, max_record_bytes=12))
    assert kept == [Event(1, 1.0)]
    assert message.startswith(f"{path}:3: the line has more than 12 bytes")


def test_bytes_that_are_not_utf8(tmp_path: Path) -> None:
    found = _bad("user,name\n1,Zoë\n".encode() + b"2,Zo\xeb\n3,Zoe\n", tmp_path)
    assert found[0::2] == [Event(1), Event(3)]
    assert found[1][:2] == ("bad", b"2,Zo\xeb")
    assert found[1][2].startswith(":3: not UTF-8\n  hint: if the file is in another encoding, say so")


def test_bytes_that_mean_nothing_in_the_encoding(tmp_path: Path) -> None:
    found = _bad(b"user,name\n1,\x80\n2,\x81\n3,x\n", tmp_path, encoding="cp1252")
    assert found[0::2] == [Event(1), Event(3)]
    assert found[1][2].startswith(":3: not UTF-8")


def test_utf16_that_breaks_off(tmp_path: Path) -> None:
    path = write(tmp_path, "user,amount\n1,1\n2,2\n".encode("utf-16-le")[:-1] + b"\x00\x00\xd8\n\x00")
    kept, message = read_until_failure(csv_files(path, type=Event, encoding="utf-16-le"))
    assert kept == [Event(1, 1.0), Event(2, 2.0)]
    assert message.startswith(f"{path}:4: not utf-16-le: ")


class Picky(msgspec.Struct):
    user: int

    def __post_init__(self) -> None:
        if self.user == 13:
            raise KeyError("bad luck")


def test_whatever_a_type_itself_raises_is_a_bad_record(tmp_path: Path) -> None:
    assert _bad("user\n12\n13\n", tmp_path, Picky) == [Picky(12), ("bad", b"13", ":3: KeyError: 'bad luck'")]


# --------------------------------------------------------------------------------------------- the header


def _fails_to_open(text: str | bytes, match: str, tmp_path: Path, type_: Any = Event, **options: Any) -> None:
    path = write(tmp_path, text, "a.csv")
    with pytest.raises(ConnectorError, match=match):
        csv_files(path, type=type_, **options).open(str(path))


@pytest.mark.parametrize("text", ["", "\n", "\r\n\n", "\ufeff"])
def test_an_empty_file_has_no_header(text: str, tmp_path: Path) -> None:
    _fails_to_open(text, r"a\.csv: no header line: the file is empty\n  hint: .*header=\[", tmp_path)


def test_a_column_that_is_missing(tmp_path: Path) -> None:
    message = r"wanted column 'user' for Event from .*a\.csv:2\n  hint: did you mean 'User'\? .*; map names with"
    _fails_to_open("\nUser,amount\n", message, tmp_path)
    _fails_to_open("a;user\n", r"hint: did you mean 'a;user'\? .*if ';' separates .* say delimiter=';'", tmp_path)
    _fails_to_open("x,y\n", r"wanted column 'user' .*\n  hint: there are: x, y; .*, give the field a default", tmp_path)
    _fails_to_open("city,since\n", "wanted column 'height' for Spot from", tmp_path, Spot)


def test_any_field_with_a_default_may_have_no_column(tmp_path: Path) -> None:
    class Trip(NamedTuple):
        a: int = 1
        b: int = 2

    assert read_all(csv_files(write(tmp_path, "a\n5\n"), type=Trip)) == [Trip(5, 2)]
    assert read_all(csv_files(write(tmp_path, "b\n5\n"), type=Trip)) == [Trip(1, 5)]
    assert read_all(csv_files(write(tmp_path, "c\n5\n"), type=Trip)) == [Trip(1, 2)]


def test_a_column_that_is_there_twice(tmp_path: Path) -> None:
    _fails_to_open("user,user\n", r"a\.csv:1 has several columns 'user': user, user", tmp_path)
    _fails_to_open("a,a\n", "has several columns 'a'", tmp_path, Any)
    assert read_all(csv_files(write(tmp_path, "user,x,x\n1,2,3\n"), type=Event)) == [Event(1)]


def test_a_header_that_cannot_be_parsed(tmp_path: Path) -> None:
    _fails_to_open('"user\n1\n', r"the header cannot be parsed: .*a\.csv:1: a quote is opened", tmp_path)
    _fails_to_open(b"us\xe9r\n", r"a\.csv:1: the header is not UTF-8\n  hint: .*latin-1", tmp_path)
    _fails_to_open("user\n".encode("utf-16"), r"this is UTF-16.*\n  hint: .*encoding='utf-16'", tmp_path)


# ------------------------------------------------------------------------------------------ wrong graphs


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"type": int}, "csv_files reads rows, came int, which has no named columns"),
        ({"type": tuple[int, str]}, "came tuple.*, which has no named columns"),
        ({"type": Event | None}, "which has no named columns"),
        (
            {"type": dict[str, Any], "delimiter": ";;"},
            "delimiter must be one ASCII character and no line break, got ';;'",
        ),
        ({"type": Event, "quote": "\n"}, "quote must be one ASCII character"),
        ({"type": Event, "quote": ","}, "delimiter and quote are both ','"),
        ({"type": Event, "null": "NA"}, r"null takes several texts, got 'NA'\n  hint: null=\('NA',\)"),
        ({"type": Event, "header": False}, "header must be True or the names of the columns, got False"),
        ({"type": Event, "header": "user"}, "header must be True or the names of the columns, got 'user'"),
        (
            {"type": Event, "header": ["x"]},
            r"wanted column 'user' for Event from csv_files\(header=...\)",
        ),
        ({"type": Event, "encoding": "utf-9"}, "unknown encoding 'utf-9'"),
        ({"type": Event, "encoding": "rot13"}, "unknown encoding 'rot13'"),
        ({"type": Event, "max_record_bytes": 0}, "the greatest length must be at least one byte, got 0"),
        ({"type": dict[int, str]}, "which has no named columns"),
        ({"type": dict[str, Event | Flight]}, "cannot be read back from a column"),
    ],
)
def test_a_wrong_graph_fails_where_it_is_written(options: Any, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        csv_files("x.csv", **options)
