"""Links: the sockets by which one worker reaches the others, served from its runner's loop."""

from collections.abc import Callable
from typing import Any, Self, final

from cext.link import Peer, _Signal

@final
class Wire:
    peer: Peer
    def __new__(cls, peer: Peer, data: Any, signals: Any, events: Any) -> Self: ...

@final
class Links:
    wires: dict[int, Wire]
    refused: dict[str, int]
    messages_in: int
    messages_out: int
    bytes_in: int
    bytes_out: int
    def __new__(
        cls,
        wires: list[Wire],
        data: Any,
        signals: Any,
        encode: Callable[[_Signal], bytes],
        decode: Callable[[bytes], _Signal],
        refused: dict[str, int],
        has_keys: bool,
        patience: int,
        out_of_reach: Callable[[int], BaseException],
    ) -> Self: ...
    def close(self) -> None: ...
    def state(self) -> list[tuple[int, int, int, int]]: ...
