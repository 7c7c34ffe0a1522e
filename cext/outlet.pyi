"""Outlet: the producer's half of a channel that crosses processes (the law stands in cext/link.pyx)."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, Self, final, type_check_only

from cext.channel import Channel
from cext.message import Message
from cext.task import Task

@type_check_only
class _Encoder(Protocol):
    def encode(self, rows: list[Any]) -> tuple[int, bytes]: ...

class TooLarge(ValueError):
    index: int
    record: Any
    def __init__(self, message: str, record: Any = None) -> None: ...

@final
class Outlet:
    number: int
    channel: Channel
    task: Task | None
    coding: int
    byte_window: int
    sequence: int
    acked: int
    ended: bool
    is_cut: bool
    withheld: int
    dropped: int
    resent: int
    bytes_sent: int
    bytes_released: int
    def __new__(
        cls,
        number: int,
        channel: Channel,
        codec: _Encoder,
        sender: int,
        epoch: int,
        frame_bytes: int = 262_144,
        byte_window: int = 8_388_608,
        record_bytes: int = 67_108_864,
        unsent: Callable[[Exception], bool] | None = None,
    ) -> Self: ...
    def next(self, now: int) -> Message | None: ...
    def granted(self, credit: Sequence[Any], now: int) -> bool: ...
    def resend(self) -> int: ...
