"""aggregate, reduce and fold: each aggregate's meaning, at the end and after every record."""

from __future__ import annotations

import math
import operator
import statistics
from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple, TypedDict

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Aggregate, collect, count, custom, distinct, max_, mean, min_, sum_, top
from tests.engine.helpers import TIGHT, ListSink, ListSource, Runner


class Visit(msgspec.Struct):
    page: str
    seconds: float | None


VISITS = [Visit("a", 3.0), Visit("b", None), Visit("a", None), Visit("a", 5.0), Visit("b", None), Visit("a", 3.0)]


def aggregated(runner: Runner, items: Any, aggregate: Aggregate, **options: Any) -> dict[Any, Any]:
    """What `aggregate` gives for each page."""
    rows = runner.through(items, lambda s: s.key_by("page").aggregate(got=aggregate, **options))
    return {row.page: row.got for row in rows}


@pytest.mark.parametrize(
    ("aggregate", "a", "b"),
    [
        (count(), 4, 2),
        (count("seconds"), 3, 0),
        (count(lambda v: v.seconds), 3, 0),
        (sum_("seconds"), 11.0, None),
        (min_("seconds"), 3.0, None),
        (max_("seconds"), 5.0, None),
        (mean("seconds"), 11 / 3, None),
        (distinct("seconds"), 2, 0),
        (collect("seconds"), [3.0, 5.0, 3.0], []),
        (collect(), [VISITS[0], VISITS[2], VISITS[3], VISITS[5]], [VISITS[1], VISITS[4]]),
        (top(2, by="seconds"), [VISITS[3], VISITS[0]], []),
        (top(2, by="seconds", value="page"), ["a", "a"], []),
        (top(9, "seconds", lambda v: v.seconds, smallest=True), [3.0, 3.0, 5.0], []),
        (custom(int, lambda n, visit: n + 10), 40, 20),
        (custom(list, lambda seen, s: [*seen, s], len, value="seconds"), 4, 2),
    ],
    ids=lambda value: value.name if isinstance(value, Aggregate) else "",
)
def test_none_is_no_value(runner: Runner, aggregate: Aggregate, a: Any, b: Any) -> None:
    assert aggregated(runner, VISITS, aggregate) == {"a": a, "b": b}


def test_top_keeps_the_earlier_of_equals_and_passes_over_nan(runner: Runner) -> None:
    items = [(1, "first"), (1, "second"), (math.nan, "none"), (None, "none"), (2, "best"), (1, "third")]
    rows = runner.through(items, lambda s: s.key_by().aggregate(best=top(3, by=lambda r: r[0], value=lambda r: r[1])))
    assert rows[0].best == ["best", "first", "second"]


def test_nan_is_a_value_and_stays(runner: Runner) -> None:
    items = [{"page": "a", "x": x} for x in (1.0, math.nan, 0.0)]
    for aggregate in (min_("x"), max_("x"), sum_("x"), mean("x")):
        assert math.isnan(aggregated(runner, items, aggregate)["a"])


@pytest.mark.parametrize(
    ("values", "total", "average"),
    [
        ([1, 2], 3, 1.5),
        ([2**70, 1], 2**70 + 1, (2**70 + 1) / 2),
        ([Decimal("0.1"), Decimal("0.2")], Decimal("0.3"), Decimal("0.15")),
        ([Fraction(1, 3), Fraction(1, 6)], Fraction(1, 2), Fraction(1, 4)),
        ([timedelta(1), timedelta(2)], timedelta(3), timedelta(1.5)),
    ],
    ids=["int", "large", "Decimal", "Fraction", "timedelta"],
)
def test_sums_and_means_keep_to_the_kind_of_number(runner: Runner, values: Any, total: Any, average: Any) -> None:
    rows = runner.through(values, lambda s: s.key_by().aggregate(s=sum_(lambda x: x), m=mean(lambda x: x)))
    assert (rows[0].s, rows[0].m) == (total, average)
    assert type(rows[0].s) is type(total)
    assert type(rows[0].m) is type(average)


@pytest.mark.parametrize("aggregate", [sum_("page"), mean("page")], ids=["sum", "mean"])
def test_texts_have_no_sum(runner: Runner, aggregate: Aggregate) -> None:
    flow, sink = runner.flow(on_error="skip"), runner.sink()
    flow.source(runner.source([{"page": "x"}])).key_by("page").aggregate(got=aggregate).sink(sink)
    assert flow.run().skipped == 1
    assert sink.records == []


def test_an_empty_stream_has_no_groups_not_even_the_one_of_everything(runner: Runner) -> None:
    assert runner.through([], lambda s: s.key_by().aggregate(n=count())) == []


def test_many_keys_come_out_within_credit(runner: Runner) -> None:
    rows = runner.through(
        range(3000), lambda s: s.key_by(lambda x: x).aggregate(n=count()).flat_map(lambda r: [r, r]), TIGHT
    )
    assert [row.key for row in rows] == [x for x in range(3000) for _ in range(2)]


def test_keys_come_out_in_the_order_in_which_they_first_came(runner: Runner) -> None:
    rows = runner.through("mississippi", lambda s: s.key_by(str).aggregate(n=count()))
    assert [(row.key, row.n) for row in rows] == [("m", 1), ("i", 4), ("s", 4), ("p", 2)]


def test_update_gives_the_aggregate_after_each_record(runner: Runner) -> None:
    rows = runner.through(
        [("a", 1), ("b", 5), ("a", 4)],
        lambda s: s.key_by(lambda r: r[0]).aggregate(n=count(), total=sum_(lambda r: r[1]), emit="update"),
    )
    assert [(row.key, row.n, row.total) for row in rows] == [("a", 1, 1), ("b", 1, 5), ("a", 2, 5)]


def test_update_gives_lists_of_its_own(runner: Runner) -> None:
    rows = runner.through(
        [1, 2, 3], lambda s: s.key_by().aggregate(all=collect(), most=top(2, by=lambda x: x), emit="update")
    )
    assert [row.all for row in rows] == [[1], [1, 2], [1, 2, 3]]
    assert [row.most for row in rows] == [[1], [2, 1], [3, 2]]


def test_a_record_whose_update_cannot_be_made_is_not_counted(runner: Runner) -> None:
    def not_two(total: int) -> int:
        if total == 2:
            raise ValueError(total)
        return total

    flow, sink = runner.flow(on_error="skip"), runner.sink()
    keyed = flow.source(runner.source([1, 1, 3])).key_by()
    keyed.aggregate(total=custom(int, lambda s, x: s + x, not_two), n=count(), emit="update").sink(sink)
    assert flow.run().skipped == 1
    assert [(row.total, row.n) for row in sink.records] == [(1, 1), (4, 2)]


def test_update_works_on_a_stream_that_never_ends(runner: Runner) -> None:
    flow, sink = runner.flow(), runner.sink()
    source = runner.source([1, 2], bounded=False)
    flow.source(source).key_by().reduce(operator.add, emit="update").sink(sink)
    flow.run()
    assert sink.records == [((), 1), ((), 3)]


class InOrder(msgspec.Struct):
    page: str
    n: int
    most: float | None


class KeywordsOnly(msgspec.Struct, kw_only=True):
    page: str
    n: int
    most: float | None


class OtherOrder(NamedTuple):
    most: float | None
    n: int
    page: str


class AsDict(TypedDict):
    n: int
    page: str
    most: float | None


@pytest.mark.parametrize("wanted", [InOrder, KeywordsOnly, OtherOrder, AsDict])
def test_results_of_the_type_that_was_asked_for(runner: Runner, wanted: Any) -> None:
    def build(stream: Any) -> Any:
        result = stream.key_by("page").aggregate(n=count(), most=max_("seconds"), type=wanted)
        assert result.type is wanted
        return result

    assert runner.through(VISITS, build) == [
        wanted(page="a", n=4, most=5.0),
        wanted(page="b", n=2, most=None),
    ]


def test_without_a_type_the_result_is_a_struct_with_the_keys_parts_first(runner: Runner) -> None:
    flow, sink = runner.flow(), runner.sink()
    visits = flow.source(runner.source(VISITS, type=Visit))
    result = visits.key_by("page", long=lambda v: v.seconds == 5).aggregate(n=count(), mean=mean("seconds"))
    result.sink(sink)
    flow.run()
    assert [(f.name, f.type) for f in msgspec.structs.fields(result.type)] == [
        ("page", str),
        ("long", Any),
        ("n", int),
        ("mean", float | None),
    ]
    assert sink.records[0] == result.type("a", False, 3, 3.0)


def test_reduce_and_fold_give_pairs(runner: Runner) -> None:
    by_parity: Callable[[Any], Any] = lambda s: s.key_by(lambda x: x % 2)  # noqa: E731
    assert runner.through(range(6), lambda s: by_parity(s).reduce(operator.sub)) == [(0, 0 - 2 - 4), (1, 1 - 3 - 5)]
    assert runner.through(range(6), lambda s: by_parity(s).fold(lambda: 100, operator.sub)) == [(0, 94), (1, 91)]
    assert runner.through([5], lambda s: s.key_by().reduce(operator.add)) == [((), 5)]


def test_reduce_of_one_record_does_not_call_the_function(runner: Runner) -> None:
    assert runner.through([3], lambda s: s.key_by().reduce(lambda a, b: 1 // 0)) == [((), 3)]


def test_fold_has_a_fresh_state_for_each_key_and_each_run(runner: Runner) -> None:
    flow, sink = runner.flow(), runner.sink()

    def append(seen: list[int], x: int) -> list[int]:
        seen.append(x)
        return seen

    flow.source(runner.source(range(4))).key_by(lambda x: x % 2).fold(list, append).sink(sink)
    flow.run()
    flow.run()
    assert sink.records == [(0, [0, 2]), (1, [1, 3])] * 2


@pytest.mark.parametrize("none", [None, 0, ""])
def test_states_may_be_false_or_none(runner: Runner, none: Any) -> None:
    assert runner.through([1, 2], lambda s: s.key_by().fold(lambda: none, lambda state, x: none)) == [((), none)]
    assert runner.through([none, none], lambda s: s.key_by().reduce(lambda a, b: a)) == [((), none)]


@pytest.mark.parametrize("parallelism", [1, 3])
def test_an_aggregate_of_an_aggregate(runner: Runner, parallelism: int) -> None:
    def build(stream: Any) -> Any:
        words = stream.key_by(str, parallelism=parallelism).aggregate(n=count())
        return words.key_by("n").aggregate(words=count(), which=collect("key"))

    rows = runner.through("abracadabra", build)
    assert {row.n: (row.words, sorted(row.which)) for row in rows} == {
        5: (1, ["a"]),
        2: (2, ["b", "r"]),
        1: (2, ["c", "d"]),
    }


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.one_of(st.none(), st.integers(-50, 50)))))
def test_all_aggregates_against_python(records: list[tuple[str, int | None]]) -> None:
    from engine import Dataflow

    flow, sink = Dataflow("law"), ListSink()

    def value(record: tuple[str, int | None]) -> int | None:
        return record[1]

    flow.source(ListSource(records)).key_by(lambda r: r[0], parallelism=2).aggregate(
        n=count(),
        known=count(value),
        total=sum_(value),
        least=min_(value),
        most=max_(value),
        mean=mean(value),
        different=distinct(value),
        all=collect(value),
        top=top(3, by=value, value=value),
    ).sink(sink)
    flow.run()
    groups: dict[str, list[int | None]] = defaultdict(list)
    for key, number in records:
        groups[key].append(number)
    assert {row.key for row in sink.records} == set(groups)
    for row in sink.records:
        known = [x for x in groups[row.key] if x is not None]
        assert (row.n, row.known, row.all) == (len(groups[row.key]), len(known), known)
        assert (row.total, row.least, row.most) == ((sum(known), min(known), max(known)) if known else (None,) * 3)
        assert row.mean == (statistics.mean(known) if known else None)
        assert (row.different, row.top) == (len(set(known)), sorted(known, reverse=True)[:3])


def test_aggregates_say_what_they_are() -> None:
    assert repr(sum_("fare")) == "Aggregate(name='sum', value='fare', fields=('fare',))"
