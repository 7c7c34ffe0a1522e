"""broadcast, rebalance and key_by over one to four instances."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from engine import Dataflow, GraphError, Settings, count
from tests.engine.helpers import TIGHT, ListSink, ListSource, Runner

PARALLELISM = [1, 2, 3, 4]


@pytest.mark.parametrize("parallelism", PARALLELISM)
@pytest.mark.parametrize("settings", [Settings(), TIGHT, Settings(max_window=20, frame_records=4)])
def test_rebalance_sends_each_record_to_one(runner: Runner, parallelism: int, settings: Settings) -> None:
    out = runner.through(range(500), lambda s: s.rebalance(parallelism).map(lambda x: x), settings)
    assert sorted(out) == list(range(500))


@pytest.mark.parametrize("parallelism", PARALLELISM)
@pytest.mark.parametrize("settings", [Settings(), TIGHT])
def test_broadcast_sends_each_record_to_all(runner: Runner, parallelism: int, settings: Settings) -> None:
    flow, sink = runner.flow(settings=settings), runner.sink()
    flow.source(runner.source(range(200))).broadcast(parallelism).sink(sink)
    result = flow.run()
    assert Counter(sink.records) == Counter(dict.fromkeys(range(200), parallelism))
    assert result.records_written == 200 * parallelism
    assert sorted(context.index for context in sink.contexts) == list(range(parallelism))
    assert {context.parallelism for context in sink.contexts} == {parallelism}


@pytest.mark.parametrize("before", PARALLELISM)
@pytest.mark.parametrize("after", PARALLELISM)
def test_from_any_number_to_any_other(runner: Runner, before: int, after: int) -> None:
    def build(stream: Any) -> Any:
        keyed = stream.rebalance(before).map(lambda x: x).key_by(lambda x: x % 11, parallelism=after)
        return keyed.fold(int, lambda n, x: n + 1)

    assert sorted(runner.through(range(220), build)) == [(k, 20) for k in range(11)]


@pytest.mark.parametrize("parallelism", PARALLELISM)
def test_back_to_one(runner: Runner, parallelism: int) -> None:
    def build(stream: Any) -> Any:
        return stream.rebalance(parallelism).map(lambda x: x).rebalance(1).map(lambda x: x)

    flow, sink = runner.flow(), runner.sink()
    build(flow.source(runner.source(range(100)))).sink(sink)
    flow.run()
    assert sorted(sink.records) == list(range(100))
    assert len(sink.contexts) == 1


def test_what_follows_keeps_the_parallelism(runner: Runner) -> None:
    flow, sink = runner.flow(), runner.sink()
    stream = flow.source(runner.source(range(60))).rebalance(3).map(lambda x: x).flat_map(lambda x: [x]).filter(bool)
    stream.key_by(lambda x: x % 2).aggregate(n=count()).sink(sink)
    flow.run()
    assert len(sink.contexts) == 3
    assert sorted((row.key, row.n) for row in sink.records) == [(0, 29), (1, 30)]


def test_a_stateful_map_has_each_key_in_one_instance_only(runner: Runner) -> None:
    def tag(state: object | None, record: int) -> tuple[object, tuple[int, int]]:
        state = state or object()
        return state, (record % 5, id(state))

    out = runner.through(range(300), lambda s: s.key_by(lambda x: x % 5, parallelism=4).stateful_map(tag))
    assert len(set(out)) == 5


@pytest.mark.parametrize("how", ["key_by", "rebalance", "broadcast"])
def test_spreading_right_after_broadcast_would_undo_it(how: str) -> None:
    stream = Dataflow("f").source(ListSource([])).broadcast(2)
    with pytest.raises(GraphError, match=rf"test_parallelism.py:\d+: {how} right after broadcast would undo it"):
        _ = stream.key_by() if how == "key_by" else getattr(stream, how)(2)


def test_more_instances_than_key_groups() -> None:
    flow = Dataflow("f", settings=Settings(max_parallelism=2))
    flow.source(ListSource([])).key_by(str, parallelism=3).map(str, name="wide").sink(ListSink())
    with pytest.raises(GraphError, match=r"'wide' \(test_parallelism.py:\d+\) runs 3 times, but there are 2 key group"):
        flow.run()


def test_every_key_group_may_have_an_instance_of_its_own(runner: Runner) -> None:
    def build(stream: Any) -> Any:
        return stream.key_by(lambda x: x, parallelism=4).fold(int, lambda n, x: n + x)

    out = runner.through(range(50), build, Settings(max_parallelism=4))
    assert sorted(out) == [(x, x) for x in range(50)]
