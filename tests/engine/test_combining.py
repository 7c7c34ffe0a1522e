"""Partial results over processes: the same answers, whatever is held, late or refused; and what plans say of them."""

from __future__ import annotations

from collections import defaultdict
from random import Random
from typing import Any

import msgspec
import pytest

from connectors.memory import collect as into
from connectors.memory import discard, from_iterable
from engine import (
    Dataflow,
    OperatorError,
    Session,
    Settings,
    Sliding,
    Stream,
    Tumbling,
    collect,
    count,
    custom,
    distinct,
    max_,
    mean,
    min_,
    sum_,
    top,
)
from engine.either import Either, codec_of
from engine.errors import DecodeError, EncodeError
from engine.graph import Key
from engine.partials import Form
from tests.engine.helpers import ListSource


class Hit(msgspec.Struct, frozen=True):
    page: str
    at: int
    size: int


BOUND = 15


def disordered(seed: int, records: int, bound: int = BOUND) -> list[Hit]:
    """Hits of a few pages, one of them much more often, none more than `bound` behind one before it."""
    dice, time, hits = Random(seed), 0, []
    for number in range(records):
        time += dice.choice([0, 1, 2])
        hits.append(Hit("abcdefg"[min(dice.randrange(12), 6)], time - dice.randrange(bound + 1), number))
    return hits


def every_kind() -> Any:
    """All built-in aggregates that are combined, and one that says how."""
    longest = custom(int, max, value="size", combine=max)
    several = {"n": count(), "total": sum_("size"), "least": min_("size"), "most": max_("size"), "own": longest}
    return {**several, "mean": mean("size"), "top": top(2, "size"), "seen": distinct(lambda hit: hit.size % 7)}


def expected(hits: list[Hit]) -> tuple[Any, ...]:
    sizes = [hit.size for hit in hits]
    numbers = len(sizes), sum(sizes), min(sizes), max(sizes), max(sizes), sum(sizes) / len(sizes)
    return *numbers, sorted(sizes)[:-3:-1], len({size % 7 for size in sizes})


def found(row: Any) -> tuple[Any, ...]:
    return row.n, row.total, row.least, row.most, row.own, row.mean, [hit.size for hit in row.top], row.seen


def in_windows(hits: list[Hit], size: int, every: int) -> dict[tuple[str, int], tuple[Any, ...]]:
    windows: dict[tuple[str, int], list[Hit]] = defaultdict(list)
    for hit in hits:
        for start in range(hit.at - hit.at % every, hit.at - size, -every):
            windows[hit.page, start].append(hit)
    return {key: expected(mine) for key, mine in windows.items()}


@pytest.mark.parametrize(
    ("processes", "combine_keys", "max_window"), [(2, 65_536, 8192), (3, 3, 8192), (2, 1, 5), (2, 0, 8192)]
)
def test_answers_are_those_by_hand(processes: int, combine_keys: int, max_window: int) -> None:
    """From partitions that different processes read, with bounds that make partial results come often or never."""
    hits = disordered(combine_keys, 1500)
    limits = Settings(combine_keys=combine_keys, max_window=max_window)
    flow, tumbling, sliding, whole = Dataflow("combined", settings=limits), list[Any](), list[Any](), list[Any]()
    source = ListSource({str(part): hits[part::3] for part in range(3)}, type=Hit, per_read=70)
    timed = flow.source(source).event_time("at", out_of_order=BOUND)
    keyed = timed.key_by("page")
    keyed.window(Tumbling(20)).aggregate(**every_kind()).sink(into(tumbling), name="tumbling")
    keyed.window(Sliding(30, every=10)).aggregate(**every_kind()).sink(into(sliding), name="sliding")
    timed.key_by(lambda hit: hit.page).aggregate(**every_kind()).sink(into(whole), name="whole")
    result = flow.run(processes=processes)
    assert result.late == result.in_flight == 0
    assert {(row.page, row.window_start): found(row) for row in tumbling} == in_windows(hits, 20, 20)
    assert {(row.page, row.window_start): found(row) for row in sliding} == in_windows(hits, 30, 10)
    pages = {page: expected([hit for hit in hits if hit.page == page]) for page in {hit.page for hit in hits}}
    assert {row.key: found(row) for row in whole} == pages
    steps = [each for each in result.operators if each.kind == "combine"]
    assert [each.name for each in steps] == (
        ["combine window", "combine window-2", "combine aggregate"] if combine_keys else []
    )
    assert all(each.records_in == len(hits) and each.held == 0 for each in steps)


@pytest.mark.parametrize("combine_keys", [2, 65_536])
def test_late_records_are_the_same_and_leave_as_they_came(combine_keys: int) -> None:
    hits, latest = disordered(3, 800, 60), -(10**9)
    over: list[Hit] = []
    kept: list[Hit] = []
    for hit in hits:
        (over if hit.at - hit.at % 20 + 20 + 10 <= latest - BOUND else kept).append(hit)
        latest = max(latest, hit.at)
    assert over
    flow, rows, late = Dataflow("late", settings=Settings(combine_keys=combine_keys)), list[Any](), list[Any]()
    timed = flow.source(from_iterable(hits, type=Hit)).event_time("at", out_of_order=BOUND)
    results = timed.key_by("page").window(Tumbling(20), allowed_lateness=10).aggregate(**every_kind())
    results.sink(into(rows), name="rows")
    results.late.sink(into(late), name="late")
    result = flow.run(processes=2)
    assert sorted(late, key=lambda hit: hit.size) == over
    assert result.late == result["window"].late == len(over)
    last = {(row.page, row.window_start): found(row) for row in sorted(rows, key=lambda row: row.n)}
    assert last == in_windows(kept, 20, 20)
    assert len(rows) > len(last)  # some came again


def sums(stream: Stream[Any], **policy: Any) -> Stream[Any]:
    return stream.key_by(lambda row: row[0]).aggregate(n=count(), total=sum_(lambda row: row[1]), **policy)


def test_what_an_aggregate_refuses_is_its_own_to_skip_or_to_send_on() -> None:
    rows = [("a", 1), ("b", 2), ("a", "text"), (["list"], 3), ("a", 4)]
    flow, skipping, lettering, letters = Dataflow("refused"), list[Any](), list[Any](), list[Any]()
    stream = flow.source(from_iterable(rows))
    sums(stream, on_error="skip", name="skips").sink(into(skipping), name="skipping")
    sums(stream, on_error="dead-letter", name="letters").sink(into(lettering), name="lettering")
    flow.dead_letters.sink(into(letters), name="read letters")
    result = flow.run(processes=2)
    for got in (skipping, lettering):
        assert sorted((row.key, row.n, row.total) for row in got) == [("a", 2, 5), ("b", 1, 2)]
    assert (result["skips"].skipped, result["letters"].dead_letters) == (2, 2)
    refused = sorted([(each.operator, each.record) for each in letters], key=repr)
    assert refused == [("letters", ("a", "text")), ("letters", (["list"], 3))]


def test_a_refused_record_ends_the_job_with_the_name_of_the_users_operator() -> None:
    flow = Dataflow("refused")
    sums(flow.source(from_iterable([("a", 1), ("a", "text")])), name="totals").sink(discard())
    with pytest.raises(OperatorError, match=r"operator 'totals' .*wanted a number to sum, got 'text'") as caught:
        flow.run(processes=2)
    assert (caught.value.operator, caught.value.record) == ("totals", ("a", "text"))


def flow_of(**aggregates: Any) -> Dataflow:
    flow = Dataflow("plan")
    hits = flow.source(ListSource([], type=Hit)).event_time("at")
    hits.key_by("page").window(Tumbling(10)).aggregate(**aggregates).sink(discard())
    return flow


def test_a_plan_shows_the_step_and_how_partial_results_cross() -> None:
    text = flow_of(n=count(), mean=mean("size"), top=top(2, "size"), seen=distinct("page")).explain(processes=2)
    assert "combine window (partial count, mean, top, distinct by page) x 2 [worker 1, worker 2]" in text
    assert "hash by page: at most 32,768 records, 2 of 4 channels to other processes, as msgpack" in text
    assert "combine" not in flow_of(n=count()).explain()


def test_what_is_not_combined() -> None:
    assert "combine" not in flow_of(n=count(), all=collect("size")).explain(processes=2)
    assert "combine" not in flow_of(n=custom(int, lambda n, hit: n + 1)).explain(processes=2)
    keyed = (flow := Dataflow("plan")).source(ListSource([], type=Hit)).event_time("at").key_by("page")
    keyed.window(Session(4)).aggregate(n=count()).sink(discard(), name="sessions")
    keyed.window(Tumbling(4)).reduce(max).sink(discard(), name="reduced")
    keyed.aggregate(emit="update", n=count()).sink(discard(), name="running")
    by_clock = flow.source(ListSource([], type=Hit), name="more").processing_time().key_by("page")
    by_clock.window(Tumbling(4)).aggregate(n=count()).sink(discard(), name="by the clock")
    assert "combine" not in flow.explain(processes=2)


def test_streams_that_become_one_are_combined_each() -> None:
    flow, rows = Dataflow("union"), list[Any]()
    numbers, others = flow.source(from_iterable(range(100)), name="a"), flow.source(from_iterable(range(50)), name="b")
    numbers.union(others).key_by(lambda x: x % 3).aggregate(n=count()).sink(into(rows))
    result = flow.run(processes=2)
    assert sorted((row.key, row.n) for row in rows) == [(0, 51), (1, 50), (2, 49)]
    steps = {each.name: (each.records_in, each.records_out) for each in result.operators if each.kind == "combine"}
    assert steps == {"combine aggregate": (100, 3), "combine aggregate (2)": (50, 3)}


def test_fields_of_partial_results_have_names_of_their_own() -> None:
    key = Key(("pane", len, "pane", "not a name", "state_0"), tuple("abcde"), (int, int, int, str, None))
    form = Form.of(key, [count(), count()], None)
    assert form is not None
    assert form.type.__struct_fields__ == ("pane", "key_1", "key_2", "key_3", "state_0", "pane_", "state_0_", "state_1")


class Two(msgspec.Struct):
    n: int


def test_frames_of_either_type_cross_each_in_its_own_way() -> None:
    codec = codec_of(Either(Two, int))
    for rows in ([Two(1), Two(2)], [1, 2], [1, Two(1), Two(2), 3, Two(4)]):
        assert codec.decode(*codec.encode(rows)) == rows
    assert (codec.fallbacks, codec.pickled_because) == (0, None)
    assert codec.decode(*codec.encode([Two("text"), "text"])) == [Two("text"), "text"]  # type: ignore[arg-type]
    assert codec.fallbacks == 2
    assert codec_of(Either(Two, None)).pickled_because == "the type of the records is not known"
    with pytest.raises(EncodeError) as caught:
        codec.encode([Two(1), 1, lambda: 0])
    assert caught.value.index == 2
    for wrong in ((128, b"\xff"), (65 ^ 2, b""), (200, b"")):
        with pytest.raises(DecodeError):
            codec.decode(*wrong)


def test_a_bound_is_a_whole_number() -> None:
    with pytest.raises(ValueError, match=r"Settings.combine_keys is a whole number from 0, not -1"):
        Settings(combine_keys=-1)
