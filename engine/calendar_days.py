"""Days: the days of a calendar in a time zone as a grid, for windows."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Self

from cext.panes import Grid

_EPOCH = date(1970, 1, 1)
_ZERO = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


class Days(Grid):
    """Runs of `days` days in `zone`, one of which begins `first` days after 1970-01-01.

    >>> from zoneinfo import ZoneInfo
    >>> zurich = Days(1, 0, ZoneInfo("Europe/Zurich"))
    >>> [(zurich.start(day + 1) - zurich.start(day)) / 3_600_000 for day in (19812, 19813, 20022, 20023)]
    [24.0, 23.0, 24.0, 25.0]
    """

    def __new__(cls, days: int, first: int, zone: tzinfo) -> Self:
        grid = super().__new__(cls, days * 86_400_000)
        grid.days, grid.first, grid.zone = days, first, zone
        return grid

    days: int
    first: int
    zone: tzinfo

    def index(self, moment: int) -> int:
        local = (_ZERO + timedelta(milliseconds=moment)).astimezone(self.zone)
        return ((local.date() - _EPOCH).days - self.first) // self.days

    def start(self, index: int) -> int:
        day = _EPOCH + timedelta(days=index * self.days + self.first)
        return (datetime.combine(day, time(), self.zone).astimezone(UTC) - _ZERO) // _MS
