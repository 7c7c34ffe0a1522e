"""Joins in flows: the same answer as nested loops, whatever the frames, the windows, the sources and the processes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from threading import Event
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.memory import collect as into
from connectors.memory import discard, from_iterable
from engine import (
    Count,
    Dataflow,
    GraphError,
    KeyedStream,
    OperatorError,
    Session,
    Settings,
    Sliding,
    Source,
    Stream,
    Tumbling,
    WindowedResults,
    count,
)
from tests.engine.helpers import ListSource, Nothing, Runner

How = Literal["inner", "left", "right", "full"]
HOWS: list[How] = ["inner", "left", "right", "full"]
BOUND = 15


class Order(msgspec.Struct, frozen=True, order=True):
    number: int
    item: str
    at: int


class Payment(msgspec.Struct, frozen=True, order=True):
    number: int
    what: str
    when: int


class Paid(msgspec.Struct, frozen=True):
    order: int
    payment: int
    at: int


def paid(order: Order, payment: Payment) -> Paid:
    return Paid(order.number, payment.number, max(order.at, payment.when))


def times(dice: Random, records: int, bound: int = BOUND) -> list[int]:
    """Times, each `bound` or less behind any before it, with a gap here and there."""
    time, found = 0, []
    for _ in range(records):
        time += dice.choice([0, 1, 3, 40 if dice.random() < 0.05 else 2])
        found.append(time - dice.randrange(bound + 1))
    return found


def item(dice: Random) -> str:
    """One of a few, the last of which is as frequent as all others."""
    return "abcd"[min(dice.randrange(6), 3)]


def orders_and_payments(seed: int, records: int) -> tuple[list[Order], list[Payment]]:
    dice = Random(seed)
    orders = [Order(n, item(dice), time) for n, time in enumerate(times(dice, records))]
    return orders, [Payment(n, item(dice), time) for n, time in enumerate(times(dice, records * 2 // 3))]


def starts(window: Tumbling | Sliding, latest: int) -> range:
    every = window.size if isinstance(window, Tumbling) else window.every
    first = (-BOUND - window.size) // every * every + window.offset - every
    return range(first, latest + 1, every)


def in_windows(orders: list[Order], payments: list[Payment], window: Tumbling | Sliding, how: How) -> list[Any]:
    found: list[Any] = []
    latest = max([order.at for order in orders] + [payment.when for payment in payments], default=0)
    for start in starts(window, latest):
        mine = [order for order in orders if start <= order.at < start + window.size]
        others = [payment for payment in payments if start <= payment.when < start + window.size]
        found += [(order, payment) for order in mine for payment in others if order.item == payment.what]
        if how in {"left", "full"}:
            found += [(order, None) for order in mine if all(order.item != each.what for each in others)]
        if how in {"right", "full"}:
            found += [(None, payment) for payment in others if all(payment.what != each.item for each in mine)]
    return ordered(found)


def in_interval(orders: list[Order], payments: list[Payment], lower: int, upper: int, how: How = "inner") -> list[Any]:
    found: list[Any] = [
        (order, payment)
        for order in orders
        for payment in payments
        if order.item == payment.what and lower <= payment.when - order.at <= upper
    ]
    met = {id(each) for pair in found for each in pair}
    found += [(order, None) for order in orders if how in {"left", "full"} and id(order) not in met]
    found += [(None, payment) for payment in payments if how in {"right", "full"} and id(payment) not in met]
    return ordered(found)


def as_of(orders: list[Order], payments: list[Payment], tolerance: int) -> list[Any]:
    def latest(order: Order) -> Payment | None:
        mine = [each for each in payments if each.what == order.item and 0 <= order.at - each.when <= tolerance]
        return max(mine, key=lambda each: (each.when, each.number), default=None)

    return ordered((order, latest(order)) for order in orders)


def with_times_of_their_own(payments: list[Payment]) -> list[Payment]:
    """One payment a key and moment, for over several partitions nobody knows which of two came last."""
    return list({(each.what, each.when): each for each in payments}.values())


def ordered(pairs: Any) -> list[Any]:
    return sorted(pairs, key=lambda pair: [-1 if each is None else each.number for each in pair])


def keyed(
    flow: Dataflow, orders: Source[Any], payments: Source[Any], parallelism: int | None = None
) -> tuple[KeyedStream[Any], KeyedStream[Any]]:
    left = flow.source(orders).event_time("at", out_of_order=BOUND)
    right = flow.source(payments).event_time("when", out_of_order=BOUND)
    return left.key_by("item", parallelism=parallelism), right.key_by("what", parallelism=parallelism)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    records=st.integers(0, 90),
    window=st.sampled_from([Tumbling(20), Tumbling(20, offset=7), Sliding(30, every=10), Sliding(25, every=10)]),
    how=st.sampled_from(HOWS),
    frame_records=st.sampled_from([1, 3, 1024]),
    max_window=st.sampled_from([1, 5, 8192]),
    parts=st.integers(1, 3),
    parallelism=st.integers(1, 2),
)
def test_joins_give_what_nested_loops_give(
    seed: int,
    records: int,
    window: Tumbling | Sliding,
    how: How,
    frame_records: int,
    max_window: int,
    parts: int,
    parallelism: int,
) -> None:
    orders, payments = orders_and_payments(seed, records)
    payments = with_times_of_their_own(payments)
    pairs: list[Any] = []
    close: list[Any] = []
    late_times: list[Any] = []
    latest: list[Any] = []
    flow = Dataflow("test", settings=Settings(frame_records=frame_records, max_window=max_window))
    first, second = (
        ListSource({str(i): rows[i::parts] for i in range(parts)}, type=kind, per_read=7)
        for rows, kind in ((orders, Order), (payments, Payment))
    )
    left, right = keyed(flow, first, second, parallelism)
    left.join(right, window=window, how=how).sink(into(pairs), name="pairs")
    near = left.interval_join(right, lower=-5, upper=10, how=how)
    near.sink(into(close), name="close")
    near.key_by().window(Tumbling(1)).aggregate(n=count()).sink(into(late_times), name="times")
    left.asof_join(right, how="left", tolerance=30).sink(into(latest), name="latest")
    result = flow.run()
    assert ordered(pairs) == in_windows(orders, payments, window, how)
    assert ordered(close) == in_interval(orders, payments, -5, 10, how)
    assert sum(row.n for row in late_times) == len(close)
    assert ordered(latest) == as_of(orders, payments, 30)
    assert result.late == result.in_flight == 0
    assert result["join"].held == result["interval_join"].held == result["asof_join"].held == 0
    assert result.most_in_flight <= result.bound


@pytest.mark.parametrize("processes", [1, 2])
def test_answers_are_the_same_over_processes(processes: int) -> None:
    orders, payments = orders_and_payments(7, 900)
    payments = with_times_of_their_own(payments)
    alone: list[Any] = []
    latest: list[Any] = []
    session: list[Any] = []
    per_time: list[Any] = []
    got: dict[How, list[Any]] = {how: [] for how in HOWS}
    close: list[Any] = []
    flow = Dataflow("spread")
    left, right = keyed(flow, from_iterable(orders, type=Order), from_iterable(payments, type=Payment))
    for how, rows in got.items():
        left.join(right, window=Sliding(30, every=10), how=how).sink(into(rows), name=how)
    left.interval_join(right, lower="-5ms", upper="10ms", into=paid).sink(into(close), name="close")
    near = left.interval_join(right, lower="-5ms", upper="10ms", how="full", name="near")
    near.sink(into(alone), name="alone")
    near.key_by().window(Tumbling(1)).aggregate(n=count()).sink(into(per_time), name="times")
    left.asof_join(right, how="left", tolerance="30ms").sink(into(latest), name="latest")
    left.join(right, window=Session(1000), how="full", name="session").sink(into(session), name="session pairs")
    result = flow.run(processes=processes)
    assert ordered(alone) == in_interval(orders, payments, -5, 10, "full")
    assert sum(row.n for row in per_time) == len(alone)
    assert ordered(latest) == as_of(orders, payments, 30)
    assert len(session) == sum(
        sum(order.item == item for order in orders) * sum(payment.what == item for payment in payments)
        for item in "abcd"
    )
    for how, rows in got.items():
        assert ordered(rows) == in_windows(orders, payments, Sliding(30, every=10), how)
    assert sorted((each.order, each.payment) for each in close) == [
        (order.number, payment.number) for order, payment in in_interval(orders, payments, -5, 10)
    ]
    assert result.late == 0


@pytest.mark.parametrize("processes", [1, 2])
def test_late_records_of_both_inputs_leave_by_one_stream(processes: int) -> None:
    """Both come of one source, so that which of them are late does not hang on how far another one is."""
    orders = [Order(1, "a", 5), Order(2, "a", 100), Order(3, "a", 4)]
    payments = [Payment(1, "a", 6), Payment(2, "a", 100), Payment(3, "a", 7)]
    rows = [row for pair in zip(orders, payments, strict=True) for row in pair]
    pairs: list[Any] = []
    late: list[Any] = []
    flow = Dataflow("late")
    events = flow.source(from_iterable(rows)).event_time(lambda row: row.at if isinstance(row, Order) else row.when)
    left, right = events.of_type(Order).key_by("item"), events.of_type(Payment).key_by("what")
    results = left.join(right, window=Tumbling(10))
    results.sink(into(pairs), name="pairs")
    results.late.sink(into(late), name="late")
    result = flow.run(processes=processes)
    assert ordered(pairs) == [(orders[0], payments[0]), (orders[1], payments[1])]
    assert sorted(late, key=str) == [orders[2], payments[2]]
    assert result.late == result["join"].late == 2


def test_a_stream_may_be_joined_with_itself(runner: Runner) -> None:
    orders, _ = orders_and_payments(3, 60)
    flow, sink = runner.flow(), runner.sink()
    timed = flow.source(runner.source(orders, type=Order)).event_time("at", out_of_order=BOUND).key_by("item")
    timed.interval_join(timed, lower=1, upper=8).sink(sink)
    flow.run()
    wanted = [(a, b) for a in orders for b in orders if a.item == b.item and 1 <= b.at - a.at <= 8]
    assert ordered(sink.records) == ordered(wanted)


def test_unions_may_be_joined(runner: Runner) -> None:
    orders, payments = orders_and_payments(5, 60)
    flow, sink = runner.flow(), runner.sink()
    halves: list[Stream[Order]] = [
        flow.source(runner.source(orders[i::2], type=Order)).event_time("at", out_of_order=BOUND) for i in range(2)
    ]
    right = flow.source(runner.source(payments, type=Payment)).event_time("when", out_of_order=BOUND).key_by("what")
    right.join(halves[0].union(halves[1]).key_by("item"), window=Tumbling(20)).sink(sink)
    flow.run()
    pairs = [(order, payment) for payment, order in sink.records]
    assert ordered(pairs) == in_windows(orders, payments, Tumbling(20), "inner")


def test_pairs_of_an_interval_join_have_a_time_for_the_next_windows(runner: Runner) -> None:
    orders, payments = orders_and_payments(1, 120)
    flow, sink = runner.flow(), runner.sink()
    left, right = keyed(flow, runner.source(orders, type=Order), runner.source(payments, type=Payment))
    pairs = left.interval_join(right, lower=-20, upper=20)
    pairs.key_by().window(Tumbling(10)).aggregate(n=count()).sink(sink)
    assert flow.run().late == 0
    wanted: dict[int, int] = {}
    for order, payment in in_interval(orders, payments, -20, 20):
        start = max(order.at, payment.when) // 10 * 10
        wanted[start] = wanted.get(start, 0) + 1
    assert {row.window_start: row.n for row in sink.records} == wanted


def test_what_into_makes_says_its_time_itself(runner: Runner) -> None:
    orders, payments = orders_and_payments(2, 60)
    flow, sink = runner.flow(), runner.sink()
    left, right = keyed(flow, runner.source(orders, type=Order), runner.source(payments, type=Payment))
    made = left.interval_join(right, lower=-20, upper=20, into=paid)
    assert made.type is Paid
    made.event_time("at").key_by("order").window(Tumbling(10)).aggregate(n=count()).sink(sink)
    assert flow.run().late == 0
    assert sum(row.n for row in sink.records) == len(in_interval(orders, payments, -20, 20))


def test_datetimes_and_milliseconds_may_be_joined(runner: Runner) -> None:
    class Moment(msgspec.Struct, frozen=True):
        at: datetime

    zero = datetime(1970, 1, 1, tzinfo=UTC)
    flow, sink = runner.flow(), runner.sink()
    moments = flow.source(runner.source([Moment(zero + timedelta(seconds=s)) for s in (1, 9)], type=Moment))
    numbers = flow.source(runner.source([1500, 9999], type=int))
    left, right = moments.event_time("at").key_by(), numbers.event_time(lambda x: x).key_by()
    left.interval_join(right, lower=0, upper=timedelta(seconds=0.5)).sink(sink)
    flow.run()
    assert sink.records == [(Moment(zero + timedelta(seconds=1)), 1500)]


def test_a_function_of_pairs_that_raises_is_named_with_its_pair(runner: Runner) -> None:
    def fee(order: Order, payment: Payment) -> float:
        return 1 / payment.number

    def flow_of(on_error: Any) -> tuple[Dataflow, Any]:
        flow, sink = runner.flow(), runner.sink()
        payments = [Payment(n, "a", 2) for n in (1, 0, 4)]
        left, right = keyed(flow, runner.source([Order(7, "a", 1)]), runner.source(payments))
        left.join(right, window=Tumbling(10), into=fee, on_error=on_error).sink(sink)
        return flow, sink

    with pytest.raises(
        OperatorError, match=r"'map fee' .*failed in .*fee \(.*ZeroDivisionError.*the record was \(Order"
    ):
        flow_of("fail")[0].run()
    flow, sink = flow_of("skip")
    assert flow.run().skipped == 1
    assert sink.records == [1.0, 0.25]


def test_a_join_that_fails_gives_no_pair_of_windows_that_were_not_over(runner: Runner) -> None:
    flow, sink = runner.flow(), runner.sink()
    left = flow.source(runner.source([1, 2, "x"])).event_time(lambda x: x).key_by()
    right = flow.source(runner.source([3])).event_time(lambda x: x).key_by()
    left.join(right, window=Tumbling(10), how="full").sink(sink)
    with pytest.raises(Exception, match="wanted an event time"):
        flow.run()
    assert sink.records == []


def test_metrics_show_what_waits_while_it_does() -> None:
    """The right input ends; the left one's records wait for their partners until event time has passed them."""
    held: list[int] = []
    flow = Dataflow("held", settings=Settings(frame_records=1, max_window=1))

    started = Event()

    def times() -> Any:
        yield from range(300)
        assert started.wait(10)
        while (now := job.metrics()["interval_join"]).watermark != 299:
            yield Nothing()
        held.append(now.held)
        yield from range(300, 400)

    left = flow.source(ListSource(times, type=int, per_read=1)).event_time(lambda x: x).key_by()
    right = flow.source(from_iterable([0], type=int)).event_time(lambda x: x).key_by()
    left.interval_join(right, lower=-20, upper=20).sink(discard())
    with flow.start() as job:
        started.set()
        result = job.wait(30)
    assert 20 <= held[0] <= 40
    assert result["interval_join"].held == 0


@pytest.mark.parametrize("processes", [1, 2])
def test_duplicates_are_left_out_whatever_the_processes(processes: int) -> None:
    orders = [Order(n, item(Random(n)), n) for n in range(300)]
    got: list[Order] = []
    late: list[Order] = []
    flow = Dataflow("once", settings=Settings(frame_records=7))
    timed = flow.source(from_iterable([*orders, orders[0]], type=Order)).event_time("at")
    once = timed.key_by("item").deduplicate(within="20ms")
    once.sink(into(got), name="once")
    once.late.sink(into(late), name="late")
    result = flow.run(processes=processes)
    wanted: dict[str, list[Order]] = {}
    for order in orders:
        mine = wanted.setdefault(order.item, [])
        if not mine or order.at - mine[-1].at >= 20:
            mine.append(order)
    assert sorted(got) == sorted(order for mine in wanted.values() for order in mine)
    assert late == [orders[0]]
    assert result["deduplicate"].late == 1
    assert result["deduplicate"].held == 0


def both() -> tuple[KeyedStream[Any], KeyedStream[Any]]:
    return keyed(Dataflow("test"), ListSource([], type=Order), ListSource([], type=Payment))


def joined(method: str, other: Callable[[Any], Any] = lambda right: right, **options: Any) -> Callable[[], Any]:
    def build() -> Any:
        left, right = both()
        return getattr(left, method)(other(right), **options)

    return build


TEN = Tumbling(10)
REFUSED: list[tuple[Callable[[], Any], str]] = [
    (joined("join", window="10s"), "join wants Tumbling, Sliding or Session as its window, got '10s'"),
    (joined("join", window=Count(5)), "or interval_join for times that are close together"),
    (joined("join", window=TEN, how="outer"), 'join\'s how is "inner", "left", "right" or "full", not \'outer\''),
    (joined("join", window=TEN, into=3), "join's into wants a function, got 3"),
    (joined("join", lambda right: right.map(str), window=TEN), "join wants a keyed stream, got <Stream of"),
    (joined("join", lambda right: both()[1], window=TEN), "join of streams of two flows, 'test' and 'test'"),
    (
        joined("join", lambda right: right.key_by("what", "when"), window=TEN),
        "those of the two streams have not as many parts: item and what, when",
    ),
    (
        joined("interval_join", lambda right: right.map(str).key_by(), lower=0, upper=1),
        "interval_join compares keys",
    ),
    (
        joined("interval_join", lambda right: right.map(lambda each: each).key_by("what"), lower=0, upper=1),
        "interval_join goes by event time, but where that stands in the records of <KeyedStream of",
    ),
    (joined("interval_join", lower=0, upper=1, how="semi"), "interval_join's how is"),
    (joined("asof_join", how="right"), 'asof_join\'s how is "inner" or "left", not \'right\''),
    (joined("asof_join", tolerance="soon"), "asof_join's tolerance: wanted a duration"),
    (joined("asof_join", lambda right: right.map(str).key_by(len)), "asof_join goes by event time, but where that"),
    (
        joined("join", window=TEN, how="left", allowed_lateness=5),
        "allowed_lateness is for inner joins in Tumbling or Sliding, not a left join in Tumbling('10ms')",
    ),
    (joined("join", window=Session(5), allowed_lateness=5), "not a inner join in Session('5ms')"),
    (joined("join", window=TEN, allowed_lateness=-1), "join's allowed_lateness"),
    (
        joined("join", lambda right: right.key_by(what="number"), window=TEN),
        "join compares 'item', of type str, with 'what', of type int: these are never equal",
    ),
    (joined("interval_join", lower=2, upper="1ms"), "interval_join goes from lower to upper, not from 2 to '1ms'"),
    (joined("interval_join", lower="-5", upper=1), "interval_join's lower: wanted a duration like"),
    (joined("interval_join", lower=-0.5, upper=1), "interval_join's lower wants whole milliseconds"),
    (joined("interval_join", lower=0, upper="1us"), "interval_join's upper wants whole milliseconds, got '1us'"),
    (lambda: both()[0].deduplicate(within=0), "deduplicate's within wants at least 1 ms, got 0"),
    (lambda: both()[0].map(str).key_by().deduplicate(within=1), "deduplicate goes by event time, but where that"),
    (joined("interval_join", lower=0, upper=None), "interval_join's upper: wanted a duration"),
]


@pytest.mark.parametrize(("build", "said"), REFUSED)
def test_what_joins_refuse(build: Callable[[], Any], said: str) -> None:
    with pytest.raises(GraphError) as caught:
        build()
    assert said in str(caught.value)


@pytest.mark.parametrize("lower", ["-5s", "-5000 ms", -5000, -5000.0, timedelta(seconds=-5)])
def test_an_interval_may_begin_before_a_record(lower: Any) -> None:
    left, right = both()
    left.interval_join(right, lower=lower, upper="-1s").sink(discard())
    assert "interval join from -5000 to -1000 ms" in left._flow.explain()


@pytest.mark.parametrize("how", HOWS)
def test_pairs_have_a_type(how: Any) -> None:
    left, right = both()
    wanted = {
        "inner": tuple[Order, Payment],
        "left": tuple[Order, Payment | None],
        "right": tuple[Order | None, Payment],
        "full": tuple[Order | None, Payment | None],
    }
    results: WindowedResults[Any, Any] = left.join(right, window=TEN, how=how)
    assert results.type == wanted[how]
    assert left.join(right, window=TEN, how=how, into=paid).type is Paid
    assert left.join(right, window=TEN, into=lambda a, b: a, type=Order).type is Order
    assert results.late.type is None


def test_a_plan_shows_joins_and_their_sides() -> None:
    left, right = both()
    left.join(right, window=TEN, how="left").sink(discard(), name="pairs")
    left.interval_join(right, lower="-1s", upper=5).sink(discard(), name="close")
    left.interval_join(right, lower="-1s", upper=5, how="full", name="full").sink(discard(), name="all")
    left.asof_join(right, how="left", tolerance="1m").sink(discard(), name="latest")
    left.deduplicate(within="1s").sink(discard(), name="once")
    text = left._flow.explain(processes=2)
    assert "deduplicate (one of each item within 1000 ms)" in text
    assert "join (left join in Tumbling('10ms') by item = what)" in text
    assert "interval_join (interval join from -1000 to 5 ms by item = what)" in text
    assert "full (full interval join from -1000 to 5 ms by item = what, event time goes on 1000 ms later)" in text
    assert "asof_join (left as-of join by item = what, at most 60000 ms before)" in text
    assert "right side, hash by what: at most" in text
    assert "right, by what" in left._flow.to_mermaid()
