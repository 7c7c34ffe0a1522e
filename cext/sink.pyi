"""Sink: the head that gathers records into batches and hands them to a connector's writer."""

from collections.abc import Callable
from typing import Any, Self, final

from cext.cost import Cost
from cext.guard import Guard
from cext.head import Head
from cext.histogram import Histogram

@final
class Sink(Head):
    cost: Cost
    written: int
    latency: Histogram
    prepares: bool
    earlier: list[Any]
    shown: Callable[[int], None] | None
    def __new__(
        cls,
        name: str,
        guard: Guard,
        open_writer: Callable[[], Any],
        is_refusal: Callable[[BaseException], bool],
        batch: int = 0,
        linger: int = 1_000_000,
        clock: Callable[[], int] = ...,
    ) -> Self: ...
    def complete(self, checkpoint: int) -> None: ...
