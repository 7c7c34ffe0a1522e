"""Link: the two halves of a channel that crosses processes, and what a pair of workers tell each other."""

from collections.abc import Sequence
from typing import Any, Protocol, Self, TypeAlias, final, type_check_only

from cext.channel import Channel
from cext.message import Message

_Credit: TypeAlias = tuple[int, int, int, int, int, int, int, int]
_Signal: TypeAlias = tuple[int, int, int, int, int, list[_Credit], list[int]]

@type_check_only
class _Encoder(Protocol):
    def encode(self, rows: list[Any]) -> tuple[int, bytes]: ...

@type_check_only
class _Decoder(Protocol):
    def decode(self, format: int, payload: Any) -> list[Any]: ...

@final
class Outlet:
    number: int
    channel: Channel
    byte_window: int
    sequence: int
    acked: int
    ended: bool
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
    ) -> Self: ...
    def next(self, now: int) -> Message | None: ...
    def granted(self, credit: Sequence[Any], now: int) -> bool: ...
    def resend(self) -> int: ...

@final
class Inlet:
    number: int
    channel: Channel
    received: int
    ended: bool
    bytes_released: int
    def __new__(cls, number: int, channel: Channel, codec: _Decoder) -> Self: ...

@final
class Peer:
    me: int
    number: int
    epoch: int
    outlets: dict[int, Outlet]
    inlets: dict[int, Inlet]
    heard_at: int
    asked: int
    round_trip: int
    refused: dict[str, int]
    def __new__(cls, me: int, number: int, epoch: int, outlets: list[Outlet], inlets: list[Inlet]) -> Self: ...
    def next(self, now: int) -> Message | None: ...
    def receive(self, header: Any, payload: Any, now: int) -> bool: ...
    def signal(self, now: int) -> _Signal | None: ...
    def hear(self, signal: Any, now: int) -> bool: ...
    def reconnected(self, now: int) -> int: ...
    def finished(self) -> bool: ...
    def deadline(self) -> int: ...
