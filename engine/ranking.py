"""Ranking: the rows that `top` gives, and how a record changes them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from cext.getter import Getter
from engine.aggregates import Aggregate, custom, top
from engine.checks import check_field
from engine.graph import Part
from engine.operations import FlatMap

T = TypeVar("T")


class Ranked(msgspec.Struct, Generic[T], frozen=True):
    """A record among the greatest (or smallest) of its key, and its place among them, from 1.

    `window_start` and `window_end` are as in WindowResult, None where there is no window.
    """

    key: Any
    rank: int
    record: T
    window_start: Any = None
    window_end: Any = None


@dataclass(frozen=True, eq=False)
class Rows(FlatMap):
    """A list of rows becomes these."""

    kind = "top"

    @property
    def default_name(self) -> str:
        return self.kind

    def describe(self) -> str:
        return "rows of top"


class Standing(NamedTuple):
    """The greatest records of a key so far, the greatest first, and the first place that the last one has changed."""

    ranks: tuple[Any, ...]
    records: tuple[Any, ...]
    changed: int


def ranking(most: int, by: Part, smallest: bool, record_type: Any, place: str) -> Aggregate:
    """The list of the `most` greatest records."""
    check_field(record_type, by, "top", place)
    return top(most, by, smallest=smallest)


def rising(whole: Aggregate, most: int, by: Part, smallest: bool) -> Aggregate:
    """Of the list that `whole` makes what the last record has changed, as (place before it, records)."""
    rank_of = Getter(by)

    def add(standing: Standing, record: Any) -> Standing:
        rank = rank_of(record)
        at = len(standing.ranks)
        if rank is None or rank != rank:  # noqa: PLR0124  (NaN)
            return standing._replace(changed=at)
        while at > 0 and (rank < standing.ranks[at - 1] if smallest else standing.ranks[at - 1] < rank):
            at -= 1
        ranks = (*standing.ranks[:at], rank, *standing.ranks[at:])[:most]
        records = (*standing.records[:at], record, *standing.records[at:])[:most]
        return Standing(ranks, records, at)

    changed = custom(_nobody, add, _changed)
    return replace(changed, name=whole.name, fields=whole.fields)


def ranked(key: Any, results: list[Any]) -> list[Ranked[Any]]:
    """The rows of a key, from the list of its records, with the bounds of a window before it or without."""
    *bounds, found = results
    before, records = found if isinstance(found, tuple) else (0, found)
    return [Ranked(key, rank, record, *bounds) for rank, record in enumerate(records, before + 1)]


def _nobody() -> Standing:
    return Standing((), (), 0)


def _changed(standing: Standing) -> tuple[int, tuple[Any, ...]]:
    return standing.changed, standing.records[standing.changed :]
