"""q10, log to files: every bid, in files of JSON lines for each minute."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

import msgspec

from benchmarks.nexmark.records import Bid, Event
from connectors.files import json_lines_file
from engine import Sink, SinkContext, Stream, Writer

MOST_OPEN = 64
"""Files that a writer has open; bids come nearly in order, so a minute that others have followed is over."""


class LoggedBid(msgspec.Struct, gc=False):
    """A bid, and the day and minute of its file."""

    auction: int
    bidder: int
    price: int
    date_time: int
    extra: str
    day: str
    minute: str


def logged(bid: Bid) -> LoggedBid:
    """The bid with its place."""
    at = datetime.fromtimestamp(bid.date_time / 1000, UTC)
    return LoggedBid(bid.auction, bid.bidder, bid.price, bid.date_time, bid.extra, f"{at:%Y-%m-%d}", f"{at:%H:%M}")


def place(bid: LoggedBid) -> tuple[str, str]:
    """Which files it goes to."""
    return bid.day, bid.minute


def query(events: Stream[Event]) -> Stream[LoggedBid]:
    """Every bid with its place."""
    return events.of_type(Bid).map(logged)


class ByMinute(Sink[LoggedBid]):
    """Folders for days, and in them files for minutes: 2015-07-15/00-01.3.jsonl, the third one of 00:01."""

    blocking = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self, context: SinkContext) -> Writer[LoggedBid]:
        def open_file(day: str, minute: str, number: int) -> Writer[LoggedBid]:
            (self.folder / day).mkdir(parents=True, exist_ok=True)
            return json_lines_file(self.folder / day / f"{minute.replace(':', '-')}.{number}.jsonl").open(context)

        return Minutes(open_file)


class Minutes(Writer[LoggedBid]):
    """The files that are open, the one that was longest not written to first; where there are too many, that ends."""

    def __init__(self, open_file: Callable[[str, str, int], Writer[LoggedBid]]) -> None:
        self._open_file = open_file
        self._open: dict[tuple[str, str], Writer[LoggedBid]] = {}
        self._numbers: dict[tuple[str, str], int] = {}

    def write(self, records: list[LoggedBid]) -> None:
        for minute, bids in groupby(sorted(records, key=place), place):
            self._file(minute).write(list(bids))

    def _file(self, minute: tuple[str, str]) -> Writer[LoggedBid]:
        file = self._open.pop(minute, None)
        if file is None:
            if len(self._open) == MOST_OPEN:
                self._open.pop(next(iter(self._open))).finish()
            self._numbers[minute] = self._numbers.get(minute, 0) + 1
            file = self._open_file(*minute, self._numbers[minute])
        self._open[minute] = file
        return file

    def finish(self) -> None:
        with ExitStack() as each:  # which goes on to the others where one raises
            for file in self._open.values():
                each.callback(file.finish)

    def abort(self) -> None:
        with ExitStack() as each:
            for file in self._open.values():
                each.callback(file.abort)


def sink(folder: Path) -> Sink[LoggedBid]:
    """Where its results go."""
    return ByMinute(folder)
