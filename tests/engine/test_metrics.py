"""What a job's metrics say of each operator, and the table that shows them."""

from __future__ import annotations

from textwrap import dedent
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from connectors.memory import collect, from_iterable
from engine import Dataflow, JobMetrics, JobResult, OperatorMetrics, Settings, count
from engine.metrics import TITLES, table
from engine.progress import _line, table_lines
from tests.engine.helpers import Runner

BUSY = OperatorMetrics("read", 0, 2_000, 0, 0, 0, 0.25, 0.5, 0.25, 0, 10, 0)
CHAINED = OperatorMetrics("clean", 2_000, 1_234, 7, 3, 1_100, 0.125)
LAST = OperatorMetrics("load", 1_234, 1_200, 0, 0, 0, 1.0, 0.0, 0.0, 9, 0, 34, dropped=34, p50=0.0015, p99=2.5)


def metrics(**changes: Any) -> JobMetrics:
    whole = JobMetrics("finished", 2.0, (BUSY, CHAINED, LAST), 34, 5_000, 16_384, 2_000, 1_200)
    return msgspec.structs.replace(whole, **changes)


def test_the_table() -> None:
    assert str(metrics()) == dedent(
        """\
        finished after 2.00 s: 2,000 records read (1,000/s), 1,200 written, at most 5,000 in flight (bound 16,384)
        7 records skipped: clean 7
        3 records sent to the dead letters: clean 3
        34 records dropped: load 34
        1,100 records without a match: clean 1,100
        operator    in   out out/s busy idle back-pr. queued   p50   p99
        -------- ----- ----- ----- ---- ---- -------- ------ ----- -----
        read         0 2,000 1,000  25%  50%      25%      0
        clean    2,000 1,234   617  12%
        load     1,234 1,200   600 100%   0%       0%     34 1.5ms 2.50s"""
    )


def test_nothing_to_complain_of_nothing_said() -> None:
    lines = str(metrics(operators=(BUSY,), seconds=0.0)).splitlines()
    assert lines[0].startswith("finished after 0.00 s: 2,000 records read (0/s), ")
    assert lines[1].split() == ["operator", "in", "out", "out/s", "busy", "idle", "back-pr.", "queued", "p50", "p99"]
    assert lines[3].split() == ["read", "0", "2,000", "25%", "50%", "25%", "0"]


def test_why_records_go_as_pickles_is_said() -> None:
    read, clean = replace(BUSY, pickled_because="its type is not known"), replace(CHAINED, fallbacks=1_200)
    assert str(metrics(operators=(read, clean))).splitlines()[4] == (
        "sent to other processes as pickles: read (its type is not known), "
        "clean (1,200 frames with records that are not what its type says)"
    )


def test_sums_and_lookup_by_name() -> None:
    whole = metrics()
    assert (whole.skipped, whole.dead_letters, whole.dropped, whole.unmatched) == (7, 3, 34, 1_100)
    assert whole["clean"] is CHAINED
    with pytest.raises(KeyError, match="no operator 'cleam'; there are read, clean, load"):
        whole["cleam"]
    assert JobResult is JobMetrics


def test_a_plain_table() -> None:
    assert list(table(["a", "bb"], [["long name", "1"], ["x", "22,222"]])) == [
        "a             bb",
        "--------- ------",
        "long name      1",
        "x         22,222",
    ]
    assert list(table(["a"], [])) == ["a", "-"]


def test_the_line_of_progress() -> None:
    lately = metrics(
        operators=(replace(BUSY, kind="source", rate_out=1000.0), CHAINED, replace(LAST, kind="sink", rate_out=1000.0))
    )
    assert _line("job", metrics(), lately) == (
        "job: 2 s, 2,000 read (1,000/s), 1,200 written (1,000/s), 34 in flight, busiest load"
    )


def test_the_live_table() -> None:
    lately = metrics(operators=(replace(BUSY, records_out=3, rate_out=600.4, busy=0.5), CHAINED, LAST), seconds=1.0)
    assert table_lines("job", metrics(), lately, 80) == [
        "job: 2.0 s, 34 of at most 16,384 records in flight",
        "",
        "operator    in   out out/s busy idle back-pr. queued   p50   p99",
        "-------- ----- ----- ----- ---- ---- -------- ------ ----- -----",
        "read         0 2,000   600  50%  50%      25%      0",
        "clean    2,000 1,234     0  12%",
        "load     1,234 1,200     0 100%   0%       0%     34 1.5ms 2.50s",
    ]


@pytest.mark.parametrize("width", [75, 80, 120])
def test_the_live_table_shortens_names_never_numbers(width: int) -> None:
    read, clean, load = (replace(each, name=f"{each.name} {'x' * 90} {each.name}") for each in (BUSY, CHAINED, LAST))
    moved = [replace(each, records_in=336_776, records_out=876_543_210) for each in (read, clean, load)]
    lately = [replace(each, p50=0.0999, p99=123.4, rate_out=876_543_210.0) for each in moved]
    after = metrics(operators=tuple(moved), seconds=999.0, bound=1_234_567)
    state, _, titles, dashes, *rows = table_lines("job" * 40, after, metrics(operators=tuple(lately)), width)
    assert max(map(len, (state, titles, dashes, *rows))) == width
    assert state.endswith("bjob: 999.0 s, 34 of at most 1,234,567 records in flight")
    assert titles.split() == list(TITLES)
    for row, operator in zip(rows, ("read", "clean", "load"), strict=True):
        assert row.startswith(operator[:3])
        assert "…" in row
        assert row.count("x") <= width - 60
        assert row.endswith("99.9ms 123.40s")
        assert " 336,776 876.5M " in row


def divide(x: int) -> float:
    return 60 / x


def test_every_operator_counts_what_goes_in_and_out(runner: Runner) -> None:
    flow = runner.flow(on_error="skip", settings=Settings(max_window=16))
    numbers = flow.source(runner.source(range(10)), name="in")
    quotients = numbers.map(divide, name="divide").filter(lambda x: x > 10, name="large")
    doubled = quotients.flat_map(lambda x: [x, x], name="double")
    low, high = doubled.split(lambda x: x < 20, name="split")
    low.key_by().aggregate(n=count(), name="count").sink(runner.sink(), name="low")
    high.lookup_join({60.0: 1}, on=lambda x: x, how="inner", name="join").sink(runner.sink(), name="high")
    result = flow.run()
    counts = {each.name: (each.records_in, each.records_out) for each in result.operators}
    assert counts == {
        "in": (10, 10),
        "divide": (10, 9),
        "large": (9, 5),
        "double": (5, 10),
        "split": (10, 10),
        "count": (4, 1),
        "low": (1, 1),
        "join": (6, 2),
        "high": (2, 2),
    }
    assert (result["divide"].skipped, result["join"].unmatched) == (1, 4)
    assert (result.records_read, result.records_written) == (10, 3)
    assert [each.name for each in result.operators if each.p50 is not None] == ["low", "high"]
    for each in result.operators:
        assert (each.idle is None) == (each.name in {"large", "split"})


def test_parallel_instances_are_counted_together(runner: Runner) -> None:
    flow = runner.flow(settings=Settings(max_window=8))
    stream = flow.source(runner.source(range(100)), name="in").rebalance(3).map(abs, name="a").filter(bool, name="b")
    stream.sink(runner.sink(), name="out")
    result = flow.run()
    assert {each.name: (each.records_in, each.records_out) for each in result.operators} == {
        "in": (100, 100),
        "a": (100, 100),
        "b": (100, 99),
        "out": (99, 99),
    }
    for name in ("in", "a", "out"):
        each = result[name]
        assert each.frames_in is not None
        assert each.frames_out is not None
        assert each.queued == 0


def test_a_frame_is_counted_where_it_leaves_and_where_it_comes(runner: Runner) -> None:
    flow = runner.flow(settings=Settings(max_window=1, frame_records=1))
    flow.source(runner.source(range(7)), name="in").sink(runner.sink(), name="out")
    result = flow.run()
    assert result["in"].frames_out == result["out"].frames_in == 8  # the end is one


def test_metrics_are_data() -> None:
    flow = Dataflow("data")
    runner = Runner("inline", blocking=False)
    flow.source(runner.source([1])).sink(runner.sink())
    result = flow.run()
    assert msgspec.json.decode(msgspec.json.encode(result), type=JobMetrics) == result
    with pytest.raises(AttributeError):
        result.seconds = 1.0  # type: ignore[misc]


def test_credit_is_what_may_still_be_pushed() -> None:
    flow = Dataflow("credit", settings=Settings(max_window=100))
    flow.source(from_iterable(range(30))).sink(collect([]))
    result = flow.run(progress=False)
    assert 0 < result.credit <= result.bound == 100


def test_a_worker_must_say_something_now_and_then() -> None:
    with pytest.raises(ValueError, match=r"Settings\.beat must be more than zero"):
        Settings(beat=0)
