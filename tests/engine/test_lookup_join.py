"""lookup_join: each record meets its match in a mapping or in a source that is read once."""

from __future__ import annotations

import types
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from engine import BadRecord, ConnectorError, GraphError, InputError, OperatorError, Reader, Source
from tests.engine.helpers import ListSource, Nothing, Raise, Runner

PLANES = [{"tail": "N1", "maker": "Fokker"}, {"tail": "N2", "maker": "Boeing"}]
TABLE = {plane["tail"]: plane for plane in PLANES}
FLIGHTS = [("N1", 1), ("N9", 2), ("N2", 3), ("N1", 4)]


def tail(flight: tuple[str, int]) -> str:
    return flight[0]


def tables() -> list[Any]:
    return [TABLE, OrderedDict(TABLE), types.MappingProxyType(TABLE), "source", "blocking source", "partitions"]


def with_table(kind: Any) -> tuple[Any, dict[str, Any]]:
    if not isinstance(kind, str):
        return kind, {}
    if kind == "partitions":
        return ListSource({"a": PLANES[:1], "b": [], "c": PLANES[1:]}), {"table_key": "tail"}
    return ListSource(PLANES, blocking=kind != "source"), {"table_key": "tail"}


@pytest.mark.parametrize("parallelism", [1, 3])
@pytest.mark.parametrize("kind", tables(), ids=lambda kind: kind if isinstance(kind, str) else type(kind).__name__)
def test_left_and_inner(runner: Runner, kind: Any, parallelism: int) -> None:
    for how, expected in (
        ("left", [("N1", 1, "Fokker"), ("N1", 4, "Fokker"), ("N2", 3, "Boeing"), ("N9", 2, None)]),
        ("inner", [("N1", 1, "Fokker"), ("N1", 4, "Fokker"), ("N2", 3, "Boeing")]),
    ):
        table, options = with_table(kind)

        def merge(flight: tuple[str, int], plane: dict[str, str] | None) -> tuple[Any, ...]:
            return (*flight, plane and plane["maker"])

        out = runner.through(
            FLIGHTS,
            lambda s, table=table, how=how, options=options: s.rebalance(parallelism).lookup_join(  # type: ignore[misc]
                table, on=tail, into=merge, how=how, **options
            ),
        )
        assert sorted(out) == expected


def test_without_into_the_pair_goes_on(runner: Runner) -> None:
    assert runner.through(FLIGHTS[:2], lambda s: s.lookup_join(TABLE, on=tail)) == [
        (("N1", 1), PLANES[0]),
        (("N9", 2), None),
    ]


@pytest.mark.parametrize(("how", "out"), [("left", 4), ("inner", 3)])
def test_what_has_no_match_is_counted_and_shown(runner: Runner, how: Any, out: int) -> None:
    flow, sink = runner.flow(), runner.sink()
    flow.source(runner.source(FLIGHTS)).lookup_join(TABLE, on=tail, how=how, name="planes").sink(sink)
    result = flow.run()
    planes = result["planes"]
    assert (planes.records_in, planes.records_out, planes.unmatched, planes.skipped) == (4, out, 1, 0)
    assert "1 records without a match: planes 1" in str(result)


def test_a_table_is_read_once_a_job_and_anew_for_the_next(runner: Runner) -> None:
    table = ListSource(PLANES)
    flow, sink = runner.flow(), runner.sink()
    flow.source(runner.source(FLIGHTS)).rebalance(4).lookup_join(table, on=tail, table_key="tail").sink(sink)
    assert table.readers == []
    flow.explain()
    assert table.readers == []
    flow.run()
    assert len(table.readers) == 1
    flow.run()
    assert [reader.closed for reader in table.readers] == [1, 1]
    assert len(sink.records) == 8


def test_a_mapping_is_taken_as_it_is_when_the_job_starts(runner: Runner) -> None:
    table: dict[int, str] = {}
    flow, sink = runner.flow(), runner.sink()
    flow.source(runner.source([1])).lookup_join(table, on=lambda x: x).sink(sink)
    table[1] = "one"
    job = flow.start()
    table[1] = "changed"
    job.wait()
    assert sink.records == [(1, "one")]


def test_empty_reads_do_not_end_a_table(runner: Runner) -> None:
    table = ListSource([Nothing(), PLANES[0], Nothing(), PLANES[1]], poll_after=1e-6)
    out = runner.through(FLIGHTS, lambda s: s.lookup_join(table, on=tail, table_key=lambda p: p["tail"], how="inner"))
    assert len(out) == 3


def test_a_table_with_a_key_twice_fails_the_job_before_it_reads(runner: Runner) -> None:
    flow, source = runner.flow(), runner.source(FLIGHTS)
    table = ListSource([*PLANES, {"tail": "N1", "maker": "Saab"}])
    flow.source(source).lookup_join(table, on=tail, table_key="tail", name="planes").sink(runner.sink())
    with pytest.raises(ConnectorError, match="table of 'planes' has two records with the key 'N1'") as caught:
        flow.run()
    assert "choose a table_key that is unique" in str(caught.value.hint)
    assert table.readers[0].closed == 1
    assert source.reads == 0


@pytest.mark.parametrize(
    ("items", "kind", "text"),
    [
        ([Raise(OSError("unplugged"))], ConnectorError, "the table of 'planes' could not be read: OSError: unplugged"),
        ([{"maker": "x"}], ConnectorError, "the table of 'planes' could not be read: KeyError: 'tail'"),
        ([{"tail": []}], ConnectorError, "the table of 'planes' could not be read: TypeError: unhashable"),
        ([BadRecord("?", "planes.csv:3", "too few fields")], InputError, "planes.csv:3: too few fields"),
    ],
    ids=["read", "key", "unhashable", "bad"],
)
def test_a_table_that_cannot_be_read(runner: Runner, items: Any, kind: type[Exception], text: str) -> None:
    flow, table = runner.flow(), ListSource(items)
    flow.source(runner.source(FLIGHTS)).lookup_join(table, on=tail, table_key="tail", name="planes").sink(runner.sink())
    with pytest.raises(kind, match=text):
        flow.run()
    assert table.readers[0].closed == 1


def test_a_table_without_partitions_says_so(runner: Runner) -> None:
    class Lost(Source[Any]):
        def partitions(self) -> Sequence[str]:
            raise ConnectorError("no files match planes-*.csv")

        def open(self, partition: str) -> Reader[Any]:
            raise AssertionError

    flow = runner.flow()
    flow.source(runner.source([])).lookup_join(Lost(), on=tail, table_key="tail", name="planes").sink(runner.sink())
    with pytest.raises(ConnectorError, match="no files match") as caught:
        flow.run()
    assert caught.value.__notes__ == ["in the table of operator 'planes'"]


def test_an_unhashable_or_missing_key_is_the_records_fault(runner: Runner) -> None:
    flow, sink = runner.flow(), runner.sink()
    stream = flow.source(runner.source([("N1", 1), ([], 2), (), ("N2", 3)]))
    stream.lookup_join(TABLE, on=tail, on_error="skip").sink(sink)
    assert flow.run().skipped == 2
    assert len(sink.records) == 2


def test_the_error_names_the_function_that_raised(runner: Runner) -> None:
    def merge(flight: Any, plane: Any) -> Any:
        return plane["maker"]

    flow = runner.flow()
    flow.source(runner.source([("N9", 1)])).lookup_join(TABLE, on=tail, into=merge).sink(runner.sink())
    with pytest.raises(OperatorError, match=r"failed in merge \(.*test_lookup_join.py:\d+\): TypeError"):
        flow.run()
    flow = runner.flow()
    flow.source(runner.source([5])).lookup_join(TABLE, on=tail, into=merge).sink(runner.sink())
    with pytest.raises(OperatorError, match=r"failed in tail \(.*test_lookup_join.py:\d+\): TypeError"):
        flow.run()


def never() -> Iterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"table": [1], "on": tail}, "lookup_join wants a mapping, a source or a stream as its table, got \\[1\\]"),
        (
            {"table": TABLE, "on": tail, "table_key": "tail"},
            "wants table_key with a source, and no table_key with a map",
        ),
        ({"table": ListSource([]), "on": tail}, "wants table_key with a source"),
        ({"table": TABLE, "on": 5}, "lookup_join wants a field or a function as on, got 5"),
        ({"table": ListSource([]), "on": tail, "table_key": 5}, "wants a field or a function as table_key, got 5"),
        ({"table": TABLE, "on": tail, "how": "outer"}, 'how is "left" or "inner", not \'outer\''),
        ({"table": TABLE, "on": tail, "into": 5}, "lookup_join wants a function, got 5"),
        (
            {"table": ListSource([], bounded=False), "on": tail, "table_key": "tail"},
            "lookup_join reads its table to the end, but 'list' never ends",
        ),
    ],
)
def test_wrong_arguments(runner: Runner, arguments: Any, text: str) -> None:
    stream = runner.flow().source(runner.source([]))
    with pytest.raises(GraphError, match=rf"^test_lookup_join.py:\d+: .*{text}"):
        stream.lookup_join(**arguments)
