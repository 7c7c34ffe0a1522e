"""Operators of one record to at most one: map, filter, inspect; and streams that are used twice."""

from __future__ import annotations

import operator
from functools import partial
from typing import Any

import pytest

from engine import Settings
from tests.engine.helpers import TIGHT, Runner

SIZES = [0, 1, 2, 1023, 1024, 1025, 20_000]


class Plus:
    """A callable object."""

    def __init__(self, more: int) -> None:
        self.more = more

    def __call__(self, number: int) -> int:
        return number + self.more

    def method(self, number: int) -> int:
        return number + self.more


@pytest.mark.parametrize("size", SIZES)
def test_map_keeps_every_record_and_their_order(runner: Runner, size: int) -> None:
    assert runner.through(range(size), lambda s: s.map(lambda x: x * 3)) == [x * 3 for x in range(size)]


@pytest.mark.parametrize(
    "function",
    [Plus(1), Plus(1).method, partial(operator.add, 1), (1).__add__, lambda x: x + 1],
    ids=["object", "method", "partial", "builtin", "lambda"],
)
def test_map_takes_whatever_can_be_called(runner: Runner, function: Any) -> None:
    assert runner.through([1, 2], lambda s: s.map(function)) == [2, 3]


def test_records_may_be_anything_none_and_exceptions_included(runner: Runner) -> None:
    error = ValueError("just a record")
    items: list[Any] = [None, (), [], {}, error, ..., NotImplemented, float("nan"), type]
    out = runner.through(items, lambda s: s.map(lambda x: x).filter(lambda x: True).inspect(lambda x: None))
    assert all(given is got for given, got in zip(items, out, strict=True))


def test_map_to_a_class(runner: Runner) -> None:
    assert runner.through(["7", "8"], lambda s: s.map(int)) == [7, 8]


@pytest.mark.parametrize("verdict", [None, 0, "", [], 0.0])
def test_filter_goes_by_truth_not_by_identity(runner: Runner, verdict: object) -> None:
    assert runner.through([1, 2], lambda s: s.filter(lambda x: verdict)) == []
    assert runner.through([1, 2], lambda s: s.filter(lambda x: [verdict])) == [1, 2]


def test_a_filter_that_drops_everything_still_ends_and_opens_the_sink(runner: Runner) -> None:
    flow, sink = runner.flow(), runner.sink()
    flow.source(runner.source(range(5000))).filter(lambda x: False).sink(sink)
    result = flow.run()
    assert (result.records_read, result.records_written) == (5000, 0)
    assert sink.calls == ["open", "finish"]


def test_of_type_keeps_one_kind(runner: Runner) -> None:
    items = [1, "two", 3.0, "four", True]
    assert runner.through(items, lambda s: s.of_type(str)) == ["two", "four"]
    assert runner.through(items, lambda s: s.of_type(int)) == [1, True]
    assert runner.through(items, lambda s: s.of_type(bytes)) == []


def test_inspect_sees_each_record_once_and_its_result_is_of_no_interest(runner: Runner) -> None:
    seen: list[int] = []
    assert runner.through(range(3000), lambda s: s.inspect(seen.append)) == list(range(3000))
    assert seen == list(range(3000))
    assert runner.through([1, 2], lambda s: s.inspect(lambda x: False)) == [1, 2]


def test_a_long_chain(runner: Runner) -> None:
    def chain(stream: Any) -> Any:
        for _ in range(300):
            stream = stream.map(Plus(1))
        return stream

    assert runner.through(range(10), chain) == list(range(300, 310))


def test_a_chain_longer_than_the_recursion_limit(runner: Runner) -> None:
    def chain(stream: Any) -> Any:
        for _ in range(1100):
            stream = stream.map(abs)
        return stream.key_by().reduce(operator.add).map(operator.itemgetter(1))

    assert runner.through([1, 2, 3], chain) == [6]


def test_a_stream_used_twice_goes_whole_both_ways(runner: Runner) -> None:
    flow, one, two, three = runner.flow(), runner.sink(), runner.sink(), runner.sink()
    numbers = flow.source(runner.source(range(3000))).map(lambda x: x)
    numbers.filter(lambda x: x % 2 == 0).sink(one)
    numbers.map(lambda x: -x).sink(two)
    numbers.sink(three)
    result = flow.run()
    assert one.records == list(range(0, 3000, 2))
    assert two.records == [-x for x in range(3000)]
    assert three.records == list(range(3000))
    assert result.records_read == 3000
    assert result.records_written == 7500


def test_a_slow_branch_does_not_lose_what_the_other_has(runner: Runner) -> None:
    flow, all_of_them, few = runner.flow(settings=TIGHT), runner.sink(), runner.sink(batch=50)
    numbers = flow.source(runner.source(range(200)))
    numbers.sink(all_of_them)
    numbers.flat_map(lambda x: [x] * (x % 3)).sink(few)
    flow.run()
    assert all_of_them.records == list(range(200))
    assert few.records == [x for x in range(200) for _ in range(x % 3)]


def test_one_stream_into_the_same_sink_object_twice(runner: Runner) -> None:
    flow, sink = runner.flow(), runner.sink()
    numbers = flow.source(runner.source(range(10)))
    numbers.sink(sink)
    numbers.sink(sink)
    result = flow.run()
    assert sorted(sink.records) == sorted([*range(10), *range(10)])
    assert {each.name for each in result.operators} >= {"into", "into-2"}


def test_two_sources_of_one_object(runner: Runner) -> None:
    flow, sink = runner.flow(), runner.sink()
    source = runner.source(range(10))
    flow.source(source).union(flow.source(source)).sink(sink)
    assert flow.run().records_read == 20
    assert sorted(sink.records) == sorted([*range(10), *range(10)])


def test_partitions_of_a_bounded_source_come_one_after_the_other(runner: Runner) -> None:
    flow, sink = runner.flow(), runner.sink()
    source = runner.source({"a": range(100), "b": [], "c": range(100, 150)})
    flow.source(source).sink(sink)
    flow.run()
    assert sink.records == list(range(150))
    assert [reader.closed for reader in source.readers] == [1, 1, 1]


def test_partitions_of_an_unbounded_source_are_read_in_turn_and_may_end(runner: Runner) -> None:
    flow, sink = runner.flow(settings=TIGHT), runner.sink()
    source = runner.source({"a": ["a"] * 5, "b": ["b"] * 3}, bounded=False, per_read=1)
    flow.source(source).sink(sink)
    assert flow.run().state == "finished"
    assert sorted(sink.records) == ["a"] * 5 + ["b"] * 3
    assert sink.records.index("a") < 2
    assert sink.records.index("b") < 2


def test_a_source_without_partitions_is_an_empty_stream(runner: Runner) -> None:
    flow, sink = runner.flow(), runner.sink()
    flow.source(runner.source({})).sink(sink)
    assert flow.run().records_read == 0
    assert sink.calls == ["open", "finish"]


def test_empty_reads_are_no_end(runner: Runner) -> None:
    from tests.engine.helpers import Nothing

    items = [1, Nothing(), 2, Nothing(), Nothing(), 3]
    flow, sink = runner.flow(), runner.sink()
    flow.source(runner.source(items, poll_after=0)).sink(sink)
    flow.run()
    assert sink.records == [1, 2, 3]


def test_a_reader_is_never_asked_for_more_than_there_is_credit_for(runner: Runner) -> None:
    flow, sink = runner.flow(settings=Settings(max_window=7)), runner.sink()
    source = runner.source(range(100))
    flow.source(source).map(lambda x: x).sink(sink)
    flow.run()
    assert source.readers[0].largest_limit <= 7
    assert sink.records == list(range(100))


def test_each_connector_is_called_from_one_thread(runner: Runner) -> None:
    flow, sink = runner.flow(), runner.sink()
    source = runner.source(range(5000), per_read=10)
    flow.source(source).sink(sink)
    flow.run()
    assert len(source.readers[0].threads) == 1


def test_a_sink_with_a_batch_gets_full_ones_and_then_the_rest(runner: Runner) -> None:
    flow, sink = runner.flow(), runner.sink(batch=100)
    flow.source(runner.source(range(1050))).sink(sink)
    flow.run()
    assert sink.records == list(range(1050))
    assert max(sink.batches) <= 100
    assert sink.ends == ["finish"]


def test_the_sink_is_told_what_it_writes(runner: Runner) -> None:
    flow, sink = runner.flow(), runner.sink()
    flow.source(runner.source([], type=int)).map(str).sink(sink, name="here")
    flow.run()
    (context,) = sink.contexts
    assert (context.operator, context.type, context.index, context.parallelism) == ("here", str, 0, 1)
