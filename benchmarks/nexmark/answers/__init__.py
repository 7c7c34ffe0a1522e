"""The answers, one file of SQL for each query."""

from __future__ import annotations

from pathlib import Path

ANSWERS = {path.stem: path for path in sorted(Path(__file__).parent.glob("*.sql"), key=lambda path: int(path.stem[1:]))}
"""By the query's name, in the order of their numbers."""
