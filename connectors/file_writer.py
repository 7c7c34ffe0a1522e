"""What the writers of all file formats have in common: all of a batch goes into the file, or none of it."""

from __future__ import annotations

from typing import Any

from connectors.output_file import OutputFile
from connectors.staged_file import StagedFile, Token
from engine.errors import OutputError
from engine.sink import Writer


class FileWriter(Writer[Any]):
    """Writes records to one file as the bytes that `encode` makes of them."""

    form: str
    """What the format is called in errors."""

    def __init__(self, file: OutputFile | StagedFile) -> None:
        self.file = file
        self._written = 0

    def encode(self, records: list[Any], /) -> bytes:
        """Give the bytes for `records`, or raise; either way, nothing has changed."""
        raise NotImplementedError

    def write(self, records: list[Any]) -> None:
        try:
            data = self.encode(records)
        except Exception as error:
            index, cause = self._culprit(records, error)
            which = f"record {self._written + index + 1} ({type(records[index]).__qualname__})"
            raise OutputError(
                f"{self.file.path!r}: {which} cannot be written as {self.form}: {cause}",
                hint="map it to plain values, a msgspec.Struct or a dataclass first",
            ) from cause
        self.file.write(data)
        self._written += len(records)

    def _culprit(self, records: list[Any], error: Exception) -> tuple[int, Exception]:
        """The place of the first record that cannot be encoded, and why."""
        for index, record in enumerate(records):
            try:
                self.encode([records[0], record])  # the first of a file may say what columns there are
            except Exception as cause:
                return index, cause
        return 0, error

    def prepare(self, checkpoint: int) -> Token:
        assert isinstance(self.file, StagedFile)
        return self.file.prepare()

    def commit(self, prepared: Token) -> None:
        assert isinstance(self.file, StagedFile)
        self.file.commit(prepared)

    def finish(self) -> None:
        self.file.finish()

    def abort(self) -> None:
        self.file.abort()
