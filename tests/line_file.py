"""A writer of lines for the sinks of tests, whose workers import this module: so it takes no test library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine import Writer


class LineFile(Writer[Any]):
    """Appends records to the file `path` a line each, and at the end "finish" or "abort"."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a")

    def write(self, records: list[Any]) -> None:
        self._file.write("".join(f"{record}\n" for record in records))
        self._file.flush()

    def finish(self) -> None:
        self._end("finish")

    def abort(self) -> None:
        self._end("abort")

    def _end(self, how: str) -> None:
        self._file.write(f"{how}\n")
        self._file.close()
