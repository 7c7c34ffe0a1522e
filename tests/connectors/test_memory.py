"""Sources and sinks in memory: order, credit, the pace of a clock that the test turns, failures in place."""

from __future__ import annotations

import doctest
import itertools
from collections.abc import Callable, Iterator
from contextlib import closing
from types import ModuleType
from typing import Any, assert_type

import pytest
from hypothesis import given
from hypothesis import strategies as st

import connectors.memory
import connectors.memory_sinks
from connectors.memory import collect, discard, from_iterable, generate
from engine.errors import ConnectorError, GraphError
from engine.sink import SinkContext
from engine.source import Reader, Source


class Clock:
    """Stands still until the test moves it, or by `tick` seconds each time that it is looked at."""

    def __init__(self, tick: float = 0.0) -> None:
        self.now, self.tick = 100.0, tick

    def __call__(self) -> float:
        self.now += self.tick
        return self.now


def read_all(reader: Reader[Any], limit: int) -> list[Any]:
    found: list[Any] = []
    while (records := reader.read(limit)) is not None:
        assert 0 < len(records) <= limit
        found.extend(records)
    return found


def breaking_after(count: int) -> Iterator[int]:
    yield from range(count)
    raise ValueError("out of numbers")


# ------------------------------------------------------------------------------------ from_iterable


@given(items=st.lists(st.integers()), limit=st.integers(1, 7), blocking=st.booleans())
def test_all_items_in_order_and_never_more_than_the_limit(items: list[int], limit: int, blocking: bool) -> None:
    for iterable in (items, iter(items), lambda: iter(items)):
        source = from_iterable(iterable, blocking=blocking, clock=Clock(0.0004))
        reader = source.open("")
        assert read_all(reader, limit) == items
        assert reader.read(limit) is None


def test_what_from_iterable_says_of_itself() -> None:
    source = from_iterable(["a"], type=str, name="words", blocking=True)
    assert_type(source, Source[str])
    assert (source.type, source.name, source.blocking, source.bounded) == (str, "words", True, True)
    plain = from_iterable([1])
    assert (plain.type, plain.name, plain.blocking) == (None, "from_iterable", False)


def test_lists_and_functions_can_be_run_again() -> None:
    for items in ([1, 2], lambda: (n for n in (1, 2))):
        source = from_iterable(items)
        assert [read_all(source.open(""), 9) for _ in range(2)] == [[1, 2], [1, 2]]


@pytest.mark.parametrize("make", [lambda: iter([1]), lambda: (n for n in [1])])
def test_an_iterator_can_be_run_only_once(make: Callable[[], Any]) -> None:
    source = from_iterable(make(), name="words")
    assert read_all(source.open(""), 9) == [1]
    message = r"words was run before, and an iterator gives its items only once: <.*\n  hint: pass a list"
    with pytest.raises(ConnectorError, match=message):
        source.open("")


@pytest.mark.parametrize("blocking", [False, True])
def test_what_came_before_a_failure_is_delivered_first(blocking: bool) -> None:
    reader = from_iterable(breaking_after(5), blocking=blocking).open("")
    assert reader.read(3) == [0, 1, 2]
    assert reader.read(3) == [3, 4]
    message = r"from_iterable: <generator .*>, asked for item 5, raised ValueError\('out of numbers'\)"
    for _ in range(2):
        with pytest.raises(ConnectorError, match=message) as caught:
            reader.read(3)
        assert isinstance(caught.value.__cause__, ValueError)


def test_a_blocking_iterable_passes_on_what_it_gave_in_a_millisecond() -> None:
    reader = from_iterable(itertools.count(), blocking=True, clock=Clock(0.0003)).open("")
    assert reader.read(100) == [0, 1, 2, 3]
    assert reader.read(2) == [4, 5]
    slow = from_iterable(itertools.count(), blocking=True, clock=Clock(5.0)).open("")
    assert slow.read(100) == [0]


def test_closing_closes_a_generator() -> None:
    closed = []

    def items() -> Iterator[int]:
        try:
            yield from range(10)
        finally:
            closed.append(True)

    with closing(from_iterable(items).open("")) as reader:
        reader.read(1)
        assert closed == []
    assert closed == [True]


class NotIterableAfterAll:
    def __iter__(self) -> Iterator[int]:
        raise OSError("gone")


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (lambda: 5, "wanted an iterable from <function .*>, came 5"),
        (lambda: 1 // 0, r"<function .*> raised ZeroDivisionError"),
        (NotIterableAfterAll(), r"raised OSError\('gone'\)"),
    ],
)
def test_iterables_that_are_none_when_the_job_runs(items: Any, message: str) -> None:
    with pytest.raises(ConnectorError, match=message):
        from_iterable(items).open("")


def test_something_that_is_no_iterable_is_refused_at_once() -> None:
    with pytest.raises(GraphError, match="from_iterable wanted an iterable, or a function that returns one, came 5"):
        from_iterable(5)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------ generate


def square(number: int) -> int:
    return number * number


def test_generate_without_a_rate_gives_as_many_as_are_asked_for() -> None:
    reader = generate(square, count=5).open("")
    assert reader.read(2) == [0, 1]
    assert reader.poll_after() is None
    assert reader.read(9) == [4, 9, 16]
    assert reader.read(9) is None
    assert generate(square, count=0).open("").read(1) is None
    assert len(generate(square).open("").read(1000) or ()) == 1000


def test_generate_can_be_run_again() -> None:
    source = generate(square, count=3, rate=10.0, clock=Clock(1.0))
    assert [read_all(source.open(""), 9) for _ in range(2)] == [[0, 1, 4]] * 2


def untyped(number):  # type: ignore[no-untyped-def]
    return number


def unresolved(number: int) -> Nowhere:  # type: ignore[name-defined]  # noqa: F821
    return number


def test_the_type_of_what_is_generated() -> None:
    assert_type(generate(square), Source[int])
    assert generate(square).type is int
    assert generate(str).type is str
    assert generate(square, type=object).type is object
    for function in (untyped, unresolved, lambda n: n, abs):
        assert generate(function).type is None


def test_what_generate_says_of_itself() -> None:
    assert (generate(square).bounded, generate(square).blocking, generate(square).name) == (
        False,
        False,
        "generate",
    )
    assert generate(square, count=1).bounded is True


def test_records_come_when_they_are_due() -> None:
    clock = Clock()
    reader = generate(square, rate=4.0, count=6, clock=clock).open("")
    assert reader.read(9) == [0]
    assert reader.read(9) == []
    assert reader.poll_after() == 0.25
    clock.now += 0.125
    assert reader.read(9) == []
    assert reader.poll_after() == 0.125
    clock.now += 0.125
    assert reader.poll_after() == 0.0
    assert reader.read(9) == [1]
    clock.now += 0.5
    assert reader.read(9) == [4, 9]
    clock.now += 9.0
    assert reader.read(9) == [16, 25]
    assert reader.read(9) is None


def test_held_up_records_follow_as_fast_as_they_are_taken() -> None:
    clock = Clock()
    reader = generate(square, rate=4.0, clock=clock).open("")
    clock.now += 1.0
    assert [len(reader.read(2) or ()) for _ in range(4)] == [2, 2, 1, 0]


def test_without_catching_up_a_stall_starts_the_schedule_anew() -> None:
    clock = Clock()
    reader = generate(int, rate=4.0, catch_up=False, clock=clock).open("")
    clock.now += 1.0
    assert reader.read(9) == [0]
    assert reader.read(9) == []
    assert reader.poll_after() == 0.25
    clock.now += 0.25
    assert reader.read(9) == [1]


def test_without_catching_up_a_fast_schedule_is_kept_between_reads() -> None:
    clock = Clock()
    reader = generate(int, rate=1024.0, catch_up=False, clock=clock).open("")
    counts = []
    for _ in range(64):
        clock.now += 1 / 64
        counts.append(len(reader.read(100) or ()))
    assert counts == [17] + [16] * 63
    clock.now += 5.0
    assert reader.read(100) == [1025]


@given(
    rate=st.floats(0.01, 1e6),
    waits=st.lists(st.floats(0, 0.5), max_size=20),
    limit=st.integers(1, 50),
    catch_up=st.booleans(),
)
def test_records_are_never_early_and_never_more_than_the_rate(
    rate: float, waits: list[float], limit: int, catch_up: bool
) -> None:
    clock = Clock()
    reader = generate(int, rate=rate, catch_up=catch_up, clock=clock).open("")
    seen: list[Any] = []
    for wait in waits:
        clock.now += wait
        records = reader.read(limit)
        assert records is not None
        assert len(records) <= limit
        seen.extend(records)
        assert len(seen) <= 1 + (clock.now - 100.0) * rate * (1 + 1e-9) + 1e-6
        if not records:
            assert (reader.poll_after() or 0) > 0
    assert seen == list(range(len(seen)))


@given(rate=st.floats(1e-3, 1e5), start=st.floats(0, 1e9))
def test_waiting_for_as_long_as_it_says_always_brings_a_record(rate: float, start: float) -> None:
    clock = Clock()
    clock.now = start
    reader = generate(int, rate=rate, clock=clock).open("")
    for _ in range(20):
        for _ in range(3):  # a sum of floats may fall short of the moment by its last digit, and then once more
            if records := reader.read(1):
                break
            clock.now += reader.poll_after() or 0.0
        assert records


def test_what_came_before_a_failure_of_the_function_is_delivered_first() -> None:
    reader = generate(lambda n: 6 // (3 - n)).open("")
    assert reader.read(10) == [2, 3, 6]
    message = r"generate: <function .*>, called for record 3, raised ZeroDivisionError"
    with pytest.raises(ConnectorError, match=message) as caught:
        reader.read(10)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"function": 5}, "generate wanted a function of the record's number, came 5"),
        ({"rate": 0}, "generate wanted a rate of more than 0 records a second, came 0"),
        ({"rate": float("nan")}, "came nan"),
        ({"rate": float("inf")}, "came inf"),
        ({"count": -1}, "generate wanted a count of 0 records or more, came -1"),
    ],
)
def test_arguments_that_make_no_sense(arguments: Any, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        generate(**{"function": square, **arguments})


# ------------------------------------------------------------------------------------ sinks


def test_collect_appends_and_keeps_what_it_has_when_aborted() -> None:
    rows = [0]
    sink = collect(rows)
    assert (sink.blocking, sink.name) == (False, "collect")
    writer = sink.open(SinkContext("sink"))
    writer.write([1, 2])
    writer.write([3])
    writer.abort()
    assert rows == [0, 1, 2, 3]


def test_what_reads_or_fills_memory_of_the_program_is_at_home() -> None:
    assert from_iterable([]).at_home
    assert collect([]).at_home
    assert not generate(str).at_home
    assert not discard().at_home


def test_collect_wants_a_list() -> None:
    with pytest.raises(GraphError, match=r"collect wanted a list to append to, came \(\)"):
        collect(())  # type: ignore[arg-type]


def test_discard_counts() -> None:
    sink = discard()
    assert (sink.blocking, sink.name) == (False, "discard")
    writer = sink.open(SinkContext("sink"))
    writer.write([1, 2])
    writer.finish()
    assert sink.records == 2


@pytest.mark.parametrize("module", [connectors.memory, connectors.memory_sinks])
def test_doctests_run(module: ModuleType) -> None:
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0


def test_all_is_sorted_and_complete() -> None:
    functions = {"collect", "discard", "from_iterable", "generate"}
    assert connectors.memory.__all__ == sorted(functions)
    assert functions <= set(vars(connectors.memory))
