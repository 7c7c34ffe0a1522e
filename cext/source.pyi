"""Source: the head that asks a connector's readers for as many records as there is credit for."""

from collections.abc import Callable
from typing import Any, Self, final

from cext.guard import Guard
from cext.head import Head
from cext.watermarks import Part, Watermarks

@final
class Reading:
    def __new__(cls, reader: Any, partition: str, part: Part | None = None) -> Self: ...

@final
class Source(Head):
    exhausted: bool
    whole: bool
    def __new__(
        cls,
        name: str,
        guard: Guard,
        open_reader: Callable[[str], Any],
        partitions: list[str],
        in_turn: bool,
        bad_record: type,
        blocking: bool = True,
        watermarks: Watermarks | None = None,
    ) -> Self: ...
    def stop(self, whole: bool) -> None: ...
    def request(self, checkpoint: int) -> None: ...
