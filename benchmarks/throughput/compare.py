"""Compare: the competitors in turns, so that a machine that grows slower does so for all of them."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from statistics import median

from benchmarks.throughput.bids import collect, write_bids
from engine import JobError
from engine.metrics import table

COMPETITORS = {
    "headgate": "ours",
    "headgate, combined before the exchange": "ours_combined",
    "by hand": "by_hand",
    "Bytewax": "bytewax_cluster",
    "by hand inside Bytewax": "bytewax_blocks",
}
REACH = {"by hand": ">= 0.85", "Bytewax": ">= 3"}


@dataclass(frozen=True)
class Compared:
    """Seconds of each round over so many processes, by competitor; all counted the same."""

    records: int
    processes: int
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def ratio(self, other: str) -> float:
        """Our speed over the other's, the median of the rounds."""
        return median(o / h for o, h in zip(self.seconds[other], self.seconds["headgate"], strict=True))

    def rows(self) -> list[list[str]]:
        """For the table."""
        return [
            [
                f"{who}, {self.processes} {'process' if self.processes == 1 else 'processes'}",
                f"{self.records / median(seconds):,.0f}",
                "" if who == "headgate" else f"{self.ratio(who):.2f}",
                REACH.get(who, "") if self.processes == 2 else "",
            ]
            for who, seconds in self.seconds.items()
        ]


def compare(records: int, processes: int, rounds: int, say: Callable[[str], None]) -> Compared:
    """Run all that are installed; JobError if two of them count differently."""
    compared, counted = Compared(records, processes), Counter[int]()
    with tempfile.TemporaryDirectory() as name:
        paths = write_bids(Path(name), records)
        for _ in range(rounds):
            for who, module in COMPETITORS.items():
                try:
                    competitor = import_module(f"benchmarks.throughput.{module}")
                except ModuleNotFoundError as error:
                    say(f"skipped: {who} needs {error.name}: pip install 'headgate[{error.name}]'")
                    continue
                competitor.run(paths, Path(name), processes)
                seconds, counts = collect(Path(name))
                if counts != (counted := counted or counts):
                    raise JobError(
                        f"{who} counted {counts.total():,} bids otherwise than the others, {counted.total():,}"
                    )
                compared.seconds.setdefault(who, []).append(seconds)
    return compared


def text(results: Sequence[Compared]) -> str:
    """The table."""
    rows = [row for result in results for row in result.rows()]
    return "\n".join(table(["keyed count of JSON lines", "records/s", "headgate / it", "reach"], rows))
