"""The queries on Bytewax give the oracle's answers, where it is installed."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("bytewax")
pytest.importorskip("duckdb")

from benchmarks.nexmark import bytewax_cluster
from benchmarks.nexmark.bytewax_queries import QUERIES
from benchmarks.nexmark.files import write_files
from benchmarks.nexmark.oracle import Oracle
from tests.benchmarks.nexmark.streams import COUNT, STREAMS

STREAM = STREAMS["100 s, in order, many times alike"]


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Oracle:
    return Oracle(write_files(tmp_path_factory.mktemp("events"), STREAM, COUNT))


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_gives_the_oracles_answer(query: str, oracle: Oracle) -> None:
    import bytewax.operators as op
    from bytewax.dataflow import Dataflow
    from bytewax.testing import TestingSink, TestingSource, run_main

    flow, records = Dataflow("nexmark"), list[Any]()
    events = op.input("events", flow, TestingSource(STREAM.events(0, COUNT), batch_size=100))
    op.output("out", QUERIES[query](events, timedelta(minutes=5)), TestingSink(records))
    run_main(flow)
    oracle.check(query, records)


@pytest.mark.parametrize(("query", "batched"), [("q5", False), ("q1", True)])
def test_over_two_processes(query: str, batched: bool, tmp_path: Path) -> None:
    paths = write_files(tmp_path, STREAM, COUNT, partitions=2, block=64)
    Oracle(paths).check(query, bytewax_cluster.results(query, paths, tmp_path, 2, batched))
