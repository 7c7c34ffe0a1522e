"""Stable hashing: known values, the law that equal keys hash equally, and key groups."""

from __future__ import annotations

import dataclasses
import doctest
import enum
import os
import re
import subprocess
import sys
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from reprlib import repr as shown
from typing import Any, ClassVar, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from cext import partition
from cext.partition import key_group, owner, stable_hash, xxh64


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Other(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    LOW = 1


class Carrier(enum.StrEnum):
    DELTA = "DL"


class Ratio(Decimal, enum.Enum):
    HALF = "0.5"


class Day(date, enum.Enum):
    LEAP = 2024, 2, 29


class Access(enum.Flag):
    READ = 1
    WRITE = 2


class Pair(NamedTuple):
    first: Any
    second: Any


class Text(str):
    __slots__ = ()


class Flight(msgspec.Struct, frozen=True):
    carrier: str
    number: int


class OpenFlight(msgspec.Struct):
    carrier: str


@dataclasses.dataclass(frozen=True)
class Route:
    origin: str
    target: str
    note: str = dataclasses.field(default="", compare=False)
    registry: ClassVar[list[str]] = []


@dataclasses.dataclass
class OpenRoute:
    origin: str


# What keys hash to. A change here would make every old checkpoint unreadable.
FROZEN: list[tuple[object, int]] = [
    (None, 0x22C76AFD15F0110F),
    (0, 0x91DF0C78C3E912C9),
    (1, 0xB425ACA027158691),
    (-1, 0xE9114E3FACCF6470),
    (2**63 - 1, 0x529549B8B12F2424),
    (2**63, 0xAFAA8D37F4120787),
    (-(2**100), 0x723843FB4F2318B4),
    (0.5, 0x4F14F74C5ADAA572),
    (-1e300, 0x0D3DD2CD6D578559),
    (float("inf"), 0x145B24F6C78AE9D3),
    (Fraction(1, 3), 0x4BB6B75A7A15027D),
    (Decimal("0.1"), 0x0D4A0A656296CED5),
    ("", 0xF18D7B0E9FDB47DB),
    ("1", 0x648240CD18A3A3F4),
    ("DL", 0x7C96E05223A61555),
    ("Zürich", 0x27673E22CD7D0237),
    ("\ud800", 0x433CCB8FB39B47BB),
    ("headgate" * 20, 0x8B929C379236186E),
    (b"", 0x4BE1D406981CFD3B),
    (b"1", 0x3FF4DAFDBECC0D14),
    ((), 0x2B27AD8D9589A75B),
    ((1,), 0x103FFC96F1E82D09),
    (((1,),), 0xC91CAD4DB0758BB7),
    (("DL", 1), 0x09C2F9BC81A82359),
    (("1", "DL"), 0xA1CEBA33B6048DBA),
    (frozenset(), 0xFD608EBC2BF7EC5B),
    (frozenset({1, 2, 3}), 0xC923DC57C06F1CA1),
    (frozenset({("DL", 1), None}), 0x04665B0304615A54),
    (datetime(2024, 2, 29, 12, 30, 15, 250), 0x3FFB57919668EC9D),
    (datetime(2024, 2, 29, 12, 30, 15, 250, tzinfo=UTC), 0x7790E351C420DADE),
    (date(2024, 2, 29), 0x2D209F5A6D8ADA99),
    (time(12, 30, 15, 250), 0xCD5E40DEA9A88760),
    (time(12, 30, 15, 250, tzinfo=timezone(timedelta(hours=-5))), 0x1E308057766FC4F5),
    (timedelta(days=-1, microseconds=1), 0xF4945DD6216BC0D6),
    (timedelta.max, 0x334AFA70C31DE1B0),
    (UUID(int=1), 0x71334EFB0A11BF91),
    (Colour.RED, 0xCD1D1461EC76AE31),
    (Colour.BLUE, 0x51A04AB464358871),
    (Other.RED, 0x351E58209159DF9D),
    (Access.READ | Access.WRITE, 0x0F520FF8D070B87A),
    (Flight("DL", 1), 0xDEF248139D6BD3DD),
    (Route("JFK", "LAX"), 0x3AEDB74863C1838E),
]

PUBLISHED = [
    (b"", 0, 0xEF46DB3751D8E999),
    (b"a", 0, 0xD24EC4F1A98C6E5B),
    (b"abc", 0, 0x44BC2CF5AD770999),
    (b"xxhash", 0, 0x32DD38952C4BC720),
    (b"xxhash", 20141025, 0xB559B98D844E0635),
    (b"Nobody inspects the spammish repetition", 0, 0xFBCEA83C8A378BF1),
]


@pytest.mark.parametrize(("data", "seed", "value"), PUBLISHED)
def test_published_values_of_xxh64(data: bytes, seed: int, value: int) -> None:
    assert xxh64(data, seed) == value


@given(st.binary(max_size=200), st.integers(0, 2**64 - 1))
def test_xxh64_is_what_the_xxhash_package_computes(data: bytes, seed: int) -> None:
    assert xxh64(data, seed) == xxhash.xxh64_intdigest(data, seed)


def same_everywhere(value: object) -> str:
    """A set shows its members in another order in each process, and a test has the same name in all."""
    return str(sorted(map(repr, value))) if isinstance(value, frozenset) else repr(value)[:40]


@pytest.mark.parametrize(("key", "value"), FROZEN, ids=same_everywhere)
def test_frozen_values(key: object, value: int) -> None:
    assert stable_hash(key) == value


def test_kinds_and_values_hash_apart() -> None:
    assert len({stable_hash(key) for key, _ in FROZEN}) == len(FROZEN)


def test_the_same_in_a_process_with_another_hash_seed() -> None:
    source = "[frozenset('abcdef'), 'abc', b'abc', ('a', 1.5), 2**100, None, frozenset({('a',), frozenset('bc')})]"
    program = f"from cext.partition import stable_hash; print([stable_hash(key) for key in {source}])"
    place = str(Path(partition.__file__).parents[1])
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": place}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, timeout=50, check=True
        )
        assert done.stdout.decode().strip() == str([stable_hash(key) for key in eval(source)])


# Equal keys hash equally. `equals` gives what Python holds to be equal to a key, or might.

small = st.integers(-3, 3)
numbers = st.one_of(
    small,
    st.booleans(),
    st.integers(),
    st.sampled_from([2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64, 2**61 - 1, 10**300, -0.0, float("inf")]),
    st.floats(allow_nan=False),
    st.decimals(-(10**30), 10**30),
    st.fractions(),
)
zones = st.one_of(
    st.timezones(),
    st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone),
    st.timezones().map(lambda zone: ZoneInfo.no_cache(zone.key)),  # another object for the same zone
)
moments = st.builds(datetime.replace, st.datetimes(datetime(1900, 1, 3), datetime(2100, 1, 1)), fold=st.integers(0, 1))
around_a_fold = st.builds(
    lambda minutes, fold: datetime(2024, 10, 27, tzinfo=ZoneInfo("Europe/Paris")).replace(
        hour=minutes // 60, minute=minutes % 60, fold=fold
    ),
    st.integers(0, 300),
    st.integers(0, 1),
)
aware = st.one_of(around_a_fold, st.builds(lambda moment, zone: moment.replace(tzinfo=zone), moments, zones))
leaves = st.one_of(
    numbers,
    st.none(),
    st.text(st.characters()),  # lone surrogates too
    st.binary(),
    moments,
    aware,
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.uuids(),
    st.sampled_from([*Colour, *Other, *Level, *Carrier, *Ratio, *Day, *Access, Access(0), Access(3)]),
)
keys = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(inner, inner),
        st.builds(Pair, inner, inner),
        st.frozensets(inner, max_size=4),
        st.builds(Flight, st.text(), st.integers()),
        st.builds(Route, st.text(), st.text(), st.text()),
    ),
    max_leaves=6,
)


def equals(key: Any) -> list[Any]:
    """The key itself, and keys of other types, zones or order that may be equal to it."""
    match key:
        case int() | float() | Decimal() | Fraction():
            kinds = (int, float, Decimal, Fraction, bool, Level, Ratio)
            twins = [made for kind in kinds for made in converted(kind, key)]
        case str():
            twins = [Text(key), *converted(Carrier, key)]
        case datetime():
            twins = [
                key.replace(fold=1 - key.fold),
                key.astimezone(UTC),
                key.astimezone(ZoneInfo("Asia/Kolkata")),
            ]
        case tuple():
            twins = [
                Pair(*key),
                *zip(*map(equals, key), strict=False),
                tuple(equals(item)[-1] for item in key),
            ]
        case frozenset():
            twins = [frozenset(equals(item)[-1] for item in key)]
        case Route():
            twins = [dataclasses.replace(key, note=key.note + "!")]
        case _:
            twins = []
    return [key, *twins]


def converted(kind: Any, key: Any) -> list[Any]:
    try:
        return [kind(key)]
    except (TypeError, ValueError, ArithmeticError):
        return []


@given(keys)
def test_equal_keys_hash_equally(key: Any) -> None:
    for twin in equals(key):
        if key == twin:
            assert stable_hash(twin) == stable_hash(key), (key, twin)


@given(numbers, numbers)
def test_numbers_are_equal_as_their_hashes_are(a: Any, b: Any) -> None:
    assert (a == b) == (stable_hash(a) == stable_hash(b))


@given(keys, keys)
def test_keys_are_equal_as_their_hashes_are(a: Any, b: Any) -> None:
    assert (a == b) == (stable_hash(a) == stable_hash(b))


def test_a_moment_hashes_by_its_instant_and_ignores_fold_as_equality_does() -> None:
    paris, new_york = ZoneInfo("Europe/Paris"), ZoneInfo("America/New_York")
    noon = datetime(2024, 7, 1, 12, tzinfo=UTC)
    assert {stable_hash(noon.astimezone(zone)) for zone in (UTC, paris, new_york)} == {stable_hash(noon)}
    first, second = (datetime(2024, 10, 27, 2, 30, fold=fold, tzinfo=paris) for fold in (0, 1))
    assert first == second
    assert stable_hash(first) == stable_hash(second)
    assert stable_hash(noon) != stable_hash(noon.replace(tzinfo=None))


@given(st.times(), st.timedeltas(timedelta(hours=-23), timedelta(hours=23)), st.integers(-600, 600))
def test_equal_times_of_day_in_two_zones_hash_equally(at: time, offset: timedelta, minutes: int) -> None:
    """As Python compares them: whole seconds of offset, and the day does not wrap."""
    here = at.replace(tzinfo=timezone(offset), fold=1)
    other = timedelta(minutes=minutes)
    moved = (datetime.combine(date(2024, 1, 2), at) + other - timedelta(microseconds=offset.microseconds)).time()
    for there in (moved.replace(tzinfo=timezone(other)), at.replace(tzinfo=timezone(offset))):
        assert here != there or stable_hash(here) == stable_hash(there)


def test_a_time_whose_zone_needs_a_date_is_as_naive_as_python_says() -> None:
    at = time(10, 30, tzinfo=ZoneInfo("Europe/Paris"))
    assert at == time(10, 30)
    assert stable_hash(at) == stable_hash(time(10, 30))


def test_records_go_by_class_and_fields() -> None:
    assert stable_hash(Flight("DL", 1)) == stable_hash(Flight("DL", 1)) != stable_hash(Flight("DL", 2))
    assert stable_hash(Route("JFK", "LAX")) == stable_hash(Route("JFK", "LAX", note="late"))
    assert stable_hash(Route("JFK", "LAX")) != stable_hash(("JFK", "LAX"))


@pytest.mark.parametrize("key", [[1], {1: 2}, {1}, bytearray(b"a"), memoryview(b"a"), 1j, object(), int, Route])
def test_what_cannot_be_a_key(key: object) -> None:
    name = type(key).__qualname__
    text = f"{re.escape(shown(key))}, of type {name}, cannot be a key: keys are None, .* of these; key by a field"
    for nested in (key, ("a", key), Pair(1, key)):
        with pytest.raises(TypeError, match=text):
            stable_hash(nested)


@pytest.mark.parametrize("key", [OpenFlight("DL"), OpenRoute("JFK")])
def test_records_that_may_change_cannot_be_keys(key: object) -> None:
    name = type(key).__qualname__
    text = f"Open.*'.*, of type {name}, cannot be a key, since its fields may change: declare the class with frozen"
    with pytest.raises(TypeError, match=text):
        stable_hash(key)


def test_a_field_that_cannot_be_a_key() -> None:
    with pytest.raises(TypeError, match=r"\['DL'\], of type list, cannot be a key"):
        stable_hash(Flight(["DL"], 1))  # type: ignore[arg-type]


@pytest.mark.parametrize("key", [float("nan"), Decimal("nan"), Decimal("snan"), (1, float("nan"))])
def test_nan_cannot_be_a_key(key: object) -> None:
    with pytest.raises(ValueError, match="NaN cannot be a key, since it equals nothing, not even itself"):
        stable_hash(key)


@pytest.mark.parametrize("wrap", [lambda key: (key,), lambda key: frozenset([key])])
def test_nesting_without_end(wrap: Any) -> None:
    key: Any = ()
    for _ in range(100_000):
        key = wrap(key)
    with pytest.raises(RecursionError, match="while hashing a key"):
        stable_hash(key)


@pytest.mark.parametrize("exponent", [-999_999_999, 999_999_999])
def test_a_decimal_is_never_written_out(exponent: int) -> None:
    """A key of a few bytes must not cost gigabytes."""
    assert stable_hash(Decimal(f"1E{exponent}")) == stable_hash(Decimal(f"10E{exponent - 1}"))
    assert stable_hash(Decimal(f"0E{exponent}")) == stable_hash(0)


def test_what_xxh64_does_not_take() -> None:
    with pytest.raises(TypeError, match="bytes"):
        xxh64("text")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="None"):
        xxh64(None)  # type: ignore[arg-type]
    with pytest.raises(OverflowError):
        xxh64(b"", -1)


@given(keys, st.integers(1, 2**31 - 1))
def test_key_groups_are_in_range_and_follow_the_hash(key: object, max_parallelism: int) -> None:
    assert key_group(key, max_parallelism) == stable_hash(key) % max_parallelism


@pytest.mark.parametrize("kind", [int, str, float, lambda i: (i, "DL"), lambda i: f"carrier-{i:08}", timedelta])
@pytest.mark.parametrize("max_parallelism", [7, 128])
def test_key_groups_are_even(kind: Any, max_parallelism: int) -> None:
    """Chi-square, five standard deviations at most; the keys are fixed, so it holds always or never."""
    counts = Counter(key_group(kind(i), max_parallelism) for i in range(20_000))
    mean = 20_000 / max_parallelism
    chi_square = sum((counts[group] - mean) ** 2 / mean for group in range(max_parallelism))
    freedom = max_parallelism - 1
    assert chi_square < freedom + 5 * (2 * freedom) ** 0.5


@pytest.mark.parametrize("max_parallelism", [0, -1])
def test_no_key_groups(max_parallelism: int) -> None:
    with pytest.raises(ValueError, match=f"max_parallelism must be at least 1, not {max_parallelism}"):
        key_group("DL", max_parallelism)


def test_key_group_passes_on_what_the_hash_refuses() -> None:
    with pytest.raises(TypeError, match="type list"):
        key_group([], 128)


@given(st.integers(1, 2**15), st.integers(1, 100))
def test_owners_share_the_groups_in_runs_of_like_length(max_parallelism: int, parallelism: int) -> None:
    owners = [owner(group, max_parallelism, parallelism) for group in range(max_parallelism)]
    assert owners == sorted(owners)
    assert 0 <= owners[0] <= owners[-1] < parallelism
    shares = [owners.count(task) for task in range(parallelism)]
    assert max(shares) - min(shares) <= 1


def test_owner_of_a_group_that_does_not_exist() -> None:
    assert [owner(group, 8, 2) for group in (-1, 8)] == [-1, -1]
    assert owner(0, 0, 2) == -1
    assert owner(2**31 - 2, 2**31 - 1, 2**31 - 1) == 2**31 - 2


def test_docstrings() -> None:
    result = doctest.testmod(partition)
    assert result.attempted
    assert not result.failed
