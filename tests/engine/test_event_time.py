"""event_time: what may be one, where it is made, and how far it has come in every operator."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from connectors.memory import discard
from engine import Dataflow, GraphError, OperatorError, Settings, Stream
from engine.event_time import Time, time_of
from engine.plan import Plan
from tests.engine.helpers import ListSource, Nothing, Runner


class Trip(msgspec.Struct):
    city: str
    at: int
    left: datetime
    back: datetime | None
    fare: float
    paid: bool


class Hit(msgspec.Struct):
    seconds: int


def trips() -> Stream[Any]:
    return Dataflow("test").source(ListSource([], type=Trip))


def refused(build: Callable[[], Any]) -> str:
    with pytest.raises(GraphError) as caught:
        build()
    assert re.match(r".*test_event_time\.py:\d+: ", str(caught.value))
    return str(caught.value)


def test_what_cannot_be_an_event_time() -> None:
    wanted = "event_time wants milliseconds since the epoch as an int, or a datetime; "
    assert f"{wanted}the field 'fare' is of type float" in refused(lambda: trips().event_time("fare"))
    assert f"{wanted}the field 'paid' is of type bool" in refused(lambda: trips().event_time("paid"))
    assert f"{wanted}what str returns is of type str" in refused(
        lambda: trips().event_time(str)  # type: ignore[arg-type]
    )
    assert "event_time wants the field 'when', which Trip has not" in refused(lambda: trips().event_time("when"))
    assert "event_time wants a field or a function, got 3" in refused(lambda: trips().event_time(3))  # type: ignore[arg-type]


def test_what_cannot_be_its_bounds() -> None:
    said = refused(lambda: trips().event_time("at", out_of_order="soon"))
    assert """event_time's out_of_order: wanted a duration like "200ms", "10s" or "1h", got 'soon'""" in said
    assert "out_of_order wants whole milliseconds, got '3us'" in refused(
        lambda: trips().event_time("at", out_of_order="3us")
    )
    assert "event_time's idle_after: a duration is not below zero" in refused(
        lambda: trips().event_time("at", idle_after=-1)
    )
    assert "there is no time zone 'Mars'" in refused(lambda: trips().event_time("left", zone="Mars"))
    assert "there is no time zone 7" in refused(lambda: trips().event_time("left", zone=7))  # type: ignore[arg-type]


def test_only_what_alone_follows_a_source_knows_that_it_is_idle() -> None:
    stream = trips()
    stream.event_time("at", idle_after="1s").sink(discard())
    assert "event_time" in stream._flow.explain()
    stream.sink(discard(), name="another")
    with pytest.raises(GraphError, match=r"'event_time' \(.*\) says idle_after, which is for partitions of a source"):
        stream._flow.explain()


def test_a_source_that_others_read_too_is_shared_behind_its_event_time() -> None:
    stream = trips()
    stream.event_time("at").sink(discard())
    stream.sink(discard(), name="another")
    with pytest.raises(GraphError, match=r"'event_time' \(.*\) shares its source with other operators") as refusal:
        stream._flow.explain()
    assert "write events = flow.source(...).event_time(...) once" in str(refusal.value)
    stream = trips().event_time("at")
    stream.sink(discard())
    stream.sink(discard(), name="another")
    assert "event_time" in stream._flow.explain()


@pytest.mark.parametrize(("field", "is_datetime"), [("at", False), ("left", True), ("back", True)])
def test_whether_times_are_datetimes(field: str, is_datetime: bool) -> None:
    assert time_of(trips().event_time(field)._inputs) == Time(field, None, is_datetime)


def test_where_the_time_stands_is_known_as_long_as_the_records_are_the_same() -> None:
    timed = trips().event_time("at")
    low, high = timed.filter(bool).inspect(print).split(bool)
    for same in (
        timed,
        timed.of_type(Trip),
        low.union(high),
        timed.stage("two"),
        timed.key_by("city"),
        timed.rebalance(2),
    ):
        assert time_of(same._inputs) == Time("at")
    for other in (timed.map(str), timed.union(timed.map(str)), timed.flat_map(list), trips()):
        assert time_of(other._inputs) is None
    assert time_of(timed.union(timed.event_time("left"))._inputs) is None


def test_where_there_are_watermarks_it_only_says_where_the_time_stands_now() -> None:
    mapped = trips().event_time("at").map(lambda trip: Hit(trip.at // 1000), type=Hit)
    again = mapped.event_time(lambda hit: 1000 * hit.seconds)
    assert len(mapped._flow.graph.nodes) == 3
    assert time_of(again._inputs) is not None
    again.filter(bool).event_time("seconds", out_of_order=5)
    assert [node.name for node in mapped._flow.graph.nodes][-1] == "event_time-2"


def test_it_joins_the_task_of_its_source_and_nothing_else_does() -> None:
    stream = trips()
    stream.event_time("at").filter(bool).map(str).sink(discard())
    assert [task.name for task in Plan.of(stream._flow).tasks] == [
        "list | event_time",
        "filter bool | map str",
        "discard",
    ]


@pytest.mark.parametrize("frame_records", [1, 3, 1024])
@pytest.mark.parametrize("parts", [1, 3])
def test_every_operator_shows_how_far_it_has_come(runner: Runner, frame_records: int, parts: int) -> None:
    flow = runner.flow(settings=Settings(frame_records=frame_records))
    items = {str(i): range(i, 1000, parts) for i in range(parts)}
    sink = runner.sink()
    timed = flow.source(runner.source(items)).event_time(int, out_of_order=10)
    timed.key_by(lambda x: x % 7, parallelism=2).map(lambda x: -x).filter(lambda x: x % 2).sink(sink)
    result = flow.run()
    assert sorted(sink.records) == sorted(-x for x in range(1000) if x % 2)
    for each in result.operators:
        assert each.watermark is not None
        assert each.watermark <= 989
    assert result["event_time"].watermark == 989
    assert (result["event_time"].records_in, result["event_time"].records_out) == (1000, 1000)
    assert result["list"].records_out == 1000


def test_partitions_are_read_side_by_side_by_their_times(runner: Runner) -> None:
    """Each is read no further ahead of the others than one read."""
    flow, sink = runner.flow(), runner.sink()
    items = {"a": range(0, 300, 3), "b": range(1, 300, 3), "c": range(2, 300, 3)}
    flow.source(runner.source(items, per_read=1)).event_time(int).sink(sink)
    flow.run()
    assert sink.records == list(range(300))


def test_a_silent_partition_is_not_waited_for(runner: Runner) -> None:
    def trickle() -> Any:
        yield 1
        while not job_is_over:
            yield Nothing()

    job_is_over: list[bool] = []
    flow, sink = runner.flow(), runner.sink()
    items = {"silent": trickle, "busy": [10, 20, 30]}
    flow.source(runner.source(items)).event_time(int, idle_after="20ms").filter(bool).sink(sink)
    with flow.start() as job:
        while job.metrics()["filter bool"].watermark != 30:
            assert not job.join(0.01)
        assert job.metrics()["event_time"].watermark == 30
        job_is_over.append(True)
    assert sorted(sink.records) == [1, 10, 20, 30]


def test_a_record_whose_time_is_no_moment(runner: Runner) -> None:
    naive = datetime(2024, 1, 2, 3)
    flow = runner.flow(on_error="skip")
    sink = runner.sink()
    flow.source(runner.source([naive, naive.replace(tzinfo=UTC)])).event_time(lambda x: x).sink(sink)
    assert (flow.run().skipped, sink.records) == (1, [naive.replace(tzinfo=UTC)])
    flow = runner.flow()
    flow.source(runner.source([naive])).event_time(lambda x: x).sink(runner.sink())
    with pytest.raises(OperatorError, match=r"operator 'event_time' .*has no zone, so it is no moment"):
        flow.run()
    flow = runner.flow()
    flow.source(runner.source([naive])).event_time(lambda x: x, zone="UTC").sink(runner.sink())
    assert flow.run()["event_time"].watermark == 1_704_164_400_000
