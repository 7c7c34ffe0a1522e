"""Layout: how many times each operator runs, and in which process."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.memory import collect, discard, from_iterable, generate
from engine import Dataflow, GraphError, count
from engine.layout import HOME
from engine.plan import Plan


def workers(flow: Dataflow, processes: int | None = None) -> dict[str, tuple[int, ...]]:
    """Where each operator's instances run."""
    return {node.name: task.workers for task in Plan.of(flow, processes).tasks for node in task.nodes}


def keyed(flow: Dataflow) -> None:
    source = flow.source(generate(int, count=3), name="source").map(abs, name="map")
    source.key_by(str).aggregate(n=count(), name="count").map(str, name="text").sink(discard(), name="sink")


@pytest.mark.parametrize("processes", [None, 1])
def test_one_process_is_the_users_own(processes: int | None) -> None:
    flow = Dataflow("one")
    keyed(flow)
    assert set(workers(flow, processes).values()) == {(HOME,)}
    assert Plan.of(flow, processes).workers == []


@pytest.mark.parametrize("processes", [2, 3])
def test_sources_and_keyed_operators_run_in_each_process_and_others_follow_them(processes: int) -> None:
    flow = Dataflow("many")
    keyed(flow)
    everywhere = tuple(range(1, processes + 1))
    assert set(workers(flow, processes).values()) == {everywhere}
    plan = Plan.of(flow, processes)
    assert plan.workers == list(everywhere)
    assert [edge.links for edge in plan.edges] == [0, 0, processes * (processes - 1), 0]  # the second: to combining


def test_what_uses_memory_of_the_users_process_stays_there_and_what_follows_does_not() -> None:
    flow = Dataflow("home")
    got: list[Any] = []
    stream = flow.source(from_iterable([1, 2]), name="source").map(abs, name="map")
    stream.key_by(str).aggregate(n=count(), name="count").sink(collect(got), name="sink")
    found = {"source": (HOME,), "map": (1,), "combine count": (1,), "count": (1, 2), "sink": (HOME,)}
    assert workers(flow, 2) == found


def test_a_stage_has_processes_of_its_own() -> None:
    flow = Dataflow("stages")
    stream = flow.source(generate(int, count=3), name="source").stage("work", processes=2).map(abs, name="map")
    stream.stage("load").sink(discard(), name="sink")
    assert workers(flow) == {"source": (1,), "map": (2, 3), "sink": (4,)}
    assert workers(flow, 2) == {"source": (1, 2), "map": (3, 4), "sink": (5,)}
    assert [edge.route for edge in Plan.of(flow).edges] == ["rebalance", "rebalance"]
    assert [edge.route for edge in Plan.of(flow, 2).edges] == ["forward", "rebalance"]


def test_a_stage_used_twice_is_the_same_processes_and_keeps_its_width() -> None:
    flow = Dataflow("twice")
    first, second = flow.source(generate(int, count=3), name="source").split(bool)
    first.stage("load", processes=2).sink(discard(), name="one")
    second.stage("load", processes=2).sink(discard(), name="two")
    found = workers(flow)
    assert found["one"] == found["two"] == (2, 3)
    with pytest.raises(GraphError, match="stage 'load' has 2 processes elsewhere, and 3 here"):
        flow.source(generate(int, count=3)).stage("load", processes=3)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [(("",), "a stage wants a name, got ''"), (("x", 0), "stage wants processes of at least 1, got 0")],
)
def test_a_stage_needs_a_name_and_processes(arguments: tuple[Any, ...], match: str) -> None:
    stream = Dataflow("wrong").source(generate(int, count=3))
    name, *processes = arguments
    with pytest.raises(GraphError, match=match):
        stream.stage(name, **({"processes": processes[0]} if processes else {}))


@pytest.mark.parametrize("processes", [0, -1, 1.5, "2"])
def test_a_number_of_processes_is_at_least_one(processes: Any) -> None:
    flow = Dataflow("wrong")
    keyed(flow)
    with pytest.raises(GraphError, match="runs in a number of processes of at least 1"):
        flow.explain(processes=processes)


def test_what_the_user_says_counts_more() -> None:
    flow = Dataflow("said")
    stream = flow.source(generate(int, count=3), name="source").rebalance(3).map(abs, name="map")
    stream.key_by(str, parallelism=5).aggregate(n=count(), name="count").sink(discard(), name="sink")
    assert workers(flow, 2) == {
        "source": (1, 2),
        "map": (1, 2, 1),
        "combine count": (1, 2, 1),
        "count": (1, 2, 1, 2, 1),
        "sink": (1, 2, 1, 2, 1),
    }


def test_dead_letters_follow_those_that_send_them() -> None:
    flow = Dataflow("letters", on_error="dead-letter")
    flow.dead_letters.sink(discard(), name="letters")
    keyed(flow)
    found = workers(flow, 2)
    assert found["letters"] == (1, 2)


def test_explain_says_where_everything_runs_and_what_crosses() -> None:
    flow = Dataflow("shown")
    keyed(flow)
    text = flow.explain(processes=2).splitlines()
    assert text[1] == "source (source generate) x 2 [worker 1, worker 2]"
    (crossing,) = (line for line in text if "hash by key" in line)
    assert crossing.endswith(
        "at most 32,768 records, 2 of 4 channels to other processes, as pickles (the type of the records is not known)"
    )
    assert text[-1] == "at most 16 MiB of them encoded, between processes"


def test_explain_says_how_records_cross() -> None:
    flow = Dataflow("shown")
    stream = flow.source(from_iterable(["a"], type=str), name="read").map(len, name="length")
    stream.map(lambda n: {n}, type=set[object], name="loose").sink(collect([]))
    crossing = [line for line in flow.explain(processes=2).splitlines() if "other processes" in line]
    assert [line.partition("processes, ")[2] for line in crossing] == [
        "as msgpack",
        "as pickles (object may not arrive as it was sent)",
    ]
