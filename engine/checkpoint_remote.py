"""Checkpoints under a URL, through fsspec (the extra `fsspec` and the filesystem's own library)."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from engine.checkpoint_files import CHUNK
from engine.errors import CheckpointError


class FsspecFiles:
    """A folder of any filesystem that fsspec knows. `publish` is one PUT: on an object store that is all or nothing;
    elsewhere a file that was cut short is found by its checksum."""

    def __init__(self, url: str) -> None:
        self.root = url.rstrip("/")
        try:
            core = importlib.import_module("fsspec.core")
        except ImportError as error:
            message = f"checkpoints under {url} need fsspec"
            raise CheckpointError(message, hint="pip install headgate[fsspec], or name a local directory") from error
        try:
            self._fs, self._folder = core.url_to_fs(self.root)
        except (ValueError, ImportError) as error:
            raise CheckpointError(f"checkpoints cannot be kept under {url}: {error}") from error

    def make_folder(self, folder: str) -> None:
        with _as_os_errors():
            self._fs.makedirs(self._path(folder), exist_ok=True)

    def write(self, path: str, chunks: Iterable[bytes]) -> None:
        with _as_os_errors(), self._fs.open(self._path(path), "wb") as file:
            for chunk in chunks:
                file.write(chunk)

    def sync(self, folder: str) -> None:
        """A file that was closed is there."""

    def publish(self, path: str, data: bytes) -> None:
        with _as_os_errors():
            self._fs.pipe_file(self._path(path), data)

    def read(self, path: str) -> Iterator[bytes]:
        with _as_os_errors(), self._fs.open(self._path(path), "rb") as file:
            while data := file.read(CHUNK):
                yield data

    def names(self, folder: str) -> list[str]:
        self._fs.invalidate_cache()  # others write here, too
        try:
            with _as_os_errors():
                found: list[Any] = self._fs.ls(self._path(folder), detail=False)
        except (FileNotFoundError, NotADirectoryError):
            return []
        here = self._path(folder).strip("/")
        return sorted(name for path in found if (name := path.strip("/").removeprefix(here).strip("/")))

    def remove(self, path: str) -> None:
        with suppress(FileNotFoundError), _as_os_errors():
            self._fs.rm_file(self._path(path))

    def remove_folder(self, folder: str) -> None:
        with suppress(FileNotFoundError), _as_os_errors():
            self._fs.rm(self._path(folder), recursive=True)

    def _path(self, path: str) -> str:
        return f"{self._folder}/{path}" if path else str(self._folder)


@contextmanager
def _as_os_errors() -> Iterator[None]:
    """Each filesystem's library has errors of its own."""
    try:
        yield
    except (OSError, MemoryError, GeneratorExit, CheckpointError):
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {error}") from error
