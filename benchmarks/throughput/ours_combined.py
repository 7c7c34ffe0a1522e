"""The same flow as users get it: each process counts what it reads, and partial counts travel, not bids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.throughput import ours
from engine import Settings


def run(paths: Sequence[Path], folder: Path, processes: int) -> None:
    """Count."""
    ours.run(paths, folder, processes, Settings().combine_keys)
