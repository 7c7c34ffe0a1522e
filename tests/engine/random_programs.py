"""Random programs: graphs of every operator, built line by line beside the plain lists that they must give.

Workers import this module, so it takes no test library.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from engine import KeyedStream, Stream, count, sum_

MOST = 3000
"""Records of one stream at which a program stops growing."""


@dataclass
class Known:
    """A stream, and the records that it must have, in any order."""

    stream: Stream[Any]
    rows: list[int]


@dataclass(frozen=True)
class Step:
    """One line of a random program: what to add, to which of the streams so far, and a number for it to play with."""

    kind: str
    at: int
    other: int
    n: int
    parallelism: int


def shift(n: int, x: int) -> int:
    return x + n


def is_kept(n: int, x: int) -> bool:
    return x % (n + 2) != 0


def copies(n: int, x: int) -> list[int]:
    return [x + i for i in range(x % (n % 3 + 2))]


def pairs(rows: list[int]) -> list[int]:
    return [x for row in rows for x in (row, -row)]


async def shift_later(x: int) -> int:
    return x + 1


def refuse(n: int, x: int) -> int:
    if x % (n + 2) == 0:
        raise ValueError(x)
    return x


def number(state: int | None, x: int) -> tuple[int, int]:
    return (state or 0) + 1, (x % 5) * 1000 + (state or 0) + 1


def flat(pair: tuple[int, int]) -> int:
    return pair[0] * 100_000 + pair[1]


def keyed(one: Known, step: Step) -> tuple[KeyedStream[Any], dict[int, list[int]]]:
    """The stream keyed by x % 5, and the records of each key."""
    groups: dict[int, list[int]] = defaultdict(list)
    for x in one.rows:
        groups[x % 5].append(x)
    return one.stream.key_by(lambda x: x % 5, parallelism=step.parallelism), groups


Grow = Callable[[Known, Known, Step], list[Known]]
"""The streams that a step makes of one stream, and of a second where it takes two."""


def per_record(step: Step) -> dict[str, tuple[Callable[[Stream[Any]], Stream[Any]], Callable[[int], list[int]]]]:
    """Operators that go by the record: how they are added, and what each record becomes."""
    n, table = step.n, {0: 10, 1: 20}
    return {
        "map": (lambda s: s.map(partial(shift, n)), lambda x: [x + n]),
        "filter": (lambda s: s.filter(partial(is_kept, n)), lambda x: [x] * is_kept(n, x)),
        "inspect": (lambda s: s.inspect(str), lambda x: [x]),
        "flat_map": (lambda s: s.flat_map(partial(copies, n)), partial(copies, n)),
        "map_batch": (lambda s: s.map_batch(pairs, size=n + 1), lambda x: [x, -x]),
        "map_async": (
            lambda s: s.map_async(shift_later, concurrency=n + 1, ordered=n % 2 == 0),
            lambda x: [x + 1],
        ),
        "skip": (lambda s: s.map(partial(refuse, n), on_error="skip"), lambda x: [x] * is_kept(n, x)),
        "lookup": (
            lambda s: s.lookup_join(table, on=lambda x: x % 3, into=lambda x, more: x + more, how="inner"),
            lambda x: [x + table[x % 3]] if x % 3 in table else [],
        ),
        "rebalance": (lambda s: s.rebalance(step.parallelism).map(abs), lambda x: [abs(x)]),
        "broadcast": (lambda s: s.broadcast(step.parallelism).map(abs), lambda x: [abs(x)] * step.parallelism),
        "keyed map": (lambda s: s.key_by(lambda x: x % 5, parallelism=step.parallelism).map(abs), lambda x: [abs(x)]),
    }


def union(one: Known, two: Known, step: Step) -> list[Known]:
    return [Known(one.stream.union(two.stream), one.rows + two.rows)]


def split(one: Known, two: Known, step: Step) -> list[Known]:
    kept = partial(is_kept, step.n)
    yes, no = one.stream.split(kept)
    return [Known(yes, [x for x in one.rows if kept(x)]), Known(no, [x for x in one.rows if not kept(x)])]


def stateful(one: Known, two: Known, step: Step) -> list[Known]:
    stream, groups = keyed(one, step)
    numbers = [k * 1000 + i + 1 for k, group in groups.items() for i in range(len(group))]
    return [Known(stream.stateful_map(number), numbers)]


def fold(one: Known, two: Known, step: Step) -> list[Known]:
    stream, groups = keyed(one, step)
    sums = [flat((k, sum(group))) for k, group in groups.items()]
    return [Known(stream.fold(int, lambda state, x: state + x).map(flat), sums)]


def reduce(one: Known, two: Known, step: Step) -> list[Known]:
    stream, groups = keyed(one, step)
    return [Known(stream.reduce(max).map(flat), [flat((k, max(group))) for k, group in groups.items()])]


def aggregate(one: Known, two: Known, step: Step) -> list[Known]:
    stream, groups = keyed(one, step)
    rows = stream.aggregate(n=count(), total=sum_(lambda x: x))
    totals = [k + len(group) + sum(group) for k, group in groups.items()]
    return [Known(rows.map(lambda row: row.key + row.n + row.total), totals)]


def update(one: Known, two: Known, step: Step) -> list[Known]:
    stream, groups = keyed(one, step)
    counts = [flat((k, i + 1)) for k, group in groups.items() for i in range(len(group))]
    return [Known(stream.fold(int, lambda state, x: state + 1, emit="update").map(flat), counts)]


def stage(one: Known, two: Known, step: Step) -> list[Known]:
    width = 1 + step.n % 2
    return [Known(one.stream.stage(f"stage {width}", processes=width), one.rows)]


WHOLE: dict[str, Grow] = {f.__name__: f for f in (union, split, stateful, fold, reduce, aggregate, update)}
STAGED: dict[str, Grow] = {**WHOLE, "stage": stage}


def grow(one: Known, two: Known, step: Step) -> list[Known]:
    if step.kind in STAGED:
        return STAGED[step.kind](one, two, step)
    add, becomes = per_record(step)[step.kind]
    return [Known(add(one.stream), [y for x in one.rows for y in becomes(x)])]


def extend(pool: list[Known], program: list[Step]) -> None:
    """Add to `pool` what each step of `program` makes of streams that are in it."""
    for step in program:
        one, two = pool[step.at % len(pool)], pool[step.other % len(pool)]
        if len(one.rows) + len(two.rows) < MOST:
            pool += grow(one, two, step)


KINDS = [*per_record(Step("", 0, 0, 1, 1)), *WHOLE]
