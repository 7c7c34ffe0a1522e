"""Changed flows: whether they can go on from what an earlier one kept, and what is said where they cannot."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NewType

import msgspec
import pytest

from engine import (
    CheckpointError,
    Checkpoints,
    Dataflow,
    KeyedProcess,
    Session,
    Settings,
    Tumbling,
    ValueState,
    count,
    mean,
    sum_,
)
from engine.checkpoint_manifest import Meaning
from engine.meaning import meaning_of, program_of
from engine.plan import Plan
from engine.record_form import Form, forms_in, misfits
from engine.resuming import misfits_of
from engine.stream import Stream
from engine.type_text import type_text
from tests.engine.saved import Numbers, Shown
from tests.engine.test_checkpoints import by_key, numbered


class Rise(msgspec.Struct):
    weir: int
    at: int
    level: float | None


class Again(msgspec.Struct):
    weir: int
    at: int
    level: int | None


Metres = NewType("Metres", float)


@dataclass
class Tree:
    height: Metres
    parts: list[Tree]


def rise(number: int) -> Rise:
    return Rise(number % 3, number, 0.5)


def again(number: int) -> Again:
    return Again(number % 3, number, 1)


Build = Callable[[Stream[Any]], Stream[Any]]


def flow(build: Build, *, name: str = "levels", settings: Settings | None = None) -> Dataflow:
    made = Dataflow(name, settings=settings)
    build(made.source(Numbers(60), name="in")).sink(Shown(), name="out")
    return made


def counted(stream: Stream[Any], name: str = "count") -> Stream[Any]:
    return stream.key_by(by_key).stateful_map(numbered, name=name)


def twice(stream: Stream[Any]) -> Stream[Any]:
    return counted(counted(stream).map(sum), "count again")


def test_state_without_an_operator_is_refused_until_it_is_dropped(tmp_path: Path) -> None:
    flow(counted).run(checkpoint=str(tmp_path))
    renamed = flow(lambda stream: counted(stream, "totals"))
    for _ in range(2):  # the first try has let go of the directory
        with pytest.raises(CheckpointError) as e:
            renamed.run(checkpoint=str(tmp_path))
    text = str(e.value)
    assert "does not fit the flow 'levels' as it is now:\n  there is no operator 'count', whose state has " in text
    assert "hint: name and write these as before; or go on without what is kept of them: drop=('count',) (--d" in text
    renamed.run(checkpoint=Checkpoints(into=str(tmp_path), drop=("count",)))
    with pytest.raises(CheckpointError, match="there is no operator 'totals'"):
        flow(counted).run(checkpoint=str(tmp_path))


def test_new_operators_begin_empty_and_what_has_no_state_may_go(tmp_path: Path) -> None:
    flow(lambda stream: counted(stream).map(sum, name="plain")).run(checkpoint=str(tmp_path))
    assert flow(twice).run(checkpoint=str(tmp_path)).state == "finished"


def test_what_fits_is_kept_though_it_might_be_dropped(tmp_path: Path) -> None:
    flow(counted).run(checkpoint=str(tmp_path))
    wanted = Checkpoints(into=str(tmp_path), drop=("in", "count", "out"))
    assert flow(counted).run(checkpoint=wanted).records_read == 0


def last_rise(state: Rise | None, number: int) -> tuple[Rise, int]:
    return rise(number), number


def last_again(state: Again | None, number: int) -> tuple[Again, int]:
    return again(number), number


def test_all_that_does_not_fit_is_named_with_its_line_and_both_types(tmp_path: Path) -> None:
    def keeping(function: Callable[[Any, int], tuple[Any, int]], name: str) -> Dataflow:
        return flow(lambda stream: counted(stream.key_by(by_key).stateful_map(function, name="last"), name))

    keeping(last_rise, "count").run(checkpoint=str(tmp_path))
    with pytest.raises(CheckpointError) as e:
        keeping(last_again, "total").run(checkpoint=str(tmp_path))
    where, count, last, hint = str(e.value).split("\n  ")
    assert where.startswith(f"{tmp_path}/checkpoints/")
    assert count.startswith("there is no operator 'count', whose state has ")
    assert last.startswith("operator 'last' (test_changed_flows.py:")
    assert last.endswith("has another state: state: Rise before, Again now")
    assert hint.endswith("drop=('count', 'last') (--drop count --drop last)")


def test_a_checkpoint_of_another_job_or_other_key_groups_is_refused(tmp_path: Path) -> None:
    flow(counted).run(checkpoint=str(tmp_path))
    with pytest.raises(CheckpointError, match="is of the job 'levels', and this one is 'other'\n  hint: give each job"):
        flow(counted, name="other").run(checkpoint=str(tmp_path))
    with pytest.raises(
        CheckpointError, match=r"with Settings\(max_parallelism=128\), and the flow 'levels' now has 64"
    ):
        flow(counted, settings=Settings(max_parallelism=64)).run(checkpoint=str(tmp_path))


class Sums(KeyedProcess[Rise, float]):
    level = ValueState(0.0)

    def on_record(self, record: Rise) -> list[float]:
        return []


class Counts(KeyedProcess[Rise, float]):
    number = ValueState(0)

    def on_record(self, record: Rise) -> list[float]:
        return []


def keyed(stream: Stream[Any], *key: Any) -> Any:
    return stream.map(rise).event_time("at").key_by(*(key or ("weir",)))


def joined(stream: Stream[Any], other: Callable[[int], Any]) -> Stream[Any]:
    left = stream.map(rise).event_time("at").key_by("weir")
    right = stream.map(other, name="other").event_time("at", name="other time").key_by("weir")
    return left.join(right, window=Tumbling("1s"), name="x").map(str)


CHANGES: dict[str, tuple[Build, Build, str | None]] = {
    "nothing": (
        lambda s: keyed(s).aggregate(n=count(), name="x"),
        lambda s: keyed(s).aggregate(number=count(), name="x"),
        None,
    ),
    "a field nobody keeps": (
        lambda s: s.map(rise).key_by("weir").aggregate(n=count(), name="x"),
        lambda s: s.map(again).key_by("weir").aggregate(n=count(), name="x"),
        None,
    ),
    "key": (
        lambda s: keyed(s).aggregate(n=count(), name="x"),
        lambda s: keyed(s, "level").aggregate(n=count(), name="x"),
        "key: weir before, level now",
    ),
    "type of the key": (
        lambda s: s.map(rise).key_by("level").aggregate(n=count(), name="x"),
        lambda s: s.map(again).key_by("level").aggregate(n=count(), name="x"),
        r"type of the key: tuple\[float \| None\] before, tuple\[int \| None\] now",
    ),
    "aggregates": (
        lambda s: keyed(s).aggregate(n=count(), mean=mean("level"), name="x"),
        lambda s: keyed(s).aggregate(n=count(), sum=sum_("level"), name="x"),
        r"aggregates: count\(\), mean\(level\) before, count\(\), sum\(level\) now",
    ),
    "windows": (
        lambda s: keyed(s).window(Tumbling("1s")).aggregate(n=count(), name="x"),
        lambda s: keyed(s).window(Session("1s")).aggregate(n=count(), name="x"),
        r"windows: Tumbling\('1s'\) before, Session\('1s'\) now",
    ),
    "event time": (
        lambda s: s.map(rise).event_time("at", name="x"),
        lambda s: s.map(rise).event_time("weir", name="x"),
        "time: at before, weir now",
    ),
    "event time by a function": (
        lambda s: s.map(rise).event_time("at", name="x"),
        lambda s: s.map(rise).event_time(lambda r: r.weir, name="x"),
        None,
    ),
    "results": (
        lambda s: keyed(s).aggregate(n=count(), name="x"),
        lambda s: keyed(s).aggregate(n=count(), emit="update", name="x"),
        "results: at the end before, after each record now",
    ),
    "kind": (
        lambda s: keyed(s).aggregate(n=count(), name="x"),
        lambda s: keyed(s).process(Sums, name="x"),
        "was of kind 'aggregate', and is of kind 'process'",
    ),
    "state": (
        lambda s: keyed(s).process(Sums, name="x"),
        lambda s: keyed(s).process(Counts, name="x"),
        "has no 'value level' any more",
    ),
    "time to live": (
        lambda s: keyed(s).stateful_map(numbered, name="x"),
        lambda s: keyed(s).stateful_map(numbered, ttl="1s", name="x"),
        "time to live: none before, some now",
    ),
    "records of a join": (
        lambda s: joined(s, rise),
        lambda s: joined(s, again),
        "right records: Rise before, Again now",
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_the_meaning_of_state_hangs_on(what: str) -> None:
    before, after, text = CHANGES[what]
    plans = (Plan.of(flow(build)) for build in (before, after))
    old, new = (next(node for task in plan.tasks for node in task.nodes if node.name == "x") for plan in plans)
    whys = [each.why for each in misfits_of(meaning_of(old), new)]
    if text is None:
        assert whys == []
    else:
        (why,) = whys
        assert why.startswith("operator 'x' (test_changed_flows.py:")
        assert re.search(text, why), why


def test_what_is_not_known_of_one_is_not_compared() -> None:
    node = Plan.of(flow(counted)).tasks[0].nodes[0]
    assert list(misfits_of(Meaning("in", "source", {"key": "a"}), node)) == []


def test_the_same_plan_over_more_processes_has_the_same_meaning() -> None:
    made = flow(CHANGES["windows"][0])
    assert program_of(Plan.of(made)) == program_of(Plan.of(made, 3))


def test_types_as_text_are_the_same_wherever_they_stand() -> None:
    assert type_text(list[Tree]) == "list[Tree]"
    assert type_text(tuple[int, ...]) == "tuple[int, ...]"
    assert type_text(dict[Metres, Rise | None]) == "dict[float, Rise | None]"


def test_all_classes_of_records_are_compared_wherever_they_stand() -> None:
    forms = forms_in([dict[str, list[Tree] | Rise]])
    assert forms == {
        "Tree": Form({"height": ("float",), "parts": ("list[Tree]",)}),
        "Rise": Form({"weir": ("int",), "at": ("int",), "level": ("float", "None")}, (), True),
    }


FORM = Form({"weir": ("int",), "level": ("float",)}, (), True)


@pytest.mark.parametrize(
    ("before", "now", "wrong"),
    [
        (FORM, FORM, []),
        (FORM, Form({"level": ("float",), "weir": ("int",)}, (), True), []),
        (FORM, Form({"level": ("float", "None")}, (), True), []),
        (
            Form({"level": ("float", "None")}, (), True),
            FORM,
            ["X.level: float | None before, float now", "X.weir is new, and has no default"],
        ),
        (FORM, Form({"weir": ("Any",), "level": ("float",), "unit": ("str",)}, ("unit",), True), []),
        (
            Form(FORM.fields),
            Form({"level": ("float",), "weir": ("int",)}),
            ["X had the fields weir, level and has level, weir"],
        ),
        (FORM, Form({"weir": ("int",)}), ["X had the fields weir, level and has weir"]),
        (FORM, Form(FORM.fields), []),
    ],
)
def test_which_forms_fit(before: Form, now: Form, wrong: list[str]) -> None:
    assert misfits("X", before, now) == wrong
