"""Ways apart and together: union (with itself, in diamonds), split in two and in more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from engine import ConnectorError, Settings, count
from tests.engine.helpers import TIGHT, Nothing, Raise, Runner


@pytest.mark.parametrize("settings", [Settings(), TIGHT, Settings(max_window=100, frame_records=7)])
def test_union_keeps_each_streams_own_order(runner: Runner, settings: Settings) -> None:
    flow, sink = runner.flow(settings=settings), runner.sink()
    streams = [flow.source(runner.source([(s, n) for n in range(300)])) for s in range(4)]
    streams[0].union(*streams[1:]).sink(sink)
    assert flow.run().records_read == 1200
    for s in range(4):
        assert [n for source, n in sink.records if source == s] == list(range(300))


def test_union_with_nothing_is_the_stream(runner: Runner) -> None:
    assert runner.through([1, 2], lambda s: s.union()) == [1, 2]


def test_union_with_itself_doubles(runner: Runner) -> None:
    assert Counter(runner.through(range(50), lambda s: s.union(s))) == Counter(dict.fromkeys(range(50), 2))
    assert Counter(runner.through([1], lambda s: s.map(str).union(s.map(str), s))) == Counter({"1": 2, 1: 1})
    assert len(runner.through(range(10), lambda s: s.union(s).union(s.union(s)), TIGHT)) == 40


@pytest.mark.parametrize("settings", [Settings(), TIGHT])
def test_a_diamond(runner: Runner, settings: Settings) -> None:
    def diamond(stream: Any) -> Any:
        return stream.filter(lambda x: x % 3 == 0).union(stream.map(lambda x: -x), stream.flat_map(lambda x: [x] * 2))

    expected = [x for x in range(200) if x % 3 == 0] + [-x for x in range(200)] + list(range(200)) * 2
    assert Counter(runner.through(range(200), diamond, settings)) == Counter(expected)


def test_many_diamonds_one_behind_the_other(runner: Runner) -> None:
    def diamonds(stream: Any) -> Any:
        for _ in range(40):
            low, high = stream.split(lambda x: x < 5)
            stream = low.map(lambda x: x).union(high)
        return stream.key_by().fold(int, lambda n, x: n + x)

    assert runner.through(range(10), diamonds) == [((), 45)]


def test_union_of_streams_of_different_parallelism(runner: Runner) -> None:
    def join(stream: Any) -> Any:
        return stream.rebalance(3).map(lambda x: x).union(stream.map(lambda x: -x)).map(lambda x: (x,))

    out = runner.through(range(100), join)
    assert Counter(out) == Counter([(x,) for x in range(100)] + [(-x,) for x in range(100)])


def test_split_in_two(runner: Runner) -> None:
    flow, yes, no = runner.flow(), runner.sink(), runner.sink()
    evens, odds = flow.source(runner.source(range(3000))).split(lambda x: x % 2 == 0)
    evens.sink(yes)
    odds.sink(no)
    assert flow.run().records_written == 3000
    assert (yes.records, no.records) == (list(range(0, 3000, 2)), list(range(1, 3000, 2)))


def test_split_in_more_the_first_that_is_true_counts(runner: Runner) -> None:
    flow = runner.flow()
    sinks = [runner.sink() for _ in range(4)]
    asked: list[int] = []

    def second(x: int) -> bool:
        asked.append(x)
        return x < 20

    parts = flow.source(runner.source(range(40))).split(lambda x: x < 10, second, lambda x: [x] if x < 20 else None)
    for part, sink in zip(parts, sinks, strict=True):
        part.sink(sink)
    flow.run()
    assert [sink.records for sink in sinks] == [list(range(10)), list(range(10, 20)), [], list(range(20, 40))]
    assert asked == list(range(10, 40))
    assert [sink.calls[-1] for sink in sinks] == ["finish"] * 4


@pytest.mark.parametrize("settings", [Settings(), TIGHT])
def test_split_parts_used_twice_and_brought_together(runner: Runner, settings: Settings) -> None:
    def build(stream: Any) -> Any:
        low, high = stream.map(lambda x: x).split(lambda x: x < 10)
        return low.union(high, low.map(lambda x: -x))

    assert Counter(runner.through(range(20), build, settings)) == Counter([*range(20), *(-x for x in range(10))])


def test_split_behind_a_fan_out_and_in_a_row(runner: Runner) -> None:
    def build(stream: Any) -> Any:
        low, high = stream.flat_map(lambda x: [x, x + 100]).rebalance(2).split(lambda x: x < 100)
        even, odd = low.split(lambda x: x % 2 == 0)
        return even.map(lambda x: ("even", x)).union(odd.map(lambda x: ("odd", x)), high.map(lambda x: ("high", x)))

    expected = [("odd" if x % 2 else "even", x) for x in range(50)] + [("high", x) for x in range(100, 150)]
    assert sorted(runner.through(range(50), build)) == sorted(expected)


def test_a_keyed_stream_can_be_split(runner: Runner) -> None:
    flow, yes, no = runner.flow(), runner.sink(), runner.sink()
    one, two = flow.source(runner.source(range(100))).key_by(lambda x: x % 10, parallelism=3).split(lambda x: x < 50)
    one.sink(yes)
    two.sink(no)
    flow.run()
    assert (sorted(yes.records), sorted(no.records)) == (list(range(50)), list(range(50, 100)))


def test_branches_share_the_records_themselves(runner: Runner) -> None:
    flow, one, two = runner.flow(), runner.sink(), runner.sink()
    stream = flow.source(runner.source([[n] for n in range(100)]))
    stream.sink(one)
    stream.broadcast(2).filter(bool).sink(two)
    flow.run()
    assert Counter(map(id, two.records)) == Counter({id(record): 2 for record in one.records})


def test_a_branch_that_ended_whole_stays_finished_when_the_job_fails_later(runner: Runner) -> None:
    flow, done, cut = runner.flow(), runner.sink(), runner.sink()

    def late() -> Iterator[Any]:
        while done.ends != ["finish"]:
            yield Nothing()
        yield Raise(OSError("unplugged"))

    flow.source(runner.source(["a", "b", "a"])).key_by(str).aggregate(n=count()).sink(done)
    flow.source(runner.source(late, poll_after=0.001)).key_by(str).aggregate(n=count()).sink(cut)
    with pytest.raises(ConnectorError, match="unplugged"):
        flow.run()
    assert [(row.key, row.n) for row in done.records] == [("a", 2), ("b", 1)]
    assert (cut.records, cut.ends) == ([], ["abort"])
