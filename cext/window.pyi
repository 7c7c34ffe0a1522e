"""Window: how many records a channel may hold, from how fast its consumer takes them."""

from typing import Self, final

@final
class Window:
    size: int
    most: int
    floor: int
    frame: int
    capped: int
    def __new__(cls, share: float, most: int, frame: int, batch: int = 0, now: int = 0) -> Self: ...
    def update(self, now: int, released: int, starved: bool, blocked: bool) -> int: ...
    def want(self, batch: int) -> None: ...
    def travels(self, round_trip: int) -> None: ...
