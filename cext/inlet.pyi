"""Inlet: the consumer's half of a channel that crosses processes (the law stands in cext/link.pyx)."""

from collections.abc import Callable
from typing import Any, Protocol, Self, final, type_check_only

from cext.channel import Channel
from cext.task import Task

@type_check_only
class _Decoder(Protocol):
    def decode(self, format: int, payload: Any) -> list[Any]: ...

@final
class Inlet:
    number: int
    channel: Channel
    task: Task | None
    coding: int
    received: int
    ended: bool
    is_cut: bool
    dropped: int
    bytes_released: int
    def __new__(
        cls, number: int, channel: Channel, codec: _Decoder, unread: Callable[[Exception], object] | None = None
    ) -> Self: ...
