"""The command `throughput`."""

from __future__ import annotations

import click

from benchmarks.throughput.compare import compare, text


@click.command("throughput")
@click.option("--records", type=click.IntRange(1000), default=1_000_000, show_default=True, help="Bids to count.")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="Of all competitors in turns.")
@click.option("--processes", type=click.IntRange(1, 2), help="One or two; by default first the one, then the other.")
def throughput(records: int, rounds: int, processes: int | None) -> None:
    """Bids in JSON lines, counted by auction: a flow, by hand, and on Bytewax."""
    wanted = (1, 2) if processes is None else (processes,)
    click.echo(text([compare(records, each, rounds, lambda line: click.echo(line, err=True)) for each in wanted]))
