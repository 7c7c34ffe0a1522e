"""Compare: the competitors in turns over the same files, so that a machine that grows slower does so for all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import TypeAlias

from benchmarks.nexmark import by_hand, ours, queries
from benchmarks.nexmark.notes import Measured
from benchmarks.nexmark.oracle import Oracle
from engine import JobError

Run: TypeAlias = Callable[[str, Sequence[Path], Path, int], Measured]

OURS, BY_HAND, BYTEWAX, BATCHES = "headgate", "by hand", "Bytewax", "Bytewax, batches"
REACH = {
    **{(query, BY_HAND): ">= 0.85" for query in by_hand.BLOCKS},
    ("q5", BY_HAND): ">= 0.7",
    **{(query, BYTEWAX): ">= 20" for query in ("q5", "q7", "q11")},
}

COLUMNS = {"query": 20, "events/s": 9, "cores": 5, "events/s a core": 15, "headgate / it": 13, "reach": 7, "results": 7}
"""The table's titles and widths, known beforehand: a line is printed as soon as it is measured."""


@dataclass
class Compared:
    """One query's runs over so many processes, by competitor."""

    query: str
    events: int
    runs: dict[str, list[Measured]] = field(default_factory=dict)

    def ratio(self, other: str) -> float:
        """Our speed over the other's, the median of the rounds."""
        pairs = zip(self.runs[other], self.runs[OURS], strict=True)
        return median(theirs.seconds / ours.seconds for theirs, ours in pairs)

    def rows(self) -> list[list[str]]:
        """For the table."""
        return [self._row(who, runs) for who, runs in self.runs.items()]

    def _row(self, who: str, runs: list[Measured]) -> list[str]:
        rate, cores = self.events / median(run.seconds for run in runs), median(run.cores for run in runs)
        beside = who != OURS and OURS in self.runs
        return [
            f"{self.query} {who}",
            f"{rate:,.0f}",
            f"{cores:.2f}",
            f"{median(self.events / run.cpu for run in runs):,.0f}",
            f"{self.ratio(who):.2f}" if beside else "",
            REACH.get((self.query, who), "") if beside else "",
            f"{runs[-1].results:,}",
        ]


def competitors(query: str, processes: int, peers: bool, say: Callable[[str], None]) -> dict[str, Run]:
    """Who runs `query` over so many processes; `say` why one is skipped."""
    found: dict[str, Run] = {}
    if query in queries.names():
        found[OURS] = ours.run
    if processes == 1 and query in by_hand.LOOPS:
        found[BY_HAND] = by_hand.run
    if not peers:
        return found
    try:
        from benchmarks.nexmark import bytewax_cluster
        from benchmarks.nexmark.bytewax_queries import QUERIES
    except ModuleNotFoundError as error:
        say(f"skipped: Bytewax needs {error.name}: pip install 'headgate[{error.name}]'")
        return found
    if query in QUERIES:
        found[BYTEWAX] = bytewax_cluster.run
    if query in by_hand.BLOCKS:
        found[BATCHES] = partial(bytewax_cluster.run, batched=True)
    return found


def compare(
    query: str, paths: Sequence[Path], events: int, folder: Path, processes: int, rounds: int, who: dict[str, Run]
) -> Compared:
    """Run `query` on each in turns; JobError if they give different numbers of results."""
    compared = Compared(query, events)
    for _ in range(rounds):
        for name, run in who.items():
            compared.runs.setdefault(name, []).append(run(query, paths, folder, processes))
    given = {name: runs[0].results for name, runs in compared.runs.items()}
    if len(set(given.values())) > 1:
        raise JobError(f"{query} gave different numbers of results: {given}")
    return compared


def check(names: Sequence[str], paths: Sequence[Path], processes: int) -> None:
    """Raise JobError unless our queries give the oracle's answers over the events in `paths`."""
    oracle = Oracle(paths)
    for query in names:
        oracle.check(query, ours.results(query, paths, processes), by_real_clock=query in queries.BY_CLOCK)


def heading() -> list[str]:
    """The first lines of the table."""
    return [_line(list(COLUMNS)), _line(["-" * width for width in COLUMNS.values()])]


def lines(compared: Compared) -> list[str]:
    """A query's lines of the table."""
    return [_line(row) for row in compared.rows()]


def _line(cells: Sequence[str]) -> str:
    first, *others = zip(cells, COLUMNS.values(), strict=True)
    return " ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]).rstrip()
