"""The command `slow-sink`: runs a profile, prints the table, and writes samples and picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from benchmarks.slow_sink import job, report
from benchmarks.slow_sink.peers.all import run_all
from benchmarks.slow_sink.profiles import MAKERS, profile
from benchmarks.slow_sink.sampling import Run


@click.command("slow-sink")
@click.option("--profile", "name", type=click.Choice(list(MAKERS)), default="step", show_default=True)
@click.option("--processes", type=click.IntRange(1, 3), default=3, show_default=True, help="Sink in the last.")
@click.option("--seconds", type=click.FloatRange(1.0), help="How long the profile is; each has its own.")
@click.option("--peers", is_flag=True, help="Beside the same on PUSH/PULL, multiprocessing.Queue and Bytewax.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="For samples (CSV), picture (PNG).")
def slow_sink(name: str, processes: int, seconds: float | None, peers: bool, out: Path | None) -> None:
    """A source that offers 100,000 records a second, a count by key, and a sink whose rate follows a profile."""
    chosen = profile(name, seconds)
    click.echo(f"profile {name}, {chosen.seconds:g} s, {processes} processes ...", err=True)
    runs = [job.run(chosen, processes)]
    if peers:
        runs += run_all(chosen, lambda text: click.echo(text, err=True))
    click.echo(report.text(runs))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        write(out / f"slow-sink-{name}-{processes}", runs, processes)


def write(stem: Path, runs: Sequence[Run], processes: int) -> None:
    """Write the samples and, where matplotlib is installed, the picture."""
    csv = stem.with_suffix(".csv")
    report.write_csv(csv, runs)
    try:
        from benchmarks.slow_sink.picture import draw
    except ModuleNotFoundError as error:
        click.echo(f"{csv}; no picture without {error.name}: pip install 'headgate[bench]'", err=True)
        return
    draw(stem.with_suffix(".png"), runs, processes)
    click.echo(f"{csv}\n{stem.with_suffix('.png')}", err=True)
