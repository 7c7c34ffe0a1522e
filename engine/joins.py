"""Joining: how a keyed stream is joined with another one by event time."""

from __future__ import annotations

from typing import TypeVar

from engine.asof_joins import AsOfJoins
from engine.interval_joins import IntervalJoins
from engine.window_joins import WindowJoins

T = TypeVar("T")


class Joining(WindowJoins[T], IntervalJoins[T], AsOfJoins[T]):
    """All joins of a keyed stream."""
