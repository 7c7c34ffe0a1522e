"""The command `nexmark`: writes events, checks the answers, and measures the queries beside others."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import click

from benchmarks.nexmark import compare, queries
from benchmarks.nexmark.answers import ANSWERS
from benchmarks.nexmark.files import write_files
from benchmarks.nexmark.generator import Generator

CHECKED = 20_000
"""Events over which the answers are checked."""


class Queries(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions only
    """Names of queries with commas between them."""

    name = "q0,q1,..."

    def convert(self, value: str, param: click.Parameter | None, context: click.Context | None) -> list[str]:
        """The names; an error for one that there is not."""
        names = value.split(",")
        for name in names:
            if name not in ANSWERS:
                self.fail(f"there is no query {name!r}; there are {', '.join(ANSWERS)}", param, context)
        return names


@click.command("nexmark")
@click.option("--queries", "names", type=Queries(), help="Which ones; by default all that are written as flows.")
@click.option("--processes", type=click.IntRange(1), default=1, show_default=True)
@click.option("--events", type=click.IntRange(1000), default=1_000_000, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="Of all competitors in turns.")
@click.option("--peers/--no-peers", default=True, help="Beside Bytewax, where it is installed, over 1 or 2 processes.")
@click.option("--seed", type=int, default=0, show_default=True)
def nexmark(names: list[str] | None, processes: int, events: int, rounds: int, peers: bool, seed: int) -> None:
    """The queries of Nexmark over a file of JSON lines for each process: events/s, cores, events/s a core.

    Before that the answers are checked against DuckDB's. A query's lines are printed as soon as it is measured.
    """
    chosen = names or queries.names()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _check([query for query in chosen if query in queries.names()], folder, processes, seed)
        paths = _written(folder, Generator(seed=seed), events, processes)
        _print(compare.heading())
        for query in chosen:
            _print(compare.lines(_compared(query, paths, events, folder, processes, rounds, peers)))


def _check(names: Sequence[str], folder: Path, processes: int, seed: int) -> None:
    (folder / "checked").mkdir()
    stream = Generator(seed=seed, rate=100)
    compare.check(names, write_files(folder / "checked", stream, CHECKED, processes, block=256), processes)
    _say(f"answers checked over {CHECKED:,} events, {processes} process(es): {', '.join(names)}")


def _written(folder: Path, stream: Generator, events: int, processes: int) -> list[Path]:
    begin = time.monotonic()
    paths = write_files(folder, stream, events, processes)
    _say(f"{events:,} events made and written, {events / (time.monotonic() - begin):,.0f}/s")
    return paths


def _compared(
    query: str, paths: Sequence[Path], events: int, folder: Path, processes: int, rounds: int, peers: bool
) -> compare.Compared:
    who = compare.competitors(query, processes, peers and processes <= 2, _say)
    _say(f"{query}: {', '.join(who) or 'nobody runs it yet'}")
    return compare.compare(query, paths, events, folder, processes, rounds, who)


def _print(lines: Sequence[str]) -> None:
    click.echo("\n".join(lines))


def _say(line: str) -> None:
    click.echo(line, err=True)
