"""A file that grows by whole checkpoints: what is written is kept from sight in parts until they are committed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeAlias

from connectors.claim import CLAIM, Claim
from connectors.output_file import OutputFile, cannot, sync_folder_of
from connectors.paths import PARTIAL, beside, is_special
from engine.errors import ConnectorError
from engine.sink import SinkContext

COPY_BYTES = 1024 * 1024

Token: TypeAlias = dict[str, Any]
"""What `prepare` gives: `part`, a file of `size` bytes that belongs into `path` at `offset`; None where it is empty."""


class StagedFile:
    """Writes `path`, of which only what is committed can be seen, compressed if its suffix says so.

    1. What is written goes to a part beside `path`: a hidden file, named by instance and epoch. `prepare` brings it to
       the disk, knows by then where in `path` it belongs, and begins the next part.
    2. `commit` moves the first part onto `path`, and copies each later one to its place at the end. Nothing but what
       is committed ever stands in `path`, and a part always has the same place: so whoever commits it again, or was
       taken for dead and wakes up in the middle of it, writes the same bytes where they are.
    3. A job that goes on commits what its checkpoint has prepared, cuts off what is behind that (of a later checkpoint,
       which cannot be read any more), and removes all other parts of its instances.
    """

    def __init__(self, path: str, whole_path: str, context: SinkContext) -> None:
        """`whole_path`: that of the sink, after which parts are named, however many writers it has."""
        recovery = context.recovery
        assert recovery is not None
        if is_special(path):
            raise ConnectorError(
                f"cannot write {path!r} exactly once: it is no regular file", hint="write a file, or no checkpoints"
            )
        self.path = path
        self._whole_path, self._index, self._epoch = whole_path, context.index, recovery.epoch
        self._parts = 0
        self._claim = Claim(whole_path, context.index, context.operator, recovery)
        try:
            for token in recovery.prepared:
                self.commit(token)
            self.last: Token | None = next((t for t in reversed(recovery.prepared) if t["path"] == path), None)
            for token in {token["path"]: token for token in recovery.prepared}.values():
                self._cut_behind(token)
            self._remove_leftovers(context)
            self._end = _size(path) if recovery.is_resumed else 0  # of `path`, once all that was prepared is committed
            self._part = self._next_part()
        except BaseException:
            self._claim.release()
            raise

    @property
    def is_new(self) -> bool:
        """Nothing stands in the file before what is written."""
        return self._end == 0

    def write(self, data: bytes) -> None:
        """Write all of `data`, or raise `ConnectorError` and leave the part as it was."""
        self._part.write(data)

    def prepare(self) -> Token:
        """Give the part that was written to the disk, and begin the next; `ConnectorError` where that failed."""
        token: Token = {"path": self.path, "part": None, "offset": self._end, "size": 0}
        if self._part.length or self.is_new:  # the first one makes the file, though nothing is in it
            self._part.seal()
            token |= {"part": self._part_path(), "size": self._part.length}
            self._end += self._part.length
            self._part = self._next_part()
        return token

    def commit(self, token: Token) -> None:
        """Show the part that `token` names, unless that is done; `ConnectorError` if it is not there."""
        path, part, offset = token["path"], token["part"], token["offset"]
        if part is None:
            return
        with _trying_to("commit", path):
            try:
                if offset == 0:
                    os.replace(part, path)
                else:
                    self._append(part, path, offset)
            except FileNotFoundError:
                self._check_committed(token)
            sync_folder_of(path)

    def _append(self, part: str, path: str, offset: int) -> None:
        with open(part, "rb", buffering=0) as source:
            if _size(path) < offset:
                raise self._misfit(path, offset)
            target = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                _copy(source.fileno(), target, offset)
                os.fsync(target)
            finally:
                os.close(target)
        with suppress(FileNotFoundError):
            os.unlink(part)

    def _check_committed(self, token: Token) -> None:
        """A part that is gone must be in its place."""
        end = token["offset"] + token["size"]
        if _size(token["path"]) < end:
            raise self._misfit(token["path"], end)

    def _misfit(self, path: str, wanted: int) -> ConnectorError:
        return ConnectorError(
            f"cannot go on with {path!r}: wanted {wanted} bytes that were committed, and it has {_size(path)}",
            hint="put the file back as the job left it, or begin without the checkpoint",
        )

    def _cut_behind(self, token: Token) -> None:
        path, end = token["path"], token["offset"] + token["size"]
        if _size(path) < end:
            raise self._misfit(path, end)
        if _size(path) > end:
            with _trying_to("cut", path):
                os.truncate(path, end)

    def _remove_leftovers(self, context: SinkContext) -> None:
        """Remove what older epochs of our instances left; where the job begins anew, whatever their epoch."""
        assert context.recovery is not None
        folder, name = os.path.split(self._whole_path)
        with _trying_to("look for what is left of", self._whole_path):
            found = [match for each in os.listdir(folder or ".") if (match := _OURS.fullmatch(each))]
        for match in found:
            instance, epoch = int(match["instance"]), int(match["epoch"] or 0)
            is_ours = match["name"] == name and instance % context.parallelism == context.index
            is_claimed = match["epoch"] is None and instance == context.index
            if is_ours and not is_claimed and (epoch < self._epoch or not context.recovery.is_resumed):
                with suppress(FileNotFoundError):
                    os.unlink(os.path.join(folder, match[0]))

    def _next_part(self) -> OutputFile:
        self._parts += 1
        return OutputFile(self.path, self._part_path())

    def _part_path(self) -> str:
        return beside(self._whole_path, f"{self._index}-{self._epoch}-{self._parts}{PARTIAL}")

    def finish(self) -> None:
        """All is committed: let go."""
        self.abort()

    def abort(self) -> None:
        """Let go; what was prepared stays, what came after is read again when the job goes on."""
        try:
            self._part.abort()
            with suppress(FileNotFoundError):
                os.unlink(self._part_path())
        finally:
            self._claim.release()


_OURS = re.compile(rf"\.(?P<name>.+)\.(?P<instance>\d+)(-(?P<epoch>\d+)-\d+{re.escape(PARTIAL)}|{re.escape(CLAIM)})")
"""A part, or a claim."""


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def _copy(source: int, target: int, offset: int) -> None:
    while data := memoryview(os.read(source, COPY_BYTES)):
        while data:
            written = os.pwrite(target, data, offset)
            data, offset = data[written:], offset + written


@contextmanager
def _trying_to(what: str, path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise cannot(what, path, error) from error
