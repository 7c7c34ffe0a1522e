"""The plan: which operators share a task, what joins tasks, how much can be in flight, and how explain() says it."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import dedent
from typing import Any

import pytest

from engine import Dataflow, Settings, Stream, count
from engine.graph import LETTERS
from engine.plan import Plan
from tests.engine.helpers import ListSink, ListSource


def start(name: str = "plan", **options: Any) -> tuple[Dataflow, Stream[Any]]:
    flow = Dataflow(name, **options)
    return flow, flow.source(ListSource([]), name="in")


def tasks(build: Callable[[Stream[Any]], Any]) -> list[str]:
    """The names of the tasks of a flow from one source through `build` into a sink."""
    flow, stream = start()
    last = build(stream)
    if last is not None:
        last.sink(ListSink(), name="out")
    return [task.name for task in Plan.of(flow).tasks]


def m(stream: Any, name: str) -> Any:
    return stream.map(str, name=name)


def twice(stream: Any) -> Any:
    shared = m(stream, "a")
    m(shared, "c").sink(ListSink(), name="other")
    return m(shared, "b")


def split_then(stream: Any) -> Any:
    yes, no = m(stream, "a").split(bool, name="s")
    no.sink(ListSink(), name="other")
    return m(yes, "b")


def diamond(stream: Any) -> Any:
    shared = m(stream, "a")
    return m(m(shared, "b").union(m(shared, "c")), "d")


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda s: s, ["in", "out"]),
        (lambda s: m(m(s, "a"), "b"), ["in", "a | b", "out"]),
        (lambda s: m(s.filter(str, name="f").inspect(str, name="i"), "m"), ["in", "f | i | m", "out"]),
        (lambda s: m(m(s, "a").flat_map(str, name="f"), "b"), ["in", "a", "f | b", "out"]),
        (lambda s: m(s.map_batch(str, name="mb"), "b").map_async(str, name="ma"), ["in", "mb | b", "ma", "out"]),
        (lambda s: m(m(s, "a").lookup_join({}, on="x", name="l"), "b"), ["in", "a | l | b", "out"]),
        (
            lambda s: m(m(s, "a").key_by().stateful_map(lambda a, b: (a, b), name="st"), "b"),
            ["in", "a | st | b", "out"],
        ),
        (lambda s: m(m(s, "a").key_by().aggregate(n=count(), name="agg"), "b"), ["in", "a", "agg | b", "out"]),
        (
            lambda s: m(m(s, "a").key_by().aggregate(n=count(), emit="update", name="agg"), "b"),
            ["in", "a | agg | b", "out"],
        ),
        (
            lambda s: m(m(s, "a").key_by(parallelism=2).stateful_map(max, name="st"), "b"),
            ["in", "a", "st | b", "out"],
        ),
        (lambda s: m(m(m(s, "a").rebalance(2), "b").rebalance(2), "c"), ["in", "a", "b", "c", "out"]),
        (lambda s: m(m(s.rebalance(2), "a").broadcast(2), "b"), ["in", "a", "b", "out"]),
        (lambda s: m(m(s, "a").rebalance(1), "b"), ["in", "a | b", "out"]),
        (twice, ["in", "a", "c", "other", "b", "out"]),
        (split_then, ["in", "a | s", "other", "b", "out"]),
        (diamond, ["in", "a", "b", "c", "d", "out"]),
        (lambda s: m(s.union(s), "a"), ["in", "a", "out"]),
        (lambda s: s.split(str, name="s")[0].union(s._flow.source(ListSource([]), name="in2")), None),
    ],
)
def test_what_shares_a_task(build: Callable[[Stream[Any]], Any], expected: list[str] | None) -> None:
    if expected is None:
        with pytest.raises(ValueError, match="part 2 of 2 of stream 's'"):
            tasks(build)
    else:
        assert tasks(build) == expected


def test_every_task_stands_behind_those_that_feed_it_dead_letters_included() -> None:
    flow, stream = start(on_error="dead-letter")
    flow.dead_letters.filter(bool, name="letters").sink(ListSink(), name="bad")
    diamond(stream).sink(ListSink(), name="out")
    plan = Plan.of(flow)
    place = {task: i for i, task in enumerate(plan.tasks)}
    assert all(place[edge.producer] < place[edge.consumer] for edge in plan.edges)
    assert plan.tasks[-1].name == "bad"


def test_the_bound_is_the_sum_over_all_channels() -> None:
    flow, stream = start(settings=Settings(max_window=100))
    stream.rebalance(3).map(str).key_by(str, parallelism=2).map(str).sink(ListSink(batch=80))
    plan = Plan.of(flow)
    assert [(edge.route, edge.channels, edge.most, edge.bound) for edge in plan.edges] == [
        ("rebalance", 3, 100, 300),
        ("hash", 6, 100, 600),
        ("forward", 2, 160, 320),
    ]
    assert plan.bound == 1220
    assert "at most 1,220 records in flight" in flow.explain()


async def wait(x: Any) -> Any:
    return x


def test_operators_that_work_on_many_records_at_once_say_so() -> None:
    """Or their channel's window would shrink with their pace, and their pace with the window, down to nothing."""
    flow, stream = start(settings=Settings(max_window=100))
    numbers: Stream[Any] = stream.map_batch(list, size=70, name="batch").map_async(wait, concurrency=300, name="async")
    numbers.sink(ListSink(batch=20), name="out")
    assert {edge.consumer.name: (edge.consumer.batch, edge.most) for edge in Plan.of(flow).edges} == {
        "batch": (70, 140),
        "async": (300, 600),
        "out": (20, 100),
    }


def test_a_batch_larger_than_the_window_raises_it() -> None:
    flow, stream = start(settings=Settings(max_window=1))
    stream.sink(ListSink(batch=1000))
    assert Plan.of(flow).bound == 2000


def test_the_target_delay_is_shared_along_the_longest_path_through_each_channel() -> None:
    flow, stream = start(settings=Settings(target_delay="600ms"))
    short, long = stream.split(bool, name="split")
    for name in ("a", "b", "c"):
        long = long.flat_map(str, name=name)
    short.sink(ListSink(), name="short")
    long.union(short).sink(ListSink(), name="long")
    shares = {(edge.producer.name, edge.consumer.name): round(edge.share * 1000, 6) for edge in Plan.of(flow).edges}
    assert shares == {
        ("in", "split"): 120,  # five channels from in to long
        ("split", "short"): 300,
        ("split", "long"): 300,
        ("split", "a"): 120,
        ("a", "b"): 120,
        ("b", "c"): 120,
        ("c", "long"): 120,
    }


def test_parallel_instances_and_union_with_itself_have_channels_of_their_own() -> None:
    flow, stream = start(settings=Settings(max_window=10))
    stream.union(stream).broadcast(2).map(str, name="a").sink(ListSink())
    plan = Plan.of(flow)
    assert [(edge.consumer.name, edge.route, edge.channels) for edge in plan.edges] == [
        ("a", "broadcast", 2),
        ("a", "broadcast", 2),
        ("into", "forward", 2),
    ]


def test_dead_letters_leave_by_one_edge_a_task() -> None:
    flow, stream = start(on_error="dead-letter")
    stream.map(str, name="a").map(str, name="b").sink(ListSink(), name="out")
    flow.dead_letters.sink(ListSink(), name="bad")
    plan = Plan.of(flow)
    letters = [(edge.producer.name, edge.consumer.name) for edge in plan.edges if edge.output == LETTERS]
    assert letters == [("in", "bad"), ("a | b", "bad"), ("out", "bad")]


def test_who_takes_the_key_sends_the_dead_letters_of_it() -> None:
    flow, stream = start(settings=Settings(max_window=1))
    source = stream.map(str, name="a")
    for name in ("b", "c"):
        source.key_by(str, parallelism=2).map(str, name=name, on_error="dead-letter").sink(ListSink())
    flow.dead_letters.sink(ListSink(), name="bad")
    letters = {edge.producer.name: edge.most for edge in Plan.of(flow).edges if edge.output == LETTERS}
    assert letters == {"a": 2, "b": 1, "c": 1}  # a record of "a" may leave two


def golden(flow: Dataflow, expected: str) -> None:
    assert flow.explain() == dedent(expected).strip("\n")


def test_explain_a_line() -> None:
    flow, stream = start("line")
    stream.map(str).filter(lambda x: x, name="keep").sink(ListSink(blocking=True, batch=5000), name="load")
    golden(
        flow,
        """
        flow 'line'
        in (source list)
          └─ forward: at most 8,192 records
             map str; keep (filter lambda)
               └─ forward: at most 10,000 records
                  load (sink into) [own thread]
        at most 18,192 records in flight; behind a slow sink about as many as it takes in 200ms
        """,
    )


def test_explain_keys_parallelism_and_policies() -> None:
    flow, stream = start("keys", settings=Settings(max_window=1000, target_delay="50ms"))
    rows = stream.key_by("a", b=str, parallelism=3).aggregate(n=count(), on_error="skip")
    rows.rebalance(1).sink(ListSink(), name="out")
    golden(
        flow,
        """
        flow 'keys'
        in (source list)
          └─ hash by a, b: at most 3,000 records
             aggregate (count by a, b, on_error=skip) x 3
               └─ rebalance: at most 3,000 records
                  out (sink into)
        at most 6,000 records in flight; behind a slow sink about as many as it takes in 50ms
        """,
    )


def test_explain_ways_apart_and_together() -> None:
    flow, stream = start("ways", settings=Settings(max_window=10))
    low, high = stream.split(lambda x: x < 3, name="at three")
    low.map(str, name="a", on_error="dead-letter").union(high).sink(ListSink(), name="out")
    flow.dead_letters.map(str, name="note").sink(ListSink(), name="bad")
    golden(
        flow,
        """
        flow 'ways'
        in (source list)
          └─ forward: at most 10 records
             at three (split by lambda)
               └─ part 1 of 2, forward: at most 10 records
                  a (map str, on_error=dead-letter)
                    └─ forward: at most 10 records
                       out (sink into)
                    └─ dead letters, forward: at most 10 records
                       note (map str)
                         └─ forward: at most 10 records
                            bad (sink into)
               └─ part 2 of 2, forward: at most 10 records
                  out (sink into)
        at most 60 records in flight; behind a slow sink about as many as it takes in 200ms
        """,
    )


def test_explain_names_what_was_seen_above() -> None:
    flow, stream = start("again", settings=Settings(max_window=1))
    stream.union(flow.source(ListSource([]), name="in2")).key_by("k").reduce(max).sink(ListSink(), name="out")
    golden(
        flow,
        """
        flow 'again'
        in (source list)
          └─ forward: at most 1 records
             reduce (reduce by k)
               └─ forward: at most 1 records
                  out (sink into)
        in2 (source list)
          └─ forward: at most 1 records
             reduce (reduce by k) (see above)
        at most 3 records in flight; behind a slow sink about as many as it takes in 200ms
        """,
    )


def test_explain_what_runs_on() -> None:
    flow, stream = start("running")
    stream.key_by("k").aggregate(n=count(), emit="update").sink(ListSink(), name="out")
    assert "  aggregate (running count by k)\n" in flow.explain()


def test_explaining_changes_nothing() -> None:
    flow, stream = start()
    stream.map(str).sink(ListSink())
    assert flow.explain() == flow.explain()
