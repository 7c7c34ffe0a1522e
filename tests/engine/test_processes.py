"""Jobs of several processes: every operator, connector and policy gives what it gives in one process."""

from __future__ import annotations

import os
import random
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connectors.files import csv_files, json_lines, json_lines_file
from connectors.memory import collect, from_iterable, generate
from connectors.sqlite import sqlite_table
from engine import Dataflow, JobResult, OperatorError, Settings
from tests.engine import remote
from tests.engine.every_operator import build as every_operator
from tests.engine.helpers import ListSource
from tests.engine.random_programs import KINDS, Known, Step, extend

pytestmark = pytest.mark.timeout(80)

COUNTED = ("name", "records_in", "records_out", "skipped", "dead_letters", "unmatched", "queued", "dropped")
"""What of an operator's metrics is the same however many processes there are."""


def counts(result: JobResult) -> list[tuple[Any, ...]]:
    """Those of the operators that the user wrote: what comes to one in part combined counts as what it was made of."""
    combined: Counter[str] = Counter()
    for each in result.operators:
        if each.kind == "combine":
            combined[each.name.removeprefix("combine ").partition(" (")[0]] += each.records_in
    users = [each for each in result.operators if each.kind != "combine"]
    whole = [msgspec.structs.replace(each, records_in=combined.get(each.name, each.records_in)) for each in users]
    return [tuple(getattr(each, name) for name in COUNTED) for each in whole]


def is_clean(result: JobResult) -> bool:
    """Whether all is well and no record is left anywhere."""
    return (
        result.state == "finished"
        and result.in_flight == result.dropped == 0
        and result.most_in_flight <= result.bound
        and not any(each.queued for each in result.operators)
    )


# ---------------------------------------------------------------- every operator


def programs() -> Iterator[Any]:
    """Random programs that hold every kind of step between them, a third of them in stages of their own."""
    for seed, width in ((1, 2), (2, 1), (3, 3), (4, 2)):
        dice = random.Random(seed)
        kinds = [*KINDS, "stage", "stage"]
        dice.shuffle(kinds)
        steps = [
            Step(kind, dice.randrange(20), dice.randrange(20), dice.randrange(7), 1 + dice.randrange(3))
            for kind in kinds
        ]
        limits = dice.choice([Settings(), Settings(max_window=7, frame_records=2), Settings(max_window=1)])
        yield pytest.param(steps, width, limits, id=f"seed {seed}, {width} wide")


def run_program(steps: list[Step], limits: Settings, processes: int) -> tuple[JobResult, list[Known], list[list[int]]]:
    flow = Dataflow("random", settings=limits)
    pool = [
        Known(flow.source(from_iterable(range(40))), list(range(40))),
        Known(flow.source(ListSource({"a": range(30), "b": range(30, 70)})), list(range(70))),
    ]
    extend(pool, steps)
    sinks: list[list[int]] = [[] for _ in pool]
    for known, into in zip(pool, sinks, strict=True):
        known.stream.sink(collect(into))
    return flow.run(processes=processes), pool, sinks


@pytest.mark.parametrize(("steps", "width", "limits"), [*programs()])
def test_random_graphs_give_what_lists_give(steps: list[Step], width: int, limits: Settings) -> None:
    result, pool, sinks = run_program(steps, limits, width)
    for known, into in zip(pool, sinks, strict=True):
        assert Counter(into) == Counter(known.rows)
    assert is_clean(result)
    assert result.records_read == 110
    assert result.records_written == sum(len(known.rows) for known in pool)
    plain = [step for step in steps if step.kind != "stage"]
    assert counts(run_program(plain, limits, 1)[0]) == counts(run_program(plain, limits, 2)[0])


def test_every_operator_gives_the_same_records_and_counts_over_two_processes() -> None:
    one: dict[str, list[Any]] = {}
    two: dict[str, list[Any]] = {}
    alone, together = every_operator(one).run(), every_operator(two).run(processes=2)
    # Where several streams come together, which record of a key is the last one is nobody's promise.
    assert {name: Counter(map(repr, rows)) for name, rows in two.items()} == {
        name: Counter(map(repr, rows)) for name, rows in one.items()
    }
    assert counts(together) == counts(alone)
    assert is_clean(together)


# ---------------------------------------------------------------- where things run, and in which order


def test_what_is_at_home_stays_there_and_the_rest_does_not() -> None:
    flow = Dataflow("where")
    got: list[Any] = []
    stream = flow.source(from_iterable(range(50))).map(remote.with_process)
    stream.stage("load", processes=2).map(remote.with_process).sink(collect(got))
    result = flow.run(processes=1)
    assert is_clean(result)
    assert sorted(x for (x, _), _ in got) == list(range(50))
    first, second = {pid for (_, pid), _ in got}, {pid for _, pid in got}
    assert (len(first), len(second)) == (1, 2)
    assert len(first | second | {os.getpid()}) == 4


@pytest.mark.parametrize("limits", [Settings(), Settings(max_window=3, frame_records=2)], ids=["wide", "narrow"])
def test_partitions_are_spread_and_the_order_within_a_key_is_kept(limits: Settings) -> None:
    flow = Dataflow("order", settings=limits)
    got: list[Any] = []
    stream = flow.source(remote.Ranges("abcde", 60)).map(remote.with_process)
    keyed = stream.key_by(lambda pair: pair[0][1] % 9)
    keyed.map(lambda pair: pair).stage("load", processes=2).key_by(lambda pair: pair[0][1] % 9).sink(collect(got))
    result = flow.run(processes=2)
    assert is_clean(result)
    assert len({pid for _, pid in got}) == 2
    seen: dict[tuple[str, int], list[int]] = defaultdict(list)
    for (name, i), _ in got:
        seen[name, i % 9].append(i)
    assert seen == {(name, k): list(range(k, 60, 9)) for name in "abcde" for k in range(9)}


def test_partitions_whose_names_are_no_utf_8_are_read(tmp_path: Path) -> None:
    got: list[Any] = []
    for i in range(4):
        (tmp_path / os.fsdecode(b"\xff%d.csv" % i)).write_text(f"number\n{i}\n")
    flow = Dataflow("bytes")
    flow.source(csv_files(str(tmp_path / "*.csv"), type=dict)).sink(collect(got))
    assert is_clean(flow.run(processes=2))
    assert sorted(got, key=str) == [{"number": str(i)} for i in range(4)]


# ---------------------------------------------------------------- connectors that are shared


@pytest.fixture
def parts(tmp_path: Path) -> str:
    """Five CSV files of 40 readings each."""
    for part in range(5):
        rows = "".join(f"s{i % 7},{i}\n" for i in range(40 * part, 40 * part + 40))
        (tmp_path / f"in-{part}.csv").write_text("sensor,value\n" + rows)
    return f"{tmp_path}/in-*.csv"


def test_files_are_read_and_written_by_several_processes(parts: str, tmp_path: Path) -> None:
    flow = Dataflow("files")
    stream = flow.source(csv_files(parts, type=remote.Reading)).filter(lambda each: each.value % 3 > 0)
    stream.sink(json_lines_file(tmp_path / "out.jsonl"))
    assert is_clean(flow.run(processes=2))
    outputs = sorted(tmp_path.glob("out*"))
    assert [path.name for path in outputs] == ["out-00000.jsonl", "out-00001.jsonl"]
    assert all(path.stat().st_size for path in outputs)
    again = Dataflow("again")
    got: list[Any] = []
    again.source(json_lines(f"{tmp_path}/out-*.jsonl", type=remote.Reading)).sink(collect(got))
    again.run()
    assert sorted(each.value for each in got) == [i for i in range(200) if i % 3]
    assert all(each == remote.reading(each.value) for each in got)


def test_one_table_is_written_by_several_processes(parts: str, tmp_path: Path) -> None:
    flow, database = Dataflow("tables"), tmp_path / "out.db"
    stream = flow.source(csv_files(parts, type=remote.Reading))
    stream.sink(sqlite_table(database, "readings", batch=10), name="all")
    totals = (
        stream.key_by("sensor").fold(int, remote.sensor_total).map(lambda pair: {"sensor": pair[0], "total": pair[1]})
    )
    totals.sink(sqlite_table(database, "totals", key="sensor"), name="totals")
    assert is_clean(flow.run(processes=2))
    with closing(sqlite3.connect(database)) as db:
        rows = db.execute("SELECT sensor, value FROM readings ORDER BY value").fetchall()
        assert rows == [(f"s{i % 7}", i) for i in range(200)]
        found = dict(db.execute("SELECT sensor, total FROM totals"))
    assert found == {f"s{k}": sum(range(k, 200, 7)) for k in range(7)}


@pytest.mark.parametrize("at_home", [False, True])
def test_a_table_meets_records_in_every_process(at_home: bool) -> None:
    names = [remote.Reading(f"s{k}", 10 * k) for k in range(5)]
    table = from_iterable(names) if at_home else ListSource(names)
    flow = Dataflow("lookup")
    got: list[Any] = []
    stream = flow.source(ListSource({"a": range(30), "b": range(30, 70)})).map(remote.reading)
    joined = stream.lookup_join(
        table, on="sensor", table_key="sensor", how="inner", into=lambda r, m: r.value + m.value
    )
    joined.sink(collect(got))
    result = flow.run(processes=2)
    assert is_clean(result)
    assert sorted(got) == sorted(i + 10 * (i % 7) for i in range(70) if i % 7 < 5)
    assert result.unmatched == sum(i % 7 >= 5 for i in range(70))


# ---------------------------------------------------------------- records


def test_records_arrive_as_what_they_were_whether_typed_or_not() -> None:
    flow = Dataflow("kinds")
    typed: list[Any] = []
    loose: list[Any] = []
    numbers = flow.source(generate(int, count=300))
    numbers.map(remote.reading).sink(collect(typed), name="typed")
    numbers.map(lambda i: remote.Loose({i: (i, None, {i})})).sink(collect(loose), name="loose")
    assert is_clean(flow.run(processes=2))
    assert typed == [remote.reading(i) for i in range(300)]
    assert loose == [remote.Loose({i: (i, None, {i})}) for i in range(300)]
    assert type(loose[0].value[0][2]) is set


@pytest.mark.parametrize("size", [200_000, 30_000, 70_000])
def test_records_larger_than_the_byte_window_go_one_at_a_time(size: int) -> None:
    flow = Dataflow("large", settings=Settings(max_window_bytes=64 * 1024))
    got: list[Any] = []
    stream = flow.source(generate(partial(remote.swollen, size), count=60))
    stream.stage("far").map(remote.number_of).sink(collect(got))
    result = flow.run(processes=1)
    assert is_clean(result)
    assert got == list(range(60))


def test_the_metrics_say_which_records_went_as_pickles_and_why() -> None:
    flow, got = Dataflow("pickles", settings=Settings(frame_records=10)), list[Any]()
    numbers = flow.source(generate(int, count=30, type=int), name="numbers")
    numbers.map(remote.now_and_then_a_float, type=int, name="mixed").sink(collect(got), name="mixed home")
    numbers.map(remote.Loose, type=None, name="loose").sink(collect([]), name="loose home")
    result = flow.run(processes=2)
    assert 1 <= result["mixed"].fallbacks <= 30
    assert [result[name].pickled_because is None for name in ("mixed", "loose")] == [True, False]
    assert "sent to other processes as pickles: mixed (" in str(result)
    assert [type(each) for each in got] == [float if i % 10 == 0 else int for i in range(30)]


# ---------------------------------------------------------------- errors and policies


def test_dead_letters_of_all_processes_come_together() -> None:
    flow = Dataflow("letters", on_error="dead-letter")
    good: list[Any] = []
    bad: list[Any] = []
    flow.source(remote.Ranges("ab", 20)).map(lambda pair: remote.inverse(pair[1]), name="inverse").sink(collect(good))
    flow.dead_letters.stage("letters").sink(collect(bad), name="bad")
    result = flow.run(processes=2)
    assert is_clean(result)
    assert sorted(letter.record for letter in bad) == [("a", 13), ("b", 13)]
    assert {letter.operator for letter in bad} == {"inverse"}
    assert result.dead_letters == 2
    assert sorted(good) == sorted(remote.inverse(i) for i in range(20) for _ in "ab" if i != 13)


def test_skipped_records_are_counted_over_all_processes() -> None:
    flow = Dataflow("skip", on_error="skip")
    good: list[Any] = []
    flow.source(remote.Ranges("ab", 20)).map(lambda pair: remote.inverse(pair[1])).sink(collect(good))
    result = flow.run(processes=2)
    assert is_clean(result)
    assert (result.skipped, len(good)) == (2, 38)


def test_an_error_in_a_worker_is_raised_at_home_with_all_that_it_says(tmp_path: Path) -> None:
    flow = Dataflow("fails")
    got: list[Any] = []
    numbers = flow.source(generate(int))
    numbers.map(remote.inverse, name="inverse").sink(collect(got))
    numbers.sink(remote.Written(tmp_path))
    with pytest.raises(
        OperatorError, match=r"operator 'inverse' .* failed in inverse .*ZeroDivisionError.* was 13"
    ) as e:
        flow.run(processes=2)
    error = e.value
    assert (error.operator, error.record) == ("inverse", 13)
    assert isinstance(error.__cause__, ZeroDivisionError)
    (note,) = error.__notes__
    assert note.startswith("in worker-1:\nTraceback (most recent call last):")
    assert "return 100 // (x - 13)" in note
    assert got == [remote.inverse(i) for i in range(13)], "what came before the record was to be delivered"
    assert error.result is not None
    assert error.result.state == "failed"
    (text,) = (lines for path in tmp_path.iterdir() if len(lines := path.read_text().splitlines()) > 1)
    assert text == [*map(str, range(len(text) - 1)), "abort"]


# ---------------------------------------------------------------- the invariants


def test_no_more_is_in_flight_than_explained_at_any_moment() -> None:
    flow = Dataflow("bound", settings=Settings(max_window=50))
    got: list[Any] = []
    stream = flow.source(generate(int, count=3000)).map(abs).stage("one").flat_map(lambda x: [x, x])
    stream.stage("two").key_by(lambda x: x % 5).fold(int, lambda s, x: s + 1, emit="update").sink(collect(got))
    with flow.start(processes=1) as job:
        looks = 0
        while not job.join(0.005):
            now = job.metrics()
            assert now.in_flight <= now.most_in_flight <= now.bound
            looks += 1
        result = job.wait()
    assert looks
    assert is_clean(result)
    assert f"at most {result.bound:,} records in flight" in flow.explain(processes=1)
    assert len(got) == 6000


def test_busy_idle_and_backpressured_are_all_of_the_time() -> None:
    flow = Dataflow("time", settings=Settings(max_window=100))
    stream = flow.source(generate(int, rate=1000, count=1000)).map(abs).stage("load").key_by(lambda x: x % 3)
    stream.map(abs).sink(collect([]))
    with flow.start(processes=2) as job:
        result = job.wait()
    assert job.attempt.crew is not None
    reports = [job.attempt.part.report(), *job.attempt.crew.supervision.reports]
    tasks = [(job.plan.tasks[task.planned].name, task) for each in reports for task in each.tasks]
    assert len(tasks) == 6
    for name, task in tasks:
        whole = task.busy + task.idle + task.backpressured
        lasts = 0.9 * 0.999 if task.records_in + task.records_out else 0.0  # a source without a partition ends at once
        assert lasts <= whole <= result.seconds * 1.01, (name, task)
