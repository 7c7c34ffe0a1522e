"""Which files a pattern means: globs, duplicates, and errors that say what is there instead."""

from __future__ import annotations

import difflib
import glob
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePath

from engine.errors import ConnectorError, GraphError

Pattern = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
"""A path, a glob (`*`, `?`, `[abc]`, and `**` for any folders), or several of these."""

COMPRESSED = (".gz", ".zst")
PARTIAL = ".partial"


def as_patterns(pattern: Pattern) -> tuple[str, ...]:
    """The patterns as strings, `~` replaced by the home folder."""
    if isinstance(pattern, str | os.PathLike):
        pattern = (pattern,)
    patterns = tuple(os.fspath(one) for one in pattern if isinstance(one, str | os.PathLike))
    if len(patterns) < max(len(pattern), 1) or not all(isinstance(one, str) and one for one in patterns):
        raise GraphError(f"expected a path or a glob, or several of them, got {pattern!r}")
    return tuple(map(os.path.expanduser, patterns))


def may_block(patterns: Iterable[str]) -> bool:
    """Whether `patterns` may mean compressed files, pipes or devices: those take a thread."""
    return any(_may_be_compressed(one) or is_special(one) for one in patterns)


def _may_be_compressed(pattern: str) -> bool:
    name = os.path.basename(pattern)
    suffix = PurePath(name).suffix or name
    return suffix.lower() in COMPRESSED or glob.has_magic(suffix)


def is_special(path: str) -> bool:
    """Whether `path` is there and is neither a regular file nor a folder: a FIFO, a terminal, a device."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def matching_files(patterns: Sequence[str]) -> list[str]:
    """Every file that `patterns` mean, once each: in the order of the patterns, sorted within a glob."""
    files: dict[str, str] = {}
    for pattern in patterns:
        for path in _expand(pattern):
            files.setdefault(os.path.abspath(path), path)
    return list(files.values())


def _expand(pattern: str) -> Iterator[str]:
    if os.path.lexists(pattern) or not glob.has_magic(pattern):
        check_readable(pattern)
        yield pattern
        return
    found = sorted(filter(_is_input, glob.glob(pattern, recursive=True)))
    if not found:
        raise ConnectorError(
            f"no file matches {pattern!r} (working directory {os.getcwd()})", hint=_what_is_there(pattern)
        )
    for path in found:
        check_readable(path)
        yield path


def _is_input(path: str) -> bool:
    """What a sink has not finished is nobody's input unless it is asked for by name."""
    return not os.path.isdir(path) and not path.endswith(PARTIAL)


def check_readable(path: str) -> None:
    """Raise `ConnectorError` unless `path` is something that can be read."""
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise cannot_read(path, error) from error
    if stat.S_ISDIR(mode):
        raise cannot_read(path, IsADirectoryError())
    if not os.access(path, os.R_OK, effective_ids=True):
        raise cannot_read(path, PermissionError())


def cannot_read(path: str, error: OSError) -> ConnectorError:
    """The error for `path`, with what to do about it."""
    where = f"{path!r} (working directory {os.getcwd()})"
    if isinstance(error, FileNotFoundError):
        return ConnectorError(f"no such file: {where}", hint=_what_is_there(path))
    if isinstance(error, IsADirectoryError):
        return ConnectorError(
            f"expected a file, got the folder {where}",
            hint=f"to read what is in it: {os.path.join(path, '*')!r}",
        )
    if isinstance(error, PermissionError):
        return ConnectorError(f"no permission to read {where}", hint="see its owner and mode with ls -l")
    return ConnectorError(f"cannot read {where}: {error.strerror or error}")


def _what_is_there(pattern: str) -> str:
    """One sentence on how to correct `pattern`: the folder that is missing, or the names most like it."""
    folder, name = os.path.split(pattern)
    if glob.has_magic(folder):
        return "check the pattern; ** stands for any folders"
    try:
        names = [entry.name for entry in os.scandir(folder or ".")]
    except OSError:
        return f"there is no folder {folder!r} that can be read; relative paths start at the working directory"
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(repr(os.path.join(folder, one)) for one in close) + "?"
    return f"the folder {folder or '.'!r} has {len(names)} entries, and none with a name like this"


def numbered(path: str, index: int, parallelism: int) -> str:
    """`path` for one of several writers: `out-00002.csv.gz` for `out.csv.gz`; `path` itself for one alone.

    >>> numbered("daily.2024.csv.gz", 2, 8)
    'daily.2024-00002.csv.gz'
    """
    if parallelism == 1:
        return path
    stem, suffix = os.path.splitext(path)
    if suffix.lower() in COMPRESSED:
        stem, inner = os.path.splitext(stem)
        suffix = inner + suffix
    return f"{stem}-{index:05d}{suffix}"


def beside(path: str, suffix: str) -> str:
    """The path of a hidden file that belongs to `path`.

    >>> beside("out/daily.csv", "claim")
    'out/.daily.csv.claim'
    """
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name}.{suffix}")
