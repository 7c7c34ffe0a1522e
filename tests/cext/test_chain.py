"""Record operators: what comes out, what becomes of a record that raises, and no reference gained or lost."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cext.chain import Filter, Inspect, Lookup, Map, Operator, Router, Running, StatefulMap
from cext.channel import Channel
from cext.columns import Count, Sum
from cext.frame import end
from cext.getter import Getter
from cext.groups import Groups
from cext.guard import Guard
from cext.head import Pass
from cext.port import Port
from cext.task import Task
from cext.window import Window

MODES = ["fail", "skip", "dead-letter"]
DATA = 0


def channel() -> Channel:
    return Channel(Window(0.1, 1024, 256), 256)


def guard(mode: str) -> Guard:
    return Guard(mode, None, lambda record, error: (record, error))


@dataclass
class Outcome:
    """What a task did with its records."""

    parts: list[list[Any]] = field(default_factory=list)
    letters: list[Any] = field(default_factory=list)
    failure: BaseException | None = None
    whole: bool = True

    @property
    def rows(self) -> list[Any]:
        return self.parts[0]


def drive(rows: list[Any], *chain: Operator, router: Router | None = None, outputs: int = 1) -> Outcome:
    """One frame of `rows` through a task of these operators, and the end."""
    lane, out, letters = channel(), [channel() for _ in range(outputs)], channel()
    ports = [[Port("forward", [each])] for each in out]
    task = Task("task", Pass("pass", Guard("fail")), [lane], list(chain), ports, [Port("forward", [letters])], router)
    if rows:
        lane.push_rows(rows)
    lane.push(end())
    task.run_until_idle()
    assert task.done
    assert lane.in_flight == 0
    outcome = Outcome(failure=task.failure)
    for each in out:
        frames = list(iter(each.pop, None))
        outcome.parts.append([row for frame in frames for row in frame.rows])
        outcome.whole = bool(frames[-1].value)
    outcome.letters = [row for frame in iter(letters.pop, None) for row in frame.rows]
    return outcome


# Every operator beside what it means, record by record: `naive(f)` takes a record to the list of what goes on.

Function = Callable[[Any], Any]


def stateful(f: Function) -> Callable[[Any, Any], tuple[Any, Any]]:
    def step(state: Any, record: Any) -> tuple[Any, Any]:
        return (state or 0) + 1, (state, f(record))

    return step


def running(f: Function) -> Groups:
    return Groups(Getter(lambda row: row % 3), [Count(Getter()), Sum(Getter(f))], lambda key, got: (key, *got))


def naive_stateful(f: Function) -> Callable[[Any], list[Any]]:
    states: dict[Any, int] = {}

    def step(record: Any) -> list[Any]:
        key, result = record % 3, f(record)
        states[key] = states.get(key, 0) + 1
        return [(states[key] - 1 or None, result)]

    return step


def naive_running(f: Function) -> Callable[[Any], list[Any]]:
    taken: dict[Any, list[Any]] = {}

    def step(record: Any) -> list[Any]:
        value = f(record)
        taken.setdefault(record % 3, []).append(value)
        return [(record % 3, len(taken[record % 3]), sum(taken[record % 3]))]

    return step


TABLE = {key: f"match {key}" for key in range(0, 100, 2)}
KINDS: dict[str, tuple[Callable[[Guard, Function], Operator], Callable[[Function], Callable[[Any], list[Any]]]]] = {
    "map": (lambda guard, f: Map("map", guard, f), lambda f: lambda row: [f(row)]),
    "filter": (lambda guard, f: Filter("filter", guard, f), lambda f: lambda row: [row] if f(row) else []),
    "inspect": (lambda guard, f: Inspect("inspect", guard, f), lambda f: lambda row: [[row], f(row)][:1][0]),
    "lookup": (
        lambda guard, f: Lookup("lookup", guard, TABLE, Getter(), lambda row, match: (f(row), match)),
        lambda f: lambda row: [(f(row), TABLE.get(row))],
    ),
    "inner lookup": (
        lambda guard, f: Lookup("lookup", guard, TABLE, Getter(f), None, True),
        lambda f: lambda row: [(row, TABLE[f(row)])] if f(row) in TABLE else [],
    ),
    "stateful map": (
        lambda guard, f: StatefulMap("stateful", guard, Getter(lambda row: row % 3), stateful(f)),
        naive_stateful,
    ),
    "running": (lambda guard, f: Running("running", guard, running(f)), naive_running),
}


def function(faults: dict[int, BaseException]) -> Function:
    def f(record: int) -> int:
        if record in faults:
            raise faults[record]
        return record // 2

    return f


def expected(kind: str, mode: str, rows: list[int], faults: dict[int, BaseException]) -> Outcome:
    outcome = Outcome([[]])
    step = KINDS[kind][1](function(faults))
    for row in rows:
        try:
            outcome.rows.extend(step(row))
        except BaseException as error:
            if mode == "fail" or not isinstance(error, Exception):
                outcome.failure, outcome.whole = error, False
                break
            if mode == "dead-letter":
                outcome.letters.append((row, error))
    return outcome


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("bad", [(), (0,), (7,), (19,), (0, 7, 8, 19), tuple(range(20))])
def test_what_comes_out(kind: str, mode: str, bad: tuple[int, ...]) -> None:
    faults: dict[int, BaseException] = {at: ValueError(at) for at in bad}
    policy = guard(mode)
    operator = KINDS[kind][0](policy, function(faults))
    outcome, wanted = drive(list(range(20)), operator), expected(kind, mode, list(range(20)), faults)
    assert outcome == wanted
    assert (operator.records_in, operator.records_out) == (20, len(wanted.rows))
    assert (policy.skipped, policy.lettered) == (len(bad) * (mode == "skip"), len(bad) * (mode == "dead-letter"))
    assert operator.busy_ns > 0
    assert operator.guard is policy


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(2), GeneratorExit()])
def test_what_is_not_an_exception_ends_it_whatever_the_policy(kind: str, mode: str, error: BaseException) -> None:
    faults = {3: ValueError("handled"), 7: error}
    policy = guard(mode)
    outcome = drive(list(range(20)), KINDS[kind][0](policy, function(faults)))
    assert outcome == expected(kind, mode, list(range(20)), faults)


@given(
    st.sampled_from(sorted(KINDS)),
    st.sampled_from(MODES),
    st.lists(st.integers(0, 40), max_size=60),
    st.sets(st.integers(0, 40)),
)
def test_any_rows_with_any_faults(kind: str, mode: str, rows: list[int], bad: set[int]) -> None:
    faults: dict[int, BaseException] = {at: ValueError(at) for at in bad}
    outcome = drive(rows, KINDS[kind][0](guard(mode), function(faults)))
    assert outcome == expected(kind, mode, rows, faults)


@pytest.mark.parametrize("kind", KINDS)
def test_by_itself_an_operator_gives_rows_and_letters(kind: str) -> None:
    faults: dict[int, BaseException] = {2: ValueError(2)}
    wanted = expected(kind, "dead-letter", list(range(5)), faults)
    operator = KINDS[kind][0](guard("dead-letter"), function(faults))
    assert operator(list(range(5))) == (wanted.rows, wanted.letters)
    assert operator([]) == ([], [])
    with pytest.raises(ValueError, match="2"):
        KINDS[kind][0](guard("fail"), function(faults))([1, 2, 3])


def test_in_a_chain_the_earliest_record_at_fault_ends_it() -> None:
    """The first operator fails at record 7, the second one at an earlier record, that had come through the first."""
    late, early = ValueError("late"), ValueError("early")
    chain = [Map("first", guard("fail"), function({7: late})), Map("second", guard("fail"), function({2: early}))]
    outcome = drive([4, 8, 4, 12, 7, 4], *chain)  # the second sees 2, 4, 2, 6
    assert (outcome.rows, outcome.failure, outcome.whole) == ([], early, False)
    outcome = drive([8, 8, 7, 4], *chain)
    assert (outcome.rows, outcome.failure, outcome.whole) == ([2, 2], late, False)


def test_an_operator_behind_one_that_lets_nothing_through_is_not_called() -> None:
    second = Map("second", guard("fail"), function({}))
    outcome = drive([1, 2, 3], Filter("first", guard("fail"), lambda _: False), second)
    assert outcome == Outcome([[]])
    assert second.records_in == 0


# Filter.


class Odd:
    def __init__(self, truth: Any) -> None:
        self.truth = truth

    def __bool__(self) -> Any:
        if isinstance(self.truth, Exception):
            raise self.truth
        return self.truth


@pytest.mark.parametrize("verdict", [True, False, None, 0, 2, "", "x", [], [0], 0.0, Odd(True), Odd(False)])
def test_a_filter_asks_for_truth(verdict: Any) -> None:
    rows, _ = Filter("filter", guard("fail"), lambda _: verdict)([object()])
    assert len(rows) == bool(verdict)


@pytest.mark.parametrize("verdict", [Odd(ValueError("no truth")), Odd("not a bool")])
def test_a_verdict_without_truth_is_the_records_fault(verdict: Any) -> None:
    assert Filter("filter", guard("skip"), lambda _: verdict)([1, 2]) == ([], [])
    with pytest.raises((ValueError, TypeError), match=r"no truth|should return bool"):
        Filter("filter", guard("fail"), lambda _: verdict)([1])


class Evens(type):
    def __instancecheck__(cls, value: Any) -> bool:
        return bool(value % 2 == 0)


class Even(metaclass=Evens):
    """What isinstance says is an even number."""


@pytest.mark.parametrize(
    ("kind", "kept"), [(int, [1, True]), (bool, [True]), (str, ["a"]), (object, [1, "a", True, None]), (dict, [])]
)
def test_a_filter_by_class_keeps_what_isinstance_says(kind: type, kept: list[Any]) -> None:
    assert Filter("of_type", guard("fail"), kind, by_class=True)([1, "a", True, None]) == (kept, [])


def test_a_filter_by_class_asks_the_class_and_what_it_raises_is_the_records_fault() -> None:
    assert Filter("of_type", guard("fail"), Even, by_class=True)([1, 2, 3, 4]) == ([2, 4], [])
    assert Filter("of_type", guard("skip"), Even, by_class=True)([1, "odd %d %d", 4]) == ([4], [])
    with pytest.raises(TypeError, match="not enough arguments for format string"):
        Filter("of_type", guard("fail"), Even, by_class=True)(["odd %d %d"])


# Lookup.


def test_a_lookup_counts_what_it_has_no_match_for() -> None:
    inner = Lookup("lookup", guard("fail"), {1: "one", 2: None}, Getter(), None, True)
    assert inner([1, 2, 3, 1]) == ([(1, "one"), (1, "one")], [])
    assert inner.unmatched == 2
    outer = Lookup("lookup", guard("fail"), {1: "one"}, Getter())
    assert outer([1, 3]) == ([(1, "one"), (3, None)], [])
    assert outer.unmatched == 1


def test_a_key_that_cannot_be_looked_up_is_the_records_fault() -> None:
    rows, letters = Lookup("lookup", guard("dead-letter"), {}, Getter())([[], 1])
    assert rows == [(1, None)]
    assert [(row, type(error)) for row, error in letters] == [([], TypeError)]


# StatefulMap.


def test_state_is_kept_by_key_begins_with_initial_and_ends_with_none() -> None:
    def step(state: list[int], row: tuple[str, int]) -> tuple[list[int] | None, int]:
        state.append(row[1])
        return (None, sum(state)) if row[1] < 0 else (state, sum(state))

    operator = StatefulMap("stateful", guard("fail"), Getter(lambda row: row[0]), step, list)
    assert operator([("a", 1), ("b", 5), ("a", 2)])[0] == [1, 5, 3]
    assert operator.states == {"a": [1, 2], "b": [5]}
    assert operator([("a", -1), ("a", 7), ("c", -3)])[0] == [2, 7, -3]
    assert operator.states == {"a": [7], "b": [5]}


@pytest.mark.parametrize("result", [None, 1, "ab", [1, 2], (1,), (1, 2, 3), ()])
def test_a_function_that_gives_no_pair_is_told_so_and_changes_no_state(result: Any) -> None:
    operator = StatefulMap("stateful", guard("fail"), Getter(), lambda _, row: (1, row) if row == 1 else result)
    with pytest.raises(TypeError, match=r"wanted a pair \(new state, record\) from the function, got"):
        operator([1, 2, 3])
    assert operator.states == {1: 1}


# Running.


def test_a_record_that_a_running_aggregate_refuses_is_not_counted() -> None:
    operator = Running("running", guard("skip"), running(lambda row: {0: 1, 3: "text", 6: 2}[row]))
    assert operator([0, 3, 6]) == ([(0, 1, 1), (0, 2, 3)], [])


# Router.


def router(mode: str, *predicates: Callable[[Any], Any]) -> Router:
    return Router(guard(mode), predicates)


def test_a_record_takes_the_first_way_that_is_open_and_else_the_last() -> None:
    ways = router("fail", lambda row: row % 2 == 0, lambda row: row % 3 == 0)
    assert drive(list(range(10)), router=ways, outputs=3).parts == [[0, 2, 4, 6, 8], [3, 9], [1, 5, 7]]
    assert drive([1, 2], router=router("fail")).parts == [[1, 2]]
    assert drive([], router=ways, outputs=3).parts == [[], [], []]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("bad", [0, 5, 9])
def test_a_predicate_that_raises(mode: str, bad: int) -> None:
    fault = ValueError(bad)
    test = function({bad: fault})
    outcome = drive(list(range(10)), router=router(mode, test, lambda row: False), outputs=3)
    before = list(range(bad)) if mode == "fail" else [row for row in range(10) if row != bad]
    assert outcome.parts == [[row for row in before if row // 2], [], [row for row in before if not row // 2]]
    assert outcome.letters == ([(bad, fault)] if mode == "dead-letter" else [])
    assert outcome.failure is (fault if mode == "fail" else None)


def test_a_predicate_behind_one_that_is_true_is_not_asked() -> None:
    asked: list[int] = []
    drive([1, 2], router=router("fail", lambda _: True, asked.append), outputs=3)
    assert asked == []


# References.


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", MODES)
def test_no_reference_is_gained_or_lost(kind: str, mode: str) -> None:
    rows, error = list(range(1000, 1006)), ValueError()
    fails = {1001: error, 1005: error} if mode != "fail" else {1005: error}
    result = float("1.5")  # an object that nobody else has

    def f(row: int) -> float:
        if row in fails:
            raise fails[row]
        return result

    operator = KINDS[kind][0](Guard(mode), f)
    watched = [*rows, error, result, f, operator]

    def run(times: int) -> None:
        for _ in range(times):
            try:
                operator(rows)
            except ValueError:
                assert mode == "fail"
        error.__traceback__ = None

    run(3)  # by then an aggregate has let go of its first value
    before = [sys.getrefcount(each) for each in watched]
    run(10_000)
    assert [sys.getrefcount(each) for each in watched] == before


@pytest.mark.parametrize("kind", ["map", "filter", "inspect"])
def test_a_function_may_look_at_every_object_meanwhile(kind: str) -> None:
    """The list that is being filled is one of them, and whole at every moment."""
    seen: list[int] = []

    def look(row: int) -> Any:
        if row % 50 == 0:
            gc.collect()
            lists = [each for each in gc.get_objects() if type(each) is list]
            seen.append(sum(1 for each in lists if each == list(range(row))))
            for each in lists:
                len(each[:3] + each[-3:])
        return row if kind == "map" else True

    rows, _ = KINDS[kind][0](guard("fail"), look)(list(range(200)))
    assert rows == list(range(200))
    assert all(seen[1:]), "the list under construction was not seen"


def test_a_function_may_drop_the_last_reference_to_its_record_elsewhere() -> None:
    holder = [SimpleNamespace(value=i) for i in range(5)]
    rows = list(holder)

    def drop(row: Any) -> Any:
        holder.clear()
        gc.collect()
        return row.value

    assert Map("map", guard("fail"), drop)(rows)[0] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("kind", ["map", "filter", "inspect"])
@pytest.mark.parametrize("left", [0, 3])
def test_a_list_that_is_made_shorter_meanwhile_is_an_error_and_no_crash(kind: str, left: int) -> None:
    """Against what was promised: a frame's list may be in a writer's hands, on another thread, at the same time."""
    rows = [SimpleNamespace(value=i) for i in range(10)]

    def shorten(row: Any) -> Any:
        if row.value == 2:
            del rows[left:]
        return row.value

    policy = guard("skip")
    operator = KINDS[kind][0](policy, shorten)
    with pytest.raises(RuntimeError, match="made shorter while an operator went through it"):
        operator(rows)
    assert policy.skipped == 0


# What is not an operator.


def test_operators_are_made_whole() -> None:
    with pytest.raises(TypeError):
        Map(None, guard("fail"), len)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Map("map", None, len)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Lookup("lookup", guard("fail"), None, Getter())  # type: ignore[arg-type]
    with pytest.raises(NotImplementedError):
        Operator("operator", guard("fail"))([1])
    with pytest.raises(TypeError):
        Map("map", guard("fail"), len)((1, 2))  # type: ignore[arg-type]
