"""The group `headgate bench`: each benchmark that is a program of its own."""

from __future__ import annotations

import click

from benchmarks.nexmark.command import nexmark
from benchmarks.slow_sink.command import slow_sink
from benchmarks.throughput.command import throughput


@click.group()
def bench() -> None:
    """Run a benchmark on this machine."""


bench.add_command(nexmark)
bench.add_command(slow_sink)
bench.add_command(throughput)
