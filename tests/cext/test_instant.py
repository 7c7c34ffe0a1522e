"""Instants: milliseconds and datetimes of every zone are one time line, and what is no moment is refused."""

from __future__ import annotations

import doctest
import re
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from enum import IntEnum
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cext import instant as module
from cext.getter import Getter
from cext.instant import Instant

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Level(IntEnum):
    LOW = 1


offsets = st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone)
zones = st.one_of(st.just(UTC), offsets, st.timezones())


def of(value: Any, zone: tzinfo | None = None, shift: int = 0) -> int:
    return Instant(Getter(), zone, shift)(value)


@given(st.integers(-(2**60), 2**60), st.integers(-1000, 1000))
def test_ints_are_milliseconds(value: int, shift: int) -> None:
    assert of(value, shift=shift) == value + shift


@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=zones))
def test_datetimes_count_from_the_epoch_rounded_down(moment: datetime) -> None:
    assert of(moment) == (moment.astimezone(UTC) - EPOCH) // timedelta(milliseconds=1)


@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1)), zones)
def test_a_datetime_without_a_zone_is_in_the_one_that_is_said(moment: datetime, zone: tzinfo) -> None:
    assert of(moment, zone) == of(moment.replace(tzinfo=zone))


def test_an_hour_that_comes_twice_is_told_apart_by_fold() -> None:
    zurich = ZoneInfo("Europe/Zurich")
    first = datetime(2024, 10, 27, 2, 30, tzinfo=zurich)
    assert of(first.replace(fold=1)) - of(first) == 3_600_000


@pytest.mark.parametrize("value", [1.5, "2024-01-01", None, True, date(2024, 1, 1), Level.LOW])
def test_what_is_no_event_time(value: Any) -> None:
    wanted = "wanted an event time, an int of milliseconds since the epoch or a datetime with a zone; got "
    with pytest.raises(TypeError, match=f"{wanted}.*, of type {type(value).__name__}"):
        of(value)


@pytest.mark.parametrize("value", [2**60 + 1, -(2**60) - 1, 2**63, -(2**100)])
def test_an_int_that_is_too_large(value: int) -> None:
    with pytest.raises(ValueError, match=f"{value} is no event time: wanted milliseconds since the epoch, up to 2"):
        of(value)


def test_a_datetime_without_a_zone_is_no_moment() -> None:
    with pytest.raises(
        ValueError, match=re.escape("2024-02-03T00:00:00 has no zone, so it is no moment: say which one it is in, e.g.")
    ):
        of(datetime(2024, 2, 3))


def test_the_examples() -> None:
    assert doctest.testmod(module).failed == 0
