"""Link: the two halves of a channel that crosses processes, and what a pair of workers tell each other."""

from typing import Any, Protocol, Self, TypeAlias, final

from cext.channel import Channel

_Credit: TypeAlias = tuple[int, int, int, int, int, int, bool]
_Sent: TypeAlias = tuple[int, int, bool]
_Signal: TypeAlias = tuple[int, int, int, int, int, list[_Credit], list[_Sent]]

class _Encoder(Protocol):
    def encode(self, rows: list[Any]) -> tuple[int, bytes]: ...

class _Decoder(Protocol):
    def decode(self, format: int, payload: Any) -> list[Any]: ...

@final
class Message:
    sequence: int
    header: bytes
    payload: bytes
    sent_at: int
    @property
    def size(self) -> int: ...

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
    def granted(self, credit: _Credit, now: int) -> bool: ...
    def resend(self, now: int) -> int: ...
    def oldest_sent_at(self) -> int | None: ...

@final
class Inlet:
    number: int
    channel: Channel
    ended: bool
    received: int
    gap: bool
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
    round_trip: int
    turn: int
    refused: dict[str, int]
    def __new__(cls, me: int, number: int, epoch: int, outlets: list[Outlet], inlets: list[Inlet]) -> Self: ...
    def next(self, now: int) -> Message | None: ...
    def receive(self, header: Any, payload: Any, now: int) -> bool: ...
    def signal(self, now: int) -> _Signal | None: ...
    def hear(self, signal: _Signal, now: int) -> bool: ...
    def reconnected(self, now: int) -> None: ...
    def finished(self) -> bool: ...
    def deadline(self) -> int: ...

def sender_of(header: Any) -> int | None: ...
def channel_of(header: Any) -> int | None: ...
