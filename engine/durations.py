"""Durations as users write them: "10s", a timedelta, or milliseconds."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import TypeAlias

Duration: TypeAlias = str | timedelta | int | float

_UNITS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86400 * 10**9}
_TEXT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ns|us|ms|s|m|h|d)\s*")


def nanoseconds(duration: Duration) -> int:
    """Turn a duration into nanoseconds; a bare number is milliseconds.

    >>> nanoseconds("200ms"), nanoseconds(1.5), nanoseconds("1d") == nanoseconds(timedelta(days=1))
    (200000000, 1500000, True)
    """
    if isinstance(duration, timedelta):
        value = duration // timedelta(microseconds=1) * 1000
    elif isinstance(duration, str):
        match = _TEXT.fullmatch(duration)
        if match is None:
            raise ValueError(f'wanted a duration like "200ms", "10s" or "1h", got {duration!r}')
        value = round(float(match[1]) * _UNITS[match[2]])
    elif isinstance(duration, int | float) and not isinstance(duration, bool):
        if not math.isfinite(duration):
            raise ValueError(f"a duration is a finite number of milliseconds, got {duration!r}")
        value = round(duration * 10**6)
    else:
        raise TypeError(f"wanted a duration (text, timedelta or milliseconds), got {duration!r}")
    if value < 0:
        raise ValueError(f"a duration is not below zero, got {duration!r}")
    return value
