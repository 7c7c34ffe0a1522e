"""Wrong graphs: each fails at the line that wrote it, before anything runs, and says what to write instead."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
from collections.abc import Callable
from typing import Any, NamedTuple, TypedDict

import msgspec
import pytest

from connectors.memory import collect as into
from engine import (
    Dataflow,
    GraphError,
    HeadgateError,
    Settings,
    Sink,
    Source,
    Stream,
    collect,
    count,
    custom,
    max_,
    mean,
    sum_,
    top,
)
from tests.engine.helpers import ListSink, ListSource


class Flight(msgspec.Struct):
    carrier: str
    delay: float | None


@dataclasses.dataclass
class FlightData:
    carrier: str
    delay: float | None


class FlightTuple(NamedTuple):
    carrier: str
    delay: float | None


class FlightDict(TypedDict):
    carrier: str
    delay: float | None


KINDS: list[Any] = [Flight, FlightData, FlightTuple, FlightDict]


def flights(kind: Any = None) -> Stream[Any]:
    return Dataflow("flights").source(ListSource([], type=kind))


def here(back: int = 0) -> str:
    """The caller's file:line, as errors show it; `back` lines above."""
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return f"test_graph_errors.py:{frame.f_back.f_lineno - back}"


def fails(text: str, hint: str | None = None) -> Any:
    """Expects a GraphError whose text begins with `text` (a regular expression) and whose hint is `hint`."""

    def check(error: BaseException) -> bool:
        assert isinstance(error, GraphError)
        return hint is None or error.hint == hint

    return pytest.raises(GraphError, match=rf"\A{text}(\n  hint: .*)?\Z", check=check)


def wrong(value: Any) -> Any:
    """What no type checker would let through."""
    return value


LINE = r"test_graph_errors\.py:\d+"


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (lambda s: s.map(None), "map wants a function, got None"),
        (lambda s: s.map("name"), "map wants a function, got 'name'"),
        (lambda s: s.filter(True), "filter wants a function, got True"),
        (lambda s: s.of_type("str"), "of_type wants a class, got 'str'"),
        (lambda s: s.of_type(int | str), r"of_type wants a class, got int \| str"),
        (lambda s: s.inspect([]), r"inspect wants a function, got \[\]"),
        (lambda s: s.flat_map(3), "flat_map wants a function, got 3"),
        (lambda s: s.map_batch(3), "map_batch wants a function, got 3"),
        (lambda s: s.map_async(3), "map_async wants a function, got 3"),
        (lambda s: s.map_batch(list, size=0), "map_batch wants a size of at least 1, got 0"),
        (lambda s: s.map_batch(list, size="9"), "map_batch wants a size of at least 1, got '9'"),
        (lambda s: s.map_batch(list, size=1.5), "map_batch wants a size of at least 1, got 1.5"),
        (lambda s: s.split(), "split wants at least one predicate"),
        (lambda s: s.split(str, 3), "split wants a function, got 3"),
        (lambda s: s.rebalance(0), "rebalance wants a parallelism of at least 1, got 0"),
        (lambda s: s.broadcast("2"), "broadcast wants a parallelism of at least 1, got '2'"),
        (lambda s: s.key_by("a", parallelism=-1), "key_by wants a parallelism of at least 1, got -1"),
        (lambda s: s.key_by(3), "key_by wants field names and functions, got 3"),
        (lambda s: s.key_by(day=3), "key_by wants field names and functions, got 3"),
        (lambda s: s.key_by(str, int), "key_by has 2 functions without a name"),
        (lambda s: s.key_by("a", a=str), "key_by has two parts with one name: a, a"),
        (lambda s: s.key_by("key", str), "key_by has two parts with one name: key, key"),
        (lambda s: s.key_by().aggregate(), "aggregate has nothing to compute"),
        (lambda s: s.key_by().aggregate(n=3), "wanted an aggregate for 'n', got 3"),
        (lambda s: s.key_by().aggregate(n=count), "wanted an aggregate for 'n', got <function count at .*>"),
        (lambda s: s.key_by().aggregate(n=count(), emit="always"), 'emit is "end" or "update", not \'always\''),
        (lambda s: s.key_by().reduce(max, emit=None), 'emit is "end" or "update", not None'),
        (lambda s: s.key_by().reduce(3), "reduce wants a function, got 3"),
        (lambda s: s.key_by().fold(0, max), "fold wants a function that makes a first state, got 0"),
        (lambda s: s.key_by().fold(int, 0), "fold wants a function, got 0"),
        (lambda s: s.key_by().stateful_map(0), "stateful_map wants a function, got 0"),
        (
            lambda s: s.key_by().stateful_map(max, initial=0),
            "stateful_map wants a function that makes a first state, got 0",
        ),
        (
            lambda s: s.key_by("n").aggregate(n=count()),
            "parts of the key and results share a name: n, n",
        ),
        (lambda s: s.key_by("a b").aggregate(n=count()), "'a b' cannot be the name of a field"),
        (lambda s: s.key_by("class").aggregate(n=count()), "'class' cannot be the name of a field"),
        (lambda s: s.key_by().aggregate(n=sum_(wrong(3))), "sum wants a field's name or a function, got 3"),
        (lambda s: s.key_by().aggregate(n=top(2, by=wrong(3))), "top wants a field's name or a function, got 3"),
        (lambda s: s.key_by().aggregate(n=top(0, by="a")), "top keeps at least 1 record, asked for 0"),
        (lambda s: s.key_by().aggregate(n=collect(wrong(3))), "collect wants a field's name or a function, got 3"),
        (lambda s: s.key_by().aggregate(n=custom(wrong(0), max)), "custom wants a function as its create, got 0"),
        (lambda s: s.key_by().aggregate(n=custom(int, wrong(0))), "custom wants a function as its add, got 0"),
        (lambda s: s.key_by().aggregate(n=custom(int, max, wrong(3))), "custom wants a function as its result, got 3"),
        (lambda s: s.map(str, on_error="ignore"), 'on_error is "fail", "skip" or "dead-letter", not \'ignore\''),
        (lambda s: s.map(str, name=""), "an operator's name is a text, not ''"),
        (lambda s: s.map(str, name=3), "an operator's name is a text, not 3"),
        (lambda s: s.union([s]), r"union wants streams, got \[<Stream of \? from list>\]"),
        (lambda s: s.sink(print), "wanted a Sink, got <built-in function print>"),
    ],
)
def test_wrong_arguments_fail_where_they_are_written(wrong: Callable[[Any], Any], text: str) -> None:
    stream = flights()
    with fails(f"{LINE}: {text}") as caught:
        wrong(stream)
    written = f"test_graph_errors.py:{wrong.__code__.co_firstlineno}"
    assert str(caught.value).startswith(f"{written}:")


async def awaits(x: Any) -> Any:
    return x


async def awaits_and_yields(x: Any) -> Any:
    yield x


def yields(x: Any) -> Any:
    yield x


class Yields:
    def __call__(self, x: Any) -> Any:
        yield x

    async def later(self, x: Any) -> Any:
        return x


PLAIN: dict[str, Callable[[Stream[Any], Any], Any]] = {
    "map": lambda s, f: s.map(f),
    "filter": lambda s, f: s.filter(f),
    "inspect": lambda s, f: s.inspect(f),
    "split": lambda s, f: s.split(str, f),
    "lookup_join": lambda s, f: s.lookup_join({}, on="x", into=f),
    "reduce": lambda s, f: s.key_by().reduce(f),
    "fold": lambda s, f: s.key_by().fold(int, f),
    "stateful_map": lambda s, f: s.key_by().stateful_map(f),
}


@pytest.mark.parametrize("what", PLAIN)
def test_plain_operators_neither_await_nor_take_what_is_yielded(what: str) -> None:
    for function in (awaits, awaits_and_yields, functools.partial(awaits), Yields().later):
        with fails(f"{LINE}: {what} awaits nothing, but [a-zA-Z_]+ is async", "use map_async"):
            PLAIN[what](flights(), function)
    for function in (yields, functools.partial(yields, 1), Yields()):
        with fails(f"{LINE}: {what} takes what its function returns, but [a-zA-Z]+ yields", "use flat_map"):
            PLAIN[what](flights(), function)


def test_where_yielding_and_awaiting_belong() -> None:
    for function in (yields, Yields(), functools.partial(yields)):
        flights().flat_map(function)
        flights().map_batch(function)
    flights().map_async(awaits)
    with fails(f"{LINE}: flat_map awaits nothing, but awaits is async"):
        flights().flat_map(awaits)  # type: ignore[arg-type]
    with fails(f"{LINE}: map_async takes what its function returns, but yields yields"):
        flights().map_async(yields)


@pytest.mark.parametrize("own", ["type", "emit", "name", "on_error"])
def test_results_that_are_called_like_parameters(own: str) -> None:
    with fails(
        f"{LINE}: aggregate takes {own}= itself, so no result can be called that",
        f"call it otherwise, e.g. {own}_=..., and rename it with map where that matters",
    ):
        flights().key_by().aggregate(**{"n": count(), own: count()})  # type: ignore[call-overload]


def test_errors_are_value_errors_and_ours() -> None:
    with pytest.raises(ValueError, match="map wants a function") as caught:
        flights().map(3)  # type: ignore[arg-type]
    assert isinstance(caught.value, HeadgateError)


def test_a_stream_that_goes_nowhere() -> None:
    flow = Dataflow("f")
    flow.source(ListSource([])).map(str)
    place = here(1)
    hint = "end it with .sink(...); connectors.memory.discard() drops and counts what nobody needs"
    for action in (flow.run, flow.start, flow.explain):
        with fails(rf"stream 'map str' \({place}\) goes nowhere", hint):
            action()


def test_a_source_without_anything() -> None:
    flow = Dataflow("f")
    flow.source(ListSource([]), name="in")
    with fails(rf"stream 'in' \({here(1)}\) goes nowhere"):
        flow.run()


def test_the_operators_of_a_line_that_is_broken_in_many_say_which() -> None:
    flow = Dataflow("f")
    first = here()
    (
        flow.source(ListSource([]))
        .map(str)
        .filter(bool)
    )  # fmt: skip
    with pytest.raises(GraphError) as caught:
        flow.run()
    match = re.fullmatch(
        r"stream 'filter bool' \(test_graph_errors.py:(\d+)\) goes nowhere", str(caught.value).split("\n")[0]
    )
    assert match is not None
    assert int(match[1]) - int(first.split(":")[1]) in range(1, 5)


def test_a_part_of_a_split_that_goes_nowhere() -> None:
    flow = Dataflow("f")
    one, _, three = flow.source(ListSource([])).split(str, str)
    place = here(1)
    one.union(three).sink(ListSink())
    with fails(rf"part 2 of 3 of stream 'split' \({place}\) goes nowhere"):
        flow.run()


def test_a_name_given_twice() -> None:
    stream = flights()
    stream.map(str, name="x")
    first = here(1)
    with fails(
        f"{LINE}: the name 'x' is used twice; the first is at {first}",
        "give each operator a name of its own: counters and saved state go by it",
    ):
        stream.filter(bool, name="x")


def test_names_that_nobody_gave_are_numbered() -> None:
    stream = flights()
    for _ in range(3):
        stream.map(str)
    stream.map(lambda x: x).map(lambda x: x)
    stream.sink(ListSink())
    stream.sink(ListSink())
    names = [node.name for node in stream._flow.graph.nodes]
    assert names == ["list", "map str", "map str-2", "map str-3", "map", "map-2", "into", "into-2"]
    with fails(f"{LINE}: the name 'map str-2' is used twice; the first is at .*"):
        stream.map(int, name="map str-2")


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_fields_of_typed_streams(kind: Any) -> None:
    stream = flights(kind)
    hint = "did you mean 'carrier'? There are: carrier, delay"
    with fails(f"{LINE}: key_by wants the field 'carier', which {kind.__name__} has not", hint):
        stream.key_by("carier")
    with fails(f"{LINE}: key_by wants the field 'carier', which {kind.__name__} has not", hint):
        stream.key_by(by="carier")
    with fails(f"{LINE}: lookup_join wants the field 'carier', which {kind.__name__} has not", hint):
        stream.lookup_join({}, on="carier")
    with fails(f"{LINE}: lookup_join's table wants the field 'carier', which {kind.__name__} has not", hint):
        stream.lookup_join(ListSource([], type=kind), on="carrier", table_key="carier")
    with fails(f"{LINE}: aggregate d=mean\\(...\\) wants the field 'dely', which {kind.__name__} has not"):
        stream.key_by("carrier").aggregate(d=mean("dely"))
    with fails(f"{LINE}: aggregate t=top\\(...\\) wants the field 'x', which .*", "there are: carrier, delay"):
        stream.key_by("carrier").aggregate(t=top(2, by="delay", value="x"))


def test_text_does_not_add_up() -> None:
    keyed = flights(Flight).key_by("carrier")
    for aggregate, name in ((sum_, "sum_"), (mean, "mean")):
        with fails(f"{LINE}: {name} wants numbers to add up, but the field 'carrier' is of type str"):
            keyed.aggregate(total=aggregate("carrier"))
        with fails(f"{LINE}: {name} wants numbers to add up, but the field 'carrier' is of type str"):
            keyed.aggregate(total=aggregate("carrier"), type=Wrong)
        with fails(f"{LINE}: {name} wants numbers to add up, but what <class 'str'> returns is of type str"):
            keyed.aggregate(total=aggregate(str))


@pytest.mark.parametrize("name", ["aggregate", "reduce", "fold", "stateful_map"])
def test_what_is_for_each_key_says_so_where_there_is_none(name: str) -> None:
    with pytest.raises(AttributeError, match=rf"has no attribute '{name}'; .*: write \.key_by\(\.\.\.\)\.{name}\("):
        getattr(flights(), name)


def test_other_attributes_are_missing_as_always() -> None:
    for stream, kind in ((flights(), "Stream"), (flights().key_by(), "KeyedStream")):
        with pytest.raises(AttributeError, match=rf"^'{kind}' object has no attribute 'flatmap'$") as caught:
            stream.flatmap  # type: ignore[attr-defined]  # noqa: B018
        assert (caught.value.name, caught.value.obj) == ("flatmap", stream)
        assert not hasattr(stream, "_repr_html_")


def test_the_two_called_collect() -> None:
    with fails(
        f"{LINE}: collect wants a field's name or a function, got \\[\\]", "the sink is connectors.memory.collect"
    ):
        flights().sink(wrong(collect(wrong([]))))
    with fails(f"{LINE}: wanted an aggregate for 'all', got <connectors.memory_sinks._Collect .*>") as caught:
        flights().key_by().aggregate(all=wrong(into([])))
    assert "engine.collect('delay')" in caught.value.hint


def test_fields_of_untyped_streams_are_not_checked() -> None:
    flights().key_by("anything").aggregate(n=max_("whatever"))
    flights(dict).key_by("anything")
    flights(dict[str, int]).key_by("anything")


def test_a_field_after_an_aggregate_is_checked_too() -> None:
    rows = flights(Flight).key_by("carrier").aggregate(late=count("delay"))
    rows.key_by("late")
    with fails(
        f"{LINE}: key_by wants the field 'delay', which Aggregate has not",
        "there are: carrier, late",
    ):
        rows.key_by("delay")


class Wrong(msgspec.Struct):
    carrier: str
    flights: int


@pytest.mark.parametrize(
    ("wanted", "there"),
    [(Wrong, "carrier, flights"), (int, "no fields"), (dict, "no fields"), (FlightTuple, "carrier, delay")],
)
def test_a_type_that_does_not_fit_an_aggregate(wanted: Any, there: str) -> None:
    name = wanted.__name__
    with fails(f"{LINE}: the aggregate gives the fields carrier, n; {name} has {there}"):
        flights(Flight).key_by("carrier").aggregate(n=count(), type=wanted)


def test_streams_of_two_flows() -> None:
    one, two = Dataflow("one").source(ListSource([])), Dataflow("two").source(ListSource([]))
    with fails(f"{LINE}: union of streams of two flows, 'one' and 'two'", "build both in one Dataflow"):
        one.union(two)


def test_dead_letters_that_nobody_reads() -> None:
    flow = Dataflow("f")
    flow.source(ListSource([])).map(str, on_error="dead-letter").sink(ListSink())
    place = here(1)
    with fails(
        rf"'map str' \({place}\) says on_error=\"dead-letter\", but nobody reads the dead letters",
        "write flow.dead_letters.sink(...)",
    ):
        flow.run()


def test_readers_of_dead_letters_that_nobody_sends() -> None:
    flow = Dataflow("f")
    flow.source(ListSource([])).map(str).sink(ListSink())
    flow.dead_letters.sink(ListSink())
    with fails("flow 'f' reads flow.dead_letters, but no operator sends any"):
        flow.run()


def test_dead_letters_of_dead_letters() -> None:
    flow = Dataflow("f")
    with fails(f"{LINE}: 'map str' handles dead letters, so it cannot send its own there", 'use "skip"'):
        flow.dead_letters.map(str, on_error="dead-letter")
    mixed = flow.dead_letters.union(flow.source(ListSource([]))).map(lambda x: x)
    with fails(f"{LINE}: 'into' handles dead letters, so it cannot send its own there"):
        mixed.sink(ListSink(), on_error="dead-letter")


@pytest.mark.parametrize(
    ("wrong", "text", "hint"),
    [
        ([1], r"\[1\]", "use one of connectors.*, e.g. connectors.memory.from_iterable(...) for a list"),
        (ListSource, "<class .*ListSource'>", "call it: ListSource(...)"),
        (
            ListSink(),
            "<.*ListSink .*>",
            "use one of connectors.*, e.g. connectors.memory.from_iterable(...) for a list",
        ),
    ],
)
def test_what_is_no_source(wrong: Any, text: str, hint: str) -> None:
    with fails(f"{LINE}: wanted a Source, got {text}", hint):
        Dataflow("f").source(wrong)


@pytest.mark.parametrize(
    ("wrong", "text", "hint"),
    [
        ([], r"\[\]", "use one of connectors.*, or a class of your own on engine.Sink"),
        (ListSink, "<class .*ListSink'>", "call it: ListSink(...)"),
    ],
)
def test_what_is_no_sink(wrong: Any, text: str, hint: str) -> None:
    with fails(f"{LINE}: wanted a Sink, got {text}", hint):
        flights().sink(wrong)


@pytest.mark.parametrize("emit", ["end", None])
def test_an_aggregate_at_the_end_of_what_never_ends(emit: Any) -> None:
    flow = Dataflow("f")
    options = {} if emit is None else {"emit": emit}
    stream = flow.source(ListSource([], bounded=False), name="clock").map(str)
    place = here(1)
    never = f"{LINE}: an aggregate over a stream that never ends gives nothing; its source is 'clock' \\({place}\\)"
    hint = 'say emit="update" to have the aggregate after each record'
    keyed = stream.union(flow.source(ListSource([]))).key_by()
    for build in (
        lambda: keyed.aggregate(n=count(), **options),
        lambda: keyed.reduce(max, **options),
        lambda: keyed.fold(int, lambda state, _: state, **options),
    ):
        with fails(never, hint):
            build()
    keyed.aggregate(n=count(), emit="update")


@pytest.mark.parametrize("action", [iter, list, lambda s: [*s]], ids=["iter", "list", "star"])
def test_a_stream_is_no_iterable(action: Callable[[Any], object]) -> None:
    with pytest.raises(TypeError, match=r"a Stream holds no records to iterate over; add operators and a sink, then"):
        action(flights())


def test_unpacking_a_stream_says_the_same() -> None:
    with pytest.raises(TypeError, match="a Stream holds no records"):
        _one, _two = flights()  # type: ignore[misc]


def test_an_empty_flow() -> None:
    with fails("flow 'f' is empty", "begin with flow.source(...)"):
        Dataflow("f").run()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((None,), "a Dataflow wants a name, got None"),
        ((" ",), "a Dataflow wants a name, got ' '"),
        ((ListSink(),), "a Dataflow wants a name, got <.*"),
    ],
)
def test_a_flow_has_a_name(arguments: Any, text: str) -> None:
    with fails(f"{LINE}: {text}", 'e.g. Dataflow("flight-delays")'):
        Dataflow(*arguments)


def test_wrong_options_of_a_flow() -> None:
    with fails(f'{LINE}: on_error is "fail", "skip" or "dead-letter", not \'stop\''):
        Dataflow("f", on_error="stop")  # type: ignore[arg-type]
    with fails(f"{LINE}: settings are a Settings\\(...\\), got {{'max_window': 1}}"):
        Dataflow("f", settings={"max_window": 1})  # type: ignore[arg-type]
    assert Dataflow("f", settings=Settings(max_window=1)).settings.max_window == 1


class Picky(ListSink):
    def check(self, type: Any) -> None:
        if type is not str:
            raise GraphError(f"only texts can be written, not {type}", hint="map(str)")


def test_a_sink_may_refuse_a_type_when_the_graph_is_built() -> None:
    with fails(f"{LINE}: sink 'out': only texts can be written, not <class 'int'>") as caught:
        flights(int).sink(Picky(), name="out")
    assert "hint: map(str)" in str(caught.value)
    flights(int).map(str).sink(Picky())


def test_a_failed_call_leaves_nothing_in_the_graph() -> None:
    stream = flights(Flight)
    for build in (
        lambda: stream.map(None),  # type: ignore[arg-type]
        lambda: stream.key_by("x"),
        lambda: stream.sink(None),  # type: ignore[arg-type]
        lambda: stream.sink(Picky()),
        lambda: stream.map(str, on_error="x"),  # type: ignore[arg-type]
    ):
        with pytest.raises(GraphError):
            build()
    assert len(stream._flow.graph.nodes) == 1


def test_nothing_is_opened_or_listed_by_building_and_explaining() -> None:
    class Shy(Source[int]):
        def partitions(self) -> Any:
            raise AssertionError

    class Closed(Sink[int]):
        blocking = False

    flow = Dataflow("f")
    flow.source(Shy()).sink(Closed())
    assert "source" in flow.explain()


def test_the_place_is_that_of_the_user_even_where_a_helper_stands_between() -> None:
    def clean(stream: Stream[Any]) -> Stream[Any]:
        return stream.map(str, name="clean")

    stream = flights()
    clean(stream)
    place = f"test_graph_errors.py:{clean.__code__.co_firstlineno + 1}"
    assert stream._flow.graph.nodes[-1].place == place
    assert repr(stream) == "<Stream of ? from list>"
    assert repr(stream.key_by(str)) == "<KeyedStream of ? from list>"
    assert repr(stream._flow.dead_letters) == "<Stream of DeadLetter from dead letters>"
    assert repr(stream._flow) == "<Dataflow 'flights': 2 operators>"
