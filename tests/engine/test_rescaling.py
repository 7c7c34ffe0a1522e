"""A job that goes on over another number of processes, and with operators that run as often as never before."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connectors.files import csv_files
from connectors.sqlite import sqlite_query, sqlite_table
from engine import Dataflow, KeyedProcess, OperatorError, Timer, Tumbling, ValueState, count, sum_
from tests.engine.test_checkpoints_of_operators import COUNT, Trouble, often

FILES = 5


class Reading(msgspec.Struct):
    weir: int
    at: int
    number: int


class Order(msgspec.Struct):
    number: int
    weir: int
    at: int


class Row(msgspec.Struct):
    text: str


class Watch(KeyedProcess[Reading, Row]):
    """Tells every 100 ms how many there were, and when there was one for the last time."""

    seen = ValueState[int](0)
    last = ValueState[int](0, ttl="1s")

    def on_record(self, record: Reading) -> None:
        self.seen += 1
        self.last = record.number
        self.event_timers.at((record.at // 100 + 1) * 100)

    def on_timer(self, timer: Timer) -> Iterator[Row]:
        yield Row(f"{self.key} {timer.time} {self.seen} {self.last}")


def as_row(result: Any) -> Row:
    return Row(repr(result).rpartition("Result")[2])


def paired(reading: Reading, order: Order) -> Row:
    return Row(f"{reading.number} {order.number}")


def inputs(folder: Path) -> None:
    for name in range(FILES):
        rows = (f"{n % 7},{n},{n}\n" for n in range(name, COUNT, FILES))
        (folder / f"in-{name}.csv").write_text("weir,at,number\n" + "".join(rows))
    with closing(sqlite3.connect(folder / "in.db")) as database, database:
        database.execute("create table orders (number integer primary key, weir integer, at integer)")
        database.executemany("insert into orders values (?, ?, ?)", [(n, n // 2 % 7, 3 * n) for n in range(COUNT // 3)])


def weirs(folder: Path, results: str, parallelism: int | None, trouble: Trouble | None = None) -> Dataflow:
    flow = Dataflow("weirs")
    files = flow.source(csv_files(str(folder / "in-*.csv"), type=Reading), name="files").event_time(
        "at", out_of_order="20ms"
    )
    if trouble is not None:
        files = files.inspect(lambda reading: trouble(reading.number), name="trouble")
    query = sqlite_query(folder / "in.db", "select * from orders", type=Order, key="number")
    orders = flow.source(query, name="orders").event_time("at").key_by("weir")
    readings = files.key_by("weir", parallelism=parallelism)
    streams = {
        "windows": readings.window(Tumbling("50ms")).aggregate(n=count(), sum=sum_("number")).map(as_row, type=Row),
        "pairs": readings.interval_join(orders, lower=-5, upper=9, into=paired, type=Row),
        "timers": readings.process(Watch, in_order=True),
    }
    for name, stream in streams.items():
        stream.sink(sqlite_table(folder / results, name), name=name)
    return flow


def tables(folder: Path, results: str) -> dict[str, list[str]]:
    with closing(sqlite3.connect(folder / results)) as database:
        return {
            name: [text for (text,) in database.execute(f"select text from {name} order by text")]
            for name in ("windows", "pairs", "timers")
        }


@pytest.mark.parametrize("lives", [[(1, None), (3, 2), (2, 5)], [(3, None), (1, 4), (1, 1)]])
def test_the_tables_are_those_of_an_undisturbed_job(tmp_path: Path, lives: list[tuple[int, int | None]]) -> None:
    inputs(tmp_path)
    weirs(tmp_path, "undisturbed.db", None).run()
    for life, (processes, parallelism) in enumerate(lives[:-1], 1):
        flow = weirs(tmp_path, "out.db", parallelism, Trouble(tmp_path, life * COUNT // 3))
        with pytest.raises(OperatorError, match="planted"):
            flow.run(processes=processes, checkpoint=often(tmp_path, restarts=0))
    processes, parallelism = lives[-1]
    flow = weirs(tmp_path, "out.db", parallelism)
    assert flow.run(processes=processes, checkpoint=often(tmp_path)).state == "finished"
    wanted = tables(tmp_path, "undisturbed.db")
    assert tables(tmp_path, "out.db") == wanted
    assert all(len(rows) > 100 for rows in wanted.values())
