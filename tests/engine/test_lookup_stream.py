"""lookup_join against a stream: the last record of each key, read before the first look-up, and on the way."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.memory import collect, discard, from_iterable
from engine import Dataflow, GraphError, OperatorError, Settings, Tumbling, count
from tests.engine.helpers import TIGHT, ListSource, Nothing, Runner


class Rate(msgspec.Struct, frozen=True):
    currency: str
    value: int | None
    at: int = 0


class Order(msgspec.Struct, frozen=True):
    number: int
    currency: str


def withdrawn(rate: Rate) -> bool:
    return rate.value is None


def table_of(rates: list[Rate]) -> dict[str, Rate]:
    table: dict[str, Rate] = {}
    for rate in rates:
        table.pop(rate.currency, None)
        if rate.value is not None:
            table[rate.currency] = rate
    return table


@settings(deadline=None, max_examples=40)
@given(
    rates=st.lists(st.builds(Rate, st.sampled_from("abc"), st.none() | st.integers(0, 9)), max_size=30),
    orders=st.lists(st.sampled_from("abcd"), max_size=30),
    inner=st.booleans(),
    keyed=st.booleans(),
    parallelism=st.integers(1, 3),
    tight=st.booleans(),
)
def test_a_bounded_stream_is_as_good_as_a_table(
    rates: list[Rate], orders: list[str], inner: bool, keyed: bool, parallelism: int, tight: bool
) -> None:
    flow = Dataflow("lookup", settings=TIGHT if tight else Settings())
    got: list[Any] = []
    numbered = [Order(number, currency) for number, currency in enumerate(orders)]
    table: Any = flow.source(ListSource(rates, type=Rate, per_read=2))
    options: dict[str, Any] = {"how": "inner" if inner else "left", "delete": withdrawn}
    if keyed:
        table = table.key_by("currency")
    else:
        options["table_key"] = "currency"
    stream = flow.source(from_iterable(numbered, type=Order)).rebalance(parallelism)
    stream.lookup_join(table, on="currency", **options).sink(collect(got))
    result = flow.run()
    known = table_of(rates)
    wanted = [(order, known.get(order.currency)) for order in numbered]
    assert sorted(got, key=lambda pair: pair[0].number) == [pair for pair in wanted if pair[1] or not inner]
    assert result.unmatched == sum(pair[1] is None for pair in wanted)
    assert result["lookup_join"].held == len(known) * parallelism
    assert result.most_in_flight <= result.bound
    assert result.dropped == result.in_flight == 0


@pytest.mark.parametrize("processes", [2, 3])
def test_each_process_has_the_whole_table(processes: int) -> None:
    got: list[Any] = []
    flow = Dataflow("spread")
    rates = flow.source(from_iterable([Rate(str(n % 50), n) for n in range(2000)], type=Rate)).key_by("currency")
    orders = flow.source(from_iterable([Order(n, str(n % 60)) for n in range(3000)], type=Order)).key_by("number")
    pairs = orders.lookup_join(rates, on="currency", into=lambda order, rate: (order.number, rate and rate.value))
    pairs.sink(collect(got))
    result = flow.run(processes=processes)
    assert sorted(got, key=lambda pair: pair[0]) == [(n, 1950 + n % 60 if n % 60 < 50 else None) for n in range(3000)]
    assert result.unmatched == 500
    assert result["lookup_join"].held == 50 * processes


def test_records_wait_for_the_table_and_hold_up_their_source_meanwhile() -> None:
    """The table's source ends only when the orders' one has found no credit for some time."""
    flow = Dataflow("wait", settings=TIGHT)
    got: list[Any] = []
    full = Event()
    read: list[int] = []

    def orders() -> Any:
        for number in range(1000):
            read.append(number)
            yield Order(number, "a")

    def rates() -> Any:
        yield Rate("a", 1)
        while not full.wait(0.001):
            yield Nothing()
        yield Rate("a", 2)

    stream = flow.source(ListSource(orders, type=Order, per_read=1))
    table = flow.source(ListSource(rates, type=Rate, blocking=True)).key_by("currency")
    stream.lookup_join(table, on="currency", how="inner", into=lambda order, rate: rate.value).sink(collect(got))
    with flow.start() as job:
        while job.metrics()["lookup_join"].held < 1 or not job.metrics()["lookup_join"].queued:
            assert job.state == "running"
        before = job.metrics()
        assert before.records_written == 0
        assert len(read) <= 3
        full.set()
        result = job.wait(30)
    assert got == [2] * 1000
    assert result.most_in_flight <= result.bound


def test_an_endless_table_has_been_read_when_it_is_idle() -> None:
    """Then it goes on to change; event time is that of the records alone."""
    flow = Dataflow("endless", settings=Settings(linger="1ms"))
    got: list[Any] = []
    seen = Event()

    def rates() -> Any:
        yield Rate("a", 1, 10**9)
        while not seen.wait(0.001):
            yield Nothing()
        yield Rate("b", 2, 10**9)
        while True:
            yield Nothing()

    def orders() -> Any:
        yield Order(1, "a")
        while job.metrics()["lookup_join"].records_out < 1:
            yield Nothing()
        seen.set()
        while job.metrics()["lookup_join"].held < 2:
            yield Nothing()
        yield Order(2, "b")

    started = Event()

    def orders_once_started() -> Any:
        assert started.wait(10)
        yield from orders()

    stream = flow.source(ListSource(orders_once_started, type=Order)).event_time("number")
    endless = ListSource(rates, type=Rate, bounded=False, poll_after=0.001)
    table = flow.source(endless).event_time("at", idle_after="5ms").key_by("currency")
    pairs = stream.lookup_join(table, on="currency", how="inner", into=lambda order, rate: (order.number, rate.value))
    pairs.event_time(lambda pair: pair[0]).key_by().window(Tumbling(1)).aggregate(n=count()).sink(collect(got))
    with flow.start() as job:
        started.set()
        while not got:
            assert job.state == "running"
        job.stop()
        job.wait(30)
    assert [(row.window_start, row.n) for row in got] == [(1, 1), (2, 1)]


def test_both_may_come_from_one_source_where_nobody_waits(runner: Runner) -> None:
    flow, sink = runner.flow(), runner.sink()
    rows: list[Rate | Order] = [Rate("a", 1), *(Order(n, "a") for n in range(3000))]
    events = flow.source(runner.source(rows))
    table = events.of_type(Rate).key_by("currency")
    events.of_type(Order).lookup_join(table, on="currency", wait=False).sink(sink)
    assert flow.run().records_written == 3000
    assert {rate for _, rate in sink.records} <= {None, Rate("a", 1)}


def test_a_table_that_fails_ends_the_job(runner: Runner) -> None:
    flow, sink = runner.flow(), runner.sink()
    table = flow.source(runner.source([{"currency": "a"}, {"other": "b"}]))
    stream = flow.source(runner.source([{"currency": "a"}] * 5))
    stream.lookup_join(table, on="currency", table_key="currency").sink(sink)
    with pytest.raises(OperatorError, match=r"'lookup_join' .*KeyError: 'currency'; the record was \{'other': 'b'\}"):
        flow.run()


@pytest.mark.parametrize("on_error", ["skip", "dead-letter"])
def test_bad_records_of_table_and_stream_go_aside(runner: Runner, on_error: Any) -> None:
    flow, sink, letters = runner.flow(), runner.sink(), runner.sink()

    def risky(rate: Any) -> bool:
        return bool(1 / rate["value"] < 0)

    table = flow.source(runner.source([{"c": "a", "value": 1}, {"c": [], "value": 2}, {"c": "b", "value": 0}]))
    stream = flow.source(runner.source([{"c": "a"}, {"c": {}}, {"c": "b"}]))
    stream.lookup_join(
        table, on="c", table_key="c", delete=risky, into=lambda one, rate: (one["c"], rate), on_error=on_error
    ).sink(sink)
    if on_error == "dead-letter":
        flow.dead_letters.sink(letters)
    result = flow.run()
    assert sink.records == [("a", {"c": "a", "value": 1}), ("b", None)]
    assert (result.skipped, result.dead_letters) == ((3, 0) if on_error == "skip" else (0, 3))
    assert len(letters.records) == result.dead_letters


def test_a_plan_shows_the_table() -> None:
    flow = Dataflow("test")
    table = flow.source(ListSource([], type=Rate)).key_by("currency")
    flow.source(ListSource([], type=Order)).lookup_join(table, on="currency").sink(discard(), name="a")
    flow.source(ListSource([], type=Order)).rebalance(2).lookup_join(table, on="currency", wait=False).sink(discard())
    text = flow.explain()
    assert "lookup_join (left lookup join by 'currency' in a stream, which is read first)" in text
    assert "lookup_join-2 (left lookup join by 'currency' in a stream, as it is then) x 2" in text
    assert "table, forward: at most" in text
    assert "table, broadcast: at most" in text
    assert "|table|" in flow.to_mermaid().replace('"', "")


def test_the_table_says_nothing_of_where_its_look_ups_run() -> None:
    flow = Dataflow("test")
    table = flow.source(ListSource([], type=Rate)).stage("rates", processes=2).map(lambda rate: rate, type=Rate)
    stream = flow.source(ListSource([], type=Order))
    pairs = stream.lookup_join(table.rebalance(5), on="currency", table_key="currency")
    pairs.sink(discard())
    assert pairs.type == tuple[Order, Rate | None]
    node = next(node for node in flow.graph.nodes if node.name == "lookup_join")
    assert (node.parallelism, node.stage) == (None, "")


def refused(build: Callable[[Dataflow, Any, Any], object]) -> str:
    flow = Dataflow("test")
    rates, orders = flow.source(ListSource([], type=Rate)), flow.source(ListSource([], type=Order))
    rates.sink(discard())

    def explained() -> None:
        build(flow, orders, rates)
        flow.explain()

    with pytest.raises(GraphError) as caught:
        explained()
    return str(caught.value)


def endless(flow: Dataflow) -> Any:
    return flow.source(ListSource([], type=Rate, bounded=False), name="endless")


REFUSED: list[tuple[Callable[[Dataflow, Any, Any], object], str]] = [
    (lambda flow, orders, rates: orders.lookup_join(rates, on="currency"), "wants a table with one key: table_key"),
    (
        lambda flow, orders, rates: orders.lookup_join(rates.key_by("value"), on="currency", table_key="value"),
        "wants a table with one key: table_key with a stream, none with a keyed one",
    ),
    (
        lambda flow, orders, rates: orders.lookup_join(rates.key_by("at"), on="currency"),
        "looks up 'currency', of type str, among keys of type int: these are never equal",
    ),
    (
        lambda flow, orders, rates: orders.lookup_join(rates.key_by("at", "currency"), on="currency"),
        "of type str, among keys of type tuple",
    ),
    (lambda flow, orders, rates: orders.lookup_join(rates, on="currency", table_key="name"), "the field 'name'"),
    (
        lambda flow, orders, rates: orders.lookup_join(rates.key_by("currency"), on="currency", delete=3),
        "lookup_join's delete wants a function, got 3",
    ),
    (lambda flow, orders, rates: orders.lookup_join({}, on="currency", wait=False), "delete and wait are for a table"),
    (
        lambda flow, orders, rates: orders.lookup_join(Dataflow("b").source(ListSource([])), "number", table_key="x"),
        "lookup_join of streams of two flows, 'test' and 'b'",
    ),
    (
        lambda flow, orders, rates: orders.lookup_join(endless(flow).key_by("currency"), on="currency"),
        "waits until its table was read once, but 'endless' (test_lookup_stream.py:",
    ),
]


@pytest.mark.parametrize(("build", "said"), REFUSED)
def test_what_a_look_up_refuses(build: Callable[[Dataflow, Any, Any], object], said: str) -> None:
    assert said in refused(build)


def test_a_table_of_the_records_that_wait_for_it_is_refused() -> None:
    def build(flow: Dataflow, orders: Any, rates: Any) -> None:
        table = orders.map(lambda order: order).key_by(number=lambda order: order.number)
        orders.lookup_join(table, on="number").sink(discard())

    assert "would wait for ever: its table is read only if records move that wait for the table" in refused(build)


def test_two_look_ups_that_wait_for_each_other_are_refused() -> None:
    def build(flow: Dataflow, orders: Any, rates: Any) -> None:
        orders.lookup_join(rates.key_by("currency"), on="currency").sink(discard(), name="one")
        rates.lookup_join(orders.key_by("number"), on="at").sink(discard(), name="two")

    assert "'lookup_join' (test_lookup_stream.py:" in refused(build)


def test_a_join_that_may_hold_the_table_back_is_refused() -> None:
    def build(flow: Dataflow, orders: Any, rates: Any) -> None:
        timed = flow.source(ListSource([], type=Rate)).event_time("at")
        named = orders.lookup_join(timed.key_by("currency"), on="currency", into=lambda order, rate: order)
        pairs = named.event_time("number").key_by("currency").join(timed.key_by("currency"), window=Tumbling(5))
        pairs.sink(discard())

    assert "would wait for ever" in refused(build)


def test_one_table_may_serve_several_look_ups(runner: Runner) -> None:
    flow, sink, raw = runner.flow(), runner.sink(), runner.sink()
    rates = flow.source(runner.source([Rate("a", 1), Rate("b", 2)] * 500))
    table = rates.key_by("currency")
    rates.sink(raw)
    for part in range(2):
        orders = flow.source(runner.source([Order(n, "ab"[part]) for n in range(500)]))
        values = orders.lookup_join(table, on="currency", how="inner", into=lambda order, rate: rate.value)
        values.sink(sink, name=f"out {part}")
    flow.run()
    assert sorted(sink.records) == [1] * 500 + [2] * 500
    assert len(raw.records) == 1000
