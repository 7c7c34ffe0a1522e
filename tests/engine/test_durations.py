"""Durations and settings, as users write them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from engine import Settings
from engine.durations import nanoseconds


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        ("1ns", 1),
        ("3us", 3_000),
        ("200ms", 200_000_000),
        ("1.5s", 1_500_000_000),
        ("2m", 120 * 10**9),
        ("1h", 3600 * 10**9),
        ("1d", 86400 * 10**9),
        (" 10 s ", 10 * 10**9),
        ("0s", 0),
        (5, 5_000_000),
        (0.5, 500_000),
        (0, 0),
        (timedelta(milliseconds=1, microseconds=1), 1_001_000),
        (timedelta(days=400), 400 * 86400 * 10**9),
    ],
)
def test_durations(duration: Any, expected: int) -> None:
    assert nanoseconds(duration) == expected


@pytest.mark.parametrize("wrong", ["", "10", "s", "10 minutes", "-1s", "1h30m", "1e3s", ".5s", "1.s"])
def test_texts_that_are_none(wrong: str) -> None:
    with pytest.raises(ValueError, match='wanted a duration like "200ms", "10s" or "1h", got '):
        nanoseconds(wrong)


@pytest.mark.parametrize("wrong", [-1, -0.5, timedelta(-1)])
def test_nothing_lasts_less_than_no_time(wrong: Any) -> None:
    with pytest.raises(ValueError, match="a duration is not below zero, got "):
        nanoseconds(wrong)


@pytest.mark.parametrize("wrong", [None, True, [], b"1s", 1j])
def test_other_things(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"wanted a duration \(text, timedelta or milliseconds\), got "):
        nanoseconds(wrong)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_numbers_that_are_no_length(wrong: float) -> None:
    with pytest.raises(ValueError, match="a duration is a finite number of milliseconds, got "):
        nanoseconds(wrong)


def test_settings() -> None:
    assert Settings() == Settings(
        frame_records=1024, linger="1ms", target_delay="200ms", max_window=8192, max_parallelism=128
    )
    assert (Settings(linger=2).linger_ns, Settings(target_delay=timedelta(seconds=2)).target_delay_s) == (2_000_000, 2)
    assert Settings(linger=0).linger_ns == 0
    with pytest.raises(TypeError, match="positional"):
        Settings(1024)  # type: ignore[call-arg]
    with pytest.raises(AttributeError, match="cannot assign"):
        Settings().linger = 3  # type: ignore[misc]


@pytest.mark.parametrize("name", ["frame_records", "max_window", "max_parallelism"])
@pytest.mark.parametrize("wrong", [0, -1, 1.5, "8", None])
def test_settings_that_are_no_numbers(name: str, wrong: Any) -> None:
    with pytest.raises(ValueError, match=rf"Settings.{name} is a whole number from 1, not "):
        Settings(**{name: wrong})


def test_settings_with_wrong_durations() -> None:
    with pytest.raises(ValueError, match=r"Settings.target_delay must be more than zero"):
        Settings(target_delay="0ms")
    with pytest.raises(ValueError, match="wanted a duration like"):
        Settings(linger="short")
    with pytest.raises(ValueError, match=r"Settings.max_drift is in whole milliseconds, as event time is, not '5us'"):
        Settings(max_drift="5us")


def test_drift_is_a_duration_or_none() -> None:
    assert (Settings().max_drift_ms, Settings(max_drift=0).max_drift_ms) == (60_000, 0)
    assert Settings(max_drift=None).max_drift_ms is None
