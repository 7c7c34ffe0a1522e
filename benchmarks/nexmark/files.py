"""The events as files of JSON lines, one for each partition."""

from __future__ import annotations

from pathlib import Path

import msgspec

from benchmarks.nexmark.generator import Generator
from benchmarks.nexmark.source import BLOCK, Nexmark


def write_files(folder: Path, generator: Generator, count: int, partitions: int = 1, block: int = BLOCK) -> list[Path]:
    """Write `count` events, dealt out as `Nexmark` does; the paths of the files."""
    source = Nexmark(generator, count=count, partitions=partitions, block=block)
    encode = msgspec.json.Encoder().encode_lines
    paths = []
    for partition in source.partitions():
        path = folder / f"events-{partition}.jsonl"
        paths.append(path)
        reader = source.open(partition)
        with path.open("wb") as file:
            while (events := reader.read(block)) is not None:
                file.write(encode(events))
    return paths
