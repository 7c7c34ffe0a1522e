"""The command line of the example: what to run, how fast, into which file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from engine import Checkpoints, Dataflow, HeadgateError, JobError

from .follow import follow
from .job import build
from .tables import report, start_afresh

DESCRIPTION = "Load all flights that left New York City in 2013 into SQLite: cleaned, enriched, aggregated."


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the job, or show its plan, as the command line says."""
    options = _parser().parse_args(arguments)
    try:
        flow = build(options.database, options.months, options.sink_rate)
        if options.explain:
            print(flow.explain())
        elif options.mermaid:
            print(flow.to_mermaid())
        else:
            _run(flow, options.database, options.checkpoint, slowed=options.sink_rate is not None)
    except JobError as error:
        sys.exit(f"{error}\nwhat was read before that is in {options.database}")
    except (HeadgateError, ValueError) as error:
        sys.exit(str(error))


def _run(flow: Dataflow, database: Path, directory: Path | None, *, slowed: bool) -> None:
    if directory is None or not directory.exists():
        start_afresh(database)
    if slowed:
        result = follow(flow)
        print()
        print(result)
    else:
        wanted = None if directory is None else Checkpoints(into=str(directory), interval="1s")
        flow.run(progress=True, checkpoint=wanted)
    print()
    print(report(database))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="flights", description=DESCRIPTION)
    add = parser.add_argument
    add("--database", type=Path, default=Path("build/flights.db"), metavar="PATH", help="default: %(default)s")
    add("--months", type=int, choices=range(1, 13), default=12, metavar="N", help="read the first N months only")
    one = parser.add_mutually_exclusive_group().add_argument
    one("--sink-rate", type=_rate, metavar="N", help="let the table `flights` take N records a second and no more")
    one("--checkpoint", type=Path, metavar="DIR", help="make checkpoints there; killed and run again, it goes on")
    add("--explain", action="store_true", help="show the plan, and how much can be in flight, and run nothing")
    add("--mermaid", action="store_true", help="show the graph as a Mermaid flowchart, and run nothing")
    return parser


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 < rate < float("inf"):
        raise argparse.ArgumentTypeError(f"wanted more than 0 records a second, came {text}")
    return rate
