"""Source: the head that asks a connector's readers for as many records as there is credit for."""

from collections.abc import Callable
from typing import Any

from cext.guard import Guard
from cext.head import Head

class Source(Head):
    exhausted: bool
    whole: bool
    def __init__(
        self,
        name: str,
        guard: Guard,
        open_reader: Callable[[str], Any],
        partitions: list[str],
        in_turn: bool,
        bad_record: type,
    ) -> None: ...
    def stop(self, whole: bool) -> None: ...
