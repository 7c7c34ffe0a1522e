"""on_error for every kind of operator: fail, skip and dead-letter; what is delivered, and what the error says."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from engine import (
    BadRecord,
    ConnectorError,
    Dataflow,
    DeadLetter,
    InputError,
    JobError,
    OperatorError,
    Settings,
    Stream,
    collect,
    count,
    custom,
    sum_,
)
from tests.engine.helpers import TIGHT, Nothing, Raise, Runner

POISON = 13
ITEMS = [1, 2, 3, POISON, 4, POISON, 5]
CLEAN = [1, 2, 3, 4, 5]


def check(x: int) -> int:
    if x == POISON:
        raise LookupError(f"no {x} here")
    return x


async def check_later(x: int) -> int:
    return check(x)


def key_one(x: int) -> int:
    check(x)
    return 1


Build = Callable[[Stream[Any], Any], Stream[Any]]

OPERATORS: dict[str, Build] = {
    "map": lambda s, o: s.map(check, name="op", on_error=o),
    "filter": lambda s, o: s.filter(lambda x: check(x) or True, name="op", on_error=o),
    "inspect": lambda s, o: s.inspect(check, name="op", on_error=o),
    "lookup on": lambda s, o: s.lookup_join({}, on=check, into=lambda x, _: x, name="op", on_error=o),
    "lookup into": lambda s, o: s.lookup_join({}, on=str, into=lambda x, _: check(x), name="op", on_error=o),
    "flat_map": lambda s, o: s.flat_map(lambda x: [check(x)], name="op", on_error=o),
    "flat_map lazily": lambda s, o: s.flat_map(lambda x: (check(y) for y in [x]), name="op", on_error=o),
    "map_batch": lambda s, o: s.map_batch(lambda xs: [check(x) for x in xs], name="op", on_error=o, size=2),
    "map_async": lambda s, o: s.map_async(check_later, name="op", on_error=o),
    "split": lambda s, o: union(*s.split(lambda x: check(x) < 3, name="op", on_error=o)),
    "stateful_map": lambda s, o: s.key_by().stateful_map(lambda n, x: (1, check(x)), name="op", on_error=o),
    "stateful_map key": lambda s, o: s.key_by(key_one).stateful_map(lambda n, x: (1, x), name="op", on_error=o),
    "running reduce": lambda s, o: (
        s.key_by().reduce(lambda a, b: check(b), emit="update", name="op", on_error=o).map(second)
    ),
    "running key": lambda s, o: (
        s.key_by(key_one).reduce(lambda a, b: b, emit="update", name="op", on_error=o).map(second)
    ),
    "hash port": lambda s, o: s.key_by(key_one, parallelism=2).map(lambda x: x, name="op", on_error=o),
    "hash port of two": lambda s, o: (
        s.rebalance(2).map(lambda x: x).key_by(key_one, parallelism=3).map(lambda x: x, name="op", on_error=o)
    ),
}
"""Operators that give what they take, and cannot handle POISON."""

AGGREGATES: dict[str, Build] = {
    "aggregate value": lambda s, o: s.key_by().aggregate(all=collect(check), name="op", on_error=o).flat_map(all_of),
    "aggregate second": lambda s, o: (
        s.key_by().aggregate(all=collect(), n=count(), s=sum_(check), name="op", on_error=o).flat_map(all_of)
    ),
    "aggregate key": lambda s, o: s.key_by(key_one).aggregate(all=collect(), name="op", on_error=o).flat_map(all_of),
    "aggregate port": lambda s, o: (
        s.key_by(key_one, parallelism=2).aggregate(all=collect(), name="op", on_error=o).flat_map(all_of)
    ),
    "custom": lambda s, o: (
        s.key_by()
        .aggregate(all=custom(list, lambda seen, x: [*seen, check(x)]), name="op", on_error=o)
        .flat_map(all_of)
    ),
    "fold": lambda s, o: s.key_by().fold(list, lambda a, x: [*a, check(x)], name="op", on_error=o).flat_map(second),
}
"""The same for those that give what they took only at the end."""

EVERY = OPERATORS | AGGREGATES


def union(first: Stream[Any], *others: Stream[Any]) -> Stream[Any]:
    return first.union(*others)


def second(pair: tuple[Any, Any]) -> Any:
    return pair[1]


def all_of(row: Any) -> list[int]:
    found: list[int] = row.all
    return found


def failing(runner: Runner, kind: str, **options: Any) -> tuple[JobError, Any]:
    """The error of a flow whose operator fails, and its sink."""
    flow, sink = runner.flow(**options), runner.sink()
    EVERY[kind](flow.source(runner.source(ITEMS)), None).sink(sink)
    with pytest.raises(OperatorError) as caught:
        flow.run()
    return caught.value, sink


@pytest.mark.parametrize("settings", [Settings(), TIGHT, Settings(max_window=4, frame_records=3)])
@pytest.mark.parametrize("kind", EVERY)
def test_skip_goes_on_without_the_record_and_counts_it(runner: Runner, kind: str, settings: Settings) -> None:
    flow, sink = runner.flow(settings=settings), runner.sink()
    EVERY[kind](flow.source(runner.source(ITEMS)), "skip").sink(sink)
    result = flow.run()
    assert sorted(sink.records) == CLEAN
    assert (result.skipped, result["op"].skipped, result.dead_letters) == (2, 2, 0)
    assert (result.state, result.dropped, result.in_flight) == ("finished", 0, 0)


@pytest.mark.parametrize("settings", [Settings(), TIGHT, Settings(max_window=4, frame_records=3)])
@pytest.mark.parametrize("kind", EVERY)
def test_dead_letters_say_who_where_why_and_what(runner: Runner, kind: str, settings: Settings) -> None:
    flow, sink, letters = runner.flow(settings=settings), runner.sink(), runner.sink()
    EVERY[kind](flow.source(runner.source(ITEMS)), "dead-letter").sink(sink)
    flow.dead_letters.sink(letters)
    result = flow.run()
    assert sorted(sink.records) == CLEAN
    assert (result.dead_letters, result["op"].dead_letters, result.skipped) == (2, 2, 0)
    assert len(letters.records) == 2
    for letter in letters.records:
        assert isinstance(letter, DeadLetter)
        assert letter.place.startswith("test_on_error.py:")
        assert (letter.operator, letter.error, letter.record) == ("op", f"LookupError: 'no {POISON} here'", POISON) or (
            letter.error == f"LookupError: no {POISON} here"
        )


@pytest.mark.parametrize("kind", OPERATORS)
def test_fail_delivers_what_came_before(runner: Runner, kind: str) -> None:
    error, sink = failing(runner, kind)
    before = [1, 2] if kind == "map_batch" else [1, 2, 3]  # it goes by batches of two
    if kind == "hash port of two" and len(sink.records) == 4:
        before = [1, 2, 3, 4]  # each of the two fails at its own, and the first may have stopped the second
    assert sorted(sink.records) == before
    assert set(sink.ends) == {"abort"}
    assert error.result is not None
    assert (error.result.state, error.result.records_written) == ("failed", len(before))


@pytest.mark.parametrize("kind", AGGREGATES)
def test_an_aggregate_gives_nothing_of_a_stream_cut_short(runner: Runner, kind: str) -> None:
    _, sink = failing(runner, kind)
    assert sink.records == []
    assert set(sink.ends) == {"abort"}


@pytest.mark.parametrize("kind", sorted(EVERY.keys() - {"map_batch"}))
def test_the_error_names_operator_line_function_record_and_cause(runner: Runner, kind: str) -> None:
    error, _ = failing(runner, kind)
    assert isinstance(error, OperatorError)
    text = str(error)
    assert text.startswith("operator 'op' (test_on_error.py:")
    assert f"LookupError: no {POISON} here; the record was {POISON}" in text
    assert ' hint: on_error="skip" or "dead-letter" goes on without such records' in text
    assert __file__ in text
    assert (error.operator, error.record) == ("op", POISON)
    assert isinstance(error.__cause__, LookupError)
    frames = traceback.extract_tb(error.__cause__.__traceback__)
    assert (frames[-1].filename, frames[-1].name) == (__file__, "check")


def test_the_error_of_a_batch_names_one_of_its_records_or_all(runner: Runner) -> None:
    error, _ = failing(runner, "map_batch")
    assert isinstance(error, OperatorError)
    assert error.record in (3, [3, POISON])


@pytest.mark.parametrize(
    ("kind", "function"),
    [
        ("map", "check"),
        ("filter", "lambda"),
        ("lookup on", "check"),
        ("map_async", "check_later"),
        ("split", "lambda"),
        ("stateful_map key", "key_one"),
        ("hash port", "key_one"),
        ("aggregate value", "check"),
        ("aggregate key", "key_one"),
    ],
)
def test_the_function_is_the_one_that_was_called(runner: Runner, kind: str, function: str) -> None:
    error, _ = failing(runner, kind)
    assert f" failed in {function} ({__file__}:" in str(error)


def test_a_function_without_code_of_its_own_is_named(runner: Runner) -> None:
    flow = runner.flow()
    flow.source(runner.source(["x"])).map(int).sink(runner.sink())
    with pytest.raises(OperatorError, match=r"^operator 'map int' \(.*\) failed in int: ValueError: invalid literal"):
        flow.run()


def test_a_predicate_without_code_of_its_own(runner: Runner) -> None:
    flow = runner.flow()
    for part in flow.source(runner.source(["x"])).split(int):
        part.sink(runner.sink())
    with pytest.raises(OperatorError, match=r"^operator 'split' \(test_on_error.py:\d+\) failed: ValueError: invalid"):
        flow.run()


def test_a_wrong_number_of_arguments_names_the_function(runner: Runner) -> None:
    def two(a: int, b: int) -> int:
        raise AssertionError

    flow = runner.flow()
    flow.source(runner.source([1])).map(two).sink(runner.sink())  # type: ignore[arg-type]
    with pytest.raises(OperatorError, match=r"failed in two \(.*test_on_error.py:\d+\): TypeError: .*missing 1 req"):
        flow.run()


def test_an_object_that_is_called_is_named_by_its_class(runner: Runner) -> None:
    class Halve:
        def __call__(self, x: int) -> float:
            return 1 / x

    flow = runner.flow()
    flow.source(runner.source([0])).map(Halve()).sink(runner.sink())
    with pytest.raises(OperatorError, match=r"operator 'map Halve' .* failed in .*Halve.__call__ \(.*: ZeroDivision"):
        flow.run()


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError


def raise_unspeakable(x: object) -> None:
    raise Unspeakable


@pytest.mark.parametrize("policy", ["fail", "skip", "dead-letter"])
def test_records_and_errors_that_cannot_be_printed(runner: Runner, policy: Any) -> None:
    flow, letters = runner.flow(), runner.sink()
    flow.source(runner.source([Unprintable()])).map(raise_unspeakable, on_error=policy).sink(runner.sink())
    if policy == "dead-letter":
        flow.dead_letters.sink(letters)
    if policy == "fail":
        with pytest.raises(
            OperatorError,
            match="Unspeakable: its text cannot be had, that raises RuntimeError; "
            "the record was a Unprintable that cannot be shown, its repr raises RuntimeError",
        ):
            flow.run()
    else:
        flow.run()
        assert [letter.error for letter in letters.records] == [
            "Unspeakable: its text cannot be had, that raises RuntimeError"
        ] * (policy == "dead-letter")


def test_a_long_record_is_cut_in_the_text_and_whole_in_the_error(runner: Runner) -> None:
    flow, record = runner.flow(), "x" * 10_000
    flow.source(runner.source([record])).map(int).sink(runner.sink())
    with pytest.raises(OperatorError) as caught:
        flow.run()
    assert len(caught.value.__cause__.args[0]) > 0 if caught.value.__cause__ else False
    assert str(caught.value).split("the record was ")[1].startswith("'" + "x" * 199 + "...")
    assert caught.value.record == record


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()], ids=repr)
@pytest.mark.parametrize("policy", ["fail", "skip", "dead-letter"])
def test_what_is_no_exception_fails_the_job_whatever_the_policy(
    runner: Runner, error: BaseException, policy: Any
) -> None:
    def leave(x: int) -> int:
        if x == 3:
            raise error
        return x

    flow, sink = runner.flow(), runner.sink()
    flow.source(runner.source(range(5))).map(leave, on_error=policy).sink(sink)
    if policy == "dead-letter":
        flow.dead_letters.sink(runner.sink())
    with pytest.raises(OperatorError, match=type(error).__name__) as caught:
        flow.run()
    assert caught.value.__cause__ is error
    assert sink.records == [0, 1, 2]


@pytest.mark.parametrize("how", ["map", "flat_map", "map_batch"])
def test_stop_iteration_is_an_error_like_any_other(runner: Runner, how: str) -> None:
    def stop(x: Any) -> Any:
        raise StopIteration

    flow = runner.flow()
    getattr(flow.source(runner.source([1])), how)(stop).sink(runner.sink())
    with pytest.raises(OperatorError, match="StopIteration"):
        flow.run()


def test_an_error_of_ours_that_a_function_raises_is_the_functions(runner: Runner) -> None:
    def inner(x: int) -> Any:
        flow = Dataflow("inner")
        flow.source(Runner("inner", blocking=False).source([x])).map(lambda y: 1 // 0).sink(runner.sink())
        return flow.run()

    flow = runner.flow()
    flow.source(runner.source([1, 2])).map(inner, name="outer").sink(runner.sink())
    with pytest.raises(OperatorError, match=r"operator 'outer' .* failed in inner .*: OperatorError: ") as caught:
        flow.run()
    assert isinstance(caught.value.__cause__, OperatorError)
    assert caught.value.__cause__.result is not None
    assert caught.value.result is not None
    assert caught.value.__cause__.result is not caught.value.result


def test_a_result_that_cannot_be_made_fails_the_job(runner: Runner) -> None:
    def half(state: int) -> float:
        return 1 / state

    flow, sink = runner.flow(on_error="skip"), runner.sink()
    stream = flow.source(runner.source([("a", 1), ("b", 0), ("c", 2)])).key_by(lambda r: r[0])
    stream.aggregate(x=custom(int, lambda s, r: s + r[1], half)).sink(sink)
    with pytest.raises(OperatorError, match=r"operator 'aggregate' .* failed in half \(.*\): ZeroDivisionError"):
        flow.run()
    assert [row.x for row in sink.records] == [1.0]


def test_dead_letters_are_a_stream_like_any_other(runner: Runner) -> None:
    flow, counted = runner.flow(on_error="dead-letter"), runner.sink()
    numbers = flow.source(runner.source(ITEMS))
    numbers.map(check, name="first").sink(runner.sink())
    numbers.flat_map(lambda x: [1 // (x - 4)], name="second").sink(runner.sink())
    flow.dead_letters.key_by("operator").aggregate(n=count()).sink(counted)
    assert flow.run().dead_letters == 3
    assert {row.operator: row.n for row in counted.records} == {"first": 2, "second": 1}


def test_what_handles_dead_letters_fails_though_the_flow_says_dead_letter(runner: Runner) -> None:
    flow = runner.flow(on_error="dead-letter")
    flow.source(runner.source(ITEMS)).map(check).sink(runner.sink())
    flow.dead_letters.map(lambda letter: 1 // 0, name="handler").sink(runner.sink())
    with pytest.raises(OperatorError, match="operator 'handler'"):
        flow.run()


def test_only_dead_letters(runner: Runner) -> None:
    flow, sink, letters = runner.flow(settings=TIGHT), runner.sink(), runner.sink()
    flow.source(runner.source([POISON] * 300)).map(check, on_error="dead-letter").sink(sink)
    flow.dead_letters.sink(letters)
    flow.run()
    assert (len(sink.records), len(letters.records)) == (0, 300)


def test_two_hashing_ways_out_share_a_window_of_one(runner: Runner) -> None:
    """A record may leave a dead letter at each of them, so there must be room for both before it moves."""
    flow, sink, letters = runner.flow(settings=TIGHT, on_error="dead-letter"), runner.sink(), runner.sink()
    numbers = flow.source(runner.source(ITEMS))
    for _ in range(3):
        numbers.key_by(check, parallelism=2).map(lambda x: x).sink(sink)
    flow.dead_letters.sink(letters)
    result = flow.run()
    assert sorted(sink.records) == sorted(CLEAN * 3)
    assert len(letters.records) == result.dead_letters == 6
    assert result.most_in_flight <= result.bound


# Sources.


def with_bad() -> list[Any]:
    return [1, BadRecord("x", "in.txt:2", "no number"), 2, BadRecord("y", "in.txt:4", "no number", hint="fix it"), 3]


@pytest.mark.parametrize("settings", [Settings(), TIGHT])
def test_bad_records_can_be_skipped(runner: Runner, settings: Settings) -> None:
    flow, sink = runner.flow(settings=settings), runner.sink()
    flow.source(runner.source(with_bad()), on_error="skip").sink(sink)
    result = flow.run()
    assert sink.records == [1, 2, 3]
    assert (result.skipped, result.records_read) == (2, 3)


@pytest.mark.parametrize("settings", [Settings(), TIGHT])
def test_bad_records_can_be_dead_letters_with_their_own_place(runner: Runner, settings: Settings) -> None:
    flow, sink, letters = runner.flow(settings=settings), runner.sink(), runner.sink()
    flow.source(runner.source(with_bad()), on_error="dead-letter", name="in").sink(sink)
    flow.dead_letters.sink(letters)
    flow.run()
    assert sink.records == [1, 2, 3]
    assert letters.records == [
        DeadLetter("in", "in.txt:2", "InputError: in.txt:2: no number", "x"),
        DeadLetter("in", "in.txt:4", "InputError: in.txt:4: no number\n  hint: fix it", "y"),
    ]


def test_a_bad_record_fails_after_those_before_it(runner: Runner) -> None:
    flow, sink = runner.flow(), runner.sink()
    flow.source(runner.source(with_bad()), name="in").sink(sink)
    with pytest.raises(InputError, match=r"^in.txt:2: no number") as caught:
        flow.run()
    assert sink.records == [1]
    assert sink.ends == ["abort"]
    assert (caught.value.place, caught.value.raw) == ("in.txt:2", "x")
    assert caught.value.__notes__[0].startswith("in operator 'in' (test_on_error.py:")
    assert caught.value.__notes__[0].endswith('; on_error="skip" or "dead-letter" goes on without such records')
    assert caught.value.result is not None


def test_the_same_bad_record_in_two_runs_is_noted_once(runner: Runner) -> None:
    flow = runner.flow()
    flow.source(runner.source(with_bad())).sink(runner.sink())
    for _ in range(2):
        with pytest.raises(InputError) as caught:
            flow.run()
    assert len(caught.value.__notes__) == 1


@pytest.mark.parametrize("policy", ["fail", "skip"])
def test_a_source_that_raises_fails_the_job_whatever_the_policy(runner: Runner, policy: Any) -> None:
    flow, sink = runner.flow(), runner.sink()
    source = runner.source([1, 2, Raise(OSError("unplugged")), 3])
    flow.source(source, name="in", on_error=policy).sink(sink)
    with pytest.raises(ConnectorError, match=r"^source 'in' \(test_on_error.py:\d+\) failed: OSError: unplugged$") as e:
        flow.run()
    assert sink.records == [1, 2]
    assert sink.ends == ["abort"]
    assert isinstance(e.value.__cause__, OSError)
    assert source.readers[0].closed == 1


def test_a_connectors_own_error_comes_as_it_is(runner: Runner) -> None:
    flow, error = runner.flow(), ConnectorError("no table 'x'", hint="create it")
    flow.source(runner.source([Raise(error)]), name="in").sink(runner.sink())
    with pytest.raises(ConnectorError) as caught:
        flow.run()
    assert caught.value is error
    assert caught.value.__notes__[0].startswith("in operator 'in' (")


@pytest.mark.parametrize("error", [OSError("no such folder"), ConnectorError("no file matches")], ids=repr)
def test_a_source_that_cannot_list_its_partitions(runner: Runner, error: Exception) -> None:
    def fail() -> Any:
        raise error

    flow, source, sink = runner.flow(), runner.source([]), runner.sink()
    source.partitions = fail  # type: ignore[method-assign]
    flow.source(source, name="in").sink(sink)
    with pytest.raises(ConnectorError, match=r"no (such folder|file matches)") as caught:
        flow.run()
    assert "'in' (test_on_error.py:" in "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])])
    assert sink.calls == []


def test_more_records_than_asked_for(runner: Runner) -> None:
    from tests.engine.helpers import ListReader

    class Greedy(ListReader):
        def read(self, limit: int) -> list[Any] | None:
            return [0] * (limit + 1)

    flow, source = runner.flow(settings=TIGHT), runner.source([])
    source.open = lambda partition: Greedy(iter(()), source)  # type: ignore[method-assign]
    flow.source(source).sink(runner.sink())
    with pytest.raises(ConnectorError, match=r"ValueError: Greedy.read\(1\) returned 2 records, more than asked for"):
        flow.run()


@pytest.mark.parametrize("wrong", [5, "text", {"a": 1}], ids=repr)
def test_what_a_reader_returns_must_be_a_sequence_of_records(runner: Runner, wrong: Any) -> None:
    from tests.engine.helpers import ListReader

    class Odd(ListReader):
        def read(self, limit: int) -> list[Any] | None:
            self.reads += 1
            return wrong if self.reads == 1 else None

    flow, source, sink = runner.flow(), runner.source([]), runner.sink()
    source.open = lambda partition: Odd(iter(()), source)  # type: ignore[method-assign]
    flow.source(source).sink(sink)
    if wrong == 5:
        with pytest.raises(ConnectorError, match="TypeError: object of type 'int' has no len"):
            flow.run()
    else:
        flow.run()
        assert sink.records == list(wrong)


# Sinks.


def refuse_poison(x: int) -> None:
    if x == POISON:
        raise ValueError("constraint broken")


@pytest.mark.parametrize("batch", [0, 1, 2, 100])
def test_a_sink_skips_what_it_refuses(runner: Runner, batch: int) -> None:
    flow, sink = runner.flow(), runner.sink(refuse=refuse_poison, batch=batch)
    flow.source(runner.source(ITEMS)).sink(sink, name="out", on_error="skip")
    result = flow.run()
    assert sink.records == CLEAN
    assert (result.skipped, result.records_written, result["out"].skipped) == (2, 5, 2)
    assert sink.ends == ["finish"]


@pytest.mark.parametrize("batch", [0, 1, 100])
def test_a_sink_sends_what_it_refuses_to_the_dead_letters(runner: Runner, batch: int) -> None:
    flow, sink, letters = runner.flow(), runner.sink(refuse=refuse_poison, batch=batch), runner.sink()
    flow.source(runner.source(ITEMS)).sink(sink, name="out", on_error="dead-letter")
    flow.dead_letters.sink(letters)
    flow.run()
    assert sink.records == CLEAN
    assert [(x.operator, x.error, x.record) for x in letters.records] == [
        ("out", "ValueError: constraint broken", POISON)
    ] * 2


@pytest.mark.parametrize("batch", [0, 1, 2, 100])
def test_a_sink_that_raises_fails_the_job_and_is_aborted(runner: Runner, batch: int) -> None:
    flow, sink = runner.flow(), runner.sink(refuse=refuse_poison, batch=batch)
    flow.source(runner.source(ITEMS)).sink(sink, name="out")
    with pytest.raises(ConnectorError, match=r"^sink 'out' \(test_on_error.py:\d+\) failed: ValueError: const") as e:
        flow.run()
    assert sink.ends == ["abort"]
    assert sink.records == CLEAN[: {0: 0, 100: 0, 1: 3, 2: 2}[batch]]
    assert isinstance(e.value.__cause__, ValueError)


@pytest.mark.parametrize("policy", ["fail", "skip"])
def test_an_outage_is_no_records_fault(runner: Runner, policy: Any) -> None:
    def down(x: int) -> None:
        raise ConnectorError("the database is gone")

    flow, sink = runner.flow(), runner.sink(refuse=down)
    flow.source(runner.source(ITEMS)).sink(sink, on_error=policy)
    with pytest.raises(ConnectorError, match=r"^the database is gone"):
        flow.run()
    assert sink.ends == ["abort"]
    assert sink.calls.count("write") == 1


@pytest.mark.parametrize("when", ["open", "finish"])
def test_a_sink_that_cannot_open_or_finish_is_named(runner: Runner, when: str) -> None:
    flow, sink = runner.flow(), runner.sink()

    def fail(*_: Any) -> Any:
        raise OSError("disk full")

    if when == "open":
        sink.open = fail  # type: ignore[method-assign,assignment]
    else:
        writer = sink.open(None)  # type: ignore[arg-type]
        writer.finish = fail  # type: ignore[method-assign]
        sink.open = lambda context: writer  # type: ignore[method-assign]
    flow.source(runner.source([1])).sink(sink, name="out")
    with pytest.raises(ConnectorError, match=r"^sink 'out' \(test_on_error.py:\d+\) failed: OSError: disk full") as e:
        flow.run()
    assert isinstance(e.value.__cause__, OSError)
    assert e.value.result is not None
    assert e.value.result.state == "failed"
    assert "abort" not in sink.calls


def endless() -> Iterator[Any]:
    yield from range(100)
    while True:
        yield Nothing()


@pytest.mark.parametrize("failing_part", ["source", "operator", "sink"])
def test_when_one_part_fails_every_other_sink_is_aborted(runner: Runner, failing_part: str) -> None:
    flow, good, bad = runner.flow(), runner.sink(), runner.sink(refuse=refuse_poison)
    flow.source(runner.source(endless, bounded=False)).sink(good)
    if failing_part == "source":
        flow.source(runner.source([Raise(OSError())])).sink(runner.sink())
    elif failing_part == "operator":
        flow.source(runner.source(ITEMS)).map(check).sink(runner.sink())
    else:
        flow.source(runner.source(ITEMS)).sink(bad)
    with pytest.raises(JobError) as caught:
        flow.run()
    assert good.records == list(range(len(good.records)))
    assert good.ends in (["abort"], [])
    assert caught.value.result is not None
    assert caught.value.result.in_flight == 0


def test_what_fails_after_the_first_failure_is_noted(runner: Runner) -> None:
    flow = runner.flow()
    numbers = flow.source(runner.source([1]))
    numbers.map(lambda x: 1 // 0, name="one").sink(runner.sink())
    numbers.map(lambda x: {}[x], name="two").sink(runner.sink())
    job = flow.start()
    for _ in range(2):
        with pytest.raises(OperatorError) as caught:
            job.wait()
        assert len(caught.value.__notes__) == 1
        assert caught.value.__notes__[0].startswith("after that: operator ")
