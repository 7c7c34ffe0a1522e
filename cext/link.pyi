"""Link: what a pair of workers tell each other about the channels between them."""

from typing import Any, Self, TypeAlias, final

from cext.inlet import Inlet
from cext.message import Message
from cext.outlet import Outlet

_Credit: TypeAlias = tuple[int, int, int, int, int, int, int, int]
_Signal: TypeAlias = tuple[int, int, int, int, int, list[_Credit], list[int]]

@final
class Peer:
    me: int
    number: int
    epoch: int
    outlets: dict[int, Outlet]
    inlets: dict[int, Inlet]
    heard_at: int
    round_trip: int
    ahead: int
    refused: dict[str, int]
    def __new__(cls, me: int, number: int, epoch: int, outlets: list[Outlet], inlets: list[Inlet]) -> Self: ...
    def next(self, now: int) -> Message | None: ...
    def receive(self, header: Any, payload: Any, now: int) -> bool: ...
    def signal(self, now: int) -> _Signal | None: ...
    def hear(self, signal: Any, now: int) -> bool: ...
    def reconnected(self, now: int) -> int: ...
    def finished(self) -> bool: ...
    def deadline(self) -> int: ...
