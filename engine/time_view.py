"""Time view: event time in a running job, as lines of text: how far it has come, and what waits for it or was late."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from engine.metrics import JobMetrics, OperatorMetrics, short_count, shortened, table

_TITLES = ("event time", "has come to", "behind", "late", "held")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def times(now: JobMetrics, at: int, width: int) -> list[str]:
    """A row for each operator that makes event time or waits for it; nothing where there is none.

    `at`: when this was so, in milliseconds since the epoch: event time is so far behind that.
    """
    rows = [[each.name, *_cells(each, at)] for each in now.operators if _is_told(each)]
    if not rows:
        return []
    numbers = max(map(len, table(("", *_TITLES[1:]), [("", *row[1:]) for row in rows])))
    for row in rows:
        row[0] = shortened(row[0], width - numbers)
    return list(table(_TITLES, rows))


def time_line(now: JobMetrics, at: int) -> Iterator[str]:
    """The same of the whole job, in one line: the least event time of those operators."""
    told = [each for each in now.operators if _is_told(each)]
    if told:
        known = [each.watermark for each in told if each.watermark is not None]
        come = f"event time {moment(min(known))}, {span(at - min(known))} behind; " if known else ""
        yield f"{come}{now.late:,} late, {sum(each.held for each in told):,} held"


def moment(time: int) -> str:
    """An event time as text, in UTC; as it is where that is no year that has a name."""
    try:
        return f"{_EPOCH + timedelta(milliseconds=time):%Y-%m-%d %H:%M:%S}"
    except OverflowError:
        return f"{time} ms"


def span(milliseconds: int) -> str:
    """So much time in few characters."""
    seconds = milliseconds / 1000
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if abs(seconds) >= 2 * size:
            return f"{seconds / size:,.1f}{unit}"
    return f"{seconds:.1f}s"


def _is_told(each: OperatorMetrics) -> bool:
    return each.kind == "event_time" or each.late > 0 or each.held > 0


def _cells(each: OperatorMetrics, at: int) -> list[str]:
    come = ("", "") if each.watermark is None else (moment(each.watermark), span(at - each.watermark))
    return [*come, short_count(each.late), short_count(each.held)]
