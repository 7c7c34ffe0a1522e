"""key_by: by fields, functions and mixes of them, over records of every kind, one way or several."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from typing import Any, NamedTuple, TypedDict

import msgspec
import pytest

from engine import OperatorError, Settings, collect, count, sum_
from tests.engine.helpers import Runner


class Trip(msgspec.Struct):
    city: str
    hour: int
    fare: float = 1.0

    @property
    def late(self) -> bool:
        return self.hour > 20


@dataclasses.dataclass
class TripData:
    city: str
    hour: int
    fare: float = 1.0


class TripTuple(NamedTuple):
    city: str
    hour: int
    fare: float = 1.0


class TripDict(TypedDict):
    city: str
    hour: int
    fare: float


KINDS: list[Any] = [Trip, TripData, TripTuple, TripDict]
PLACES = [("Delft", 8), ("Gouda", 9), ("Delft", 22), ("Gouda", 8), ("Delft", 8)]


def trips(kind: Any) -> list[Any]:
    return [kind(city=city, hour=hour, fare=1.0) for city, hour in PLACES]


@pytest.mark.parametrize("typed", [True, False], ids=["typed", "untyped"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("parallelism", [1, 3])
def test_by_a_field_of_every_kind_of_record(runner: Runner, kind: Any, typed: bool, parallelism: int) -> None:
    flow, sink = runner.flow(), runner.sink()
    stream = flow.source(runner.source(trips(kind), type=kind if typed else None))
    stream.key_by("city", parallelism=parallelism).aggregate(trips=count(), fares=sum_("fare")).sink(sink)
    flow.run()
    assert sorted((row.city, row.trips, row.fares) for row in sink.records) == [("Delft", 3, 3.0), ("Gouda", 2, 2.0)]


def by_everything(stream: Any, **options: Any) -> Any:
    return stream.key_by(**options)


@pytest.mark.parametrize(
    ("parts", "named", "names", "keys"),
    [
        (("city",), {}, ("city",), ["Delft", "Gouda"]),
        ((lambda t: t.hour // 10,), {}, ("key",), [0, 2]),
        ((), {"part": lambda t: t.hour // 10}, ("part",), [0, 2]),
        ((), {"town": "city"}, ("town",), ["Delft", "Gouda"]),
        (("city", "hour"), {}, ("city", "hour"), sorted(set(PLACES))),
        (("city",), {"late": lambda t: t.hour > 20}, ("city", "late"), None),
        (("late",), {}, ("late",), [False, True]),
        ((), {}, (), [()]),
    ],
    ids=["field", "function", "named", "renamed", "fields", "mixed", "property", "none"],
)
def test_parts_names_and_keys(
    runner: Runner, parts: Any, named: Any, names: tuple[str, ...], keys: list[Any] | None
) -> None:
    flow, pairs, rows = runner.flow(), runner.sink(), runner.sink()
    keyed = flow.source(runner.source(trips(Trip), type=Trip)).key_by(*parts, **named)
    keyed.fold(int, lambda n, _: n + 1).sink(pairs)
    keyed.aggregate(n=count()).sink(rows)
    flow.run()
    if keys is None:
        keys = [("Delft", False), ("Delft", True), ("Gouda", False)]
    assert sorted(key for key, _ in pairs.records) == keys
    assert rows.records[0].__struct_fields__ == (*names, "n")
    assert str(keyed.key) == (", ".join(names) or "nothing")


@pytest.mark.parametrize("parallelism", [1, 2, 3, 4])
def test_order_within_a_key_is_kept_and_every_key_has_one_place(runner: Runner, parallelism: int) -> None:
    items = [(n % 7, n) for n in range(5000)]
    flow, sink = runner.flow(settings=Settings(max_window=64)), runner.sink()
    keyed = flow.source(runner.source(items)).key_by(lambda item: item[0], parallelism=parallelism)
    keyed.aggregate(numbers=collect(lambda item: item[1])).sink(sink)
    flow.run()
    assert {row.key: row.numbers for row in sink.records} == {k: list(range(k, 5000, 7)) for k in range(7)}
    assert len(sink.records) == 7


@pytest.mark.parametrize("parallelism", [1, 2, 4])
def test_records_of_a_key_reach_the_sink_in_order(runner: Runner, parallelism: int) -> None:
    flow, sink = runner.flow(), runner.sink()
    keyed = flow.source(runner.source(range(3000))).key_by(lambda x: x % 5, parallelism=parallelism)
    keyed.map(lambda x: (x % 5, x)).sink(sink)
    result = flow.run()
    for key in range(5):
        assert [x for k, x in sink.records if k == key] == list(range(key, 3000, 5))
    assert len(sink.contexts) == parallelism
    assert result.records_written == 3000


def test_keyed_again_the_last_key_counts(runner: Runner) -> None:
    def again(stream: Any) -> Any:
        return stream.key_by(lambda x: x % 2, parallelism=2).key_by(lambda x: x % 3).fold(int, lambda n, x: n + x)

    assert sorted(runner.through(range(9), again)) == [(0, 9), (1, 12), (2, 15)]


def test_equal_keys_of_different_types_are_one_key(runner: Runner) -> None:
    def number(stream: Any) -> Any:
        return stream.key_by(lambda x: x, parallelism=4).fold(int, lambda n, x: n + 1)

    assert [n for _, n in runner.through([1, 1.0, True, 1], number)] == [4]


@pytest.mark.parametrize("parallelism", [1, 2])
def test_none_is_a_key(runner: Runner, parallelism: int) -> None:
    def by_itself(stream: Any) -> Any:
        return stream.key_by(lambda x: x, parallelism=parallelism).fold(int, lambda n, x: n + 1)

    assert Counter(dict(runner.through([None, 1, None], by_itself))) == Counter({None: 2, 1: 1})


class Thing:
    """Hashable, but by its address, which is another in every process."""

    def __repr__(self) -> str:
        return "Thing()"


KEYED: dict[str, Any] = {
    "aggregate": lambda keyed, **options: keyed.aggregate(n=count(), **options),
    "running": lambda keyed, **options: keyed.aggregate(n=count(), emit="update", **options),
    "reduce": lambda keyed, **options: keyed.reduce(lambda one, two: one, **options),
    "fold": lambda keyed, **options: keyed.fold(int, lambda n, x: n + 1, **options),
    "stateful_map": lambda keyed, **options: keyed.stateful_map(lambda n, x: ((n or 0) + 1, x), **options),
    "forgetful": lambda keyed, **options: keyed.stateful_map(lambda n, x: (None, x), **options),
}


@pytest.mark.parametrize("parallelism", [1, 2])
@pytest.mark.parametrize("keyed", KEYED.values(), ids=KEYED)
def test_the_same_keys_are_refused_however_often_it_runs(runner: Runner, keyed: Any, parallelism: int) -> None:
    for key, text in (
        (Thing(), r"TypeError: Thing\(\), of type Thing, cannot be a key: keys are None, .*, or turn it into a str"),
        ([1], r"TypeError: \[1\], of type list, cannot be a key: keys are None"),
        (("a", math.nan), r"ValueError: NaN cannot be a key, since it equals nothing, not even itself: drop or repl"),
    ):
        items = ["a", "a", key, "b", key]
        flow, sink = runner.flow(), runner.sink()
        stream = flow.source(runner.source(items))
        keyed(stream.key_by(lambda x: x, parallelism=parallelism), on_error="skip").sink(sink)
        result = flow.run()
        assert (result.skipped, result.records_written) == (2, len(sink.records))
        assert len(sink.records) in {2, 3}
        flow = runner.flow()
        stream = flow.source(runner.source(items))
        keyed(stream.key_by(lambda x: x, parallelism=parallelism), name="op").sink(runner.sink())
        with pytest.raises(OperatorError, match=rf"operator 'op' .*{text}"):
            flow.run()


def test_a_keyed_stream_is_a_stream(runner: Runner) -> None:
    assert runner.through(range(5), lambda s: s.key_by(lambda x: x)) == list(range(5))
    assert sorted(runner.through(range(5), lambda s: s.key_by(lambda x: x, parallelism=3).filter(bool))) == [1, 2, 3, 4]


def test_the_key_function_runs_once_a_record_where_there_is_one_instance(runner: Runner) -> None:
    calls: list[int] = []

    def key(record: int) -> int:
        calls.append(record)
        return record

    runner.through(range(10), lambda s: s.key_by(key).fold(int, lambda n, x: n + x))
    assert calls == list(range(10))
